//! Points the owners of copied bodies to the copies; nothing else changes. A move of stored bytes keeps their form,
//! which the mover need not understand; a move with newly coded bytes gives another form.

use super::view::View;
use super::{ApplyError, Step, bodies, owners};
use crate::command::{Move, Outcome};
use crate::owned;
use crate::record::Owner;
use stratum_storage::blob::{BlobRef, Place};

/// Applies each move by itself: one whose owner no longer holds `from` is skipped. Extents that are in both `from`
/// and `to` stay where they are, since a long body moves extent by extent.
pub(super) fn relocate(view: &mut View<'_>, moves: Vec<Move>) -> Step {
    for moved in &moves {
        bodies::check(view, &without(&moved.to, &moved.from))?;
    }
    let mut applied = 0;
    for Move { owner, from, to } in moves {
        if swap(view, &owner, &from, &to)? {
            bodies::release(view, &without(&from, &to))?;
            bodies::claim(view, &owner, &without(&to, &from))?;
            applied += 1;
        }
    }
    Ok(Outcome::Count(applied))
}

/// The part of a body that the other doesn't have.
fn without(blob: &BlobRef, other: &BlobRef) -> BlobRef {
    let place = match (&blob.place, &other.place) {
        (place, same) if place == same => Place::Empty,
        (Place::Extents(extents), Place::Extents(others)) => {
            Place::Extents(extents.iter().filter(|extent| !others.contains(extent)).copied().collect())
        }
        (place, _) => place.clone(),
    };
    blob.moved_to(place)
}

/// Points one owner from `from` to `to`, if it still holds `from`.
pub(super) fn swap(
    view: &mut View<'_>,
    owner: &Owner,
    from: &BlobRef,
    to: &BlobRef,
) -> Result<bool, ApplyError> {
    let Some((at, mut owned)) = owned::find(owner, |key| view.value(key))? else { return Ok(false) };
    match owned.blob() {
        Some(blob) if blob.place == from.place => *blob = to.clone(),
        _ => return Ok(false),
    }
    owners::put(view, at, owned)?;
    Ok(true)
}
