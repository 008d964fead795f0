//! The queue of items that wait to be sent to the collector. An item that finds no room is dropped and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// A queue that is bounded by the number of its items. The size of an item is bounded where the item is made.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    most: usize,
    dropped: AtomicU64,
    signal: &'static str,
    woken: Notify,
}

/// How full an item may find the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// Only the first half: for items about unsigned requests, so that a flood of those can't fill the whole queue and
    /// drive out the items about signed requests.
    Half,
}

impl<T> Queue<T> {
    /// A queue of at most `most` items of a signal.
    pub fn new(most: usize, signal: &'static str) -> Queue<T> {
        let (waiting, dropped) = (Mutex::default(), AtomicU64::new(0));
        Queue { waiting, most, dropped, signal, woken: Notify::new() }
    }

    /// Makes an item and puts it into the queue, if there is room.
    pub fn put(&self, part: Part, make: impl FnOnce() -> T) {
        let room = match part {
            Part::Whole => self.most,
            Part::Half => self.most / 2,
        };
        // The lock is released while the item is made, which takes longer than the lock should be held. Threads that
        // make items at the same time may therefore exceed the bound by one item each.
        if self.waiting.lock().len() >= room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("stratum_otlp_dropped_total", "signal" => self.signal, "at" => "queue")
                .increment(1);
            return;
        }
        let made = make();
        self.waiting.lock().push_back(made);
        self.woken.notify_one();
    }

    /// Takes the oldest items, at most `most`.
    pub fn take(&self, most: usize) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        let count = most.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// How many items were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until an item was put into the queue.
    pub async fn rings(&self) {
        self.woken.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_room_is_not_made_and_unsigned_requests_have_half_of_the_queue() {
        let queue = Queue::new(4, "traces");
        (0..9).for_each(|at| queue.put(Part::Half, || at));
        assert_eq!(queue.dropped(), 7);
        (0..9).for_each(|at| queue.put(Part::Whole, || 10 + at));
        queue.put(Part::Whole, || unreachable!("there is no room"));
        assert_eq!((queue.take(3), queue.take(9)), (vec![0, 1, 10], vec![11]));
        queue.put(Part::Half, || 5);
        assert_eq!((queue.take(9), queue.dropped()), (vec![5], 15));
    }
}
