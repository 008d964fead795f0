//! What all parts of an open journal share: its drives, its table, and its bounds.

use super::epoch::EpochMember;
use super::format::{FOOTER_BYTES, MAX_GROUP_BYTES};
use super::lost::Damaged;
use super::quorum::MemberCandidate;
use super::recovery::Other;
use super::round::AskedDrive;
use super::slots::{SegmentSlot, Slots};
use super::table::{Segment, SegmentTable};
use super::{Class, Options, Usage};
use crate::ambient::{Clock, Entropy};
use crate::blob::Index;
use crate::drive::{Domain, Drive, DriveId, Space, questions};
use crate::pin::Pins;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::{Mutex, RwLock};

/// One of the journal's drives.
#[derive(Clone, Debug)]
pub(super) struct JournalDrive {
    pub(super) drive: Arc<Drive>,
    /// None where the drive was missing or unreadable when the journal was opened.
    pub(super) slots: Option<Arc<Slots>>,
    pub(super) domain: Domain,
}

impl JournalDrive {
    pub(super) fn asked(&self) -> AskedDrive {
        AskedDrive { drive: self.drive.clone(), domain: self.domain }
    }

    pub(super) fn candidate(&self) -> MemberCandidate {
        let (id, domain) = (self.drive.id(), self.domain);
        let (present, drive) = (self.is_present(), &self.drive);
        let avoided = drive.is_draining() || drive.is_better_avoided();
        MemberCandidate { id, domain, present, usable: present, avoided, named: !drive.is_struck() }
    }

    /// It can hold a segment, as far as is known.
    pub(super) fn is_present(&self) -> bool {
        self.slots.is_some() && self.drive.is_healthy()
    }

    /// It has a segment to spare, or space for one, if that much is free on it.
    fn has_room(&self, segment_bytes: u64, free: u64) -> bool {
        let has_spare = self.slots.as_ref().is_some_and(|slots| slots.has_free());
        has_spare || !self.drive.is_full() && free >= segment_bytes
    }

    /// It is not on its way out, either: what must stay whole is counted on such drives alone.
    pub(super) fn stays(&self) -> bool {
        self.is_present() && !self.drive.is_draining()
    }
}

#[derive(Debug)]
pub(super) struct Core {
    /// Only ever grows: copies name their drives by place.
    places: RwLock<Arc<[JournalDrive]>>,
    pub(super) m: usize,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) table: RwLock<SegmentTable>,
    /// Entries below it are needed by nobody; a header says so before their segments are reused.
    floor: AtomicU64,
    cap: AtomicU64,
    /// The members of the epoch that is open.
    members: RwLock<Vec<DriveId>>,
    /// Segments outside the chain, kept until the floor has passed what they hold.
    others: Mutex<Vec<Other>>,
    pub(super) damaged: Damaged,
    /// Held by whoever reads segments that it looked up in the table: they aren't reused meanwhile.
    pub(super) pins: Pins,
}

impl Core {
    pub(super) fn new(
        places: Vec<JournalDrive>,
        m: usize,
        options: Options,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        (table, floor): (SegmentTable, Index),
    ) -> Core {
        let cap = options.cap.into();
        let (table, floor, others) = (RwLock::new(table), floor.into(), Mutex::default());
        let places = RwLock::new(places.into());
        let members = RwLock::default();
        let (damaged, pins) = (Damaged::default(), Pins::default());
        Core { places, m, options, clock, entropy, table, floor, cap, members, others, damaged, pins }
    }

    /// The drives as they are now. A place that somebody got from here stays the same for good.
    pub(super) fn places(&self) -> Arc<[JournalDrive]> {
        self.places.read().clone()
    }

    /// Adds a drive; gives its place.
    pub(super) fn add_place(&self, place: JournalDrive) -> usize {
        let mut places = self.places.write();
        *places = places.iter().cloned().chain([place]).collect();
        places.len() - 1
    }

    pub(super) fn members(&self) -> Vec<DriveId> {
        self.members.read().clone()
    }

    pub(super) fn set_members(&self, members: &[DriveId]) {
        *self.members.write() = members.to_vec();
    }

    pub(super) fn floor(&self) -> Index {
        self.floor.load(Ordering::Acquire)
    }

    /// Raises the floor; never above what was appended.
    pub(super) fn raise_floor(&self, floor: Index) {
        let head = self.table.read().head().index;
        self.floor.fetch_max(floor.min(head + 1), Ordering::AcqRel);
    }

    pub(super) fn set_cap(&self, cap: u64) {
        self.cap.store(cap, Ordering::Release);
    }

    pub(super) fn usage(&self) -> Usage {
        let table = self.table.read();
        Usage {
            bytes: table.bytes(),
            releasable: table.retirable(self.floor()),
            cap: self.cap.load(Ordering::Acquire),
        }
    }

    /// Whether a group of that length may be appended. The last twentieth of the cap is for what makes room.
    pub(super) fn has_room(&self, len: usize, class: Class) -> bool {
        let usage = self.usage();
        // What a new segment lets go of needn't be waited for.
        let bytes = usage.bytes - usage.releasable + len as u64;
        match class {
            Class::Ordinary => bytes <= usage.cap - usage.cap / 20,
            Class::MakesRoom => bytes <= usage.cap,
            Class::Packing => true,
        }
    }

