//! A copy of the state in the remote store, beside the volumes that lie there: without one nobody who lost the drives could
//! say whose bytes these are ([ADR 28](../../../../docs/adr/0028-a-copy-of-the-state-lies-beside-the-volumes.md)).
//!
//! It is a checkpoint's files. Those that an earlier copy names are there already, so that what is sent is what changed. One is
//! made an hour after the last; ten minutes after it if volumes came there since, or something is to go from there that the last one
//! may name; and when an operator has everything brought there, as soon as it came. Nothing waits for it, but what is to go.
//!
//! The newest one is read again, a file a step ([`reading`]). What isn't there or isn't what it was is sent again. What the drives
//! have lost of the index comes back from there ([`lost`]).

mod lost;
mod reading;
mod there;

pub(crate) use lost::put_back;

use lost::NotPutBack;
use reading::Reading;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::{Metadata, ReadError};
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::Index;
use stratum_storage::blocking;
use stratum_storage::pace::{Class, Pace};
use stratum_storage::remote::state::{StateError, StateFile};
use stratum_storage::remote::{Remote, RemoteError};
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::upload::Uploader;
use stratum_storage::volumes::Volumes;
use there::There;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// While somebody waits for it.
const AWAITED_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How old a copy becomes.
const COPY_INTERVAL: Duration = Duration::from_secs(3600);
/// The same where volumes came to the remote store since, or are to go from there, or the last try failed.
const LEAST_INTERVAL: Duration = Duration::from_secs(600);
/// How old the newest copy is when somebody is told.
const OLD_COPY_AGE: Duration = Duration::from_secs(3 * 3600);

/// How it goes with copies of the state, in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateCopyStatus {
    /// The entry of the journal that the newest copy is as of, and when it was begun or, if an earlier run made it, came; none where
    /// none is known.
    pub entry: Option<Index>,
    pub at: Option<UnixMillis>,
    /// How old it is; where none is known, since when one is wanted. None where none is wanted, since nothing lies there.
    pub age_seconds: Option<u64>,
    /// How long its files are.
    pub bytes: u64,
    /// Copies, and bytes that were sent for them.
    pub copies: u64,
    pub sent_bytes: u64,
    /// Tries that failed, and why the last one did, if it did.
    pub failed: u64,
    pub last_error: Option<String>,
    /// Files of the newest copy that were read again.
    pub read_again: u64,
    /// Those that weren't there, or weren't what was written; and how many of the newest copy are so now.
    pub found_bad: u64,
    pub bad: u64,
    /// Blocks of the index that no drive gave, and that were put back from there; and why what is lost now wasn't.
    pub put_back: u64,
    pub not_put_back: Option<String>,
}

impl StateCopyStatus {
    /// Whether a copy should have come long ago.
    pub fn is_old(&self) -> bool {
        self.age_seconds.is_some_and(|age| age >= OLD_COPY_AGE.as_secs())
    }
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
    /// Since when one is wanted.
    wanted_since: Option<UnixMillis>,
    /// Whether it is known what an earlier run left there.
    has_looked: bool,
    /// Files of which something is lost that isn't there, and when they were asked for, on the monotonic clock.
    in_vain: BTreeMap<StateFile, Duration>,
    reading: Reading,
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
            task::unless_stopped(stop, self.round(remote)).await.unwrap_or(Next::WhenWoken)
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

    /// Has all of the newest one read again now, as part of a scrub that was asked for.
    pub fn ask_to_read(&self) {
        self.progress.lock().reading.ask();
        self.asked.notify_one();
    }

    /// How it goes; nothing where there is no remote store.
    pub fn status(&self) -> Option<StateCopyStatus> {
        self.volumes.table.remote()?;
        let progress = self.progress.lock();
        let mut status = progress.status.clone();
        let since = progress.wanted_since.map(|since| status.at.unwrap_or(since));
        status.age_seconds = since.map(|since| self.clock.now().saturating_sub(since) / 1000);
        status.bad = progress.reading.bad().len() as u64;
        Some(status)
    }

    /// A copy if one is due, else a look at what lies there, if that isn't known, or at a file whose turn it is.
    async fn round(&self, remote: &Remote) -> Next {
        self.put_back(remote).await;
        if self.is_due(remote) {
            self.copy(remote).await;
        } else if self.is_unknown(remote) {
            self.look(remote).await;
        } else if self.read_next(remote).await {
            return Next::AtOnce;
        }
        Next::After(if self.progress.lock().is_asked { AWAITED_POLL_INTERVAL } else { POLL_INTERVAL })
    }

    /// Puts back what is known to be lost of the index. What isn't there is asked for again later: somebody may bring it back there.
    async fn put_back(&self, remote: &Remote) {
        let lost = self.metadata.lost_files();
        let now = self.clock.monotonic();
        {
            let Progress { in_vain, status, .. } = &mut *self.progress.lock();
            in_vain.retain(|_, at| now.saturating_sub(*at) < LEAST_INTERVAL);
            if lost.is_empty() {
                status.not_put_back = None;
            }
        }
        for file in lost {
            if remote.reach().is_away() || self.progress.lock().in_vain.contains_key(&file.file()) {
                continue;
            }
            let outcome = lost::put_back(&file, remote).await;
            let Progress { in_vain, status, .. } = &mut *self.progress.lock();
            match outcome {
                Ok(blocks) => status.put_back += blocks as u64,
                Err(error) => {
                    tracing::warn!(%error, "what is lost of the index can't be put back from the copy of the state");
                    status.not_put_back = Some(error.to_string());
                    in_vain.extend((!matches!(error, NotPutBack::Remote(_))).then(|| (file.file(), now)));
                }
            }
        }
    }

