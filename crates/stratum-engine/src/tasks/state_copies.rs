//! A copy of the state in the remote store, beside the volumes that lie there: without one nobody who lost the drives could
//! say whose bytes these are ([ADR 28](../../../../docs/adr/0028-a-copy-of-the-state-lies-beside-the-volumes.md)).
//!
//! It is a checkpoint's files. Those that an earlier copy names are there already, so that what is sent is what changed. One is
//! made an hour after the last; ten minutes after it if volumes came there since, or something is to go from there that the last one
//! may name; and when an operator has everything brought there, as soon as it came. Nothing waits for it, but what is to go.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::{CarriedCheckpoint, Metadata, ReadError, ReadManifest};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::Index;
use stratum_storage::blocking;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::remote::state::{StateError, StateFile};
use stratum_storage::remote::{Remote, RemoteError};
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::upload::Uploader;
use stratum_storage::volumes::Volumes;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// While somebody waits for it.
const SOON: Duration = Duration::from_secs(1);
/// How old a copy becomes.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The same where volumes came to the remote store since, or are to go from there, or the last try failed.
const LEAST_INTERVAL: Duration = Duration::from_secs(600);
/// How much of a manifest is read at once, and the longest that is read at all.
const READ_BYTES: u64 = 1 << 20;
const MAX_MANIFEST_BYTES: u64 = 1 << 30;

/// How it goes with copies of the state, in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCopyStatus {
    /// The entry of the journal that the last copy is as of, and when it was begun; none if none was made.
    pub entry: Option<Index>,
    pub at: Option<UnixMillis>,
    /// How long its files are.
    pub bytes: u64,
    /// Copies, and bytes that were sent for them.
    pub copies: u64,
    pub sent_bytes: u64,
    /// Tries that failed, and why the last one did, if it did.
    pub failed: u64,
    pub last_error: Option<String>,
}

/// Why there is no new copy.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("it was given up: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Makes copies of the state. A [`Task`].
pub struct StateCopies {
    metadata: Metadata,
    volumes: Volumes,
    uploader: Arc<Uploader>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    asked: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    is_asked: bool,
    /// When a copy was begun last, or else looked for first, on the monotonic clock.
    last: Option<Duration>,
    /// How many volumes had come there by then in this run.
    uploaded: u64,
    status: StateCopyStatus,
}

impl Task for StateCopies {
    fn row(&self) -> Row {
        Row {
            name: "state copies",
            role: Role::Leader,
            class: Some(Class::Transition),
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let Some(remote) = self.volumes.table.remote() else { return Next::WhenWoken };
            if self.is_due(remote) {
                task::unless_stopped(stop, self.copy(remote)).await;
            }
            Next::After(if self.progress.lock().is_asked { SOON } else { POLL_INTERVAL })
        })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.asked.notified())
    }
}

impl StateCopies {
    pub fn new(
        metadata: Metadata,
        volumes: Volumes,
        uploader: Arc<Uploader>,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
    ) -> StateCopies {
        let (asked, progress) = (Notify::new(), Mutex::default());
        StateCopies { metadata, volumes, uploader, pace, clock, asked, progress }
    }

    /// Has one made as soon as all is there that an operator wants to be there.
    pub fn ask(&self) {
        self.progress.lock().is_asked = true;
        self.asked.notify_one();
    }

    /// How it goes; nothing where there is no remote store.
    pub fn status(&self) -> Option<StateCopyStatus> {
        self.volumes.table.remote()?;
        Some(self.progress.lock().status.clone())
    }

    /// Whether a copy is to be made now. If so it counts as begun.
    fn is_due(&self, remote: &Remote) -> bool {
        let Some(there) = self.uploader.status() else { return false };
        let is_waited_for = remote.wants_state();
        let is_wanted = there.volumes > 0 || is_waited_for;
        // A state that nobody has accepted yet doesn't take the place of one that may be wanted after all.
        if !is_wanted || !remote.takes_writes() || self.volumes.table.is_held_back() {
            return false;
        }
        let (now, is_hurried) = (self.clock.monotonic(), self.uploader.is_hurried());
        let mut progress = self.progress.lock();
        let since = now.saturating_sub(*progress.last.get_or_insert(now));
        let is_behind = progress.uploaded != there.uploaded
            || progress.status.entry.is_none()
            || progress.status.last_error.is_some()
            || is_waited_for;
        let is_due =
            since >= INTERVAL || is_behind && since >= LEAST_INTERVAL || progress.is_asked && !is_hurried;
        if is_due {
            (progress.last, progress.uploaded, progress.is_asked) = (Some(now), there.uploaded, false);
        }
        is_due
    }

