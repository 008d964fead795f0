//! Appending: one group in flight, acknowledged when every member has synced it.
//!
//! A group goes to the end of the active segment on all members at once, with its bodies as they are. When a member
//! fails, the next epoch begins with the group as its copied last group, and that is what makes it durable. A full
//! segment gets its footer while the group already goes into the next one.

use super::core::Core;
use super::epoch::{
    Active, EpochMember, Failures, Numbers, OpenError, Tail, ZERO_PAGE, is_no_space, open_epoch, segment,
    split,
};
use super::format::{
    EncodedGroup, FOOTER_BYTES, GROUPS_AT, Head, Header, MAX_COMMAND_BYTES, SegmentKey, SegmentKind,
    encode_footer, encode_group, group_len,
};
use super::quorum::{Sets, check_present, choose};
use super::round::{are_there, ask};
use super::slots::SegmentSlot;
use super::slow::Moves;
use super::{AppendError, Appended, Class, EntryHash, NewEntry, NotWritten, UnknownOutcome};
use crate::drive::Drive;
use crate::drive::lane::{Work, Write};
use bytes::Bytes;
use std::fmt;
use std::io;
use std::time::Duration;

/// When no epoch can be opened: the wait before the next attempt, which doubles from the first to the last.
const SHORTEST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_RETRY_INTERVAL: Duration = Duration::from_secs(300);

/// The one writer of the journal.
#[derive(Debug)]
pub(super) struct JournalWriter {
    pub(super) active: Active,
    pub(super) numbers: Numbers,
    pub(super) sets: Sets,
    tail: Tail,
    head: Head,
    /// Drives that were present, and those of them that stayed, when that was last looked at.
    present: (usize, usize),
    /// Why nothing can be appended, if so.
    stopped: Option<Stopped>,
    pub(super) moves: Moves,
}

/// Why nothing can be appended.
#[derive(Clone, Debug)]
enum Stopped {
    /// No epoch could be opened when a member failed or had no space: the outcome of a group is unknown until the next
    /// start, or until an epoch is open without it.
    NoEpoch {
        reason: String,
        /// When it is tried again, by the monotonic clock, and how long is waited after that. An attempt that is
        /// abandoned takes a segment of each member that had space, so attempts become rare.
        next_try: Duration,
        wait: Duration,
    },
    /// A thread panicked while it held the writer. What it had begun isn't known: an epoch may be open on the drives
    /// that this process doesn't know of, and would void whatever is written to the one before. The next start finds
    /// it.
    Lost,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::NoEpoch { reason, .. } => f.write_str(reason),
            Stopped::Lost => OpenError::Lost.fmt(f),
        }
    }
}

impl JournalWriter {
    pub(super) fn new(
        core: &Core,
        active: Active,
        numbers: Numbers,
        sets: Sets,
        tail: Tail,
    ) -> JournalWriter {
        let head = core.table.read().head();
        JournalWriter {
            active,
            numbers,
            sets,
            tail,
            head,
            present: (usize::MAX, usize::MAX),
            stopped: None,
            moves: Moves::default(),
        }
    }

    pub(super) fn append(
        &mut self,
        core: &Core,
        group: Vec<NewEntry>,
        class: Class,
    ) -> Result<Appended, AppendError> {
        let first = self.head.index + 1;
        if group.is_empty() {
            return Ok(Appended { first, hashes: Vec::new() });
        }
        let len = check_lengths(&group, core.max_group())?;
        self.check_running()?;
        self.check_drives(core)?;
        if !core.has_room(len, class) {
            return Err(NotWritten::Full.into());
        }
        let fits = self.active.at + (len + FOOTER_BYTES) as u64 <= core.options.segment_bytes;
        let hashes = match fits && !wants_room(core) {
            true => self.extend(core, group)?,
            false => self.roll(core, group)?,
        };
        Ok(Appended { first, hashes })
    }

    /// Whether anything can be appended.
    pub(super) fn check_running(&self) -> Result<(), NotWritten> {
        match &self.stopped {
            Some(stopped) => Err(NotWritten::Unavailable { reason: stopped.to_string() }),
            None => Ok(()),
        }
    }

