//! What the drives hold: which epoch counts, and the chain of entries back to the floor.
//!
//! The highest epoch that was opened is adopted; its chain is followed forward as far as any copy is sound, and
//! backward by index and hash through whichever segment holds the entry, of whatever epoch, opened or not. A
//! header that was never opened voids nothing: it only raises the next number. An entry that no copy gives is an
//! error, never a shorter history.

use super::cursor::{Cursor, Group, Verify, holds, is_sound_to};
use super::format::{
    Epoch, GROUPS_AT, Head, Header, HeaderPage, OPENED_AT, PAGE, SegmentKey, SegmentKind, is_opened,
};
use super::reader::{SegmentReader, side_by_side};
use super::slots::SegmentSlot;
use super::table::{Segment, SegmentCopy};
use super::{JournalError, NewEntry};
use crate::blob::Index;
use crate::drive::Drive;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A segment that some present drive has a header of.
#[derive(Debug)]
struct FoundSegment {
    header: Header,
    opened: bool,
    /// In the order in which they were read: where there is a choice, the quickest drive's is read first from now on.
    copies: Vec<FoundCopy>,
}

/// A segment's file, and what was read of it.
#[derive(Debug)]
struct FoundCopy {
    place: usize,
    drive: Arc<Drive>,
    slot: SegmentSlot,
    reader: SegmentReader,
}

impl FoundSegment {
    fn readers(&self) -> Vec<SegmentReader> {
        self.copies.iter().map(|copy| copy.reader.clone()).collect()
    }

    fn cursor(&self) -> Cursor {
        Cursor::over(self.header.key(), self.readers(), self.header.before)
    }

    /// Which of the copies hold a group.
    fn holding(&self, group: &Group) -> Vec<bool> {
        let (key, at, before) = (self.header.key(), group.offset, group.head.before);
        self.judged(at..at + group.head.len as u64, move |copy| holds(key, copy, at, before))
    }

    /// How many of the copies are sound from the first group to that entry, which lies before `end`.
    fn sound_copies(&self, last: Index, end: u64) -> usize {
        let (key, before) = (self.header.key(), self.header.before);
        let judged = self.judged(GROUPS_AT..end, move |copy| is_sound_to(key, copy, before, last));
        judged.into_iter().filter(|is_sound| *is_sound).count()
    }

    /// What `judge` says of each copy by itself. Copies of which these bytes aren't at hand are read side by side.
    fn judged(
        &self,
        needed: Range<u64>,
        judge: impl Fn(SegmentReader) -> bool + Clone + Send + 'static,
    ) -> Vec<bool> {
        let len = (needed.end - needed.start) as usize;
        let (mut judged, mut unread) = (vec![false; self.copies.len()], Vec::new());
        for (place, copy) in self.copies.iter().enumerate() {
            match copy.reader.at_hand(needed.start, len) {
                Some(_) => judged[place] = judge(copy.reader.clone()),
                None => unread.push(place),
            }
        }
        let reads = unread.iter().map(|&place| {
            let (copy, judge) = (&self.copies[place], judge.clone());
            let reader = copy.reader.clone();
            (copy.drive.clone(), move || judge(reader))
        });
        for (asked, answer) in side_by_side(reads) {
            judged[unread[asked]] = answer;
        }
        judged
    }
}

/// The beginning of a segment's file, as it was understood.
pub(super) struct Beginning {
    slot: SegmentSlot,
    reader: SegmentReader,
    page: HeaderPage,
    pub(super) opened: bool,
}

impl Beginning {
    /// Reads the first two pages, and once more if they make no sense: a file that is taken for no segment is written
    /// over.
    pub(super) fn read(slot: SegmentSlot) -> Beginning {
        let mut reader = SegmentReader::new(slot.file.clone());
        let front = reader.front();
        let (mut page, mut opened) = understand(&front);
        let unclear = match &page {
            HeaderPage::Nothing => &front[..],
            HeaderPage::Header(_) if !opened => front.get(OPENED_AT as usize..).unwrap_or_default(),
            HeaderPage::Header(_) | HeaderPage::Newer(_) => &[],
        };
        if unclear.iter().any(|byte| *byte != 0) {
            let (again, opened_again) = understand(&reader.front_anew());
            if page == HeaderPage::Nothing || opened_again {
                (page, opened) = (again, opened_again);
            }
        }
        Beginning { slot, reader, page, opened }
    }
}

