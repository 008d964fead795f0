//! The queue of proposals that wait to be ordered, in the order in which they arrived.

use super::reply::{Proposal, Reply};
use crate::command::Urgency;
use crate::fate::NotWritten;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// The most entries in a group.
const GROUP_ENTRIES: usize = 512;
/// The most bytes of entries in the queue; further proposers are told to slow down.
const QUEUE_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    proposals: VecDeque<Proposal>,
    bytes: usize,
    closed: bool,
}

impl State {
    fn take_group(&mut self, most: usize) -> Vec<Proposal> {
        let mut group = Vec::with_capacity(self.proposals.len().min(GROUP_ENTRIES));
        let mut bytes = 0;
        while let Some(proposal) = self.proposals.front() {
            if group.len() >= GROUP_ENTRIES || (!group.is_empty() && bytes + proposal.bytes() > most) {
                break;
            }
            bytes += proposal.bytes();
            group.extend(self.proposals.pop_front());
        }
        self.bytes -= bytes;
        group
    }
}

impl Queue {
    /// Takes a proposal, or returns its reply and the reason why not.
    pub(super) fn put(&self, proposal: Proposal) -> Option<(Reply, NotWritten)> {
        let is_ordinary = proposal.proposed.command.urgency() == Urgency::Ordinary;
        let mut state = self.state.lock();
        if state.closed {
            return Some((proposal.reply, NotWritten::Stopped));
        }
        if is_ordinary && state.bytes + proposal.bytes() > QUEUE_BYTES {
            return Some((proposal.reply, NotWritten::Busy));
        }
        state.bytes += proposal.bytes();
        state.proposals.push_back(proposal);
        drop(state);
        self.arrived.notify_one();
        None
    }

    /// The next group of at most so many bytes; empty if the queue is.
    pub(super) fn take_group(&self, most: usize) -> Vec<Proposal> {
        self.state.lock().take_group(most)
    }

    /// [`Queue::take_group`], but waits for a proposal. `None` once the queue is closed and empty.
    pub(super) fn next_group(&self, most: impl Fn() -> usize) -> Option<Vec<Proposal>> {
        let mut state = self.state.lock();
        while state.proposals.is_empty() {
            if state.closed {
                return None;
            }
            self.arrived.wait(&mut state);
        }
        Some(state.take_group(most()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().proposals.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Takes no more proposals; those in the queue are still given out.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }
}
