//! Volumes in the remote store: what is wrong there can be found and told, and not mended.
//!
//! The remote store keeps one copy, and that it lasts is its business. So a stripe that it lost, or returns with
//! other bytes than were stored, counts as unreadable, like one of which too few fragments are left.

use super::mend::Mended;
use super::{HealError, Healer, Rebuilder};
use crate::format::remote::{GENERATION, stripe_range};
use crate::format::v1::Fragment;
use crate::inspect::live_stripes;
use crate::pace::{Class, Pace};
use crate::readpath::whole::is_flawless;
use crate::readpath::{NO_REMOTE, REMOTE_ATTEMPTS};
use crate::remote::{Remote, RemoteError, RemoteObject};
use crate::volume::{LiveStripe, Volume};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often the remote store is asked whether it has again what it lost: a request for each such volume.
const ABSENT_INTERVAL: Duration = Duration::from_secs(30);

impl Rebuilder {
    /// Looks at some stripes of a volume in an object of the remote store. If the object isn't there, all live
    /// stripes of the volume are unreadable.
    pub(crate) async fn look_at_object(
        &self,
        volume: &Arc<Volume>,
        object: RemoteObject,
        offsets: &BTreeSet<u64>,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<Mended, HealError> {
        let none = || RemoteError::Unavailable(NO_REMOTE.into());
        let remote = self.table.remote.clone().ok_or_else(none)?;
        let live = live_stripes(&self.table, volume.id).await?;
        let mut mended = Mended::default();
        match self.table.look_for_object(volume, object).await {
            Err(error @ RemoteError::Missing(_)) => {
                tracing::error!(volume = %volume.id, place = remote.place(), %error, "the remote store lost a volume");
                mended.unreadable.extend(live.iter().map(|live| live.offset));
                mended.is_absent = true;
                return Ok(mended);
            }
            outcome => outcome?,
        }
        for live in live.into_iter().filter(|live| offsets.contains(&live.offset)) {
            let _turn = pace.turn(task, live.stripe.disk()).await;
            if !is_stripe_whole(&remote, volume, object, live).await? {
                mended.unreadable.insert(live.offset);
            }
        }
        Ok(mended)
    }
}

impl Healer {
    /// Asks whether the remote store has again what it lost, as when somebody has undone a mistake: then those
    /// stripes can be read.
    pub(super) async fn look_for_absent(&self) {
        let now = self.clock.monotonic();
        let absent: Vec<_> = {
            let mut state = self.state.lock();
            if state.absent.is_empty() || state.absent_again > now {
                return;
            }
            state.absent_again = now + ABSENT_INTERVAL;
            state.absent.keys().copied().collect()
        };
        for id in absent {
            let found = self.table.find(id).and_then(|volume| Some((volume.remote()?, volume)));
            match found {
                Some((object, volume)) if self.table.look_for_object(&volume, object).await.is_ok() => {
                    tracing::info!(volume = %id, "the remote store has a volume again that it had lost");
                }
                Some(_) => continue,
                None => {
                    tracing::info!(volume = %id, "nothing needs a volume any more that the remote store had lost");
                }
            }
            self.state.lock().came_back(id);
        }
    }
}

/// Whether the remote store gives all data fragments of a stripe as they were stored. As a reader does, it asks again
/// for what doesn't verify: bytes that were damaged on the way are no loss.
async fn is_stripe_whole(
    remote: &Remote,
    volume: &Volume,
    object: RemoteObject,
    live: LiveStripe,
) -> Result<bool, RemoteError> {
    for _ in 0..REMOTE_ATTEMPTS {
        let bytes = remote.read(volume.id, object, stripe_range(live.offset, live.stripe)).await?;
        if is_whole(volume, live, &bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_whole(volume: &Volume, live: LiveStripe, bytes: &[u8]) -> bool {
    let length = live.stripe.disk() as usize;
    (0..volume.geometry.k).all(|shard| {
        let begin = usize::from(shard) * length;
        let expected = Fragment {
            volume: volume.id,
            generation: GENERATION,
            shard,
            offset: live.offset,
            stripe: live.stripe,
            kind: live.kind,
        };
        bytes.get(begin..begin + length).is_some_and(|fragment| is_flawless(expected, fragment))
    })
}
