//! The one seam through which bytes reach a disk.
//!
//! [`DriveIo`] and [`FileIo`] are what the rest of the crate may ask of a drive: few, blocking, relative to the
//! drive's root, and each with the durability that POSIX gives it and no more. [`real`] is a directory of the
//! machine; [`simulated`] is memory that forgets what was not synced. Everything above is written once and runs
//! on both.
//!
//! Rules that every caller keeps: a new file is written under a temporary name, synced, renamed, and each new
//! directory entry up to the root is synced; a failed write or sync is never tried again, it latches the drive.

mod absent;
mod denial;
mod devices;
mod domain;
#[cfg(any(test, feature = "faults"))]
pub mod faulty;
mod guard;
mod health;
pub mod hedged;
mod hold;
mod id;
pub mod lane;
mod pulse;
pub mod questions;
pub mod read_only;
mod readers;
pub mod real;
mod roster;
mod rot;
pub mod simulated;
mod slowness;

pub use denial::explained;
pub use devices::Devices;
pub use domain::{Domain, NodeId, ZoneId};
pub use guard::descriptors_lacked;
pub use health::Health;
pub use id::DriveId;
pub use pulse::Pulse;
pub use roster::Roster;
pub use slowness::{Doing, SLOWNESS_WINDOW, judge};

use crate::ambient::{Clock, System};
use crate::blob::Tier;
use guard::Guard;
use health::Latch;
use lane::{Alarm, Lane, Stopwatch};
use questions::Questions;
use readers::Readers;
use rot::Rot;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHow {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write. Its directory exists.
    CreateNew,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub is_dir: bool,
    /// The file's length in bytes; 0 for a directory.
    pub len: u64,
}

/// Bytes on the device that the drive lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What an unprivileged writer may still use.
    pub free: u64,
}

/// One drive's file operations. Paths are relative to its root, `/`-separated, without `.` or `..`.
pub trait DriveIo: Send + Sync + Debug + 'static {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>>;
    /// Replaces `to` if it exists. Durable only after `sync_dir` of both parents.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, path: &str) -> io::Result<()>;
    /// The names in a directory ("" is the root), in no order. `NotFound` if it is not there.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>>;
    /// Makes a directory and its missing parents; it may be there already.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes a directory's entries durable ("" is the root).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    fn space(&self) -> io::Result<Space>;
    /// The failure domain: two drives share one exactly when they are on the same device.
    fn domain(&self) -> Domain;
    /// Takes the lock that keeps a second server off this drive, for as long as the `DriveIo` lives.
    /// `WouldBlock` when another process holds it.
    fn lock(&self) -> io::Result<()>;
    /// Takes the rights of group and others to the root away, which an earlier version or an operator may have given.
    /// That puts the files below it out of reach.
    fn keep_private(&self) -> io::Result<()> {
        Ok(())
    }
    /// Whether the root is still the same directory that was opened.
    fn is_same_root(&self) -> bool;
    /// Where the drive is, for people.
    fn describe(&self) -> String;
    /// The path of the drive's directory; nothing for a drive that is only memory.
    fn folder(&self) -> Option<&Path> {
        None
    }
    /// How to open this directory again once it is closed; `None` if it can only be opened once.
    fn way(&self) -> Option<Arc<dyn Way>> {
        None
    }
}

/// Opens a directory again, after all that was open of it was closed.
pub trait Way: Send + Sync + Debug {
    /// Opens the directory without taking its lock, to read. An error if another directory is in its place.
    fn open(&self) -> io::Result<Arc<dyn DriveIo>>;
}

/// An open file. Reads and writes carry their offset, so that a file can be shared between threads.
pub trait FileIo: Send + Sync + Debug + 'static {
    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads only what the page cache holds (`preadv2(RWF_NOWAIT)`); `WouldBlock` when it does not hold all of it.
    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of the slices, one after the other, from `offset`.
    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()>;
    /// [`FileIo::write_at`], but what is written needn't stay in the page cache: for bytes that nobody will want soon.
    /// A file that can go past the cache does so with buffers, lengths and an offset that are whole pages.
    fn write_past_cache(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.write_at(bufs, offset)
    }
    /// `fdatasync`: everything written before the call is durable when it returns.
    fn sync(&self) -> io::Result<()>;
    /// Starts writing a range back without waiting for it; a hint that may do nothing.
    fn start_writeback(&self, offset: u64, len: u64);
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Truncates or extends (with a hole).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves blocks for a range, extending the file over it.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Frees the blocks of a range, which reads as zeros afterwards; the length stays.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Whether the open file still has a name (`nlink` > 0).
    fn is_linked(&self) -> bool;
}

