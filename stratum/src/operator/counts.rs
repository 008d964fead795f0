//! Counts that need a scan of all objects, which takes some seconds for a million of them: how much the store holds,
//! and how many objects can't be read. A count is made in the background when somebody asks for it, and its result is
//! kept for a time.
//!
//! Whoever asks waits only for a bounded time, because the status must not take minutes. A store with many millions of
//! objects then answers with the last count, or with none if the first count isn't finished.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::census::Census;
use stratum_metadata::{Metadata, Piece};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::apart::Apart;
use stratum_storage::heal::Lost;
use stratum_storage::journal::LostBodies;

/// A count is used for this many times as long as it took. So the counts of a small store are always fresh, and those
/// of a large store keep a thread busy for a small part of the time.
const REUSE_FACTOR: u32 = 30;
/// How long whoever asks waits for a count.
const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

static THREADS: Apart = Apart::leaving_one("counting");

/// The last counts.
pub(super) struct Counts {
    census: Arc<Count<u64, Census>>,
    unreadable: Arc<Count<(Lost, LostBodies), u64>>,
    /// Whether the state was ever restored, or bodies were given up. If so, objects may name journal entries that are
    /// gone although no drive is known to have lost them.
    may_lack: bool,
}

impl Counts {
    pub(super) fn new(may_lack: bool) -> Counts {
        Counts { census: Arc::default(), unreadable: Arc::default(), may_lack }
    }

    /// How much the store holds, and how old that count is; nothing if it was never counted. The age is zero if the
    /// state hasn't changed since the count.
    pub(super) fn census(&self, metadata: &Metadata) -> Option<(Census, Duration)> {
        let (basis, metadata) = (metadata.applied_index(), metadata.clone());
        let is_good = |last: &Counted<u64, Census>| last.basis == basis || last.is_young();
        let last = self.census.within(COUNT_TIMEOUT, basis, is_good, move || metadata.census().ok())?;
        let is_of_now = last.basis == basis;
        Some((last.value, if is_of_now { Duration::ZERO } else { last.age() }))
    }

    /// How many objects lie at least partly in bytes that are lost. It is at least 1 if anything in volumes is lost,
    /// even if the objects can't be counted now or no object names those bytes: the operator should know of the loss.
    pub(super) fn unreadable(&self, metadata: &Metadata, lost: Lost) -> u64 {
        let (least, bodies) = (u64::from(!lost.is_empty()), metadata.lost_bodies());
        if lost.is_empty() && bodies.is_empty() && !self.may_lack {
            return 0;
        }
        let (basis, metadata) = ((lost.clone(), bodies.clone()), metadata.clone());
        // When more was lost since the last count, a new count is made soon; yet counts that follow each other take at
        // most half of the time.
        let is_good = |last: &Counted<(Lost, LostBodies), u64>| match last.basis == basis {
            true => last.value == 0 || last.is_young(),
            false => last.age() < last.cost * 2,
        };
        let count = move || {
            let first = metadata.first_entry();
            let counted = metadata.objects_in(&|piece| match piece {
                Piece::Stripe(volume, offset) => lost.has(volume, offset),
                Piece::Entry(entry) => entry < first || bodies.has(entry),
            });
            counted.ok()
        };
        let counted = self.unreadable.within(COUNT_TIMEOUT, basis.clone(), is_good, count);
        counted.map_or(least, |counted| counted.value.max(least))
    }
}

/// A kind of count: its last result, and whether it is being made anew. At most one is made at a time.
struct Count<B, T> {
    state: Mutex<State<B, T>>,
    ended: Condvar,
}

struct State<B, T> {
    last: Option<Counted<B, T>>,
    is_under_way: bool,
}

/// The result of a count. `basis` says which state of the store was counted. Times are those of the monotonic clock.
#[derive(Clone)]
struct Counted<B, T> {
    basis: B,
    value: T,
    began: Duration,
    cost: Duration,
}

