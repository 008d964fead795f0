//! The part of heal that writes shards and fragments anew, in place or on another drive.

use super::order::Endangered;
use crate::drive::DriveId;
use crate::quarantine::Strays;
use crate::volume::{Phase, PlacedShard, Table};
use std::sync::Arc;

/// Writes shards and fragments anew. It does nothing by itself: heal, scrub, balancing and drains call it.
pub struct Rebuilder {
    pub(super) table: Arc<Table>,
    /// Removes what it could not finish.
    pub(super) strays: Arc<Strays>,
}

impl Rebuilder {
    pub(crate) fn new(table: Arc<Table>, strays: Arc<Strays>) -> Rebuilder {
        Rebuilder { table, strays }
    }

    /// The table of the volumes that are rebuilt.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The drives of all tiers, and which of them take something new.
    pub(super) fn drives_now(&self) -> Vec<(DriveId, bool)> {
        let tiers = self.table.tiers.iter();
        let drives = tiers.flat_map(|tier| tier.drives.now().to_vec());
        drives.map(|drive| (drive.id(), drive.takes_new())).collect()
    }

    /// Gives shards whose drive came back, or left the set, the drive as it is now.
    pub(super) fn follow_drives(&self) {
        for volume in self.table.volumes() {
            // Whoever holds the lock now, to record a loss or exchange a file, looks at the drives, too; the volume's
            // turn comes again.
            let Ok(_changing) = volume.changing.try_lock() else { continue };
            for (slot, (shard, file)) in volume.slots().iter().zip(volume.shards()) {
                let now = self.table.drive(file.drive_id);
                if now.as_ref().map(Arc::as_ptr) != file.drive.as_ref().map(Arc::as_ptr) {
                    slot.replace(PlacedShard::on(&file, volume.id, shard, now));
                }
            }
        }
    }

    /// Has open volumes that miss a shard take no more bodies: new bytes would not be whole there.
    pub(super) fn retire_endangered(&self) {
        for volume in self.table.volumes() {
            if matches!(volume.phase(), Phase::Open(_)) && Endangered::of(&volume).is_some() {
                volume.retire();
            }
        }
    }
}
