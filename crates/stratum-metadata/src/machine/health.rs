//! What happens when the index fails: it is abandoned, and another state takes its place.
//!
//! After its first error nothing that the index says can be believed, so from then on every read and every change is
//! refused. [`Machine::discard`] gives the index up, and [`Machine::take_over`] continues with a state that was built
//! from the checkpoint and the journal meanwhile. Callers in between are told that the index is being rebuilt.
//!
//! A lost block of the checkpoint is no failure. A caller that needs it is told so, and an entry that needs it halts
//! the applying.

use super::Machine;
use crate::lost::LostBlock;
use crate::record::Applied;
use crate::stack::Stack;
use crate::tree::TreeError;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// Why and since when the index can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) why: String,
    /// By the monotonic clock.
    pub(crate) at: Duration,
}

/// Whether the index can be believed.
#[derive(Debug, Default)]
pub(super) struct Health {
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// The lost block that keeps the next entry from being applied.
    halted: Mutex<Option<Arc<LostBlock>>>,
}

impl Machine {
    /// Whether the index has failed: its content is unknown, and nothing is served from it.
    pub(crate) fn has_failed(&self) -> bool {
        self.health.failed.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.health.failure.lock().clone()
    }

    /// Marks the index as failed: from now on nothing is served from it.
    pub(crate) fn fail(&self, why: impl Display) {
        self.fail_of(&self.stack(), &why);
    }

    /// An error if the index has failed.
    pub(super) fn check(&self) -> Result<(), TreeError> {
        if self.has_failed() { Err(TreeError::Away) } else { Ok(()) }
    }

    /// Calls the index. Any error but that of a lost block marks it as failed.
    pub(super) fn ask<T>(&self, call: impl FnOnce(&Stack) -> Result<T, TreeError>) -> Result<T, TreeError> {
        let stack = self.stack();
        call(&stack).inspect_err(|error| match error {
            TreeError::Lost(_) => {}
            error => self.fail_of(&stack, error),
        })
    }

    /// The lost block that keeps the next entry from being applied, if any. The state then holds what was
    /// acknowledged and is served for reads; writes are refused.
    pub(crate) fn halted(&self) -> Option<Arc<LostBlock>> {
        self.health.halted.lock().clone()
    }

    /// Halts the applying: an entry needs a lost block, so neither it nor any later one is applied.
    pub(super) fn halt(&self, block: &Arc<LostBlock>) {
        tracing::error!(%block, "an entry of the journal needs a block that is lost; nothing is written until that is there again");
        *self.health.halted.lock() = Some(block.clone());
    }

    /// Records a failure, unless it is of an index that isn't used any more.
    fn fail_of(&self, stack: &Stack, why: &dyn Display) {
        let current = self.stack.read();
        let mut failure = self.health.failure.lock();
        if !stack.goes_on_in(&current) || failure.is_some() {
            return;
        }
        tracing::error!(%why, "the index can't be used any more; nothing is served until it is rebuilt");
        *failure = Some(Failure { why: why.to_string(), at: self.clock.monotonic() });
        self.health.failed.store(true, Ordering::Release);
    }

    /// Gives up an index that has failed, and returns it.
    pub(crate) fn discard(&self) -> Arc<Stack> {
        let _alone = self.draining.lock();
        std::mem::replace(&mut *self.stack.write(), Arc::new(Stack::away()))
    }

    /// Continues with another machine's state, which holds everything that this one ever held. Nothing may be applied
    /// meanwhile.
    pub(crate) fn take_over(&self, other: Machine) -> Applied {
        let mut applied = self.applied.lock();
        let _alone = self.draining.lock();
        let mut layers = self.layers.write();
        self.moves.lock().end();
        let mut stack = self.stack.write();
        let mut failure = self.health.failure.lock();
        *layers = other.layers.into_inner();
        *stack = other.stack.into_inner();
        self.changed.store(other.changed.into_inner(), Ordering::Relaxed);
        *applied = other.applied.into_inner();
        self.level.store(applied.level.number(), Ordering::Release);
        self.bucket_changes.fetch_add(1, Ordering::Release);
        self.identity_changes.fetch_add(1, Ordering::Release);
        self.index.store(applied.index, Ordering::Release);
        *failure = None;
        *self.health.halted.lock() = None;
        self.health.failed.store(false, Ordering::Release);
        *applied
    }
}
