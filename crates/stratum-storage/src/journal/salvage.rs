//! The journal read from whatever drives are there: nothing is opened, nothing written, and no number of drives asked
//! for.
//!
//! A server must know that it has every acknowledged entry and refuses to start where it can't. Whoever rescues a
//! store takes what can be proven, and is told what can't: the history comes as *runs*, each a chain in which every
//! entry's hash covers the one before, with the holes between them named. Where nothing is missing there is one run,
//! and it is the one that a start would recover.

use super::export::Export;
use super::format::Head;
use super::reader::{read_some, side_by_side};
use super::recovery::{LoneSegment, Survey, best_kept};
use super::replay::hash_in;
use super::slots;
use super::table::{Segment, SegmentTable};
use super::{BodyError, EntryHash, JournalError, Replay, Verify};
use crate::blob::Index;
use crate::drive::{Drive, DriveId};
use bytes::Bytes;
use std::sync::Arc;

/// What the drives that are there know of the journal.
#[derive(Debug)]
pub struct History {
    /// In the order of their entries; none overlaps another.
    runs: Vec<SegmentTable>,
    /// Segments outside the runs: other copies of some of their entries.
    others: Vec<Segment>,
    doubts: Vec<Doubt>,
    /// Entries below it are not needed.
    floor: Index,
    m: usize,
    /// The highest numbers of an epoch and of a segment that were seen.
    highest: (u64, u64),
}

/// What a history can't say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("no journal was found: what was written since the last checkpoint is not known")]
    NoJournal,
    #[error(
        "no epoch of the journal that was found had ever been opened: what was acknowledged is not known"
    )]
    NeverOpened,
    #[error("two histories of the journal have the epoch {number}; the longer one was taken")]
    Tie { number: u64 },
    #[error(
        "{away} of the {drives} drives of the journal are away, and no start can do without so many (it outlives the \
         loss of {m}, and needs one more to go on): newer writes may be on them alone"
    )]
    Away { away: usize, drives: usize, m: usize },
    #[error(
        "the entries {first} to {last} of the journal are in no sound copy: what they changed is not known"
    )]
    Hole { first: Index, last: Index },
}

/// A part of the journal that is on fewer drives than it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thin {
    pub first: Index,
    pub last: Index,
    /// Drives that hold it, sound.
    pub sound: usize,
    pub wanted: usize,
    /// Drives whose copies are damaged or end early.
    pub damaged: Vec<String>,
}

/// The entries of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: Index,
    /// One below `first` if there are none.
    pub last: Index,
}

impl History {
    /// Reads the journal of these drives.
    ///
    /// # Errors
    /// [`JournalError::Newer`] if a newer version wrote it.
    pub fn read(drives: &[Arc<Drive>]) -> Result<History, JournalError> {
        History::read_beside(drives, &[])
    }

    /// Reads the journal of `drives` alone, although the drives in `beside` are there, too. Of what those hold, only the
    /// numbers count, which a history that is to win over theirs must exceed.
    ///
    /// # Errors
    /// [`JournalError::Newer`] if a newer version wrote either.
    pub fn read_beside(drives: &[Arc<Drive>], beside: &[Arc<Drive>]) -> Result<History, JournalError> {
        let (survey, other) = (survey(drives)?, survey(beside)?);
        let highest = (survey.number.max(other.number), survey.sequence.max(other.sequence));
        let pieces = survey.pieces();
        let present: Vec<DriveId> = drives.iter().chain(beside).map(|drive| drive.id()).collect();
        let Some((newest, mut doubts)) = newest(&pieces) else {
            let doubts = vec![Doubt::NoJournal];
            return Ok(History { runs: Vec::new(), others: Vec::new(), doubts, floor: 0, m: 0, highest });
        };
        doubts.extend(away(newest, &present));
        let (runs, others) = chain(newest, &pieces);
        let holes = runs.windows(2).filter_map(|pair| match pair {
            [one, next] => Some((one.head().index + 1, next.first() - 1)),
            _ => None,
        });
        // Below the floor nothing is needed: what lies there is left in slots that wait to be used again.
        let floor = newest.floor.max(1);
        let before = runs.first().map(SegmentTable::first).filter(|first| *first > floor);
        let holes = before.map(|first| (floor, first - 1)).into_iter().chain(holes);
        let needed = holes.filter(|(_, last)| *last >= newest.floor);
        doubts.extend(needed.map(|(first, last)| Doubt::Hole { first, last }));
        Ok(History { runs, others, doubts, floor: newest.floor, m: newest.epoch.m.into(), highest })
    }

