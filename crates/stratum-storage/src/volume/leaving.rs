//! Drives that are to go: what still lies on them, and what it takes to do without them.

use super::Table;
use super::handle::{Phase, PlacedShard};
use crate::blob::{Geometry, Tier, VolumeId};
use crate::drive::DriveId;
use crate::placement::geometry_over;

/// What becomes of a tier's volumes when some drives are to hold nothing of them any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Without {
    /// About how many bytes come to lie on the drives that stay, beside what lies there now.
    pub bytes: u64,
    /// Payload of the volumes whose bodies are written anew, since there aren't as many drives as they have shards.
    pub narrowed: u64,
    /// The geometry of volumes over the drives that stay.
    pub geometry: Geometry,
}

impl Table {
    /// Shards of sealed volumes that lie on drives which are on their way out, in the order in which they are to be
    /// moved. What such a volume misses comes before what it still has: otherwise the only free drive would go to a
    /// shard that still has a drive. Open volumes with such a shard take no more, so that they are sealed soon.
    pub fn leaving_shards(&self) -> Vec<(VolumeId, u8)> {
        let table = self.read();
        let leaves = |file: &PlacedShard| file.drive.as_ref().is_some_and(|drive| drive.is_draining());
        let mut leaving = Vec::new();
        for volume in table.values().filter(|volume| volume.shards().any(|(_, file)| leaves(&file))) {
            let homeless = volume.shards().filter(|(_, file)| leaves(file) || !file.is_good());
            match volume.phase() {
                Phase::Sealed { .. } => {
                    leaving.extend(homeless.map(|(shard, file)| (volume.id, file.is_good(), shard)));
                }
                Phase::Open(_) => volume.retire(),
                Phase::Dropped => {}
            }
        }
        leaving.sort_unstable();
        leaving.into_iter().map(|(volume, _, shard)| (volume, shard)).collect()
    }

    /// What it takes to do without these drives. Whatever lies on a drive that isn't there, or is on its way out
    /// already, must find a place, too. Nothing if so few stay that they can't hold data.
    pub fn without(&self, tier: Tier, leaving: &[DriveId]) -> Option<Without> {
        let drives = self.tier(tier)?;
        let mut stay: Vec<DriveId> = drives.open_to_new().iter().map(|drive| drive.id()).collect();
        stay.retain(|drive| !leaving.contains(drive));
        let geometry = geometry_over(drives.geometry, stay.len())?;
        let mut without = Without { bytes: 0, narrowed: 0, geometry };
        for volume in self.read().values().filter(|volume| volume.tier == tier) {
            let stays = |file: &PlacedShard| file.is_good() && stay.contains(&file.drive_id);
            let shards = volume.geometry.shards();
            let there = volume.shards().filter(|(_, file)| stays(file)).count();
            let (then, is_narrowed) = match shards <= stay.len() {
                true => (shards as u64 * volume.shard_bytes(volume.geometry), false),
                false => (geometry.shards() as u64 * volume.shard_bytes(geometry), true),
            };
            without.bytes += then.saturating_sub(there as u64 * volume.shard_bytes(volume.geometry));
            without.narrowed += if is_narrowed { volume.usage().0 } else { 0 };
        }
        Some(without)
    }
}
