//! The proposers who wait for the outcome of groups that were proposed here.
//!
//! The stream of committed groups doesn't carry them. They are looked up by the ticket of a group; a group without a
//! ticket was not proposed here.
//! a group without one has nobody here.

use super::reply::Reply;
use crate::order::Ticket;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::Mutex;

#[derive(Default)]
pub(super) struct Waiting {
    /// The few groups that are on their way, in the order in which they were proposed.
    groups: Mutex<VecDeque<(Ticket, Vec<Reply>)>>,
    tickets: AtomicU64,
}

impl Waiting {
    /// Enters the proposers of a group that is about to be proposed.
    pub(super) fn enter(&self, replies: Vec<Reply>) -> Entered<'_> {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        self.groups.lock().push_back((ticket, replies));
        Entered { waiting: self, ticket, is_committed: false }
    }

    /// The proposers of that group, in the order of its entries; empty if they were answered already.
    pub(super) fn take(&self, ticket: Ticket) -> Vec<Reply> {
        let mut groups = self.groups.lock();
        let place = groups.iter().position(|(other, _)| *other == ticket);
        place.and_then(|place| groups.remove(place)).map(|(_, replies)| replies).unwrap_or_default()
    }
}

/// A group whose fate the order has not said yet. If it is dropped before that, because the order panicked, its
/// replies are dropped, and so sent.
pub(super) struct Entered<'a> {
    waiting: &'a Waiting,
    ticket: Ticket,
    is_committed: bool,
}

impl Entered<'_> {
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// The group is on the stream: its proposers are answered when it is applied.
    pub(super) fn committed(mut self) {
        self.is_committed = true;
    }

    /// The group is not known to be committed: its proposers are still to be answered.
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