impl<B, T> Counted<B, T> {
    /// How long ago the count was begun. Changes since then may be in the count or not.
    fn age(&self) -> Duration {
        System.monotonic().saturating_sub(self.began)
    }

    /// Whether the count may still be used although the store has changed since.
    fn is_young(&self) -> bool {
        self.is_good_at(self.age())
    }

    fn is_good_at(&self, age: Duration) -> bool {
        age < self.cost * REUSE_FACTOR
    }
}

impl<B, T> Default for Count<B, T> {
    fn default() -> Count<B, T> {
        Count { state: Mutex::new(State { last: None, is_under_way: false }), ended: Condvar::new() }
    }
}

impl<B: Clone + Send + 'static, T: Copy + Send + 'static> Count<B, T> {
    /// The last count if it is good, else a new one. If the new one takes longer than `patience`, the last one, whether
    /// it is good or not.
    fn within(
        self: &Arc<Self>,
        patience: Duration,
        basis: B,
        is_good: impl Fn(&Counted<B, T>) -> bool,
        make: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<Counted<B, T>> {
        let mut state = self.state.lock();
        if !state.last.as_ref().is_some_and(is_good) {
            if !state.is_under_way {
                state.is_under_way = true;
                let making = Making(self.clone());
                drop(THREADS.spawn(move || making.end(basis, make)));
            }
            self.ended.wait_while_for(&mut state, |state| state.is_under_way, patience);
        }
        state.last.clone()
    }
}

/// A count that is being made. Dropping this, also by a panic, notes that none is being made any more, so that the next
/// can begin.
struct Making<B, T>(Arc<Count<B, T>>);

impl<B, T> Making<B, T> {
    fn end(self, basis: B, make: impl FnOnce() -> Option<T>) {
        let began = System.monotonic();
        let Some(value) = make() else { return };
        let cost = System.monotonic().saturating_sub(began);
        self.0.state.lock().last = Some(Counted { basis, value, began, cost });
    }
}

impl<B, T> Drop for Making<B, T> {
    fn drop(&mut self) {
        self.0.state.lock().is_under_way = false;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const SOON: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_secs(60);

    fn count<T: Copy + Send + 'static>(
        counts: &Arc<Count<u8, T>>,
        patience: Duration,
        basis: u8,
        make: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<T> {
        counts.within(patience, basis, |last| last.basis == basis, make).map(|last| last.value)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn asking_waits_for_a_bounded_time_and_gives_the_last_count() {
        let counts = Arc::new(Count::<u8, u8>::default());
        let (go_on, waiting) = mpsc::channel::<()>();
        let late = move || waiting.recv().ok().map(|()| 7);
        assert_eq!(count(&counts, SOON, 1, late), None, "none was made yet");
        assert_eq!(count(&counts, SOON, 1, || panic!("two at a time")), None);
        go_on.send(()).unwrap();
        assert_eq!(count(&counts, LONG, 1, || unreachable!("it is good")), Some(7));
        let (_never, waiting) = mpsc::channel::<()>();
        assert_eq!(count(&counts, SOON, 2, move || waiting.recv().ok().map(|()| 8)), Some(7));
    }

    #[test]
    fn a_count_that_was_quick_is_used_briefly_and_one_that_took_long_is_used_long() {
        let is_good = |cost: Duration, age: Duration| {
            Counted { basis: 1, value: 7, began: Duration::ZERO, cost }.is_good_at(age)
        };
        assert!(!is_good(Duration::from_millis(2), Duration::from_secs(1)));
        assert!(is_good(Duration::from_secs(10), Duration::from_secs(60)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_count_that_fails_or_panics_makes_room_for_the_next() {
        let counts = Arc::new(Count::<u8, u8>::default());
        assert_eq!(count(&counts, LONG, 1, || panic!("on purpose")), None);
        assert_eq!(count(&counts, LONG, 1, || None), None);
        assert_eq!(count(&counts, LONG, 1, || Some(7)), Some(7));
    }
}