/// Who does a drive's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// A thread for each lane, and readers, each started when it is first needed.
    Own,
    /// The thread that asks, at once: for simulations that must be deterministic.
    Caller,
}

/// A drive of the set: its place, its health, its files and its lanes.
///
/// Everything that goes through [`Drive::io`] is watched: a failed write or sync latches the drive, a latched
/// drive refuses all writes and syncs, and open files are remembered so that [`Drive::check`] can tell whether
/// somebody deleted them. A drive that is not there has an `io` that refuses everything.
#[derive(Debug)]
pub struct Drive {
    id: DriveId,
    tier: Tier,
    position: u16,
    io: Arc<dyn DriveIo>,
    guard: Option<Arc<Guard>>,
    health: Arc<Latch>,
    /// The drive is being drained: nothing new is written to it.
    draining: AtomicBool,
    journal: Lane,
    volume: Lane,
    readers: Readers,
    questions: Questions,
    rot: Rot,
}

/// Readers a drive has at most: enough to keep its queue from running empty.
const MAX_READERS: usize = 8;

impl Drive {
    /// A drive that is there. `position` counts from 0 within the tier.
    pub fn new(
        id: DriveId,
        tier: Tier,
        position: u16,
        io: Arc<dyn DriveIo>,
        threads: Threads,
        clock: Arc<dyn Clock>,
    ) -> Drive {
        let label = label(tier, position);
        #[cfg(feature = "faults")]
        let io = faulty::wrap(&label, io);
        let disk = io.folder().map_or(label.clone(), |folder| disk_of(folder, tier).display().to_string());
        let health = Arc::new(Latch::new(&label, Health::Healthy));
        let guard = Guard::new(io, health.clone(), clock.clone(), &disk);
        let_go_when_it_fails(&guard, &health, &label, threads);
        let lane = |kind: &str| match threads {
            Threads::Own => {
                Lane::spawn(&format!("{label} {kind}"), Stopwatch::new(clock.clone()), alarm(&health))
            }
            Threads::Caller => Lane::inline(Stopwatch::new(clock.clone()), alarm(&health)),
        };
        let (journal, volume) = (lane("journal"), lane("volume"));
        let readers = Readers::new(&format!("{label} read"), MAX_READERS, threads, clock.clone());
        let questions = Questions::new(&label, threads, clock);
        Drive {
            id,
            tier,
            position,
            io: guard.clone(),
            guard: Some(guard),
            health,
            draining: AtomicBool::new(false),
            journal,
            volume,
            readers,
            questions,
            rot: Rot::new(&label, Some(&disk)),
        }
    }

    /// A place in the set whose drive is not there, and may come back.
    pub fn missing(id: DriveId, tier: Tier, position: u16, reason: impl Into<String>) -> Drive {
        Drive::absent(id, tier, position, Health::Missing { reason: reason.into(), gone: false })
    }

    /// A place in the set whose drive is not there, but something else is: a blank disk, or another drive.
    pub fn gone(id: DriveId, tier: Tier, position: u16, reason: impl Into<String>) -> Drive {
        Drive::absent(id, tier, position, Health::Missing { reason: reason.into(), gone: true })
    }

    fn absent(id: DriveId, tier: Tier, position: u16, health: Health) -> Drive {
        let label = label(tier, position);
        let health = Arc::new(Latch::new(&label, health));
        Drive {
            id,
            tier,
            position,
            io: Arc::new(absent::Absent { label: label.clone() }),
            guard: None,
            draining: AtomicBool::new(false),
            journal: Lane::inline(Stopwatch::new(Arc::new(System)), alarm(&health)),
            volume: Lane::inline(Stopwatch::new(Arc::new(System)), alarm(&health)),
            health,
            readers: Readers::new(&label, MAX_READERS, Threads::Caller, Arc::new(System)),
            questions: Questions::new(&label, Threads::Caller, Arc::new(System)),
            rot: Rot::new(&label, None),
        }
    }

