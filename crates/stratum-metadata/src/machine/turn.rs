//! The change from one checkpoint to the next. The open tree is closed and another one opened; the checkpoint that is
//! then merged from the closed tree and the checkpoint below it replaces both.

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

    /// Whether the next start would find the file of the open tree.
    pub(crate) fn is_in_place(&self) -> bool {
        self.stack().open.is_in_place()
    }

    /// The checkpoint that the state lies on.
    pub(crate) fn checkpoint(&self) -> Option<Arc<Checkpoint>> {
        self.stack().below.checkpoint().cloned()
    }

    /// The closed tree, while it is in no checkpoint yet.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match &self.stack().below {
            Below::Closed(closed) => Some(closed.clone()),
            Below::Nothing | Below::Checkpoint(_) => None,
        }
    }

    /// Closes the open tree and goes on in `next`, which is empty. It happens between two groups, and waits for the
    /// disk only to write the changes that are still in memory. To be called only while no tree is closed.
    pub(crate) fn close(&self, next: Tree) -> Result<Closed, TreeError> {
        // Drains most of the changes before the lock is taken.
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

    /// Replaces the closed tree and what lies below it by the checkpoint that was merged from them. Returns the
    /// former stack, or `None` if the closed tree isn't part of the state any more.
    pub(crate) fn adopt(&self, checkpoint: Arc<Checkpoint>) -> Option<Arc<Stack>> {
        let mut stack = self.stack.write();
        match &stack.below {
            Below::Closed(closed) if closed.applied == checkpoint.applied() => {}
            // Another state has taken its place meanwhile, so the checkpoint belongs to a former one.
            _ => return None,
        }
        // What was given up since the tree was closed.
        let void = stack.below.checkpoint().map(|former| former.void()).unwrap_or_default();
        let checkpoint = checkpoint.with_void(&void);
        let next = Stack { open: stack.open.clone(), below: Below::Checkpoint(checkpoint) };
        Some(std::mem::replace(&mut *stack, Arc::new(next)))
    }
}
