//! What lies in the remote store, compared with what the records say.
//!
//! What lies there is listed *before* the state is asked, as with files on drives: an object that was recorded
//! meanwhile is then known. An object of a volume that the state doesn't know, that was dropped, or that lies in another object,
//! is garbage. An object of a volume that should lie on drives may be all that there is of the volume: a state that was
//! restored from before the upload doesn't know of it. It is kept, and if too few of the volume's shards are left it
//! takes their place.

use super::{UploadError, Uploader};
use crate::blob::VolumeId;
use crate::inspect::{blocking, live_stripes};
use crate::pace::Class;
use crate::remote::{Listed, Remote, RemoteError, RemoteObject};
use crate::volume::{BadFragment, Phase, Volume, VolumeEvent, VolumeState};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// How soon the next look is while an object is missing, or after a look that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How old an object must be that nobody names before it is removed, in milliseconds.
const GARBAGE_AGE_MILLIS: u64 = 24 * 3600 * 1000;

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Volumes that should be there and aren't.
    pub missing: HashSet<VolumeId>,
    /// Objects that nobody named and that were removed.
    pub removed: u64,
}

impl Uploader {
    /// Lists the remote store, has heal tell what isn't there, and removes what nobody names.
    pub(super) async fn look(&self, remote: &Remote) -> Result<Looked, UploadError> {
        remote.ensure_held().await?;
        let (mut there, mut strange) = (HashSet::new(), Vec::new());
        let mut after = None;
        loop {
            let page = remote.list(after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for listed in page {
                match RemoteObject::parse(&listed.name) {
                    Some((volume, object)) if self.names(volume, object) => drop(there.insert(volume)),
                    Some((volume, object)) => strange.push((volume, object, listed)),
                    None => {
                        tracing::warn!(name = listed.name, "the remote store holds something that isn't ours")
                    }
                }
            }
        }
        let mut looked = Looked::default();
        for volume in self.table.volumes() {
            if let Some(object) = volume.remote().filter(|_| !there.contains(&volume.id))
                && self.is_missing(&volume, object).await?
            {
                looked.missing.insert(volume.id);
            }
        }
        for (volume, object, listed) in strange {
            looked.removed += u64::from(self.look_at_stranger(remote, volume, object, &listed).await?);
        }
        Ok(looked)
    }

    fn names(&self, volume: VolumeId, object: RemoteObject) -> bool {
        self.table.find(volume).is_some_and(|volume| volume.remote() == Some(object))
    }

    /// Whether a volume that wasn't listed isn't there; has heal look at it then, which tells whose bytes these are.
    async fn is_missing(&self, volume: &Arc<Volume>, object: RemoteObject) -> Result<bool, UploadError> {
        match self.table.look_for_object(volume, object).await {
            Ok(()) => return Ok(false),
            Err(RemoteError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let is_known = self.state.lock().done.missing.contains(&volume.id);
        if let Some(first) = live_stripes(&self.table, volume.id).await?.first()
            && !is_known
        {
            self.table.repairs.add(BadFragment { volume: volume.id, shard: 0, offset: first.offset });
        }
        Ok(volume.usage().0 > 0)
    }

    /// Removes an object that nothing needs, if it is old enough; says whether it did. One that a volume needs takes the
    /// place of its shards.
    async fn look_at_stranger(
        &self,
        remote: &Remote,
        volume: VolumeId,
        object: RemoteObject,
        listed: &Listed,
    ) -> Result<bool, UploadError> {
        let log = self.table.log.clone();
        let record = blocking(move || log.volume(volume)).await??;
        match record {
            Some(record) if record.remote == Some(object) => return Ok(false),
            // A dropped volume needs nothing, and its record stays for as long as a drive is away.
            Some(record) if record.remote.is_none() && record.state != VolumeState::Dropped => {
                if let Some(volume) = self.table.find(volume) {
                    self.take_for_lost(&volume, object).await?;
                }
                return Ok(false);
            }
            Some(_) | None => {}
        }
        let is_old = listed.modified.saturating_add(GARBAGE_AGE_MILLIS) <= self.clock.now();
        if !is_old || self.table.is_held_back() {
            return Ok(false);
        }
        remote.delete(volume, object).await?;
        tracing::info!(name = listed.name, bytes = listed.length, "removed an object that nobody names");
        Ok(true)
    }

    /// Has a volume that can't be read from its drives lie in an object, if that holds all that is live of it.
    async fn take_for_lost(&self, volume: &Arc<Volume>, object: RemoteObject) -> Result<(), UploadError> {
        let good = volume.shards().filter(|(_, file)| file.is_good()).count();
        let is_sealed = matches!(volume.phase(), Phase::Sealed { .. });
        if !is_sealed || volume.usage().0 == 0 || good >= usize::from(volume.geometry.k) {
            return Ok(());
        }
        let Some(_claim) = self.table.try_claim(volume.id) else { return Ok(()) };
        let live = live_stripes(&self.table, volume.id).await?;
        let offsets: BTreeSet<u64> = live.iter().map(|live| live.offset).collect();
        let found = self.rebuilder.look_at_object(volume, object, &offsets, &self.pace, Class::Heal).await?;
        if !found.unreadable.is_empty() {
            return Ok(());
        }
        self.table.log.record(VolumeEvent::Uploaded { volume: volume.id, object }).await?;
        self.table.came_to_remote(volume, object);
        tracing::warn!(volume = %volume.id, "a volume whose shards are gone was found in the remote store");
        Ok(())
    }

    pub(super) fn looked(&self, outcome: Result<Looked, UploadError>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(Looked { missing, removed }) => {
                let soon = if missing.is_empty() { LOOK_INTERVAL } else { RETRY_INTERVAL };
                state.look_at = self.clock.monotonic() + soon;
                state.done.missing = missing;
                state.done.garbage += removed;
            }
            // The next round tries again, unless the store is away.
            Err(error) => {
                tracing::debug!(%error, "what lies in the remote store can't be looked at now");
                state.look_at = self.clock.monotonic() + RETRY_INTERVAL;
            }
        }
    }
}