    /// The longest group, in bytes: two must fit into a segment with a header.
    pub(super) fn max_group(&self) -> usize {
        let third = usize::try_from(self.options.segment_bytes / 3).unwrap_or(MAX_GROUP_BYTES);
        third.min(MAX_GROUP_BYTES)
    }

    /// All drives, as candidates for members; those in `full` have no space.
    pub(super) fn candidates(&self, full: &[usize]) -> Vec<MemberCandidate> {
        let mut candidates: Vec<MemberCandidate> =
            self.places().iter().map(JournalDrive::candidate).collect();
        full.iter().for_each(|&place| candidates[place].usable = false);
        candidates
    }

    /// All drives, as candidates for members; those without space for a segment, as far as they answer, can't be.
    pub(super) fn candidates_with_room(&self) -> Vec<MemberCandidate> {
        let places = self.places();
        let drives: Vec<Arc<Drive>> = places.iter().map(|place| place.drive.clone()).collect();
        let spaces = questions::ask_in_place(&drives, |drive| drive.io().space().ok());
        let candidate = |(place, space): (&JournalDrive, Option<Option<Space>>)| {
            let candidate = place.candidate();
            let free = space.flatten().map_or(0, |space| space.free);
            MemberCandidate {
                usable: candidate.usable && place.has_room(self.options.segment_bytes, free),
                ..candidate
            }
        };
        places.iter().zip(spaces).map(candidate).collect()
    }

    /// Keeps segments that are not in the chain until the floor passes `last`.
    pub(super) fn set_aside(&self, copies: Vec<EpochMember>, last: Index) {
        let copies = copies.into_iter().map(|member| (member.place, member.slot)).collect();
        self.others.lock().push(Other { last, copies });
    }

    pub(super) fn keep(&self, others: Vec<Other>) {
        self.others.lock().extend(others);
    }

    /// Segments that are not in the chain, each with the place of its drive.
    pub(super) fn aside(&self) -> Vec<(usize, SegmentSlot)> {
        self.others.lock().iter().flat_map(|other| other.copies.iter().cloned()).collect()
    }

    /// Gives back slots that nothing was written to.
    pub(super) fn give_back(&self, members: Vec<EpochMember>) {
        let places = self.places();
        for member in members {
            if let Some(slots) = &places[member.place].slots {
                slots.give_back(member.slot);
            }
        }
    }

    /// Gives back what a durable floor makes superfluous.
    pub(super) fn retire(&self, floor: Index) {
        let segments = self.table.write().retire(floor);
        for segment in segments {
            self.free(segment.copies.iter().map(|copy| (copy.drive, copy.slot.clone())).collect());
        }
        let passed: Vec<Other> = self.others.lock().extract_if(.., |other| other.last < floor).collect();
        for other in passed {
            self.free(other.copies);
        }
    }

    /// Frees slots once no reader that may have looked them up is still reading.
    pub(super) fn free(&self, copies: Vec<(usize, SegmentSlot)>) {
        let places = self.places();
        let slots = |place: usize| places.get(place).and_then(|place| place.slots.clone());
        let known: Vec<(Arc<Slots>, SegmentSlot)> =
            copies.into_iter().filter_map(|(place, slot)| Some((slots(place)?, slot))).collect();
        self.pins.when_gone(move || known.into_iter().for_each(|(slots, slot)| slots.give_back(slot)));
    }

    /// Has the next segment made ready on these drives, and on no others.
    pub(super) fn prepare(&self, members: &[EpochMember]) {
        for (place, known) in self.places().iter().enumerate() {
            let Some(slots) = &known.slots else { continue };
            match members.iter().any(|member| member.place == place) {
                true => slots.prepare(),
                false => slots.drop_free(),
            }
        }
    }

    /// Trims all segments but the one being written: those that an earlier run left.
    pub(super) fn trim_former(&self) {
        let former: Vec<Segment> = {
            let table = self.table.read();
            table.segments().rev().skip(1).cloned().collect()
        };
        former.iter().for_each(|segment| self.trim(segment));
    }

    /// The last segment is not written to any more: what lies behind its groups is cut off.
    pub(super) fn trim_last(&self) {
        let last = self.table.read().segments().next_back().cloned();
        if let Some(segment) = last {
            self.trim(&segment);
        }
    }

    /// Cuts off what lies behind a segment's groups, unless that is so little that the file is better kept whole,
    /// to be used again.
    pub(super) fn trim(&self, segment: &Segment) {
        let end = segment.end + if segment.closed { FOOTER_BYTES as u64 } else { 0 };
        if segment.closed && end + self.max_group() as u64 >= self.options.segment_bytes {
            return;
        }
        let places = self.places();
        for copy in segment.copies.iter() {
            if let Some(known) = places.get(copy.drive)
                && known.is_present()
                && let Some(slots) = &known.slots
            {
                slots.trim(&copy.slot, end);
            }
        }
    }
}