    /// What can't be known.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// The runs, in order.
    pub fn runs(&self) -> Vec<Run> {
        self.runs.iter().map(|run| Run { first: run.first(), last: run.head().index }).collect()
    }

    /// The hash of an entry of a run, or of the one before it.
    pub fn hash_at(&self, index: Index) -> Option<EntryHash> {
        self.runs.iter().find_map(|run| {
            if index == run.head().index {
                return Some(run.head().hash);
            }
            if index + 1 == run.first() {
                return run.segments().next().map(|segment| segment.before.hash);
            }
            hash_in(run.segment_of(index)?, index)
        })
    }

    /// The entries of the run that holds `from`, from there to the run's end; none if no run holds it.
    pub fn replay(&self, from: Index) -> Option<Replay> {
        let run = self.runs.iter().find(|run| (run.first()..=run.head().index).contains(&from))?;
        Some(Replay::new(run, from, Verify::Commands))
    }

    /// The segments of the run that holds `index`, from `floor` on; none if no run does.
    pub(super) fn export(&self, index: Index, floor: Index) -> Option<Export> {
        let run = self.runs.iter().find(|run| (run.first()..=run.head().index).contains(&index))?;
        Some(Export::new(run, floor))
    }

    /// The highest numbers of an epoch and of a segment that were seen.
    pub(super) fn highest(&self) -> (u64, u64) {
        self.highest
    }

    /// Reads every copy of every segment that is still needed, and tells of those that aren't sound from end to end.
    /// `drives` are those that it was read from.
    pub fn audit(&self, drives: &[Arc<Drive>]) -> Vec<Thin> {
        let Some(run) = self.runs.last() else { return Vec::new() };
        let needed = run.segments().enumerate().map(|(place, segment)| (segment, run.last_of(place)));
        let needed = needed.filter(|(segment, last)| *last >= self.floor && segment.first() <= *last);
        needed.filter_map(|(segment, last)| self.audit_segment(segment, last, drives)).collect()
    }

    fn audit_segment(&self, segment: &Segment, last: Index, drives: &[Arc<Drive>]) -> Option<Thin> {
        let mut damaged: Vec<String> = Vec::new();
        let mut sound: Vec<usize> = Vec::new();
        for copy in segment.copies.iter() {
            match segment.is_sound_in(copy, last) {
                true => sound.push(copy.drive),
                false => damaged.extend(drives.get(copy.drive).map(|drive| drive.label())),
            }
        }
        sound.sort_unstable();
        sound.dedup();
        let thin = Thin { first: segment.first(), last, sound: sound.len(), wanted: self.m + 1, damaged };
        (thin.sound < thin.wanted).then_some(thin)
    }

    /// The body of an entry, from any copy in which it is sound. Length and check are from its record.
    ///
    /// # Errors
    /// [`BodyError::Gone`] if no segment has the entry, [`BodyError::Damaged`] if none has it whole.
    pub fn body(&self, index: Index, len: u32, crc32c: u32) -> Result<Bytes, BodyError> {
        let in_runs = self.runs.iter().filter_map(|run| run.segment_of(index));
        let mut found = false;
        for segment in in_runs.chain(&self.others) {
            let place = index.checked_sub(segment.first()).and_then(|place| usize::try_from(place).ok());
            let Some(at) = place.and_then(|place| segment.bodies.get(place)) else { continue };
            found = true;
            for copy in segment.copies.iter() {
                let bytes = read_some(copy.slot.file.as_ref(), u64::from(*at), len as usize);
                if bytes.len() == len as usize && crc32c::crc32c(&bytes) == crc32c {
                    return Ok(bytes);
                }
            }
        }
        Err(if found { BodyError::Damaged { index } } else { BodyError::Gone { index } })
    }
}

