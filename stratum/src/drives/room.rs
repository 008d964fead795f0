//! Whether the drives that stay have room for what lies on those that are to go: the arithmetic of a drain.
//!
//! A shard that moves takes elsewhere what it took. Where fewer drives stay than a volume has shards, its bodies are
//! written anew over fewer data shards, and the same parity beside less data takes more: what lies on `k+m` drives as
//! `(k+m)/k` of its length lies on `k'+m` as `(k'+m)/k'`. Then every drive that stays holds as much of it as any other,
//! so the one with the least room decides.

use super::{DriveError, bytes_under};
use crate::shown::bytes;
use std::path::Path;
use std::sync::Arc;
use stratum_storage::blob::Tier;
use stratum_storage::drive::{Devices, Drive, DriveId};
use stratum_storage::volume::Without;
use stratum_storage::volumes::Volumes;

/// What it would take to do without some drives of a tier, and what there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    tier: Tier,
    /// How many drives stay.
    stay: u64,
    /// What our files on the drives that go take of the disk.
    lies: u64,
    without: Without,
    /// Free on the devices of the drives that stay, beyond the reserve.
    free: u64,
    /// The least part of that which one of those drives has.
    least: u64,
}

impl Drain {
    /// Nothing where too few drives stay for data.
    pub fn of(volumes: &Volumes, tier: Tier, leaving: &[&Arc<Drive>], stay: &[Arc<Drive>]) -> Option<Drain> {
        let ids: Vec<DriveId> = leaving.iter().map(|drive| drive.id()).collect();
        let (devices, reserve) = (Devices::of(stay), volumes.table.kept_free());
        Some(Drain {
            tier,
            stay: stay.len() as u64,
            lies: leaving.iter().map(|drive| bytes_under(Path::new(&drive.io().describe()))).sum(),
            without: volumes.table.without(tier, &ids)?,
            free: devices.free(reserve),
            least: stay.iter().map(|drive| devices.part(drive, reserve)).min().unwrap_or_default(),
        })
    }

    /// Refuses what the drives that stay have no room for.
    pub fn check(&self) -> Result<(), DriveError> {
        let Without { bytes: comes, narrowed, geometry } = self.without;
        // Our own figures leave out the garbage that lies between, the disk's the growth.
        let needed = comes.max(self.lies);
        let (free, why) = match narrowed {
            0 => (self.free, String::new()),
            _ => (
                self.least.saturating_mul(self.stay),
                format!(
                    ", {} of bodies being written anew as {geometry}, which takes {:.2} times their length",
                    bytes(narrowed),
                    geometry.shards() as f64 / f64::from(geometry.k.max(1)),
                ),
            ),
        };
        if needed <= free {
            return Ok(());
        }
        let (needed, free) = (bytes(needed), bytes(free));
        Err(DriveError::NoSpace { tier: self.tier.name(), needed, stay: self.stay, why, free })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::blob::Geometry;

    const GIB: u64 = 1 << 30;

    /// Five drives stay of six, and bodies of so many GiB lie over all of them as 4+2.
    fn of_six(live: u64, free: u64, least: u64) -> Drain {
        let bytes = live * GIB * 5 / 3 - live * GIB * 5 / 4;
        let without = Without { bytes, narrowed: live * GIB, geometry: Geometry { k: 3, m: 2 } };
        Drain {
            tier: Tier::Hot,
            stay: 5,
            lies: live * GIB / 4,
            without,
            free: free * GIB,
            least: least * GIB,
        }
    }

    #[test]
    fn what_is_narrower_must_fit_on_every_drive_that_stays() {
        // 12 GiB lie on the drive, and 20 come to lie on the five others: 4 on each.
        assert!(of_six(48, 100, 4).check().is_ok());
        let refused = of_six(48, 100, 3).check().unwrap_err().to_string();
        for part in ["20.0 GiB", "48.0 GiB", "3+2", "1.67 times", "15.0 GiB free", "5 drives", "hot"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }

    #[test]
    fn shards_that_move_need_room_anywhere() {
        let without = Without { bytes: 12 * GIB, narrowed: 0, geometry: Geometry { k: 4, m: 2 } };
        let drain = Drain { stay: 7, without, ..of_six(48, 12, 0) };
        assert!(drain.check().is_ok());
        let refused = Drain { free: 11 * GIB, ..drain }.check().unwrap_err().to_string();
        assert!(refused.contains("12.0 GiB") && refused.contains("11.0 GiB free"), "{refused}");
        assert!(!refused.contains("anew"), "{refused}");
        // Garbage that wasn't freed yet lies there too.
        assert!(Drain { lies: 13 * GIB, ..drain }.check().is_err());
    }
}
