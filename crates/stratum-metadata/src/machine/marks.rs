//! What an index says of itself.

use crate::keys;
use crate::record::{Applied, Level};
use crate::tree::{Tree, TreeError, Value};

/// What it says while it is being filled: no journal confirms it.
pub(crate) const UNFINISHED: Applied =
    Applied { index: u64::MAX, hash: 0, fingerprint: 0, level: Level::FIRST };

/// Says in an index what it holds.
pub(crate) fn mark(tree: &Tree, applied: &Applied) -> Result<(), TreeError> {
    let value = Value::from(applied.encode().as_slice());
    tree.apply(std::iter::once((keys::applied().as_slice(), Some(&value))))
}
