//! The queue of objects whose bytes the classifier is still to look at.
//!
//! The queue is short. An object that finds it full is not looked at and is counted as dropped; no request waits, and
//! its bytes are not copied. A bucket may take a place only while it has fewer of them than are free, so that a
//! bucket with many writes leaves room for others.

use super::Sample;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// Objects in the queue, at most. With two windows each and S3's longest keys they take 2.3 MiB.
const MOST_OBJECTS: usize = 256;

/// An object in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub bucket: u64,
    pub key: String,
    /// When the object was written, in milliseconds of Unix time: what is seen of it says nothing of another object
    /// that is written later under the same key.
    pub written: u64,
    pub what: What,
}

/// The bytes to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The sample, kept while the body was received.
    Kept(Sample),
    /// The body as it is stored: it came in several requests, so no sample was kept.
    Stored,
}

/// The queue.
#[derive(Debug)]
pub struct Samples {
    /// Why nothing is queued, where the classifier doesn't run.
    closed: Option<&'static str>,
    state: Mutex<State>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<u64, VecDeque<Waiting>>,
    waiting: usize,
    /// The bucket from which an object was taken last.
    turn: u64,
}

impl Samples {
    /// A queue for a classifier that runs.
    pub fn open() -> Samples {
        Samples { closed: None, state: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// A queue that takes and counts nothing, because no classifier runs. `why` follows "its bytes were not looked
    /// at: ".
    pub fn closed(why: &'static str) -> Samples {
        Samples { closed: Some(why), ..Samples::open() }
    }

    /// Why nothing is queued, where the classifier doesn't run.
    pub fn why_closed(&self) -> Option<&'static str> {
        self.closed
    }

    /// Whether the queue takes objects: if not, no sample need be kept.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Queues an object if there is room. `waiting`, which copies the sample, is called only then.
    pub fn offer(&self, bucket: u64, waiting: impl FnOnce() -> Waiting) {
        if !self.is_open() {
            return;
        }
        let has_place = |state: &State| {
            let free = MOST_OBJECTS - state.waiting.min(MOST_OBJECTS);
            state.queues.get(&bucket).map_or(0, VecDeque::len) < free
        };
        // The copy is made without the lock, so the last place may be taken meanwhile: hence the second check.
        if has_place(&self.state.lock()) {
            let waiting = waiting();
            let mut state = self.state.lock();
            if has_place(&state) {
                state.waiting += 1;
                state.queues.entry(bucket).or_default().push_back(waiting);
                return;
            }
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the next object; the buckets take turns.
    pub fn take(&self) -> Option<Waiting> {
        let mut state = self.state.lock();
        let after = state.queues.range(state.turn.saturating_add(1)..).next();
        let bucket = *after.or_else(|| state.queues.iter().next())?.0;
        state.turn = bucket;
        let queue = state.queues.get_mut(&bucket)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            state.queues.remove(&bucket);
        }
        state.waiting -= usize::from(next.is_some());
        next
    }

    /// How many objects are queued now, and how many were dropped since the start.
    pub fn counts(&self) -> (usize, u64) {
        (self.state.lock().waiting, self.dropped.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(bucket: u64, key: u64) -> Waiting {
        Waiting { bucket, key: key.to_string(), written: key, what: What::Kept(Sample::of(b"x")) }
    }

    #[test]
    fn one_bucket_fills_half_and_leaves_the_rest_to_others() {
        let samples = Samples::open();
        let mut copied = 0;
        for key in 0..MOST_OBJECTS as u64 * 2 {
            samples.offer(1, || {
                copied += 1;
                waiting(1, key)
            });
        }
        assert_eq!(samples.counts(), (MOST_OBJECTS / 2, MOST_OBJECTS as u64 * 3 / 2));
        assert_eq!(copied, MOST_OBJECTS / 2, "nothing is copied for what finds no place");
        samples.offer(7, || waiting(7, 0));
        let taken: Vec<_> =
            (0..3).filter_map(|_| samples.take()).map(|next| (next.bucket, next.key)).collect();
        assert_eq!(taken, [(1, "0".into()), (7, "0".into()), (1, "1".into())]);
        while samples.take().is_some() {}
        assert_eq!(samples.counts().0, 0);
        samples.offer(1, || waiting(1, 9));
        assert_eq!(samples.take(), Some(waiting(1, 9)));
    }

    #[test]
    fn a_closed_queue_keeps_nothing() {
        let samples = Samples::closed("off");
        samples.offer(1, || unreachable!());
        assert_eq!((samples.take(), samples.counts()), (None, (0, 0)));
    }
}
