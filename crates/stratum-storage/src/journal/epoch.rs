//! Opening an epoch, in two rounds.
//!
//! First the header and a copy of the last group, acknowledged or not, are synced on all `m+1` members; only then is
//! the opened page synced on all of them; only then is the epoch used. An opening that fails on any member is
//! abandoned for a higher number. Each shortcut loses an acknowledged write in the model.

use super::NewEntry;
use super::core::{Core, JournalDrive};
use super::format::{
    EncodedGroup, Epoch, GROUPS_AT, Head, Header, OPENED_AT, PAGE, SegmentKey, SegmentKind, encode_group,
    encode_opened,
};
use super::quorum::{Sets, TooFew, choose};
use super::recovery::Other;
use super::round::{AskedDrive, are_there, ask};
use super::slots::SegmentSlot;
use super::table::{Segment, SegmentCopy};
use crate::drive::lane::{Work, Write};
use bytes::Bytes;
use std::io;

/// The second page of a segment until it is opened.
pub(super) const ZERO_PAGE: Bytes = Bytes::from_static(&[0; PAGE]);

/// The journal's last group, which the next epoch begins with a copy of. Empty before the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) before: Head,
    pub(super) entries: Vec<NewEntry>,
}

/// The last numbers that were given out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub(super) epoch: u64,
    pub(super) sequence: u64,
}

/// The epoch that is open and the segment that it writes.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) epoch: Epoch,
    pub(super) key: SegmentKey,
    /// Where the next group goes.
    pub(super) at: u64,
    pub(super) members: Vec<EpochMember>,
    /// The members' drives, in the same order.
    pub(super) asked: Vec<AskedDrive>,
}

#[derive(Clone, Debug)]
pub(super) struct EpochMember {
    /// Its place among the journal's drives.
    pub(super) place: usize,
    pub(super) slot: SegmentSlot,
}

/// Why no epoch could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    TooFew(#[from] TooFew),
    #[error("too few drives have space for a segment of the journal")]
    NoSpace,
    #[error("the set has more drives than a journal's header can name")]
    TooManyDrives,
    #[error("the server failed while it wrote the journal: restart it, and please report it with the log")]
    Lost,
}

/// Opens the next epoch and makes it the end of the table. Drives that fail on the way are latched.
pub(super) fn open_epoch(
    core: &Core,
    numbers: &mut Numbers,
    sets: &Sets,
    tail: &Tail,
) -> Result<Active, OpenError> {
    let mut full = Vec::new();
    loop {
        let candidates = core.candidates(&full);
        let places =
            choose(sets, core.m, &candidates, numbers.epoch + 1).map_err(|too_few| match full.len() {
                0 => OpenError::TooFew(too_few),
                _ => OpenError::NoSpace,
            })?;
        let asked: Vec<AskedDrive> = places.iter().map(|&place| core.places()[place].asked()).collect();
        if !are_there(&asked, core.options.member_timeout, core.clock.as_ref()) {
            continue;
        }
        numbers.epoch += 1;
        numbers.sequence += 1;
        let opening = Opening::new(core, *numbers, sets, tail, places)?;
        match opening.run(core) {
            Ok(active) => return Ok(active),
            Err(no_space) => full.extend(no_space),
        }
    }
}

/// One attempt.
struct Opening {
    header: Header,
    page: Bytes,
    group: Option<EncodedGroup>,
    places: Vec<usize>,
    asked: Vec<AskedDrive>,
}

impl Opening {
    fn new(
        core: &Core,
        numbers: Numbers,
        sets: &Sets,
        tail: &Tail,
        places: Vec<usize>,
    ) -> Result<Opening, OpenError> {
        let run = core.entropy.next_u128();
        let key = SegmentKey { epoch: numbers.epoch, run, sequence: numbers.sequence };
        let group =
            (!tail.entries.is_empty()).then(|| encode_group(key, GROUPS_AT, tail.before, &tail.entries));
        let head = group.as_ref().map_or(tail.before, |group| group.last(tail.before));
        let epoch = Epoch {
            number: numbers.epoch,
            run,
            m: core.m as u8,
            members: places.iter().map(|&place| core.places()[place].drive.id()).collect(),
            set: sets.set.clone(),
            previous: sets.previous.clone(),
            head,
        };
        let (sequence, floor) = (numbers.sequence, core.floor());
        let header = Header { epoch, sequence, kind: SegmentKind::First, before: tail.before, floor };
        let page = header.encode().ok_or(OpenError::TooManyDrives)?;
        let asked = places.iter().map(|&place| core.places()[place].asked()).collect();
        Ok(Opening { header, page, group, places, asked })
    }