/// Looks at the journal's segments on these drives.
fn survey(drives: &[Arc<Drive>]) -> Result<Survey, JournalError> {
    let found =
        side_by_side(drives.iter().cloned().map(|drive| (drive.clone(), move || slots::found(&drive))));
    let found = found.into_iter().flat_map(|(place, slots)| slots.into_iter().map(move |slot| (place, slot)));
    Survey::of(drives, found)
}

/// The piece that the history ends with: the last of the highest epoch that was opened.
fn newest(pieces: &[LoneSegment]) -> Option<(&LoneSegment, Vec<Doubt>)> {
    let mut doubts = Vec::new();
    let any_opened = pieces.iter().any(|piece| piece.opened);
    if !any_opened {
        doubts.push(Doubt::NeverOpened);
    }
    let counting = || pieces.iter().filter(|piece| piece.opened || !any_opened);
    let number = counting().map(|piece| piece.epoch.number).max()?;
    let last = counting()
        .filter(|piece| piece.epoch.number == number)
        .max_by_key(|piece| (piece.head.index, piece.segment.key.sequence))?;
    if counting().any(|piece| piece.epoch.number == number && piece.epoch.run != last.epoch.run) {
        doubts.push(Doubt::Tie { number });
    }
    Some((last, doubts))
}

/// Whether so many of the epoch's drives are away that a newer epoch may be on them, or that no start could open one.
fn away(newest: &LoneSegment, present: &[DriveId]) -> Option<Doubt> {
    let m = usize::from(newest.epoch.m);
    [&newest.epoch.set, &newest.epoch.previous].into_iter().find_map(|set| {
        let away = set.iter().filter(|id| !present.contains(id)).count();
        (away > m || set.len() - away <= m).then_some(Doubt::Away { away, drives: set.len(), m })
    })
}

/// Goes back from the last piece, by index and hash; where no piece holds the entry before, a new run begins with the
/// piece that reaches furthest.
fn chain(newest: &LoneSegment, pieces: &[LoneSegment]) -> (Vec<SegmentTable>, Vec<Segment>) {
    let mut runs: Vec<(Vec<Segment>, Head)> = vec![(vec![newest.segment.clone()], newest.head)];
    while let Some((segments, _)) = runs.last_mut()
        && let Some(wanted) = segments.first().map(|segment| segment.before)
        && wanted.index > 0
    {
        let earlier = || pieces.iter().filter(|piece| piece.segment.before.index < wanted.index);
        let holding = earlier()
            .filter(|piece| piece.head.index >= wanted.index)
            .filter(|piece| hash_in(&piece.segment, wanted.index) == Some(wanted.hash))
            .map(|piece| piece.segment.clone());
        if let Some(segment) = best_kept(holding.collect(), |segment| segment.sound_copies(wanted.index)) {
            segments.insert(0, segment);
            continue;
        }
        let short = earlier().filter(|piece| piece.head.index < wanted.index);
        match short.max_by_key(|piece| (piece.head.index, piece.opened, piece.segment.key)) {
            Some(piece) => runs.push((vec![piece.segment.clone()], piece.head)),
            None => break,
        }
    }
    let used = |piece: &&LoneSegment| {
        runs.iter().any(|(segments, _)| segments.iter().any(|segment| segment.key == piece.segment.key))
    };
    let others = pieces.iter().filter(|piece| !used(piece)).map(|piece| piece.segment.clone()).collect();
    let runs = runs.into_iter().rev().map(|(segments, head)| SegmentTable::new(segments, head)).collect();
    (runs, others)
}
