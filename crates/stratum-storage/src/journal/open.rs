//! Opening the journal: look at the drives, recover the chain, open an epoch, settle the set.

use super::append::JournalWriter;
use super::core::{Core, JournalDrive};
use super::epoch::{Numbers, Tail, open_epoch};
use super::members::{change_set, to_go_on_with, welcome};
use super::quorum::{MemberCandidate, Sets, check_present};
use super::reader::side_by_side;
use super::recovery::{Chain, Survey};
use super::slots::{SegmentSlot, Slots};
use super::table::SegmentTable;
use super::{JournalError, JournalSet, Options};
use crate::ambient::{Clock, Entropy};
use crate::drive::Drive;
use std::sync::Arc;

pub(super) fn open(
    set: JournalSet,
    options: Options,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Core, JournalWriter), JournalError> {
    let (m, begun) = (set.m, set.begun);
    let (places, found) = look_at_all(&set.drives, options.segment_bytes);
    let mut survey = Survey::of(&set.drives, found)?;
    let sets = sets_of(&survey, m, &places)?;
    let chain = match survey.adopted()? {
        Some(epoch) => survey.chain(epoch)?,
        None if begun => return Err(JournalError::Gone),
        None => Chain::default(),
    };
    let (before, entries) = chain.last_group()?;
    let tail = Tail { before, entries };
    let mut numbers = Numbers { epoch: survey.number, sequence: survey.sequence };
    for (place, slot) in std::mem::take(&mut survey.blank) {
        if let Some(slots) = &places[place].slots {
            slots.adopt(slot);
        }
    }
    let others = survey.others(&chain.segments);
    let Chain { segments, head, floor, .. } = chain;
    let core =
        Core::new(places, m, options, (clock, entropy), (SegmentTable::new(segments, head), floor.max(1)));
    core.keep(others);
    let sets = to_go_on_with(&core, sets);
    let active = open_epoch(&core, &mut numbers, &sets, &tail)?;
    core.trim_former();
    let mut writer = JournalWriter::new(&core, active, numbers, sets.clone(), tail);
    if !sets.is_settled() {
        change_set(&core, &mut writer, Sets::settled(sets.set))?;
    }
    welcome(&core, &mut writer)?;
    Ok((core, writer))
}

/// The number of the last epoch that these drives know, if enough of them are there to know what was acknowledged.
/// Opens none.
pub(super) fn last_epoch(set: &JournalSet, options: &Options) -> Result<u64, JournalError> {
    let (places, found) = look_at_all(&set.drives, options.segment_bytes);
    let survey = Survey::of(&set.drives, found)?;
    sets_of(&survey, set.m, &places)?;
    match survey.adopted()? {
        None if set.begun => Err(JournalError::Gone),
        _ => Ok(survey.number),
    }
}

/// All drives, side by side, and their segment files, each with the place of its drive.
fn look_at_all(drives: &[Arc<Drive>], segment_bytes: u64) -> (Vec<JournalDrive>, Vec<(usize, SegmentSlot)>) {
    let looked = side_by_side(drives.iter().cloned().map(|drive| {
        let look = {
            let drive = drive.clone();
            move || look_at(drive, segment_bytes)
        };
        (drive, look)
    }));
    let unread = |drive: &Arc<Drive>| {
        let domain = drive.domain();
        JournalDrive { drive: drive.clone(), slots: None, domain }
    };
    let mut places: Vec<JournalDrive> = drives.iter().map(unread).collect();
    let mut found = Vec::new();
    for (place, (looked_at, slots)) in looked {
        places[place] = looked_at;
        found.extend(slots.into_iter().map(|slot| (place, slot)));
    }
    // In the order of the drives: what is read first is not to depend on whose directory was listed first.
    found.sort_by_key(|(place, slot)| (*place, slot.number));
    (places, found)
}

/// A drive and its segment files. One that can't be read now counts as missing.
pub(super) fn look_at(drive: Arc<Drive>, segment_bytes: u64) -> (JournalDrive, Vec<SegmentSlot>) {
    let domain = drive.domain();
    let opened = match drive.is_healthy() {
        true => Slots::open(drive.clone(), segment_bytes),
        false => return (JournalDrive { drive, slots: None, domain }, Vec::new()),
    };
    match opened {
        Ok((slots, found)) => (JournalDrive { drive, slots: Some(Arc::new(slots)), domain }, found),
        Err(error) => {
            drive.fail(&format!("its journal can't be read: {error}"));
            (JournalDrive { drive, slots: None, domain }, Vec::new())
        }
    }
}

/// The sets that bind this start, with enough drives of each there.
fn sets_of(survey: &Survey, m: usize, places: &[JournalDrive]) -> Result<Sets, JournalError> {
    let sets = match survey.adopted()? {
        Some(epoch) if usize::from(epoch.m) != m => {
            return Err(JournalError::Geometry { found: epoch.m.into(), configured: m });
        }
        Some(epoch) => Sets { set: epoch.set.clone(), previous: epoch.previous.clone() },
        // Nothing was ever acknowledged, as far as these drives know; with at most `m` missing, they would.
        None => Sets::settled(places.iter().map(|place| place.drive.id()).collect()),
    };
    let candidates: Vec<MemberCandidate> = places.iter().map(JournalDrive::candidate).collect();
    check_present(&sets, m, &candidates)?;
    Ok(sets)
}