    /// Whether a copy is to be made now. If so it counts as begun.
    fn is_due(&self, remote: &Remote) -> bool {
        let Some(there) = self.uploader.status() else { return false };
        let is_waited_for = remote.wants_state();
        let is_wanted = there.volumes > 0 || is_waited_for;
        let mut progress = self.progress.lock();
        progress.wanted_since = progress.wanted_since.or(Some(self.clock.now())).filter(|_| is_wanted);
        // A state that nobody has accepted yet doesn't take the place of one that may be wanted after all.
        if !is_wanted || !remote.takes_writes() || self.volumes.table.is_held_back() {
            return false;
        }
        let (now, is_hurried) = (self.clock.monotonic(), self.uploader.is_hurried());
        let since = now.saturating_sub(*progress.last.get_or_insert(now));
        let is_behind = progress.uploaded != there.uploaded
            || progress.status.copies == 0
            || progress.status.last_error.is_some()
            || !progress.reading.bad().is_empty()
            || is_waited_for;
        let is_due = since >= COPY_INTERVAL
            || is_behind && since >= LEAST_INTERVAL
            || progress.is_asked && !is_hurried;
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
        self.look_for_missing(remote, &there).await?;
        // The manifest comes last.
        let files: Vec<StateFile> = state.ranges().chain([state.manifest()]).collect();
        let bytes = files.iter().map(|file| file.length).sum();
        let mut sent_bytes = 0;
        for file in &files {
            let is_bad = self.progress.lock().reading.bad().contains(file);
            if is_bad || !there.has(file) {
                remote.bring_state(file, state.read(file), &self.pace).await?;
                self.progress.lock().reading.was_read(file, true);
                sent_bytes += file.length;
            }
        }
        remote.state_is_there(number);
        self.progress.lock().reading.is_of(files.into_iter().collect());
        there.tidy(remote, &state).await;
        Ok(Copied { entry: state.index, bytes, sent_bytes })
    }
}

impl StateCopies {
    /// Whether it isn't known yet which copy an earlier run left there.
    fn is_unknown(&self, remote: &Remote) -> bool {
        let progress = self.progress.lock();
        progress.wanted_since.is_some() && !progress.has_looked && !remote.reach().is_away()
    }

    /// Looks which copy is the newest.
    async fn look(&self, remote: &Remote) {
        let there = match There::look(remote).await {
            Ok(there) => there,
            Err(error) => return tracing::debug!(%error, "copies of the state can't be looked at now"),
        };
        let mut progress = self.progress.lock();
        progress.has_looked = true;
        if let Some(newest) = there.newest() {
            progress.reading.is_of(newest.files().cloned().collect());
            let status = &mut progress.status;
            (status.entry, status.at) = (Some(newest.says.index), Some(newest.came));
            status.bytes = newest.files().map(|file| file.length).sum();
        }
    }

    /// Files of the newest copy that aren't listed: a listing alone proves nothing.
    async fn look_for_missing(&self, remote: &Remote, there: &There) -> Result<(), RemoteError> {
        let missing = self.progress.lock().reading.missing(|file| there.lists(file));
        for file in missing {
            let is_right = there::is_right(remote, &file, &self.pace).await?;
            self.was_read(&file, is_right);
        }
        Ok(())
    }

    /// Reads a file again whose turn it is; says whether there was one.
    async fn read_next(&self, remote: &Remote) -> bool {
        let next = {
            let mut progress = self.progress.lock();
            progress.reading.go_on(self.clock.now());
            progress.reading.next().cloned()
        };
        let can_read = !remote.reach().is_away() && !self.pace.is_paused(Class::Scrub);
        let Some(file) = next.filter(|_| can_read) else { return false };
        match there::is_right(remote, &file, &self.pace).await {
            Ok(is_right) => {
                self.progress.lock().status.read_again += 1;
                self.was_read(&file, is_right);
                true
            }
            Err(error) => {
                tracing::debug!(name = file.object(), %error, "a file of the copy of the state can't be read now");
                false
            }
        }
    }

    fn was_read(&self, file: &StateFile, is_right: bool) {
        let mut progress = self.progress.lock();
        if progress.reading.was_read(file, is_right) {
            progress.status.found_bad += 1;
            metrics::counter!("stratum_state_copy_bad_files_total").increment(1);
            tracing::warn!(
                name = file.object(),
                "a file of the copy of the state isn't there any more as it was written; it is sent again"
            );
        }
    }
}

/// What came of a copy.
struct Copied {
    entry: Index,
    bytes: u64,
    sent_bytes: u64,
}
