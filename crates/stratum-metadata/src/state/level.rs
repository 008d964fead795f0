//! The level of the state, which only rises.

use super::Step;
use super::view::View;
use crate::command::{Outcome, Refusal};
use crate::record::Level;

/// From now on records are written at that level. Existing ones stay as they are until they change.
pub(super) fn set(view: &mut View<'_>, level: Level) -> Step {
    let current = view.level()?;
    if level <= current {
        return Err(Refusal::LevelIs(current).into());
    }
    view.raise(level)?;
    Ok(Outcome::Done)
}