    pub fn id(&self) -> DriveId {
        self.id
    }

    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Its place in the tier, from 0.
    pub fn position(&self) -> u16 {
        self.position
    }

    /// `hot/0`, for people.
    pub fn label(&self) -> String {
        label(self.tier, self.position)
    }

    /// The device that the drive is on, with which it fails.
    pub fn domain(&self) -> Domain {
        self.io.domain()
    }

    /// The drive's files, watched.
    pub fn io(&self) -> &Arc<dyn DriveIo> {
        &self.io
    }

    /// The lane of the journal's segments and checkpoints.
    pub fn journal_lane(&self) -> &Lane {
        &self.journal
    }

    /// The lane of volumes.
    pub fn volume_lane(&self) -> &Lane {
        &self.volume
    }

    pub fn health(&self) -> Health {
        self.health.get()
    }

    /// Cheap enough to ask before every write.
    pub fn is_healthy(&self) -> bool {
        self.health.is_healthy()
    }

    /// Whether the drive is being drained: still read, still counted, but nothing new is written to it.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the drive is here, or may come back by itself with all that it holds: it is only absent, no other is
    /// in its place, and nobody has said that it is lost.
    pub fn may_return(&self) -> bool {
        match self.health() {
            Health::Healthy => true,
            Health::Missing { gone, .. } => !gone && !self.is_draining(),
            Health::Failed { .. } => false,
        }
    }

    /// Whether the drive is out, and an operator may yet bring it back with all that it holds: no other is in its
    /// place, and nobody has said that it is lost.
    pub fn may_be_brought_back(&self) -> bool {
        match self.health() {
            Health::Healthy => false,
            Health::Missing { gone, .. } => !gone && !self.is_draining(),
            Health::Failed { .. } => !self.is_draining(),
        }
    }

    /// Healthy, and not being drained.
    pub fn takes_new(&self) -> bool {
        self.is_healthy() && !self.is_draining()
    }

