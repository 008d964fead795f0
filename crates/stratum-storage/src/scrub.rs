//! Scrub: looks whether what is on the drives is still what was written.
//!
//! A pass goes through the volumes in the order of their numbers and reads every fragment of every live stripe once:
//! checksums must be right *and* parity must say what the data says. Only sealed volumes are looked at; so volumes
//! that are open when the pass begins take no more bodies, and the pass waits until their writers are done: otherwise
//! nobody would ever look at what a store with little to write keeps in them. A pass is spread so that it ends within
//! [`PASS_PERIOD_MILLIS`], at a rate that follows from the bytes and the time that are left; one that was asked for
//! goes as fast as the pace of background work lets it. What is found is mended at once ([`crate::heal`]) or counts
//! as lost and is rebuilt, and the pass ends when heal has done what it can: after it everything that was found is
//! repaired, or is told.
//!
//! Of a volume in the remote store, scrub looks whether the object is there in its full length, and reads one stripe
//! in [`REMOTE_SAMPLE`], other ones in each pass: reading from there is paid for, and damage there can't be mended.
//!
//! The [`ScrubCursor`] says how far scrub is; it is saved now and then, so that a restart goes on from there. A
//! volume that is dropped meanwhile is left out, one that is opened meanwhile is the next pass's unless it is sealed
//! in time.

mod distant;
mod pass;

use crate::ambient::{Clock, UnixMillis};
use crate::heal::{Healer, Rebuilder};
use crate::pace::{Class, Pace};
use crate::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use crate::volume::Table;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// How long a pass takes when nobody asked for it, in milliseconds: 14 days.
pub const PASS_PERIOD_MILLIS: UnixMillis = 14 * 24 * 3600 * 1000;

/// A pass reads one in so many of the stripes of a volume in the remote store, and one at least.
pub const REMOTE_SAMPLE: u64 = 64;

/// How far scrub is. What a restart goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubCursor {
    /// Volumes below this number are done.
    pub volume: u64,
    /// In that volume, fragments before this offset are done.
    pub offset: u64,
    /// When the pass that is under way, or else the last one, began. 0: there was none.
    pub started_at: UnixMillis,
    /// When the last whole pass ended. 0: none has.
    pub finished_at: UnixMillis,
    /// Passes that were completed.
    pub passes: u64,
    pub phase: ScrubPhase,
    /// Of the pass that is under way, or else of the last one.
    pub found: ScrubFindings,
}

/// What scrub does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScrubPhase {
    /// The last pass is done and the next isn't due.
    #[default]
    Idle,
    /// A pass is spread over its time.
    Spread,
    /// A pass that was asked for.
    Asked,
    /// An operator holds the pass.
    Paused,
}

/// What a pass found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubFindings {
    pub stripes: u64,
    /// Read of all drives together.
    pub bytes: u64,
    /// Fragments that could not be read or didn't verify.
    pub bad_fragments: u64,
    /// Shard files that were gone, cut off, or those of others; damaged header pages too.
    pub bad_files: u64,
    /// Stripes whose checksums were right and whose parity wasn't.
    pub parity_disagrees: u64,
    /// Of these, the ones of which nobody can say which bytes are right.
    pub ambiguous: u64,
    /// Stripes of which too few fragments are good.
    pub unreadable: u64,
    /// Fragments and header pages that were written anew.
    pub mended: u64,
    /// Shards that were given up, to be rebuilt as a whole.
    pub shards_lost: u64,
    /// Volumes that the remote store doesn't hold any more, or not in their length.
    pub remote_lost: u64,
    /// Volumes in the remote store that couldn't be looked at, since it couldn't be reached.
    pub remote_unseen: u64,
}

