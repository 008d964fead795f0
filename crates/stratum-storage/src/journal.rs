//! The journal: the durable, replicated sequence of entries over successive epochs.
//!
//! An entry is a command that this crate doesn't understand, and a body. A group of entries is acknowledged when all
//! `m+1` members of the epoch have synced it; every start, and any member's failure, opens a new epoch, which begins
//! with a copy of the last group. The protocol was model-checked; each of its steps is there because leaving it out
//! loses an acknowledged write, so change none without a model in hand.
//!
//! From the bottom up: `bounds` (how long it may be), `format` (the bytes), `slots` (segment files of a drive),
//! `reader` (a copy read in pieces), `cursor` (a segment read from all its copies), `recovery` (what the drives
//! hold), `quorum` and `round` (who is asked, and for how long), `epoch` (opening one), `append` (writing), `table`
//! (where entries lie), `core` (what all parts of an open journal share), `open` (a start), `replay`, `heal`,
//! `verify`, `members` (joining and leaving), `slow` (members that every group waits for), `lost` and `search`
//! (bodies that no copy gives), `export` (a copy for a backup), `salvage` and `refound` (for a store that can't
//! start).

mod append;
mod bounds;
mod core;
mod cursor;
mod epoch;
mod export;
mod format;
mod heal;
mod lost;
mod members;
mod open;
mod quorum;
mod reader;
mod recovery;
mod refound;
mod replay;
mod round;
mod salvage;
mod search;
mod slots;
mod slow;
mod table;
#[cfg(test)]
mod tests;
mod verify;

use self::core::Core;
use crate::ambient::{Clock, Entropy};
use crate::blob::Index;
use crate::drive::hedged::{self, Copy, Unread};
use crate::drive::{self, Drive, DriveId};
use append::JournalWriter;
use bytes::Bytes;
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread;
use tracing_mutex::parkinglot::{Mutex, MutexGuard};

pub use bounds::{LEAST_CAP_BYTES, Options, Usage};
pub use cursor::Verify;
pub use export::{Export, Exported};
pub use format::{MAX_COMMAND_BYTES, MAX_GROUP_BYTES, entry_len};
pub use heal::Healed;
pub use lost::LostBodies;
pub use quorum::TooFew;
pub use refound::{RefoundError, Refounding, refound};
pub use replay::{Replay, Replayed};
pub use salvage::{Doubt, History, Run, Thin};
pub use search::Search;
pub use verify::CheckedSegment;

/// Names an entry and everything before it: each entry's hash covers that of the one before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct EntryHash(pub u128);

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What is to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEntry {
    /// At most [`MAX_COMMAND_BYTES`] bytes.
    pub command: Vec<u8>,
    pub body: Bytes,
}

/// What a group is for, which decides how full the journal may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Ordinary,
    /// Deletes and relocation: they may use the last twentieth of the cap.
    MakesRoom,
    /// Packing, which segments wait for before they are let go. It may pass the cap: if it were refused, the journal
    /// would stay full for good.
    Packing,
}

/// A group that is durable on all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first entry's index; the others follow.
    pub first: Index,
    /// One for each entry.
    pub hashes: Vec<EntryHash>,
}

/// The drives that the journal lies on: all of [`Tier::JOURNAL`](crate::blob::Tier::JOURNAL), with the missing ones.
#[derive(Clone, Debug)]
pub struct JournalSet {
    pub drives: Vec<Arc<Drive>>,
    /// How many may be lost: a group is synced on one more than that.
    pub m: usize,
    /// The journal was opened on these drives before: if it is found on none of them, it must not begin anew.
    pub begun: bool,
}

/// A part of the journal that is packed and let go as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Index,
    pub last: Index,
    pub bytes: u64,
    /// Still being written to.
    pub active: bool,
}

