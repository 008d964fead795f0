//! The drive that a shard is written to.

use super::{HealError, Rebuilder};
use crate::drive::{Devices, Drive, DriveId};
use crate::volume::{PlacedShard, Volume};
use std::cmp::Reverse;
use std::sync::Arc;

/// Where a shard is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// On the drive where it is, if that is well, else on the best other one.
    Best,
    /// On this other drive, though the shard is good where it is.
    Drive(DriveId),
}

impl Rebuilder {
    /// The drive that a shard is to be written to. The best one is the drive that holds the shard, if that takes new
    /// data, else the emptiest; of those that are as empty, the one with the fewest shards.
    pub(super) fn target(
        &self,
        volume: &Volume,
        shard: u8,
        bytes: u64,
        to: To,
    ) -> Result<Arc<Drive>, HealError> {
        let tier = self.table.tier(volume.tier).ok_or(HealError::NoDrive)?;
        let (own, others): (Vec<_>, Vec<_>) = volume.shards().partition(|(each, _)| *each == shard);
        let holds = |shards: &[(u8, Arc<PlacedShard>)], drive: &Arc<Drive>| {
            shards.iter().any(|(_, file)| file.drive_id == drive.id())
        };
        let mut candidates = tier.open_to_new();
        candidates.retain(|drive| !holds(&others, drive));
        if let To::Drive(wanted) = to {
            candidates.retain(|drive| drive.id() == wanted);
        }
        if candidates.is_empty() {
            return Err(HealError::NoDrive);
        }
        let (devices, reserve) = (Devices::of(&candidates), self.table.kept_free());
        candidates.retain(|drive| devices.free_at(drive, reserve) >= bytes);
        let worth = |drive: &Arc<Drive>| {
            (holds(&own, drive), devices.part(drive, reserve), Reverse(self.table.shards_on(drive.id())))
        };
        candidates.into_iter().max_by_key(worth).ok_or(HealError::NoSpace)
    }
}
