//! Who waits for what comes of the groups that were proposed here.
//!
//! The stream of committed groups doesn't carry them: of a group that comes along it with a ticket they are looked up, and
//! a group without one has nobody here.

use super::reply::Reply;
use crate::order::Ticket;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::Mutex;

#[derive(Default)]
pub(super) struct Waiting {
    /// The few groups that are on their way, in the order of their proposal.
    groups: Mutex<VecDeque<(Ticket, Vec<Reply>)>>,
    tickets: AtomicU64,
}

impl Waiting {
    /// These wait for a group that is about to be proposed.
    pub(super) fn enter(&self, replies: Vec<Reply>) -> Entered<'_> {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        self.groups.lock().push_back((ticket, replies));
        Entered { waiting: self, ticket, is_committed: false }
    }

    /// Those who wait for that group, each for the entry in its place; nobody if they were told already.
    pub(super) fn take(&self, ticket: Ticket) -> Vec<Reply> {
        let mut groups = self.groups.lock();
        let place = groups.iter().position(|(other, _)| *other == ticket);
        place.and_then(|place| groups.remove(place)).map(|(_, replies)| replies).unwrap_or_default()
    }
}

/// A group whose fate the order has yet to say. Dropped before that, because the order panicked, it lets go of whoever
/// still waits, so that they are told.
pub(super) struct Entered<'a> {
    waiting: &'a Waiting,
    ticket: Ticket,
    is_committed: bool,
}

impl Entered<'_> {
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// It is on the stream: they are told when it is applied.
    pub(super) fn committed(mut self) {
        self.is_committed = true;
    }

    /// It is not known to be committed: these are still to be told.
    pub(super) fn failed(self) -> Vec<Reply> {
        self.waiting.take(self.ticket)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            drop(self.waiting.take(self.ticket));
        }
    }
}