/// What the first two pages of a file say: whose segment it is, and whether its epoch was opened.
fn understand(front: &[u8]) -> (HeaderPage, bool) {
    let page = Header::decode(front.get(..PAGE).unwrap_or(front));
    let opened = match &page {
        HeaderPage::Header(header) if header.kind == SegmentKind::Later => true,
        HeaderPage::Header(header) => {
            front.get(OPENED_AT as usize..).is_some_and(|page| is_opened(header.key(), page))
        }
        HeaderPage::Newer(_) | HeaderPage::Nothing => false,
    };
    (page, opened)
}

/// All that the present drives hold.
#[derive(Debug, Default)]
pub(super) struct Survey {
    segments: BTreeMap<SegmentKey, FoundSegment>,
    /// Files with no header: ready for use.
    pub(super) blank: Vec<(usize, SegmentSlot)>,
    /// The highest epoch number of any header, opened or not.
    pub(super) number: u64,
    /// The highest segment sequence of any header.
    pub(super) sequence: u64,
    /// Bytes of pieces that are kept.
    kept: usize,
}

/// The most bytes of the files' beginnings that stay in memory for the next search in them. It takes hundreds of
/// restarts to have more.
const MAX_KEPT_BYTES: usize = 64 << 20;

impl Survey {
    /// Reads the beginnings of segment files, each with the place of its drive; all drives side by side.
    ///
    /// # Errors
    /// [`JournalError::Newer`] if a newer version wrote one.
    pub(super) fn of(
        drives: &[Arc<Drive>],
        files: impl IntoIterator<Item = (usize, SegmentSlot)>,
    ) -> Result<Survey, JournalError> {
        let (places, slots): (Vec<usize>, Vec<SegmentSlot>) = files.into_iter().unzip();
        let reads = places.iter().zip(slots);
        let reads = reads.map(|(&place, slot)| (drives[place].clone(), move || Beginning::read(slot)));
        let mut survey = Survey::default();
        for (asked, beginning) in side_by_side(reads) {
            let place = places[asked];
            survey.add(place, &drives[place], beginning)?;
        }
        Ok(survey)
    }

    fn add(&mut self, place: usize, drive: &Arc<Drive>, beginning: Beginning) -> Result<(), JournalError> {
        let Beginning { slot, mut reader, page, opened } = beginning;
        let header = match page {
            HeaderPage::Header(header) => *header,
            HeaderPage::Newer(found) => {
                return Err(JournalError::Newer {
                    drive: drive.label(),
                    found,
                    known: super::format::VERSION,
                });
            }
            HeaderPage::Nothing => {
                self.blank.push((place, slot));
                return Ok(());
            }
        };
        match self.kept + reader.kept() <= MAX_KEPT_BYTES {
            true => self.kept += reader.kept(),
            false => reader.forget(),
        }
        let key = header.key();
        self.number = self.number.max(key.epoch);
        self.sequence = self.sequence.max(key.sequence);
        let found =
            self.segments.entry(key).or_insert(FoundSegment { header, opened: false, copies: Vec::new() });
        found.opened |= opened;
        found.copies.push(FoundCopy { place, drive: drive.clone(), slot, reader });
        Ok(())
    }

    /// The epoch that counts: the highest that was opened. `None` if none ever was, as far as these drives know.
    ///
    /// # Errors
    /// [`JournalError::Tie`] if two runs opened epochs of that number, which no crash can cause.
    pub(super) fn adopted(&self) -> Result<Option<&Epoch>, JournalError> {
        let mut opened = self.segments.values().filter(|found| found.opened).map(|found| &found.header.epoch);
        let Some(first) = opened.next() else { return Ok(None) };
        let mut adopted = first;
        for epoch in opened {
            if epoch.number == adopted.number && epoch.run != adopted.run {
                return Err(JournalError::Tie { number: epoch.number });
            }
            if epoch.number > adopted.number {
                adopted = epoch;
            }
        }
        Ok(Some(adopted))
    }

    /// The chain that ends with the adopted epoch.
    ///
    /// # Errors
    /// [`JournalError::Hole`] if an entry is in no sound copy.
    pub(super) fn chain(&self, epoch: &Epoch) -> Result<Chain, JournalError> {
        let mut chain = self.forward(epoch)?;
        self.backward(&mut chain)?;
        Ok(chain)
    }

