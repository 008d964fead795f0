//! Moves volumes off the drives that are being drained.
//!
//! A shard goes to a drive that has no shard of its volume; if there is none, the volume's bodies are rewritten over
//! the drives that stay. Nothing of this is remembered: the set's roll says which drives are being drained, and the
//! volumes' records say what is left on them, so draining goes on after a restart. The journal and the checkpoints
//! leave such drives by themselves.

use crate::compact::Narrowed;
use crate::evacuate::Mover;
use std::time::Duration;
use stratum_storage::blob::VolumeId;
use stratum_storage::heal::HealError;
use stratum_storage::pace::Class;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};

/// The pause between two looks for something on a drive that is being drained.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How long a volume that could not be moved is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(15);

/// Empties the drives that are being drained; one for a store.
pub struct Drain(Mover);

impl Drain {
    pub fn new(mover: Mover) -> Drain {
        Drain(mover)
    }
}

impl Task for Drain {
    fn row(&self) -> Row {
        Row {
            name: "drain",
            role: Role::Leader,
            class: Some(Class::Evacuate),
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            match empty(&self.0, stop).await {
                true => Next::After(POLL_INTERVAL),
                false => Next::After(RETRY_DELAY),
            }
        })
    }
}

/// Moves every shard that can be moved now; false if some could not.
async fn empty(mover: &Mover, stop: &Stop) -> bool {
    let mut moved_all = true;
    for (volume, shard) in mover.volumes.table.leaving_shards() {
        if *stop.borrow() {
            return true;
        }
        moved_all &= move_off(mover, volume, shard, stop).await;
    }
    moved_all
}

async fn move_off(mover: &Mover, volume: VolumeId, shard: u8, stop: &Stop) -> bool {
    let Some(claim) = mover.volumes.table.try_claim(volume) else { return false };
    match mover.volumes.rebuilder.rebuild_shard(volume, shard, &mover.pace, Class::Evacuate).await {
        Ok(_) | Err(HealError::Gone) => true,
        Err(HealError::NoDrive) => match mover.narrow(&claim, stop).await {
            Ok(Narrowed::Moved(_)) => true,
            Ok(Narrowed::WaitsForDrive) => {
                tracing::warn!(%volume, "a drive can't be emptied: the others have no room beside the reserve");
                false
            }
            Err(error) => {
                tracing::warn!(%volume, %error, "a volume could not be moved off a drive; trying again");
                false
            }
        },
        Err(error) => {
            tracing::warn!(%volume, shard, %error, "a shard could not be moved off a drive; trying again");
            false
        }
    }
}
