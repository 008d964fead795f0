//! Objects that wait until somebody looks at their bytes.
//!
//! The queue is short: what finds no place is not looked at, which is counted, and no request waits. A bucket may fill as many
//! places as it leaves free, so that one that is written to a lot leaves room for others'. Nothing is copied for what finds no place.

use super::Sample;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// Objects that may wait. With two windows each and S3's longest keys they take 2.3 MiB.
const PLACES: usize = 256;

/// An object that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub bucket: u64,
    pub key: String,
    /// When it was written, in milliseconds of Unix time: what is seen of it is nothing that is known of another one of
    /// that name.
    pub written: u64,
    pub what: What,
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was kept while the body passed.
    Kept(Sample),
    /// It is to be read where it was stored: its body came in several requests.
    Stored,
}

/// The queue.
#[derive(Debug)]
pub struct Samples {
    /// Why nobody looks, if so.
    closed: Option<&'static str>,
    state: Mutex<State>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queues: BTreeMap<u64, VecDeque<Waiting>>,
    waiting: usize,
    /// The bucket whose turn it was last.
    turn: u64,
}

impl Samples {
    /// For somebody who takes from it.
    pub fn open() -> Samples {
        Samples { closed: None, state: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Where nobody looks: nothing is kept, and nothing counted. Why follows "its bytes were not looked at: ".
    pub fn closed(why: &'static str) -> Samples {
        Samples { closed: Some(why), ..Samples::open() }
    }

    /// Why nobody looks, if so.
    pub fn why_closed(&self) -> Option<&'static str> {
        self.closed
    }

    /// Whether it is of use to keep samples.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Has an object wait, if there is a place; only then it is asked for.
    pub fn offer(&self, bucket: u64, waiting: impl FnOnce() -> Waiting) {
        if !self.is_open() {
            return;
        }
        let has_place = |state: &State| {
            let free = PLACES - state.waiting.min(PLACES);
            state.queues.get(&bucket).map_or(0, VecDeque::len) < free
        };
        // What copies does so outside of the lock, so that two may see one place; the second look decides.
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

    /// Takes the next one, of each bucket in turn.
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

    /// How many wait, and how many found no place since the start.
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
        for key in 0..PLACES as u64 * 2 {
            samples.offer(1, || {
                copied += 1;
                waiting(1, key)
            });
        }
        assert_eq!(samples.counts(), (PLACES / 2, PLACES as u64 * 3 / 2));
        assert_eq!(copied, PLACES / 2, "nothing is copied for what finds no place");
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
    fn where_nobody_looks_nothing_is_kept() {
        let samples = Samples::closed("off");
        samples.offer(1, || unreachable!());
        assert_eq!((samples.take(), samples.counts()), (None, (0, 0)));
    }
}