impl ScrubFindings {
    /// What was found beside what was read: how often, and what.
    pub fn told(&self) -> impl Iterator<Item = (u64, &'static str)> {
        [
            (self.bad_fragments, "bad fragments"),
            (self.bad_files, "bad shard files"),
            (self.parity_disagrees, "stripes whose parity disagrees"),
            (self.ambiguous, "of these, nobody can say which bytes are right"),
            (self.unreadable, "stripes with too few good fragments"),
            (self.mended, "fragments and headers written anew"),
            (self.shards_lost, "shards rebuilt as a whole"),
            (self.remote_lost, "volumes that the remote store lost"),
            (self.remote_unseen, "volumes that could not be looked at, the remote store being out of reach"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
    }
}

impl fmt::Display for ScrubFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stripes and {} bytes read", self.stripes, self.bytes)?;
        self.told().try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// How far scrub is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    #[serde(flatten)]
    pub cursor: ScrubCursor,
    pub volumes_to_do: u64,
    /// About what is still to be read in this pass.
    pub bytes_to_do: u64,
    pub seconds_left: Option<u64>,
}

/// Scrubs a table of volumes. A [`Task`].
pub struct Scrubber {
    table: Arc<Table>,
    rebuilder: Arc<Rebuilder>,
    healer: Arc<Healer>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    cursor: Mutex<ScrubCursor>,
    save: Box<Save>,
    /// When the cursor was last saved, on the monotonic clock.
    saved: Mutex<Duration>,
    changed: Notify,
}

/// Keeps a cursor durably.
pub type Save = dyn Fn(&ScrubCursor) + Send + Sync;

/// A pass that is under way when scrub is stopped goes on at the next start.
impl Task for Scrubber {
    fn row(&self) -> Row {
        Row {
            name: "scrub",
            role: Role::Host,
            class: Some(Class::Scrub),
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async { task::unless_stopped(stop, self.go_on()).await.unwrap_or(Next::WhenWoken) })
    }

    fn woken(&self) -> Work<'_, ()> {
        Box::pin(self.changed.notified())
    }

    fn ended(&self) -> Work<'_, ()> {
        self.save();
        Box::pin(std::future::ready(()))
    }
}

impl Scrubber {
    /// Goes on from `cursor`, the last that was saved. `save` is called every half minute at most, and may block.
    pub fn new(
        rebuilder: Arc<Rebuilder>,
        healer: Arc<Healer>,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
        cursor: ScrubCursor,
        save: impl Fn(&ScrubCursor) + Send + Sync + 'static,
    ) -> Scrubber {
        let (cursor, save, saved) = (Mutex::new(cursor), Box::new(save), Mutex::new(clock.monotonic()));
        let table = rebuilder.table().clone();
        Scrubber { table, rebuilder, healer, pace, clock, cursor, save, saved, changed: Notify::new() }
    }

    /// Begins a pass now, as fast as the pace lets it; one that is paused goes on.
    pub fn start(&self) {
        let mut cursor = self.cursor.lock();
        if cursor.phase != ScrubPhase::Paused {
            self.begin(&mut cursor);
        }
        cursor.phase = ScrubPhase::Asked;
        drop(cursor);
        self.changed.notify_waiters();
    }

    /// Holds the pass that is under way; says whether there is one.
    pub fn pause(&self) -> bool {
        let mut cursor = self.cursor.lock();
        let is_under_way = cursor.phase != ScrubPhase::Idle;
        if is_under_way {
            cursor.phase = ScrubPhase::Paused;
        }
        drop(cursor);
        self.changed.notify_waiters();
        self.save();
        is_under_way
    }

    pub fn status(&self) -> ScrubStatus {
        let cursor = self.cursor.lock().clone();
        let (volumes_to_do, bytes_to_do) = match cursor.phase {
            ScrubPhase::Idle => (0, 0),
            _ => self.left(&cursor),
        };
        let ends_at = cursor.started_at.saturating_add(PASS_PERIOD_MILLIS);
        let seconds_left = match cursor.phase {
            ScrubPhase::Spread => Some(ends_at.saturating_sub(self.clock.now()) / 1000),
            ScrubPhase::Asked => self.seconds_left(&cursor, bytes_to_do),
            ScrubPhase::Idle | ScrubPhase::Paused => None,
        };
        ScrubStatus { cursor, volumes_to_do, bytes_to_do, seconds_left }
    }

    /// How many seconds the rest of the pass takes, at its rate so far.
    fn seconds_left(&self, cursor: &ScrubCursor, bytes_to_do: u64) -> Option<u64> {
        let took = self.clock.now().saturating_sub(cursor.started_at);
        bytes_to_do.saturating_mul(took).checked_div(cursor.found.bytes).map(|millis| millis / 1000)
    }

    fn begin(&self, cursor: &mut ScrubCursor) {
        let (finished_at, passes) = (cursor.finished_at, cursor.passes);
        // No two passes begin at the same time: that tells them apart.
        let started_at = self.clock.now().max(cursor.started_at + 1);
        *cursor = ScrubCursor { started_at, finished_at, passes, ..ScrubCursor::default() };
        self.table.volumes().iter().filter(|volume| volume.usage().0 > 0).for_each(|volume| volume.retire());
    }

    fn save(&self) {
        let cursor = self.cursor.lock().clone();
        (self.save)(&cursor);
    }
}
