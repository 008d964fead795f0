//! Follows the order: applies committed groups, one after the other, and answers whoever waits for them.
//!
//! A group that was proposed here is applied on the proposing thread if no other group waits, so that a lone client
//! doesn't pay for a hand-over. Else it goes to the applying thread, so that it is applied while the next group is
//! being synced. A third thread writes the changes into the index.

use super::Fate;
use super::queue::Queue;
use super::reply::Reply;
#[cfg(test)]
use super::threads::{Panics, Step};
use super::waiting::Waiting;
use crate::fate::{CommitError, UnknownOutcome};
use crate::machine::{Machine, ReadError};
use crate::order::{Committed, Follower};
use crate::space::Space;
use crate::tree::TreeError;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use stratum_storage::blob::Index;
use stratum_storage::drive::Threads;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::{Mutex, MutexGuard};

/// Committed groups that may wait to be applied.
const UNAPPLIED_GROUPS: usize = 4;
/// The pause between two writes of changes into the index; each writes all that was changed in between.
const DRAIN_INTERVAL: Duration = Duration::from_millis(5);
/// How often [`Applier::settle`] looks whether everything has been applied.
const SETTLE_POLL_INTERVAL: Duration = Duration::from_micros(200);

pub(super) struct Applier {
    machine: Arc<Machine>,
    space: Arc<Space>,
    queue: Arc<Queue>,
    pub(super) waiting: Waiting,
    kind: Threads,
    /// Groups handed to the applying thread and not yet applied.
    unapplied: AtomicUsize,
    /// `None` ends the applying thread.
    to_apply: (Sender<Option<Committed>>, Receiver<Option<Committed>>),
    /// Wakes the draining thread when something was applied.
    wake: (Sender<()>, Receiver<()>),
    /// Set when nothing more will be applied.
    ended: AtomicBool,
    /// Notified of every group, for callers that wait until an entry is applied.
    applied: Notify,
    /// Held while a group is applied and its proposers are answered.
    applying: Mutex<()>,
    #[cfg(test)]
    pub(super) panics: Panics,
}

impl Applier {
    pub(super) fn new(machine: Arc<Machine>, space: Arc<Space>, queue: Arc<Queue>, kind: Threads) -> Applier {
        Applier {
            machine,
            space,
            queue,
            waiting: Waiting::default(),
            kind,
            unapplied: AtomicUsize::new(0),
            to_apply: bounded(UNAPPLIED_GROUPS),
            wake: bounded(1),
            ended: AtomicBool::new(false),
            applied: Notify::new(),
            applying: Mutex::default(),
            #[cfg(test)]
            panics: Panics::default(),
        }
    }

    /// Nothing is applied while the guard lives.
    pub(super) fn at_rest(&self) -> MutexGuard<'_, ()> {
        self.applying.lock()
    }

    pub(super) fn tell(&self, reply: Reply, fate: Fate) {
        reply.tell(fate, &self.machine);
    }

    pub(super) fn tell_all(&self, replies: impl IntoIterator<Item = Reply>, error: &CommitError) {
        for reply in replies {
            self.tell(reply, Err(error.clone()));
        }
    }

    /// The work of the applying thread, until nothing more is committed. The caller keeps `is_applying` over a panic.
    pub(super) fn apply_groups(&self, is_applying: &mut bool) {
        // A panic came while a group was applied. By now the index has failed, and no later group is applied.
        if std::mem::take(is_applying) {
            self.unapplied.fetch_sub(1, Ordering::AcqRel);
        }
        while let Ok(Some(group)) = self.to_apply.1.recv() {
            *is_applying = true;
            self.apply_and_wake(group);
            *is_applying = false;
            self.unapplied.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The work of the draining thread, until nothing more is applied.
    pub(super) fn drain(&self) {
        while !self.ended.load(Ordering::Acquire) && self.wake.1.recv().is_ok() {
            std::thread::sleep(DRAIN_INTERVAL);
            #[cfg(test)]
            self.panics.at(Step::Drains);
            // A failed drain has failed the index, and the next caller gets that error.
            let _ = self.machine.drain();
        }
    }

    /// Returns when all that was committed here has been applied, or when nothing is applied any more. For the
    /// committing thread, so that nothing is committed meanwhile.
    pub(super) fn settle(&self) {
        while self.unapplied.load(Ordering::Acquire) > 0 && !self.machine.has_failed() {
            std::thread::sleep(SETTLE_POLL_INTERVAL);
        }
        drop(self.applying.lock());
    }

    /// Called when nothing more is committed: the applying thread ends after the groups that wait.
    pub(super) fn end_applying(&self) {
        let _ = self.to_apply.0.send(None);
    }

    /// Called when nothing more is applied: the draining thread ends.
    pub(super) fn end_draining(&self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.wake.0.try_send(());
    }

    /// Wakes callers that wait until an entry is applied, or until nothing is applied any more.
    pub(super) fn note_applied(&self) {
        self.applied.notify_waiters();
    }

    /// Returns when that entry has been applied.
    ///
    /// # Errors
    /// If the index fails before.
    pub(super) async fn applied_through(&self, index: Index) -> Result<(), ReadError> {
        let mut told = std::pin::pin!(self.applied.notified());
        loop {
            // From here on no notification is missed, even one between the check below and the wait.
            told.as_mut().enable();
            if self.machine.has_failed() {
                return Err(TreeError::Away.into());
            }
            if self.machine.applied_index() >= index {
                return Ok(());
            }
            told.as_mut().await;
            told.set(self.applied.notified());
        }
    }

    fn apply_and_wake(&self, group: Committed) {
        self.apply(group);
        // If the channel is full, the draining thread is awake already.
        let _ = self.wake.0.try_send(());
    }

    pub(super) fn apply(&self, Committed { ticket, entries }: Committed) {
        let replies = ticket.map(|ticket| self.waiting.take(ticket)).unwrap_or_default();
        let _applying = self.applying.lock();
        let applied = self.machine.applied_index();
        if entries.first().is_none_or(|entry| entry.index <= applied) {
            return self.tell_all(replies, &UnknownOutcome("the index failed meanwhile".into()).into());
        }
        #[cfg(test)]
        self.panics.at(Step::Applies);
        match self.machine.apply(entries) {
            Ok(applied) => {
                #[cfg(test)]
                self.panics.at(Step::Applied);
                self.space.tell(&applied);
                for (reply, outcome) in replies.into_iter().zip(applied.outcomes) {
                    self.tell(reply, Ok(outcome));
                }
            }
            Err(error) => self.tell_all(replies, &UnknownOutcome(error.to_string()).into()),
        }
        self.note_applied();
    }
}

impl Follower for Applier {
    fn follow(&self, group: Committed) {
        #[cfg(test)]
        self.panics.at(Step::Journaled);
        if self.kind == Threads::Caller {
            return self.apply(group);
        }
        let is_ours = group.ticket.is_some();
        if is_ours && self.unapplied.load(Ordering::Acquire) == 0 && self.queue.is_empty() {
            return self.apply_and_wake(group);
        }
        self.unapplied.fetch_add(1, Ordering::AcqRel);
        // This fails only without a receiver, and `self` has one.
        let _ = self.to_apply.0.send(Some(group));
    }
}