    /// Whether enough drives are there for the next append, as far as can be told without asking them.
    pub(super) fn check_members(&self, core: &Core) -> Result<(), NotWritten> {
        let members = choose(&self.sets, core.m, &core.candidates(&[]), self.numbers.epoch + 1);
        members.map(drop).map_err(NotWritten::unavailable)
    }

    /// Nothing is appended any more before the next start.
    pub(super) fn lose(&mut self) {
        self.stopped = Some(Stopped::Lost);
    }

    /// Looks whether enough drives are there, and goes on with other members if one of ours has failed or is on its
    /// way out. Where no epoch could be opened, tries again.
    pub(super) fn check_drives(&mut self, core: &Core) -> Result<(), NotWritten> {
        if matches!(self.stopped, Some(Stopped::Lost)) {
            return self.check_running();
        }
        let places = core.places();
        let present = places.iter().filter(|place| place.is_present()).count();
        let staying = places.iter().filter(|place| place.stays()).count();
        if (present, staying) != self.present {
            check_present(&self.sets, core.m, &core.candidates(&[])).map_err(NotWritten::unavailable)?;
            let must_go = |drive: &Drive| !drive.is_healthy() || drive.is_draining() && staying > core.m;
            if self.stopped.is_none() && self.active.asked.iter().any(|asked| must_go(&asked.drive)) {
                self.check_room(core)?;
                self.reopen(core, self.sets.clone()).map_err(NotWritten::not_opened)?;
            }
            self.present = (present, staying);
        }
        self.try_again(core)
    }

    /// Opens an epoch if none could be opened, for want of space say, and one perhaps can be now.
    fn try_again(&mut self, core: &Core) -> Result<(), NotWritten> {
        let Some(Stopped::NoEpoch { next_try: at, .. }) = &self.stopped else { return Ok(()) };
        let now = core.clock.monotonic();
        if now < *at {
            return Ok(());
        }
        self.check_room(core)?;
        if let Some(Stopped::NoEpoch { next_try, wait, .. }) = &mut self.stopped {
            *next_try = now + *wait;
            *wait = LONGEST_RETRY_INTERVAL.min(*wait * 2);
        }
        self.reopen(core, self.sets.clone()).map_err(NotWritten::not_opened)
    }

    /// Whether there are members for an epoch that have space for a segment, as far as can be told: an epoch that is
    /// abandoned for want of it takes a segment of those that have some.
    fn check_room(&self, core: &Core) -> Result<(), NotWritten> {
        self.check_members(core)?;
        let roomy = choose(&self.sets, core.m, &core.candidates_with_room(), self.numbers.epoch + 1);
        roomy.map(drop).map_err(|_| NotWritten::NoSpace)
    }

    /// Opens the next epoch over those sets, with everything that was acknowledged.
    pub(super) fn reopen(&mut self, core: &Core, sets: Sets) -> Result<(), OpenError> {
        if matches!(self.stopped, Some(Stopped::Lost)) {
            return Err(OpenError::Lost);
        }
        self.active = open_epoch(core, &mut self.numbers, &sets, &self.tail)?;
        self.sets = sets;
        // A group whose outcome was unknown is void now: every start finds this epoch, which begins without it. It
        // was not acknowledged, and nobody has seen it.
        self.stopped = None;
        Ok(())
    }

    /// Writes the group behind the others of the active segment.
    fn extend(&mut self, core: &Core, group: Vec<NewEntry>) -> Result<Vec<EntryHash>, AppendError> {
        let active = &self.active;
        let encoded = encode_group(active.key, active.at, self.head, &group);
        let outcome = write_all(core, active, &active.members, active.at, &encoded.bufs);
        if let Err(failures) = outcome {
            return self.rescue(core, group, &failures);
        }
        let head = encoded.last(self.head);
        core.table.write().extend(active.at, encoded.len as u64, &encoded.bodies, head);
        self.active.at += encoded.len as u64;
        Ok(self.acknowledge(group, head, encoded))
    }

