//! How sealed volumes of the cold tier come to the remote store.
//!
//! What comes to the cold tier is written to its drives first, with their redundancy, as to any tier: a write is
//! acknowledged when it is durable there, and nobody waits for the line. The drives are a *spool*. When a volume is
//! sealed it is uploaded as one object ([`parcel`]), read again from there and compared, and only then a command says
//! that it lies there; its shard files go last, when their readers are done. An upload that fails, or reads back as
//! something else, leaves the volume where it is, and is tried again.
//!
//! A volume of some size goes at once, a small one waits until compaction has merged it with others or a day has
//! passed. A crash leaves an object that no record names; every hour what lies there is compared with the records
//! ([`look`]), and garbage is removed when it is a day old. An object that should be there and isn't is told. A state
//! that was restored from before an upload finds the object again.

mod look;
mod parcel;
mod status;

pub use status::UploadStatus;

use crate::ambient::{Clock, Entropy};
use crate::blob::VolumeId;
use crate::heal::{HealError, Rebuilder};
use crate::inspect::InspectError;
use crate::pace::{Class, Pace};
use crate::remote::{Remote, RemoteError, RemoteObject};
use crate::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use crate::volume::{Claim, Phase, REMOTE_TIER, Table, Volume, VolumeEvent, VolumeLogError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// From so many live bytes on a sealed volume doesn't wait to be merged with others: the largest that compaction calls
/// small.
const SOON_FROM_BYTES: u64 = 128 << 20;
/// How long bodies wait at most for others before they are brought to the remote store.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// How long a volume is left alone whose upload failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(600);

/// Why a volume wasn't brought to the remote store. It stays where it is.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("too few fragments are good at {0}")]
    Unreadable(u64),
    #[error(transparent)]
    Look(#[from] HealError),
    #[error("the volume isn't there any more")]
    Gone,
    #[error(transparent)]
    Log(#[from] VolumeLogError),
    #[error("it was given up: {0}")]
    Interrupted(String),
}

impl From<InspectError> for UploadError {
    fn from(error: InspectError) -> UploadError {
        match error {
            InspectError::Gone => UploadError::Gone,
            InspectError::Log(error) => UploadError::Log(error),
            InspectError::Interrupted(error) => UploadError::Interrupted(error),
        }
    }
}

/// Brings volumes to the remote store. A [`Task`].
pub struct Uploader {
    table: Arc<Table>,
    rebuilder: Arc<Rebuilder>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<UploadState>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct UploadState {
    /// Since when a volume of the tier is known that isn't in the remote store, on the monotonic clock.
    since: HashMap<VolumeId, Duration>,
    /// Until when a volume is left alone.
    again: HashMap<VolumeId, Duration>,
    /// The volumes that an operator wants to be in the remote store now.
    hurried: HashSet<VolumeId>,
    /// When what lies there is compared with the records.
    look_at: Duration,
    uploading: Option<VolumeId>,
    done: status::Done,
}

/// An upload that is under way when it is to stop leaves parts behind, which the remote store's own rules remove.
impl Task for Uploader {
    fn row(&self) -> Row {
        Row {
            name: "upload",
            role: Role::Leader,
            class: Some(Class::Transition),
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let Some(remote) = self.table.remote.clone() else { return Next::WhenWoken };
            task::unless_stopped(stop, self.round(&remote)).await.unwrap_or(Next::WhenWoken)
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.asked.notified())
    }
}

impl Uploader {
    pub fn new(
        rebuilder: Arc<Rebuilder>,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Uploader {
        let (table, state, asked) = (rebuilder.table().clone(), Mutex::default(), Notify::new());
        Uploader { table, rebuilder, pace, clock, entropy, state, asked }
    }

    /// Has everything brought to the remote store now, however small it is. Says whether there is such a store.
    pub fn hurry(&self) -> bool {
        // Volumes that are opened later don't count: they would be sealed while tiny, for as long as bodies come.
        let meant = self.here().into_iter().map(|volume| volume.id).collect();
        let mut state = self.state.lock();
        (state.hurried, state.again) = (meant, HashMap::new());
        drop(state);
        self.asked.notify_waiters();
        self.table.remote.is_some()
    }

    /// Claims the remote store because an operator says that it is this one's. Says whether there is such a store.
    pub async fn claim(&self) -> Result<bool, RemoteError> {
        let Some(remote) = &self.table.remote else { return Ok(false) };
        remote.insist().await?;
        self.state.lock().look_at = Duration::ZERO;
        self.asked.notify_waiters();
        Ok(true)
    }

    /// Whether something that an operator wants to be there now still waits.
    pub fn is_hurried(&self) -> bool {
        !self.state.lock().hurried.is_empty()
    }

    /// A look, and an upload if one is due.
    pub async fn round(&self, remote: &Remote) -> Next {
        if let Err(error) = remote.tend(self.table.remote_stats().volumes).await {
            tracing::debug!(%error, "the remote store");
        }
        self.follow_volumes();
        if !remote.takes_writes() || !self.table.log.takes_uploads() {
            return Next::After(POLL_INTERVAL);
        }
        if !self.table.is_held_back()
            && let Some((volume, claim)) = self.next()
        {
            self.bring(remote, &volume, &claim).await;
            return Next::AtOnce;
        }
        let now = self.clock.monotonic();
        if self.state.lock().look_at <= now {
            let outcome = self.look(remote).await;
            self.looked(outcome);
        }
        Next::After(POLL_INTERVAL)
    }

    /// Notes which volumes wait, and has those that wait too long take no more.
    fn follow_volumes(&self) {
        let now = self.clock.monotonic();
        let waiting = self.here();
        let mut state = self.state.lock();
        let is_there = |id: &VolumeId| waiting.iter().any(|volume| volume.id == *id);
        state.since.retain(|id, _| is_there(id));
        state.again.retain(|id, until| is_there(id) && *until > now);
        state.hurried.retain(is_there);
        for volume in &waiting {
            let since = *state.since.entry(volume.id).or_insert(now);
            if state.hurried.contains(&volume.id) || now.saturating_sub(since) >= LONGEST_WAIT {
                volume.retire();
            }
        }
    }

    /// The tier's volumes that aren't in the remote store and hold something.
    fn here(&self) -> Vec<Arc<Volume>> {
        let is_here = |volume: &Arc<Volume>| {
            volume.tier == REMOTE_TIER
                && volume.remote().is_none()
                && volume.phase() != Phase::Dropped
                && volume.usage().0 > 0
        };
        self.table.volumes().into_iter().filter(is_here).collect()
    }

    /// The volume that is to go next, claimed.
    fn next(&self) -> Option<(Arc<Volume>, Claim)> {
        let now = self.clock.monotonic();
        let is_due = |volume: &Arc<Volume>| {
            let state = self.state.lock();
            let waited =
                state.since.get(&volume.id).map_or(Duration::ZERO, |since| now.saturating_sub(*since));
            let has_waited = state.hurried.contains(&volume.id)
                || volume.usage().0 >= SOON_FROM_BYTES
                || waited >= LONGEST_WAIT;
            has_waited && !state.again.contains_key(&volume.id)
        };
        let mut due = self.table.spooled().into_iter().filter(is_due);
        due.find_map(|volume| Some((volume.clone(), self.table.try_claim(volume.id)?)))
    }

    async fn bring(&self, remote: &Remote, volume: &Arc<Volume>, _claim: &Claim) {
        self.state.lock().uploading = Some(volume.id);
        let outcome = self.upload(remote, volume).await;
        let mut state = self.state.lock();
        state.uploading = None;
        match outcome {
            Ok(bytes) => {
                tracing::info!(volume = %volume.id, bytes, place = remote.place(), "a volume lies in the remote store");
                metrics::counter!("stratum_remote_uploads_total", "outcome" => "done").increment(1);
                state.done.volumes += 1;
                state.done.bytes += bytes;
            }
            Err(error) => {
                tracing::warn!(volume = %volume.id, %error, "a volume stays on its drives for now");
                metrics::counter!("stratum_remote_uploads_total", "outcome" => "failed").increment(1);
                state.again.insert(volume.id, self.clock.monotonic() + RETRY_INTERVAL);
                state.done.failed += 1;
                state.done.last_error = Some(format!("{}: {error}", volume.id));
            }
        }
    }

    /// Uploads a claimed volume, reads it again, and has the state say that it lies there. Gives the length of its
    /// object in bytes.
    async fn upload(&self, remote: &Remote, volume: &Arc<Volume>) -> Result<u64, UploadError> {
        if let Some(object) = self.recorded(volume.id).await? {
            // An earlier try came through without hearing of it.
            self.table.came_to_remote(volume, object);
            return Ok(remote.length(volume.id, object).await?);
        }
        remote.renew(self.table.remote_stats().volumes).await?;
        let object = RemoteObject { upload: self.entropy.next_u64() };
        // What is live now is still there when it is read.
        let _hold = volume.hold();
        let sent = self.send(remote, volume, object).await?;
        let event = VolumeEvent::Uploaded { volume: volume.id, object };
        let compared = match sent.compare().await {
            // Who claimed the place meanwhile will take the object for garbage.
            Ok(()) => remote.ensure_held().await,
            Err(error) => Err(error),
        };
        let outcome: Result<(), UploadError> = match compared {
            Ok(()) => self.table.log.record(event).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(()) => {
                self.table.came_to_remote(volume, object);
                Ok(sent.length())
            }
            // The event may have been recorded; if it wasn't, a look finds the object.
            Err(error @ UploadError::Log(VolumeLogError::Unavailable(_))) => Err(error),
            Err(error) => {
                sent.take_back().await;
                Err(error)
            }
        }
    }

    /// The object that holds the volume, as the state has it.
    async fn recorded(&self, volume: VolumeId) -> Result<Option<RemoteObject>, UploadError> {
        let log = self.table.log.clone();
        let record = crate::inspect::blocking(move || log.volume(volume)).await??;
        Ok(record.ok_or(UploadError::Gone)?.remote)
    }
}