    /// The adopted epoch's own segments, from the lowest there is.
    fn forward(&self, epoch: &Epoch) -> Result<Chain, JournalError> {
        let own = |sequence| SegmentKey { epoch: epoch.number, run: epoch.run, sequence };
        let found: Vec<&FoundSegment> =
            self.segments.range(own(0)..=own(u64::MAX)).map(|(_, found)| found).collect();
        let floor = found.iter().map(|segment| segment.header.floor).max().unwrap_or_default();
        let mut chain = Chain { floor, ..Chain::default() };
        for (place, segment) in found.iter().enumerate() {
            let header = &segment.header;
            if place > 0 && header.before != chain.head {
                // Of the segments below the floor one may have been used again, and an older one not yet.
                if header.before.index >= floor.max(1) {
                    return Err(JournalError::Hole { index: chain.head.index + 1 });
                }
                chain.segments.clear();
            }
            let verify = if place + 1 == found.len() { Verify::Bodies } else { Verify::Commands };
            let walked = walk(segment, verify, Index::MAX);
            chain.head = walked.head;
            if let Some(last) = walked.mark {
                chain.last_group =
                    Some(LastGroup { key: header.key(), copies: segment.readers(), group: last });
            }
            chain.segments.push(walked.segment);
        }
        // What the epoch was opened with was synced on all its members before it was used.
        if chain.head.index < epoch.head.index {
            return Err(JournalError::Hole { index: chain.head.index + 1 });
        }
        Ok(chain)
    }

    /// What comes before the adopted epoch, down to the floor.
    ///
    /// Each segment is read to its end once: one that ends before an entry is not read again to look for it. So the
    /// time that a start takes grows with the journal's length and not with its square.
    fn backward(&self, chain: &mut Chain) -> Result<(), JournalError> {
        let mut ends: BTreeMap<SegmentKey, Index> = BTreeMap::new();
        while let Some(oldest) = chain.segments.first()
            && oldest.before.index >= chain.floor.max(1)
        {
            let wanted = oldest.before;
            let mut holding = Vec::new();
            for (key, found) in &self.segments {
                let ends_before = ends.get(key).is_some_and(|end| *end < wanted.index);
                if found.header.before.index >= wanted.index || ends_before {
                    continue;
                }
                let walked = walk(found, Verify::Commands, wanted.index);
                ends.insert(*key, walked.head.index);
                if walked.holds(wanted) {
                    holding.push(walked.segment);
                }
            }
            let sound = |segment: &Segment| {
                let found = self.segments.get(&segment.key);
                found.map_or(0, |found| found.sound_copies(wanted.index, segment.end))
            };
            match best_kept(holding, sound) {
                Some(segment) => chain.segments.insert(0, segment),
                None => return Err(JournalError::Hole { index: wanted.index }),
            }
        }
        Ok(())
    }

    /// Every segment by itself, in the order of epochs: for a rescue, which must do without a whole chain.
    pub(super) fn pieces(&self) -> Vec<LoneSegment> {
        let piece = |found: &FoundSegment| {
            let mut walked = walk(found, Verify::Commands, Index::MAX);
            walked.drop_torn_end(found);
            let Header { epoch, floor, .. } = found.header.clone();
            LoneSegment { epoch, floor, opened: found.opened, segment: walked.segment, head: walked.head }
        };
        self.segments.values().map(piece).collect()
    }

    /// The segments that are not in the chain, each with the last index it holds: some may be one more copy of
    /// entries that the chain needs.
    pub(super) fn others(self, chain: &[Segment]) -> Vec<Other> {
        let in_chain = |key: &SegmentKey| chain.iter().any(|segment| segment.key == *key);
        let others = self.segments.into_iter().filter(|(key, _)| !in_chain(key));
        others
            .map(|(_, found)| Other {
                last: walk(&found, Verify::Commands, Index::MAX).head.index,
                copies: found.copies.into_iter().map(|copy| (copy.place, copy.slot)).collect(),
            })
            .collect()
    }
}

/// Of segments that hold the same entry, the one of which most drives hold all up to that entry. A segment of an
/// epoch that was abandoned may be on one drive only, and scrub doesn't look at it: so where there is a choice,
/// bodies count. `sound` says how many copies are sound up to there, bodies and all.
pub(super) fn best_kept(mut holding: Vec<Segment>, sound: impl Fn(&Segment) -> usize) -> Option<Segment> {
    match holding.len() {
        0 | 1 => holding.pop(),
        _ => {
            holding.into_iter().max_by_key(|segment| (sound(segment), segment.complete_copies(), segment.key))
        }
    }
}