    async fn copy(&self, remote: &Remote) {
        let at = self.clock.now();
        let outcome = self.try_copy(remote).await;
        let mut progress = self.progress.lock();
        let status = &mut progress.status;
        match outcome {
            Ok(Copied { entry, bytes, sent_bytes }) => {
                tracing::info!(
                    entry,
                    sent_bytes,
                    place = remote.place(),
                    "a copy of the state lies in the remote store"
                );
                metrics::counter!("stratum_state_copies_total", "outcome" => "done").increment(1);
                (status.entry, status.at, status.last_error) = (Some(entry), Some(at), None);
                (status.bytes, status.copies) = (bytes, status.copies + 1);
                status.sent_bytes += sent_bytes;
            }
            Err(error) => {
                tracing::warn!(%error, "no copy of the state came to the remote store; trying again");
                metrics::counter!("stratum_state_copies_total", "outcome" => "failed").increment(1);
                status.failed += 1;
                status.last_error = Some(error.to_string());
            }
        }
    }

    async fn try_copy(&self, remote: &Remote) -> Result<Copied, CopyError> {
        let number = remote.state_begins();
        let metadata = self.metadata.clone();
        let state = blocking::spawn(move || metadata.carry_state()).await??;
        let there = There::look(remote).await?;
        let ranges: Vec<StateFile> = state.ranges().collect();
        let bytes = ranges.iter().map(|file| file.length).sum();
        let mut sent_bytes = 0;
        // The manifest comes last.
        for file in ranges.iter().chain([&state.manifest()]) {
            if !there.has(file) {
                remote.bring_state(file, state.read(file), &self.pace).await?;
                sent_bytes += file.length;
            }
        }
        remote.state_is_there(number);
        there.tidy(remote, &state).await;
        Ok(Copied { entry: state.index, bytes, sent_bytes })
    }
}

/// What came of a copy.
struct Copied {
    entry: Index,
    bytes: u64,
    sent_bytes: u64,
}

/// What lies there of copies.
struct There {
    files: BTreeSet<StateFile>,
    /// Those that can be read, the newest first.
    manifests: Vec<(StateFile, ReadManifest)>,
    /// What was right when it came: these manifests, and what they name.
    proven: BTreeSet<StateFile>,
}

impl There {
    async fn look(remote: &Remote) -> Result<There, RemoteError> {
        let mut listed = remote.state_files().await?;
        listed.sort_by_key(|(file, came)| Reverse((*came, file.name.clone())));
        let mut manifests = Vec::new();
        for (file, _) in listed.iter().filter(|(file, _)| ReadManifest::is_named(&file.name)) {
            manifests.extend(read(remote, file).await?.map(|manifest| (file.clone(), manifest)));
        }
        let named = manifests.iter().flat_map(|(file, manifest)| manifest.names.iter().chain([file]));
        let proven = named.cloned().collect();
        Ok(There { files: listed.into_iter().map(|(file, _)| file).collect(), manifests, proven })
    }

    fn has(&self, file: &StateFile) -> bool {
        self.files.contains(file) && self.proven.contains(file)
    }

    /// Removes what neither the new copy names nor the one before. What can't be removed now is removed after the next.
    async fn tidy(&self, remote: &Remote, state: &CarriedCheckpoint) {
        let newest = state.manifest();
        let mut kept: BTreeSet<StateFile> = state.ranges().chain([newest.clone()]).collect();
        if let Some((file, manifest)) = self.manifests.iter().find(|(file, _)| *file != newest) {
            kept.insert(file.clone());
            kept.extend(manifest.names.iter().cloned());
        }
        let mut gone: Vec<&StateFile> = self.files.difference(&kept).collect();
        // No manifest is there whose files aren't.
        gone.sort_by_key(|file| !ReadManifest::is_named(&file.name));
        for file in gone {
            if let Err(error) = remote.remove_state(file).await {
                tracing::debug!(name = file.object(), %error, "a file of an older copy of the state stays for now");
            }
        }
    }
}

/// A manifest that is there; nothing if its bytes aren't what was written.
async fn read(remote: &Remote, file: &StateFile) -> Result<Option<ReadManifest>, RemoteError> {
    let mut bytes = Vec::new();
    while file.length <= MAX_MANIFEST_BYTES && (bytes.len() as u64) < file.length {
        let from = bytes.len() as u64;
        let piece = match remote.read_state(file, from..file.length.min(from + READ_BYTES)).await {
            Err(RemoteError::Missing(_)) => break,
            piece => piece?,
        };
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(ReadManifest::parse(file.stamp, &bytes))
}
