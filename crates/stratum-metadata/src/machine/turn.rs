//! The turn from one checkpoint to the next: the tree that takes changes is closed and another one opened; when the next
//! checkpoint was merged from it and from what lay below, that takes the place of both.

use super::Machine;
use crate::checkpoint::{Checkpoint, Closed};
use crate::stack::{self, Below, Stack};
use crate::tree::{Tree, TreeError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Machine {
    /// Bytes of keys and values that changed since the open tree was opened, about.
    pub(crate) fn changed_bytes(&self) -> u64 {
        self.changed.load(Ordering::Relaxed)
    }

    /// Whether the next start would find the open tree.
    pub(crate) fn is_in_place(&self) -> bool {
        self.stack().open.is_in_place()
    }

    /// The checkpoint that the state lies on.
    pub(crate) fn checkpoint(&self) -> Option<Arc<Checkpoint>> {
        self.stack().below.checkpoint().cloned()
    }

    /// What was closed and is in no checkpoint yet.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match &self.stack().below {
            Below::Closed(closed) => Some(closed.clone()),
            Below::Nothing | Below::Checkpoint(_) => None,
        }
    }

    /// Closes the open tree and goes on in `next`, which is empty: between two groups, without waiting for a disk but for
    /// what is in memory yet. To be called only when nothing is closed.
    pub(crate) fn close(&self, next: Tree) -> Result<Closed, TreeError> {
        // Most of it, while nobody waits.
        self.drain()?;
        let applied = self.applied.lock();
        let _alone = self.draining.lock();
        self.drain_alone()?;
        stack::begin(&next, &applied)?;
        let mut stack = self.stack.write();
        let closed =
            Closed { tree: stack.open.clone(), applied: *applied, over: stack.below.checkpoint().cloned() };
        *stack = Arc::new(Stack { open: next, below: Below::Closed(closed.clone()) });
        self.changed.store(0, Ordering::Relaxed);
        Ok(closed)
    }

    /// Goes on over the checkpoint that was merged from what was closed. Gives what the state lay in, if it still did.
    pub(crate) fn adopt(&self, checkpoint: Arc<Checkpoint>) -> Option<Arc<Stack>> {
        let mut stack = self.stack.write();
        match &stack.below {
            Below::Closed(closed) if closed.applied == checkpoint.applied() => {}
            // Another state took its place meanwhile. The checkpoint is one of its past.
            _ => return None,
        }
        let next = Stack { open: stack.open.clone(), below: Below::Checkpoint(checkpoint) };
        Some(std::mem::replace(&mut *stack, Arc::new(next)))
    }
}