/// Why the journal could not be opened, or read through.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    TooFew(#[from] TooFew),
    #[error(
        "the journal of this store is on none of its drives: bring back those that held it; `stratum restore` goes on \
         from what a checkpoint or a backup knows, and `stratum rescue` copies that out"
    )]
    Gone,
    #[error("entry {index} of the journal is in no sound copy: bring back the drives that are missing")]
    Hole { index: Index },
    #[error(
        "the journal on {drive} is of version {found}, and this binary knows version {known}: use a newer binary"
    )]
    Newer { drive: String, found: u32, known: u32 },
    #[error("two epochs of the journal have number {number}: the drives are not of one store")]
    Tie { number: u64 },
    #[error("the journal was written for the loss of {found} drives, and the set is now for {configured}")]
    Geometry { found: usize, configured: usize },
    #[error("too few drives have space for a segment of the journal: free some")]
    NoSpace,
    #[error("the journal can't name so many drives in its set: configure fewer hot drives")]
    TooManyDrives,
    #[error("{}", epoch::OpenError::Lost)]
    Lost,
}

impl From<epoch::OpenError> for JournalError {
    fn from(error: epoch::OpenError) -> Self {
        match error {
            epoch::OpenError::TooFew(too_few) => JournalError::TooFew(too_few),
            epoch::OpenError::NoSpace => JournalError::NoSpace,
            epoch::OpenError::TooManyDrives => JournalError::TooManyDrives,
            epoch::OpenError::Lost => JournalError::Lost,
        }
    }
}

/// Why a group was not acknowledged. What may be done about it depends on which of the two it is, so each is a type.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AppendError {
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    #[error(transparent)]
    Unknown(#[from] UnknownOutcome),
}

/// Nothing of the group was written, and no start will ever find any of it: whatever only the group would have named
/// may be given up.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotWritten {
    /// Too few drives are there, or no epoch could be opened; the journal tries again when drives come back. Only
    /// after a panic of the writer's must the server be started again.
    #[error("the journal can't be written: {reason}")]
    Unavailable { reason: String },
    /// Packing and a checkpoint must make room first.
    #[error("the journal is full")]
    Full,
    /// No new segment could be allocated.
    #[error("there is no space for a new segment of the journal")]
    NoSpace,
    #[error("a group of {len} bytes, or with a command over 1 MiB, is too large (at most {max} bytes)")]
    TooLarge { len: usize, max: usize },
}

/// The group may or may not have survived; the next start tells. Nothing can be appended after it, until
/// [`Journal::heal`] finds the drives to go on without it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the outcome of the write is unknown until the next start: {reason}")]
pub struct UnknownOutcome {
    pub reason: String,
}

impl NotWritten {
    fn unavailable(error: TooFew) -> Self {
        NotWritten::Unavailable { reason: error.to_string() }
    }

    fn not_opened(error: epoch::OpenError) -> Self {
        match error {
            epoch::OpenError::NoSpace => NotWritten::NoSpace,
            other => NotWritten::Unavailable { reason: other.to_string() },
        }
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// It was packed and its segment let go: look its record up again.
    #[error("entry {index} is not in the journal any more")]
    Gone { index: Index },
    /// Only from [`Journal::read_body_cached`]: ask again with [`Journal::read_body`], where blocking is fine.
    #[error("the page cache doesn't hold it")]
    NotCached,
    #[error("the body of entry {index} is damaged in all its copies")]
    Damaged { index: Index },
    #[error("no drive that holds the body of entry {index} answers")]
    Late { index: Index },
}

/// Counts a copy that was read with other bytes than were written.
fn gave_bad_bytes(drive: &Drive) {
    metrics::counter!("stratum_journal_bad_reads_total").increment(1);
    if drive.is_healthy() {
        drive.found_rot();
    }
}

/// The open journal. Appending blocks; reading doesn't wait for it.
#[derive(Debug)]
pub struct Journal {
    core: Core,
    writer: Mutex<JournalWriter>,
    /// Held while drives are looked at that are to join.
    joining: Mutex<()>,
}

/// The writer, locked. A panic while it is held leaves it in a state that nobody knows: nothing is appended any more.
struct Hands<'a> {
    writer: MutexGuard<'a, JournalWriter>,
    was_panicking: bool,
}