/// A segment by itself.
#[derive(Clone, Debug)]
pub(super) struct LoneSegment {
    pub(super) epoch: Epoch,
    pub(super) floor: Index,
    pub(super) opened: bool,
    pub(super) segment: Segment,
    /// The last entry in it.
    pub(super) head: Head,
}

/// A segment outside the chain: of an epoch that was abandoned, or superseded by a later copy.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) last: Index,
    pub(super) copies: Vec<(usize, SegmentSlot)>,
}

impl Other {
    /// A segment that leaves the chain.
    pub(super) fn new(last: Index, segment: &Segment) -> Other {
        let copies = segment.copies.iter().map(|copy| (copy.drive, copy.slot.clone())).collect();
        Other { last, copies }
    }
}

/// The journal as it was found.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
    pub(super) head: Head,
    pub(super) floor: Index,
    last_group: Option<LastGroup>,
}

/// The chain's last group, and where to read its bodies.
#[derive(Debug)]
struct LastGroup {
    key: SegmentKey,
    copies: Vec<SegmentReader>,
    group: Group,
}

impl Chain {
    /// The last group's entries, to be copied into the next epoch, and the entry before them.
    ///
    /// # Errors
    /// [`JournalError::Hole`] if a body of it is sound in no copy.
    pub(super) fn last_group(&self) -> Result<(Head, Vec<NewEntry>), JournalError> {
        let Some(LastGroup { key, copies, group }) = &self.last_group else {
            return Ok((self.head, Vec::new()));
        };
        let mut cursor = Cursor::over_group(*key, copies.clone(), group.offset, group.head.before);
        // Reads its bodies in one piece, where that can be; what is missing then is looked for below.
        cursor.next(Verify::Bodies);
        let entry = |row: &super::format::EntryRow| {
            let body = if row.body.is_empty() { Some(Bytes::new()) } else { cursor.body(group.offset, row) };
            let body = body.ok_or(JournalError::Hole { index: row.index })?;
            Ok(NewEntry { command: row.command.to_vec(), body })
        };
        let entries = group.rows.iter().map(entry).collect::<Result<_, JournalError>>()?;
        Ok((group.head.before, entries))
    }
}

/// A segment read from its start.
struct Walked {
    segment: Segment,
    head: Head,
    /// The group with the entry that was looked for; the last group if there is none.
    mark: Option<Group>,
}

impl Walked {
    fn holds(&self, entry: Head) -> bool {
        let mut rows = self.mark.iter().flat_map(|group| &group.rows);
        rows.any(|row| row.index == entry.index && row.hash == entry.hash)
    }

    /// Takes the last group back if a body of it is in no sound copy: a crash tore it before it was acknowledged. One
    /// that others follow was acknowledged, whatever became of its bodies since.
    fn drop_torn_end(&mut self, found: &FoundSegment) {
        let Some(last) = self.mark.take_if(|_| !self.segment.closed) else { return };
        let cursor = found.cursor();
        if last.rows.iter().all(|row| row.body.is_empty() || cursor.body(last.offset, row).is_some()) {
            return;
        }
        let kept = self.segment.bodies.len().saturating_sub(last.rows.len());
        self.segment.bodies.truncate(kept);
        self.segment.end = last.offset;
        self.head = last.head.before;
    }
}

/// Reads a segment's groups. A copy is complete if it holds everything up to the entry of index `wanted`: what comes
/// after may be a group that a crash tore, and is found elsewhere.
fn walk(found: &FoundSegment, verify: Verify, wanted: Index) -> Walked {
    let mut cursor = found.cursor();
    let (mut bodies, mut mark) = (Vec::new(), None);
    while let Some(group) = cursor.next(verify) {
        bodies.extend(group.rows.iter().map(|row| group.offset as u32 + row.body.start as u32));
        if group.head.before.index < wanted {
            mark = Some(group);
        }
    }
    let complete = match &mark {
        Some(group) => found.holding(group),
        None => vec![true; found.copies.len()],
    };
    let copies = found.copies.iter().zip(complete);
    let copies =
        copies.map(|(copy, complete)| SegmentCopy { drive: copy.place, slot: copy.slot.clone(), complete });
    let segment = Segment {
        key: found.header.key(),
        before: found.header.before,
        end: cursor.at(),
        closed: cursor.is_closed(),
        bodies,
        copies: copies.collect(),
    };
    Walked { segment, head: cursor.head(), mark }
}