    /// Called only by the set, once the change is durable.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
    }

    /// Latches the drive: nothing is written to it any more until an operator brings it back. Only the first
    /// reason counts.
    pub fn fail(&self, reason: &str) {
        self.health.fail(reason);
    }

    /// The drive was removed from the set: its directory and its files are closed, for good.
    pub(crate) fn leave(&self) {
        self.health.leave();
        if let Some(guard) = &self.guard {
            guard.leave();
        }
    }

    /// The set names the drive no more, durably: a new one has its place, or it was removed. It never counts again.
    pub(crate) fn strike(&self) {
        self.health.strike();
    }

    /// Whether the set names the drive no more.
    pub(crate) fn is_struck(&self) -> bool {
        self.health.is_struck()
    }

    /// How many handles of a drive that failed or left are still open, since a thread that uses them has not returned
    /// from the kernel: its root, which holds the lock, and its files.
    pub fn still_open(&self) -> usize {
        self.guard.as_ref().map_or(0, |guard| guard.still_open())
    }

    /// Whether a thread is in one of the drive's operations at this moment. A drive that is in use whenever it is
    /// asked has a thread that hangs.
    pub fn is_in_use(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_in_use())
    }

    /// Calls back once with the reason when the drive latches; at once if it has already, or is missing. It is
    /// called on the thread that saw the failure, often a lane's: it must not wait for anything.
    pub fn on_fail(&self, listener: impl FnOnce(&str) + Send + 'static) {
        self.health.on_fail(Box::new(listener));
    }

    /// Names the files any of which tells which drive this is: [`Drive::check`] reads them by their paths (up to
    /// 64 KiB), one after the other, until one is right.
    pub fn expect_file(
        &self,
        paths: &'static [&'static str],
        is_right: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) {
        if let Some(guard) = &self.guard {
            guard.expect_file(paths, is_right);
        }
    }

    /// Looks whether the drive is still the directory that was opened, with the files that were opened: open
    /// descriptors outlive a deleted folder. Latches it if not, and says whether it is healthy. Costs a few system
    /// calls: it is asked every second, and before each new segment or volume. Blocks, for as long as the drive hangs:
    /// whoever can't wait for that [asks](questions) on the drive's own thread.
    pub fn check(&self) -> bool {
        match &self.guard {
            Some(guard) if self.is_healthy() => {
                if let Err(reason) = guard.check() {
                    self.fail(&reason);
                }
                self.is_healthy()
            }
            _ => false,
        }
    }

    /// Has something read on the drive's own threads: one that hangs holds up nobody else's reads. How long it took
    /// counts for the drive's [`Pulse`]. A failed read doesn't latch the drive.
    pub fn reading<T, R>(&self, read: R) -> impl Future<Output = io::Result<T>> + Send + use<T, R>
    where
        T: Send + 'static,
        R: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let answer = self.readers.run(read);
        async { answer.await.unwrap_or_else(|_| Err(io::Error::other("the read was given up"))) }
    }

    /// Has the drive's own thread for that do something that may block, after whatever it was asked before.
    pub(crate) fn put(&self, question: impl FnOnce() + Send + 'static) {
        self.questions.put(question);
    }

    /// Whether the drive answers reads far later than its peers, or so many reads wait for it that another would only
    /// wait, too: bytes that other drives can give are better read there.
    pub fn is_slow(&self) -> bool {
        self.pulse().is_slow() || self.pulse().is_backed_up()
    }

    /// Whether it writes far later than its peers: the journal and new volumes go elsewhere, where they can.
    pub fn writes_slowly(&self) -> bool {
        self.journal.pulse().is_slow() || self.volume.pulse().is_slow()
    }

    /// Whether a write was refused for want of space a moment ago. Its device may still report free space: there may
    /// be a quota, or a file system that reserves blocks.
    pub fn is_full(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.is_full())
    }

    /// Whether a write had better go to another drive, if there is one: this one is slow or full.
    pub fn is_better_avoided(&self) -> bool {
        self.writes_slowly() || self.is_full()
    }

    /// Counts a piece that the drive returned with other bytes than were written, or couldn't return.
    pub fn found_rot(&self) {
        self.rot.found();
    }

    /// How many bad pieces were read from it in this run: fragments, header pages, copies of segments and checkpoints.
    pub fn bad_pieces(&self) -> u64 {
        self.rot.pieces()
    }

    /// Whether it gave so many bad pieces that it is to be replaced.
    pub fn is_rotting(&self) -> bool {
        self.rot.is_too_much()
    }

    /// How fast the drive answers reads.
    pub fn pulse(&self) -> &Pulse {
        self.readers.pulse()
    }
}

/// Latches the drive when a thread that works for it panics.
fn alarm(health: &Arc<Latch>) -> Alarm {
    let health = health.clone();
    Arc::new(move |words| {
        health.fail(&format!(
            "the server itself failed while it wrote there; please report it with the log: {words}"
        ));
    })
}

/// Closes all that is open of a drive when it fails. Closing a file of a disk that hangs may take as long as the disk
/// likes, and it may be the drive's lane that sees the failure: so it is done on a thread of its own.
fn let_go_when_it_fails(guard: &Arc<Guard>, health: &Latch, label: &str, threads: Threads) {
    let (guard, name) = (Arc::downgrade(guard), format!("close {label}"));
    health.on_fail(Box::new(move |_| {
        let close = move || guard.upgrade().map_or((), |guard| guard.let_go());
        match threads {
            Threads::Caller => close(),
            Threads::Own => {
                if let Err(error) = std::thread::Builder::new().name(name).spawn(close) {
                    tracing::error!(%error, "a failed drive stays open");
                }
            }
        }
    }));
}

/// Whether an error only says that the drive is out and its files are closed, and nothing of what it holds.
pub fn is_out(error: &io::Error) -> bool {
    error.kind() == guard::OUT
}

/// The data folder of a drive's folder. That is `<data folder>/<tier>`, or `<data folder>/<tier>/<position>` where
/// one data folder holds all drives of the tier; any other folder stands for itself.
pub fn disk_of(folder: &Path, tier: Tier) -> &Path {
    let above = |folder: &'_ Path| folder.file_name().is_some_and(|name| name == tier.name());
    match folder.parent() {
        Some(parent) if above(folder) => parent,
        Some(parent) if above(parent) => parent.parent().unwrap_or(parent),
        _ => folder,
    }
}

fn label(tier: Tier, position: u16) -> String {
    format!("{}/{position}", tier.name())
}

#[cfg(test)]
mod tests;
