//! Whether the drives that stay have room for the data of the drives that are drained.
//!
//! A shard that moves takes as much space on its new drive as it took. But where fewer drives stay than a volume has
//! shards, the volume's bodies are written anew over fewer data shards with the same number of parity shards, which
//! takes more space: bodies that take `(k+m)/k` of their length over `k+m` drives take `(k'+m)/k'` over `k'+m`. Every
//! drive that stays then gets an equal part of them, so the drive with the least room decides whether they fit.

use super::{DriveError, bytes_under};
use crate::shown::bytes;
use std::path::Path;
use std::sync::Arc;
use stratum_storage::blob::Tier;
use stratum_storage::drive::{Devices, Drive, DriveId};
use stratum_storage::volume::Without;
use stratum_storage::volumes::Volumes;

/// How much space draining some drives of a tier would take on the drives that stay, and how much is free there, in
/// bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    tier: Tier,
    /// How many drives stay.
    stay: u64,
    /// The disk space that the store's files take on the drives that leave.
    lies: u64,
    without: Without,
    /// What is free beside the reserve on the devices of the drives that stay.
    free: u64,
    /// The part of `free` that falls to the drive with the least room.
    least: u64,
}

impl Drain {
    /// The numbers for a drain; nothing if too few drives stay to hold data.
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

    /// Refuses the drain if the drives that stay have no room for it.
    pub fn check(&self) -> Result<(), DriveError> {
        let Without { bytes: comes, narrowed, geometry } = self.without;
        // Of the two figures the larger counts. `comes`, from the records, leaves out garbage that was not freed yet;
        // `lies`, from the disk, leaves out that bodies grow when they are written over fewer drives.
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

    /// A drain after which five drives of six stay; bodies of `live` GiB lie over all six as 4+2.
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
    fn bodies_written_over_fewer_drives_must_fit_on_each_drive_that_stays() {
        // 12 GiB lie on the drive that leaves, and 20 GiB more come to lie on the other five, 4 on each.
        assert!(of_six(48, 100, 4).check().is_ok());
        let refused = of_six(48, 100, 3).check().unwrap_err().to_string();
        for part in ["20.0 GiB", "48.0 GiB", "3+2", "1.67 times", "15.0 GiB free", "5 drives", "hot"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }

    #[test]
    fn shards_that_move_need_room_on_any_drive_that_stays() {
        let without = Without { bytes: 12 * GIB, narrowed: 0, geometry: Geometry { k: 4, m: 2 } };
        let drain = Drain { stay: 7, without, ..of_six(48, 12, 0) };
        assert!(drain.check().is_ok());
        let refused = Drain { free: 11 * GIB, ..drain }.check().unwrap_err().to_string();
        assert!(refused.contains("12.0 GiB") && refused.contains("11.0 GiB free"), "{refused}");
        assert!(!refused.contains("anew"), "{refused}");
        // The drive that leaves holds 1 GiB of garbage that was not freed yet.
        assert!(Drain { lies: 13 * GIB, ..drain }.check().is_err());
    }
}