impl<'a> Hands<'a> {
    fn new(writer: MutexGuard<'a, JournalWriter>) -> Hands<'a> {
        Hands { writer, was_panicking: thread::panicking() }
    }
}

impl Deref for Hands<'_> {
    type Target = JournalWriter;

    fn deref(&self) -> &JournalWriter {
        &self.writer
    }
}

impl DerefMut for Hands<'_> {
    fn deref_mut(&mut self) -> &mut JournalWriter {
        &mut self.writer
    }
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.writer.lose();
        }
    }
}

impl Journal {
    fn writer(&self) -> Hands<'_> {
        Hands::new(self.writer.lock())
    }

    /// Recovers what the drives hold and opens a new epoch; blocks until that is durable. Nothing may be served
    /// before it returns.
    ///
    /// # Errors
    /// See [`JournalError`]. With [`JournalError::TooFew`] it can be tried again when drives are back.
    pub fn open(
        set: JournalSet,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Journal, JournalError> {
        let (core, writer) = open::open(set, options.bounded(), clock, entropy)?;
        Ok(Journal { core, writer: Mutex::new(writer), joining: Mutex::default() })
    }

    /// The number of the last epoch that these drives know. No epoch is opened.
    ///
    /// # Errors
    /// [`JournalError::TooFew`] if too many are away to know what was acknowledged.
    pub fn last_epoch(set: &JournalSet) -> Result<u64, JournalError> {
        open::last_epoch(set, &Options::default().bounded())
    }

    /// Whether too many of the drives that it counts on are gone to know what was acknowledged: none of them may be given
    /// up then.
    ///
    /// # Errors
    /// [`JournalError::TooFew`], with the numbers.
    pub fn check_present(&self) -> Result<(), JournalError> {
        let sets = self.writer().sets.clone();
        Ok(quorum::check_present(&sets, self.core.m, &self.core.candidates(&[]))?)
    }

    /// The first index that is still here; one above the last if none is.
    pub fn first(&self) -> Index {
        self.core.table.read().first()
    }

    /// The last entry that is durable; index 0 before the first.
    pub fn last(&self) -> (Index, EntryHash) {
        let head = self.core.table.read().head();
        (head.index, head.hash)
    }

    /// The number of the epoch that is open: higher than in any earlier run.
    pub fn epoch(&self) -> u64 {
        self.writer().active.key.epoch
    }

    /// Why nothing can be appended, if it is so, also where nobody has tried since drives were lost: for whoever looks
    /// after the server. Doesn't block.
    pub fn why_stopped(&self) -> Option<String> {
        // Somebody appends at this moment, and will learn it.
        let writer = self.writer.try_lock()?;
        let outlook = writer.check_running().and_then(|()| writer.check_members(&self.core));
        outlook.err().map(|stopped| stopped.to_string())
    }

    /// Whether a drive is in the journal's set: what was acknowledged may count on it.
    pub fn counts_on(&self, drive: DriveId) -> bool {
        let sets = &self.writer().sets;
        sets.set.contains(&drive) || sets.previous.contains(&drive)
    }

    /// An entry's hash, if the journal still has it: reads its segment.
    pub fn hash_at(&self, index: Index) -> Option<EntryHash> {
        replay::hash_at(&self.core, index)
    }

    /// The entries from `from` on, up to the last at this moment. An index that has been let go is a
    /// [`JournalError::Hole`].
    pub fn replay(&self, from: Index, verify: Verify) -> Replay {
        Replay::new(&self.core.table.read(), from, verify)
    }

    /// All of the journal up to the last entry at this moment, as the segment files of one drive.
    pub fn export(&self) -> Export {
        Export::new(&self.core.table.read(), 0)
    }

    /// Makes a group durable on all members, or fails. Blocks; one group is in flight.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&self, group: Vec<NewEntry>, class: Class) -> Result<Appended, AppendError> {
        self.writer().append(&self.core, group, class)
    }

    /// The most that the entries of a group may take, in bytes, as [`entry_len`] counts them.
    pub fn max_entries(&self) -> usize {
        self.core.max_group().saturating_sub(format::GROUP_HEAD_BYTES)
    }

    /// Whether a group whose entries take so many bytes may be appended, as full as the journal is now.
    pub fn has_room(&self, entries: usize, class: Class) -> bool {
        self.core.has_room(entries + format::GROUP_HEAD_BYTES, class)
    }

    /// The body of an entry, if the page cache holds it: doesn't block. `len`, in bytes, and `crc32c` are from the
    /// body's record, which the caller looks up again when the entry is gone.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn read_body_cached(&self, index: Index, len: u32, crc32c: u32) -> Result<Bytes, BodyError> {
        let read = self.read_cached(index, len, crc32c);
        self.core.saw(index, &read);
        read
    }

    fn read_cached(&self, index: Index, len: u32, crc32c: u32) -> Result<Bytes, BodyError> {
        let _pin = self.core.pins.pin();
        let (mut copies, at) = self.copies_of(index)?;
        // Nothing of a drive that is out stays open: its copy is asked last.
        copies.sort_by_key(|copy| !copy.drive.is_healthy());
        let mut is_one_closed = false;
        for copy in &copies {
            let mut bytes = vec![0; len as usize];
            match copy.file.read_at_cached(&mut bytes, at) {
                Ok(read) if read == bytes.len() && crc32c::crc32c(&bytes) == crc32c => {
                    return Ok(bytes.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(BodyError::NotCached),
                Err(error) if drive::is_out(&error) => is_one_closed = true,
                _ => gave_bad_bytes(&copy.drive),
            }
        }
        // A closed file may hold the only good copy: whoever may block has it opened.
        Err(if is_one_closed { BodyError::NotCached } else { BodyError::Damaged { index } })
    }

    /// [`Journal::read_body_cached`], or else from the drive that gives it first: blocks.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn read_body(&self, index: Index, len: u32, crc32c: u32) -> Result<Bytes, BodyError> {
        let _pin = self.core.pins.pin();
        // What was just written is mostly in the page cache still, and takes no thread of a drive.
        match self.read_body_cached(index, len, crc32c) {
            Err(BodyError::NotCached) => {}
            known => return known,
        }
        let (mut copies, at) = self.copies_of(index)?;
        hedged::soonest_first(&mut copies);
        let verify = |bytes: Vec<u8>| (crc32c::crc32c(&bytes) == crc32c).then(|| bytes.into());
        let read = hedged::read(&copies, at, len as usize, verify, |drive, error| {
            if !error.is_some_and(|error| drive::is_out(&error)) {
                gave_bad_bytes(drive);
            }
        });
        let read = read.map_err(|unread| match unread {
            Unread::Bad => BodyError::Damaged { index },
            Unread::Late => BodyError::Late { index },
        });
        self.core.saw(index, &read);
        read
    }

    /// The entries whose bodies can't be read now, as far as is known.
    pub fn lost_bodies(&self) -> LostBodies {
        self.core.lost_bodies()
    }

    /// The copies of an entry, and where in them it lies. The same copy comes first whenever the same entry is asked
    /// for, so that the page cache holds it once and not for each copy.
    fn copies_of(&self, index: Index) -> Result<(Vec<Copy>, u64), BodyError> {
        let (copies, at) = {
            let table = self.core.table.read();
            let (copies, at) = table.find(index).ok_or(BodyError::Gone { index })?;
            (copies.clone(), at)
        };
        let places = self.core.places();
        let copy = |copy: &table::SegmentCopy| {
            let drive = places.get(copy.drive)?.drive.clone();
            Some(Copy { drive, file: copy.slot.file.clone() })
        };
        let mut copies: Vec<Copy> = copies.iter().filter_map(copy).collect();
        let turn = (index / 1024) as usize % copies.len().max(1);
        copies.rotate_left(turn);
        Ok((copies, at))
    }

    /// The journal's parts, oldest first, the one being written last.
    pub fn spans(&self) -> Vec<Span> {
        let table = self.core.table.read();
        let count = table.segments().len();
        let span = |(place, segment): (usize, &table::Segment)| Span {
            first: segment.first(),
            last: table.last_of(place),
            bytes: segment.end,
            active: place + 1 == count,
        };
        table.segments().enumerate().map(span).filter(|span| span.first <= span.last).collect()
    }

    /// Says how far bodies are packed and how far a checkpoint reaches. Segments at or below both are used again
    /// once the next segment's header has said so on all members.
    pub fn release(&self, packed_through: Index, checkpointed_through: Index) {
        self.core.raise_floor(packed_through.min(checkpointed_through).saturating_add(1));
        self.core.pins.look();
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        self.core.usage()
    }

    /// The journal's cap, a member, in bytes; at least the one that it was opened with, for which its segments are cut.
    pub fn set_cap(&self, cap: u64) {
        self.core.set_cap(cap.max(self.core.options.cap));
    }

    /// After a drive was lost: goes on with other members, and brings every segment to `m+1` healthy drives. Blocks;
    /// appends go on meanwhile.
    ///
    /// # Errors
    /// [`NotWritten::Unavailable`] when too few drives are left.
    pub fn heal(&self) -> Result<Healed, NotWritten> {
        self.writer().check_drives(&self.core)?;
        Ok(heal::heal(&self.core))
    }

    /// Goes on without a member that writes far later than its peers, as they were [judged](crate::drive::judge)
    /// last, if there are others to take its place. To be called after every judgement. Does nothing while a group
    /// has waited for so long that the member that holds it up is about to be given up.
    ///
    /// # Errors
    /// [`NotWritten`] when no epoch could be opened without it. It can be tried again.
    pub fn leave_slow(&self) -> Result<(), NotWritten> {
        let writer = self.writer.try_lock_for(self.core.options.member_timeout);
        writer.map_or(Ok(()), |writer| slow::leave_slow(&self.core, &mut Hands::new(writer)))
    }

    /// The drives that every group is synced on. Doesn't wait for a group that is under way.
    pub fn members(&self) -> Vec<DriveId> {
        self.core.members()
    }

    /// Reads all copies of the first closed segment after the one of that sequence (0: the oldest), and writes anew
    /// those that are damaged. Nothing when there is none. Blocks, for as long as reading a segment from all its
    /// drives takes.
    pub fn check_after(&self, sequence: u64) -> Option<CheckedSegment> {
        verify::check_after(&self.core, sequence)
    }

    /// Takes drives into the set: those that joined the tier, or came back, while the journal was open. Says how
    /// many were new to it. Drives that are known, lost or on their way out are passed over.
    ///
    /// # Errors
    /// [`JournalError::TooFew`] or [`JournalError::NoSpace`] when the epochs that this takes can't be opened. It can
    /// be tried again.
    pub fn join(&self, drives: &[Arc<Drive>]) -> Result<usize, JournalError> {
        // Of two that look at a drive at the same time, the second would remove what the first has it make.
        let _joining = self.joining.lock();
        let newcomers = members::look_at_new(&self.core, drives);
        members::join(&self.core, &mut self.writer(), newcomers)
    }

    /// Lets drives that are lost or on their way out leave the set, so that as many may be lost again; gives how many
    /// left. Call it only when the checkpoint, too, is on `m+1` other drives; does nothing unless the journal is.
    ///
    /// # Errors
    /// [`JournalError::TooFew`] or [`JournalError::NoSpace`] when the epochs that this takes can't be opened.
    pub fn forget_lost(&self) -> Result<usize, JournalError> {
        members::forget_lost(&self.core, &mut self.writer())
    }
}
