//! What tests plan for a committer: a panic at some step, or something between the commit of a command and its
//! application.

use super::{Committer, Fate, Step};
use crate::command::{Command, Urgency};
use crate::log::LocalLog;
use crate::order::single::Single;
use crate::order::{Committed, Follower, Order};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing_mutex::parkinglot::Mutex;

impl Committer {
    /// The next thread that comes to that step panics; if `thread` is given, only the thread of that name.
    pub(crate) fn plan_panic(&self, thread: Option<&'static str>, step: Step) {
        self.shared.applier.panics.plan(thread, step);
    }

    pub(crate) fn is_panic_planned(&self) -> bool {
        self.shared.applier.panics.is_planned()
    }

    /// Commits a command to that journal. Returns a function that applies it, and the channel for its outcome: a test
    /// can do something in between.
    pub(crate) fn commit_only(
        &self,
        log: Arc<dyn LocalLog>,
        command: Command,
    ) -> (impl FnOnce() + use<'_>, oneshot::Receiver<Fate>) {
        let (order, kept) = (Single::new(log), Arc::new(Kept::default()));
        order.feed(kept.clone());
        let proposal = self.shared.proposal(Box::new(command.into()), Bytes::from_static(b"x").into());
        let (proposal, fate) = proposal.expect("it is proposed");
        self.shared.propose(&order, vec![proposal], Urgency::Ordinary);
        (move || self.shared.applier.apply(kept.0.lock().take().expect("it is committed")), fate)
    }
}

/// Keeps the last committed group without applying it.
#[derive(Default)]
struct Kept(Mutex<Option<Committed>>);

impl Follower for Kept {
    fn follow(&self, group: Committed) {
        *self.0.lock() = Some(group);
    }
}
