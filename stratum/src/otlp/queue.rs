//! What waits to be sent. What finds no room is dropped, and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// Bounded by a number of items, each of which is bounded where it is made.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    most: usize,
    dropped: AtomicU64,
    signal: &'static str,
    woken: Notify,
}

/// How much of the queue somebody may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// So that nobody who sends requests that nobody signed drives out what others are told of.
    Half,
}

impl<T> Queue<T> {
    /// Of at most so many, of that signal.
    pub fn new(most: usize, signal: &'static str) -> Queue<T> {
        let (waiting, dropped) = (Mutex::default(), AtomicU64::new(0));
        Queue { waiting, most, dropped, signal, woken: Notify::new() }
    }

    /// Puts what is made there, and makes it only if there is room.
    pub fn put(&self, part: Part, make: impl FnOnce() -> T) {
        let room = match part {
            Part::Whole => self.most,
            Part::Half => self.most / 2,
        };
        // Looked at by itself: making it takes longer than the lock is to be held.
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

    /// The first of what waits.
    pub fn take(&self, most: usize) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        let count = most.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// How many found no room since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Comes true when there is something.
    pub async fn rings(&self) {
        self.woken.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_not_made_and_strangers_have_half() {
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
