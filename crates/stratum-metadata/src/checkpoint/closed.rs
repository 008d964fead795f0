//! A state that doesn't change any more: a checkpoint, and a closed tree of what changed since. The next checkpoint
//! is merged from the two.

use super::Checkpoint;
use crate::layers;
use crate::record::Applied;
use crate::tree::{Base, Tree, TreeError, Value};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The state when the tree was closed.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) tree: Tree,
    pub(crate) applied: Applied,
    /// The checkpoint under the tree; none if there was none yet.
    pub(crate) over: Option<Arc<Checkpoint>>,
}

impl Closed {
    /// The same state, with the checkpoint's levels arranged as a merge needs them: see [`Checkpoint::with_lost_sunk`].
    ///
    /// # Errors
    /// Blocks are lost that no merge can go around.
    pub(super) fn with_lost_sunk(&self) -> Result<Closed, TreeError> {
        let over = self.over.as_ref().map(|over| over.with_lost_sunk()).transpose()?;
        Ok(Closed { over, ..self.clone() })
    }
}

impl Base for Closed {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        match (self.tree.change(key)?, &self.over) {
            (Some(value), _) => Ok(value),
            (None, Some(checkpoint)) => checkpoint.get(key),
            (None, None) => Ok(None),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        self.tree.changes(from, to, |changes| match &self.over {
            Some(checkpoint) => layers::merge(changes, checkpoint.as_ref(), from, to, visit),
            None => layers::merge(changes, &Nothing, from, to, visit),
        })
    }
}

/// The empty state that lies under the first tree.
pub(crate) struct Nothing;

impl Base for Nothing {
    fn get(&self, _: &[u8]) -> Result<Option<Value>, TreeError> {
        Ok(None)
    }

    fn scan(
        &self,
        _: &[u8],
        _: &[u8],
        _: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        Ok(())
    }
}
