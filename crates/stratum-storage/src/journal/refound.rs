//! A history made the one that counts: for a store that can't start, when its operator accepts what can be proven.
//!
//! Recovery adopts the highest epoch that was opened and refuses a hole in its chain. So the history that was chosen
//! is written to `m+1` drives, and above it an epoch is opened, far above any that was ever seen, that begins right
//! after the history's last entry and whose set is the drives that are there. From then on every start finds that
//! epoch, walks back through the history, and nothing that an absent drive brings back later can win over it.
//!
//! The steps come in the order that opening an epoch keeps: the history, synced; the epoch's header, synced on all;
//! only then the opened page. The history is written from its end: segments of a backup say that their epochs were
//! opened, so a start in the middle of it finds a hole and refuses, where the older ones alone would be a shorter
//! history.

use super::export::{Export, Exported};
use super::format::{Epoch, Head, Header, OPENED_AT, PAGE, SegmentKind, encode_opened};
use super::salvage::History;
use super::slots::{SegmentSlot, Slots};
use super::{EntryHash, JournalError, Options};
use crate::ambient::Entropy;
use crate::blob::Index;
use crate::drive::Drive;
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// How far the new epoch's number is above every one that was seen: absent drives may hold higher ones.
const EPOCH_GAP: u64 = 1 << 32;

/// Why a history was not made the one that counts. No start goes on from a part of it; it can be done again.
#[derive(Debug, thiserror::Error)]
pub enum RefoundError {
    #[error("{there} drives can be written to and {needed} are needed: bring drives back")]
    TooFew { there: usize, needed: usize },
    #[error("{drive} did not take the journal: {error}")]
    Drive {
        drive: String,
        #[source]
        error: io::Error,
    },
    #[error("the history can't be read any more: {0}")]
    History(#[from] JournalError),
    #[error("there are more drives than a journal's header can name")]
    TooManyDrives,
}

/// What is made the journal.
#[derive(Clone, Copy, Debug)]
pub struct Refounding {
    /// The last entry that counts.
    pub last: (Index, EntryHash),
    /// Entries below it are not needed.
    pub floor: Index,
    /// How many drives may be lost.
    pub m: usize,
}

/// Makes a history the journal of the drives that are healthy. Blocks until that is durable.
pub fn refound(
    history: &History,
    what: Refounding,
    drives: &[Arc<Drive>],
    entropy: &dyn Entropy,
) -> Result<(), RefoundError> {
    let healthy: Vec<&Arc<Drive>> = drives.iter().filter(|drive| drive.is_healthy()).collect();
    let needed = what.m + 1;
    if healthy.len() < needed {
        return Err(RefoundError::TooFew { there: healthy.len(), needed });
    }
    let mut targets = Vec::with_capacity(needed);
    for drive in healthy.iter().take(needed) {
        let opened = Slots::open((*drive).clone(), Options::default().segment_bytes);
        targets.push((*drive, opened.map_err(|error| failed(drive, error))?.0));
    }
    if let Some(export) = history.export(what.last.0, what.floor) {
        copy(export.newest_first(), &targets)?;
    }
    let (number, sequence) = history.highest();
    let set: Vec<_> = healthy.iter().map(|drive| drive.id()).collect();
    let head = Head { index: what.last.0, hash: what.last.1 };
    let epoch = Epoch {
        number: number.saturating_add(EPOCH_GAP),
        run: entropy.next_u128(),
        m: what.m as u8,
        members: targets.iter().map(|(drive, _)| drive.id()).collect(),
        previous: set.clone(),
        set,
        head,
    };
    let floor = what.floor.max(1);
    let header =
        Header { epoch, sequence: sequence.saturating_add(1), kind: SegmentKind::First, before: head, floor };
    open(&header, &targets)
}

/// Writes the segments to all targets.
fn copy(export: Export, targets: &[(&Arc<Drive>, Slots)]) -> Result<(), RefoundError> {
    let mut segment: Vec<Bytes> = Vec::new();
    for piece in export {
        match piece? {
            Exported::Segment(_) => write(&std::mem::take(&mut segment), targets)?,
            Exported::Bytes(bytes) => segment.push(bytes),
        }
    }
    write(&segment, targets)
}

fn write(segment: &[Bytes], targets: &[(&Arc<Drive>, Slots)]) -> Result<(), RefoundError> {
    if segment.is_empty() {
        return Ok(());
    }
    let slices: Vec<&[u8]> = segment.iter().map(Bytes::as_ref).collect();
    for (drive, slots) in targets {
        slots.make(|file| file.write_at(&slices, 0)).map_err(|error| failed(drive, error))?;
    }
    Ok(())
}

/// Opens the epoch, in its two rounds.
fn open(header: &Header, targets: &[(&Arc<Drive>, Slots)]) -> Result<(), RefoundError> {
    let page = header.encode().ok_or(RefoundError::TooManyDrives)?;
    let begin = |(drive, slots): &(&Arc<Drive>, Slots)| {
        let made = slots.make(|file| file.write_at(&[&page, &[0; PAGE]], 0));
        made.map_err(|error| failed(drive, error))
    };
    let begun: Vec<SegmentSlot> = targets.iter().map(begin).collect::<Result<_, _>>()?;
    let opened = encode_opened(header.key());
    for ((drive, _), slot) in targets.iter().zip(begun) {
        let confirmed = slot.file.write_at(&[&opened], OPENED_AT).and_then(|()| slot.file.sync());
        confirmed.map_err(|error| failed(drive, error))?;
    }
    Ok(())
}

fn failed(drive: &Drive, error: io::Error) -> RefoundError {
    RefoundError::Drive { drive: drive.label(), error }
}