    /// Closes the active segment and writes the group as the first of the next.
    fn roll(&mut self, core: &Core, group: Vec<NewEntry>) -> Result<Vec<EntryHash>, AppendError> {
        let Some(members) = self.take_slots(core)? else {
            // A member failed, and the new epoch has an all but empty segment.
            return self.extend(core, group);
        };
        self.numbers.sequence += 1;
        let key = SegmentKey { sequence: self.numbers.sequence, ..self.active.key };
        let epoch = self.active.epoch.clone();
        let (sequence, floor) = (key.sequence, core.floor());
        let header = Header { epoch, sequence, kind: SegmentKind::Later, before: self.head, floor };
        let page = header.encode().ok_or_else(|| NotWritten::not_opened(OpenError::TooManyDrives))?;
        let encoded = encode_group(key, GROUPS_AT, self.head, &group);
        let mut bufs = vec![page, ZERO_PAGE];
        bufs.extend(encoded.bufs.iter().cloned());
        self.write_footer();
        if let Err(failures) = write_all(core, &self.active, &members, 0, &bufs) {
            core.set_aside(members, self.head.index + group.len() as u64);
            return self.rescue(core, group, &failures);
        }
        self.go_on_in(core, key, members, &encoded);
        core.retire(floor);
        core.prepare(&self.active.members);
        let head = encoded.last(self.head);
        Ok(self.acknowledge(group, head, encoded))
    }

    fn go_on_in(&mut self, core: &Core, key: SegmentKey, members: Vec<EpochMember>, encoded: &EncodedGroup) {
        let closed = {
            let mut table = core.table.write();
            table.close();
            let closed = table.segments().next_back().cloned();
            table.begin(segment(key, self.head, &members));
            table.extend(GROUPS_AT, encoded.len as u64, &encoded.bodies, encoded.last(self.head));
            closed
        };
        if let Some(closed) = closed {
            core.trim(&closed);
        }
        self.active.key = key;
        self.active.members = members;
        self.active.at = GROUPS_AT + encoded.len as u64;
    }

    /// Says in the active segment that it is complete. The acknowledgement doesn't wait for it: it is synced on the
    /// same lane before the group that goes into the next segment.
    fn write_footer(&self) {
        let (key, offset) = (self.active.key, self.active.at);
        let footer = encode_footer(key, offset, self.head);
        for (member, asked) in self.active.members.iter().zip(&self.active.asked) {
            asked.drive.journal_lane().submit(Work::Write(Write {
                file: member.slot.file.clone(),
                offset,
                bufs: vec![footer.clone()],
                sync: true,
                // A drive that fails here is latched, and the next append hears of it. One that has no space lacks the
                // footer and nothing that was acknowledged: its copy is one that a crash left unfinished.
                done: Box::new(|_| {}),
            }));
        }
    }

    /// A slot on every member for the next segment, mostly prepared ones. `None` if a member failed and a new
    /// epoch was opened instead.
    fn take_slots(&mut self, core: &Core) -> Result<Option<Vec<EpochMember>>, NotWritten> {
        // Open files outlive a deleted folder: a segment must not begin in one.
        if !are_there(&self.active.asked, core.options.member_timeout, core.clock.as_ref()) {
            self.reopen(core, self.sets.clone()).map_err(NotWritten::not_opened)?;
            return Ok(None);
        }
        let places: Vec<usize> = self.active.members.iter().map(|member| member.place).collect();
        let known = core.places();
        let answers =
            ask(&self.active.asked, core.options.member_timeout, core.clock.as_ref(), |place, reply| {
                let known = &known[places[place]];
                let Some(slots) = known.slots.clone() else {
                    return reply.send(Err(io::ErrorKind::NotConnected.into()));
                };
                match slots.take_free() {
                    Some(slot) => reply.send(Ok(slot)),
                    None => known
                        .drive
                        .journal_lane()
                        .submit(Work::Run(Box::new(move || reply.send(slots.take())))),
                }
            });
        let (taken, failures): (Vec<(usize, SegmentSlot)>, _) = split(&places, answers);
        let members: Vec<EpochMember> =
            taken.into_iter().map(|(place, slot)| EpochMember { place, slot }).collect();
        if failures.is_empty() {
            return Ok(Some(members));
        }
        core.give_back(members);
        let (full, failed): (Failures, Failures) =
            failures.into_iter().partition(|(_, error)| is_no_space(error));
        blame(core, &failed);
        // A member without space for a segment is as good as one that isn't there, if enough others have some.
        if !full.is_empty() {
            self.check_room(core)?;
        }
        self.reopen(core, self.sets.clone()).map_err(NotWritten::not_opened)?;
        Ok(None)
    }

