//! Which drives are in the journal's set: those that join, and those that may leave.
//!
//! The set changes one step at a time: an epoch that names the old and the new set, and, when that is open on all its
//! members, one that names the new set twice. A drive that dies, or a server that does, between any two of these
//! leaves an epoch that the next start settles. A drive may leave, lost or on its way out, once everything is on `m+1`
//! of those that stay; until then it counts as missing.

use super::JournalError;
use super::append::JournalWriter;
use super::core::{Core, JournalDrive};
use super::open::look_at;
use super::quorum::{Sets, choose};
use super::recovery::Other;
use super::slots::SegmentSlot;
use crate::drive::{Drive, DriveId, questions};
use std::sync::Arc;

/// A drive that was not there when the journal was opened, and what lies in its slots.
pub(super) type Newcomer = (JournalDrive, Vec<SegmentSlot>);

/// Looks at the drives that are not known yet, each on its own thread; one that hangs joins another time. To be done
/// before the writer is locked, since it lists directories.
pub(super) fn look_at_new(core: &Core, drives: &[Arc<Drive>]) -> Vec<Newcomer> {
    let segment_bytes = core.options.segment_bytes;
    let new: Vec<DriveId> =
        drives.iter().filter(|drive| is_new(core, drive)).map(|drive| drive.id()).collect();
    if new.is_empty() {
        return Vec::new();
    }
    // The others are asked for nothing: that they answer tells which of the new ones hangs.
    let looked = questions::ask_in_place(drives, move |drive| {
        new.contains(&drive.id()).then(|| look_at(drive.clone(), segment_bytes))
    });
    looked.into_iter().flatten().flatten().collect()
}

fn is_new(core: &Core, drive: &Arc<Drive>) -> bool {
    let knows = |place: &JournalDrive| Arc::ptr_eq(&place.drive, drive) && place.slots.is_some();
    drive.takes_new() && !core.places().iter().any(knows)
}

/// Makes drives known that were not there when the journal was opened, and takes them into the set.
pub(super) fn join(
    core: &Core,
    writer: &mut JournalWriter,
    newcomers: Vec<Newcomer>,
) -> Result<usize, JournalError> {
    for (place, found) in newcomers {
        let at = core.add_place(place);
        // What lies in its slots already is not looked at before the next start: it goes when nobody can need it.
        let last = core.table.read().head().index;
        let copies = found.into_iter().map(|slot| (at, slot)).collect();
        core.keep(vec![Other { last, copies }]);
    }
    welcome(core, writer)
}

/// Takes drives that stay, but are not in the set, into it.
pub(super) fn welcome(core: &Core, writer: &mut JournalWriter) -> Result<usize, JournalError> {
    let known = &writer.sets.set;
    let grown = grown(core, known);
    let new = grown.set.len() - known.len();
    if new > 0 {
        change_set(core, writer, grown)?;
    }
    Ok(new)
}

/// The step from a set to the one that has the drives, too, that stay and are not in it.
fn grown(core: &Core, known: &[DriveId]) -> Sets {
    let places = core.places();
    let staying = places.iter().filter(|place| place.stays()).map(|place| place.drive.id());
    let new = staying.filter(|id| !known.contains(id));
    Sets { set: known.iter().copied().chain(new).collect(), previous: known.to_vec() }
}

/// The sets with which a start goes on: those that it found, or, where too few of their drives are left to open an
/// epoch, the step to the set that has the drives that were put in the place of lost ones.
pub(super) fn to_go_on_with(core: &Core, found: Sets) -> Sets {
    let candidates = core.candidates(&[]);
    let can_open = |sets: &Sets| choose(sets, core.m, &candidates, 0).is_ok();
    let grown = grown(core, &found.set);
    if found.is_settled() && !can_open(&found) && can_open(&grown) { grown } else { found }
}

/// Lets the drives that are lost or on their way out leave the set, if everything is on `m+1` others. Lost ones stay
/// named as long as `2m` or fewer would be left without them: they may come back, and a set that small can't start
/// without `m` of its drives. Those that were replaced or removed never come back, and all leave.
pub(super) fn forget_lost(core: &Core, writer: &mut JournalWriter) -> Result<usize, JournalError> {
    // Finishes a change for whose second epoch there was no space.
    if !writer.sets.is_settled() {
        writer.reopen(core, Sets::settled(writer.sets.set.clone()))?;
    }
    let places = core.places();
    let is = |id, what: fn(&JournalDrive) -> bool| {
        places.iter().any(|place| place.drive.id() == id && what(place))
    };
    let set = &writer.sets.set;
    let is_named = |id| is(id, |place| !place.drive.is_struck());
    let drained = |id| !is_named(id) || is(id, |place| place.drive.is_draining());
    let drained_count = set.iter().filter(|id| drained(**id)).count();
    let mut may_leave = (set.len() - drained_count).saturating_sub(2 * core.m + 1);
    let staying = set.iter().filter(|id| is(**id, JournalDrive::stays)).count();
    let mut kept = Vec::with_capacity(set.len());
    for &id in set {
        if is(id, JournalDrive::stays) || !drained(id) && may_leave == 0 {
            kept.push(id);
        } else if !drained(id) {
            may_leave -= 1;
        }
    }
    let left = set.len() - kept.len();
    if left == 0 || staying <= core.m || !core.short_segments().is_empty() {
        return Ok(0);
    }
    let before = set.clone();
    change_set(core, writer, Sets { set: kept, previous: before })?;
    Ok(left)
}

/// One step: an epoch that names both sets, and, when that is open on all its members, one that names the new set
/// twice.
pub(super) fn change_set(core: &Core, writer: &mut JournalWriter, sets: Sets) -> Result<(), JournalError> {
    let settled = Sets::settled(sets.set.clone());
    if !writer.sets.is_settled() {
        writer.reopen(core, Sets::settled(writer.sets.set.clone()))?;
    }
    if !sets.is_settled() {
        writer.reopen(core, sets)?;
    }
    writer.reopen(core, settled)?;
    Ok(())
}