    /// Both rounds. If the opening fails, gives the places of the members that have no space: the next attempt goes
    /// without them.
    fn run(self, core: &Core) -> Result<Active, Vec<usize>> {
        let (begun, failures) = split(&self.places, self.begin(core));
        let members: Vec<EpochMember> =
            begun.into_iter().map(|(place, slot)| EpochMember { place, slot }).collect();
        if !failures.is_empty() {
            return Err(self.abandon(core, members, &failures));
        }
        let (_, failures) = split(&self.places, self.confirm(core, &members));
        if !failures.is_empty() {
            return Err(self.abandon(core, members, &failures));
        }
        Ok(self.use_it(core, members))
    }

    /// Round one: a slot, the header and the copy of the last group, synced.
    fn begin(&self, core: &Core) -> Vec<io::Result<SegmentSlot>> {
        let mut bufs = vec![self.page.clone(), ZERO_PAGE];
        bufs.extend(self.group.iter().flat_map(|group| group.bufs.iter().cloned()));
        ask(&self.asked, core.options.member_timeout, core.clock.as_ref(), |place, reply| {
            let (slots, bufs) = (core.places()[self.places[place]].slots.clone(), bufs.clone());
            let write = move || -> io::Result<SegmentSlot> {
                let slot = slots.ok_or(io::ErrorKind::NotConnected)?.take()?;
                let slices: Vec<&[u8]> = bufs.iter().map(Bytes::as_ref).collect();
                slot.file.write_at(&slices, 0)?;
                slot.file.sync()?;
                Ok(slot)
            };
            let lane = self.asked[place].drive.journal_lane();
            lane.submit(Work::Run(Box::new(move || reply.send(write()))));
        })
    }

    /// Round two: the opened page, synced.
    fn confirm(&self, core: &Core, members: &[EpochMember]) -> Vec<io::Result<()>> {
        let page = encode_opened(self.header.key());
        ask(&self.asked, core.options.member_timeout, core.clock.as_ref(), |place, reply| {
            self.asked[place].drive.journal_lane().submit(Work::Write(Write {
                file: members[place].slot.file.clone(),
                offset: OPENED_AT,
                bufs: vec![page.clone()],
                sync: true,
                done: Box::new(move |outcome| reply.send(outcome)),
            }));
        })
    }

    /// The epoch is open on all members: readers and writers go on with it.
    fn use_it(self, core: &Core, members: Vec<EpochMember>) -> Active {
        let (key, before) = (self.header.key(), self.header.before);
        core.trim_last();
        let mut at = GROUPS_AT;
        let empty = {
            let mut table = core.table.write();
            let empty = table.begin(segment(key, before, &members));
            if let Some(group) = &self.group {
                table.extend(GROUPS_AT, group.len as u64, &group.bodies, group.last(before));
                at += group.len as u64;
            }
            empty
        };
        core.keep(empty.map(|empty| Other::new(0, &empty)).into_iter().collect());
        tracing::info!(
            epoch = key.epoch,
            head = self.header.epoch.head.index,
            "opened an epoch of the journal"
        );
        core.set_members(&self.header.epoch.members);
        core.retire(self.header.floor);
        core.prepare(&members);
        Active { epoch: self.header.epoch, key, at, members, asked: self.asked }
    }

    /// Latches the members that failed, sets aside what was written, and names those that have no space.
    fn abandon(&self, core: &Core, members: Vec<EpochMember>, failures: &[(usize, io::Error)]) -> Vec<usize> {
        tracing::warn!(epoch = self.header.epoch.number, "an epoch of the journal could not be opened");
        core.set_aside(members, self.header.epoch.head.index);
        failures.iter().filter_map(|(place, error)| core.places()[*place].blame(*place, error)).collect()
    }
}

impl JournalDrive {
    /// Latches the drive for a failed write of the journal; gives the place back if it only lacks space.
    pub(super) fn blame(&self, place: usize, error: &io::Error) -> Option<usize> {
        if is_no_space(error) {
            return Some(place);
        }
        self.drive.fail(&format!("a write of the journal failed: {error}"));
        None
    }
}

pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A segment that begins on those members.
pub(super) fn segment(key: SegmentKey, before: Head, members: &[EpochMember]) -> Segment {
    let copy =
        |member: &EpochMember| SegmentCopy { drive: member.place, slot: member.slot.clone(), complete: true };
    let copies = members.iter().map(copy).collect();
    Segment { key, before, end: GROUPS_AT, closed: false, bodies: Vec::new(), copies }
}

/// Which places failed, and how.
pub(super) type Failures = Vec<(usize, io::Error)>;

/// What each place answered, and what failed.
pub(super) fn split<T>(places: &[usize], answers: Vec<io::Result<T>>) -> (Vec<(usize, T)>, Failures) {
    let (mut answered, mut failures) = (Vec::new(), Vec::new());
    for (&place, answer) in places.iter().zip(answers) {
        match answer {
            Ok(answer) => answered.push((place, answer)),
            Err(error) => failures.push((place, error)),
        }
    }
    (answered, failures)
}