    /// A member failed, or had no space, while the group was being written: the next epoch begins with the group, which
    /// makes it durable. If none can be opened, the next start will tell what became of it, or the next epoch
    /// that can be opened after all.
    fn rescue(
        &mut self,
        core: &Core,
        group: Vec<NewEntry>,
        failures: &[(usize, io::Error)],
    ) -> Result<Vec<EntryHash>, AppendError> {
        blame(core, failures);
        let tail = Tail { before: self.head, entries: group };
        match open_epoch(core, &mut self.numbers, &self.sets, &tail) {
            Ok(active) => {
                // The hashes don't depend on where the group lies.
                let encoded = encode_group(active.key, GROUPS_AT, self.head, &tail.entries);
                self.active = active;
                let head = encoded.last(self.head);
                Ok(self.acknowledge(tail.entries, head, encoded))
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(reason, "the journal stops: the outcome of its last group is unknown");
                let next_try = core.clock.monotonic();
                self.stopped = Some(Stopped::NoEpoch {
                    reason: reason.clone(),
                    next_try,
                    wait: SHORTEST_RETRY_INTERVAL,
                });
                Err(UnknownOutcome { reason }.into())
            }
        }
    }

    fn acknowledge(&mut self, group: Vec<NewEntry>, head: Head, encoded: EncodedGroup) -> Vec<EntryHash> {
        self.tail = Tail { before: self.head, entries: group };
        self.head = head;
        encoded.hashes
    }
}

/// Writes the same bytes to those files of all members, synced; what failed, if anything did.
fn write_all(
    core: &Core,
    active: &Active,
    members: &[EpochMember],
    offset: u64,
    bufs: &[Bytes],
) -> Result<(), Failures> {
    let answers = ask(&active.asked, core.options.member_timeout, core.clock.as_ref(), |place, reply| {
        active.asked[place].drive.journal_lane().submit(Work::Write(Write {
            file: members[place].slot.file.clone(),
            offset,
            bufs: bufs.to_vec(),
            sync: true,
            done: Box::new(move |outcome| reply.send(outcome)),
        }));
    });
    if answers.iter().all(Result::is_ok) {
        return Ok(());
    }
    let places: Vec<usize> = members.iter().map(|member| member.place).collect();
    Err(split(&places, answers).1)
}

/// Latches the drives that failed. One that only lacks space has not failed, not even if it is for a segment that it
/// holds, as a file system that copies what it writes may say: it has all that was acknowledged, and the next epoch
/// goes on without it if it can.
fn blame(core: &Core, failures: &[(usize, io::Error)]) {
    let places = core.places();
    for (place, error) in failures {
        // The drive has noted itself that it has no space ([`Drive::is_full`]), and is avoided.
        let _ = places[*place].blame(*place, error);
    }
}

/// The group's length, if it and its entries are within the bounds.
fn check_lengths(group: &[NewEntry], max: usize) -> Result<usize, NotWritten> {
    let len = group_len(group);
    if len > max || group.iter().any(|entry| entry.command.len() > MAX_COMMAND_BYTES) {
        return Err(NotWritten::TooLarge { len, max });
    }
    Ok(len)
}

/// Near the cap, a new segment is begun early: its header's floor lets older ones go.
fn wants_room(core: &Core) -> bool {
    let usage = core.usage();
    usage.releasable > 0 && usage.bytes > usage.cap / 4 * 3
}
