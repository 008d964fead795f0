//! What happens to an index that fails: it is left behind, and another state takes its place.
//!
//! The first error of the index is its last: whatever it says afterwards can't be believed, so every read and every
//! change is refused from then on. [`Machine::discard`] lets go of it, and [`Machine::take_over`] goes on with a state
//! that the checkpoint and the journal have led to meanwhile. Who asks in between is told that it is away.
//!
//! A block of the checkpoint that is lost is no failure: who asks for it is told so, and an entry that needs it halts what is
//! applied.

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

/// Why the index doesn't count any more.
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
    /// What keeps the next entry from being applied.
    halted: Mutex<Option<Arc<LostBlock>>>,
}

impl Machine {
    /// Whether the index has failed: what it holds is not known, and nothing is served from it.
    pub(crate) fn has_failed(&self) -> bool {
        self.health.failed.load(Ordering::Acquire)
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.health.failure.lock().clone()
    }

    /// The index is not what it should be: nothing is served from it any more.
    pub(crate) fn fail(&self, why: impl Display) {
        self.fail_of(&self.stack(), &why);
    }

    /// An error when the index has failed.
    pub(super) fn check(&self) -> Result<(), TreeError> {
        if self.has_failed() { Err(TreeError::Away) } else { Ok(()) }
    }

    /// Asks the index. An error is its last, but that what was asked for is lost.
    pub(super) fn ask<T>(&self, call: impl FnOnce(&Stack) -> Result<T, TreeError>) -> Result<T, TreeError> {
        let stack = self.stack();
        call(&stack).inspect_err(|error| match error {
            TreeError::Lost(_) => {}
            error => self.fail_of(&stack, error),
        })
    }

    /// What keeps the next entry from being applied. The state is what was acknowledged, and is read; nothing is written.
    pub(crate) fn halted(&self) -> Option<Arc<LostBlock>> {
        self.health.halted.lock().clone()
    }

    /// An entry needs a block that is lost: neither it nor what follows it is applied.
    pub(super) fn halt(&self, block: &Arc<LostBlock>) {
        tracing::error!(%block, "an entry of the journal needs a block that is lost; nothing is written until that is there again");
        *self.health.halted.lock() = Some(block.clone());
    }

    /// Notes a failure, unless it is of an index that is not used any more.
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

    /// Lets go of an index that has failed, and gives it.
    pub(crate) fn discard(&self) -> Arc<Stack> {
        let _alone = self.draining.lock();
        std::mem::replace(&mut *self.stack.write(), Arc::new(Stack::away()))
    }

    /// Goes on from another's state, which holds everything that this one ever held. Nothing may be applied meanwhile.
    pub(crate) fn take_over(&self, other: Machine) -> Applied {
        let mut applied = self.applied.lock();
        let _alone = self.draining.lock();
        let mut layers = self.layers.write();
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
