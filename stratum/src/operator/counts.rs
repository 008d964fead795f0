//! What takes a scan of all objects to know, some seconds for a million of them: counted beside everything else when somebody
//! asks, and kept for a time.
//!
//! Who asks waits for a count for a bounded time. What a store of many millions says then is the last count, or that there is
//! none yet: a page that tells how the store is mustn't take minutes.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::census::Census;
use stratum_metadata::{Metadata, Piece};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::apart::Apart;
use stratum_storage::heal::Lost;
use stratum_storage::journal::LostBodies;

/// A count is good for so many times as long as it took: of a small store it is of this very moment, and of a large one it takes
/// a small part of a thread.
const TIMES_ITS_COST: u32 = 30;
/// How long somebody waits for a count.
const PATIENCE: Duration = Duration::from_secs(2);

static THREADS: Apart = Apart::leaving_one("counting");

/// The last counts.
pub(super) struct Counts {
    census: Arc<Count<u64, Census>>,
    unreadable: Arc<Count<(Lost, LostBodies), u64>>,
    /// The state was once restored, or a body was given up: objects may name bodies that had left the journal before.
    may_lack: bool,
}

impl Counts {
    pub(super) fn new(may_lack: bool) -> Counts {
        Counts { census: Arc::default(), unreadable: Arc::default(), may_lack }
    }

    /// How much there is, and how long ago it was so; nothing if that was never counted. What nothing was changed of since is so
    /// now.
    pub(super) fn census(&self, metadata: &Metadata) -> Option<(Census, Duration)> {
        let (basis, metadata) = (metadata.applied_index(), metadata.clone());
        let is_good = |last: &Counted<u64, Census>| last.basis == basis || last.is_young();
        let last = self.census.within(PATIENCE, basis, is_good, move || metadata.census().ok())?;
        let is_of_now = last.basis == basis;
        Some((last.value, if is_of_now { Duration::ZERO } else { last.age() }))
    }

    /// How many objects lie at least partly in what is lost. At least 1 if anything in volumes is: what can't be counted now, or
    /// is no object's yet, is still something to know.
    pub(super) fn unreadable(&self, metadata: &Metadata, lost: Lost) -> u64 {
        let (least, bodies) = (u64::from(!lost.is_empty()), metadata.lost_bodies());
        if lost.is_empty() && bodies.is_empty() && !self.may_lack {
            return 0;
        }
        let (basis, metadata) = ((lost.clone(), bodies.clone()), metadata.clone());
        // What else is lost is told at once, but for half of the time at most.
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
        let counted = self.unreadable.within(PATIENCE, basis.clone(), is_good, count);
        counted.map_or(least, |counted| counted.value.max(least))
    }
}

/// One count: the last of it, and whether another is being made. At most one is made at a time.
struct Count<B, T> {
    state: Mutex<State<B, T>>,
    ended: Condvar,
}

struct State<B, T> {
    last: Option<Counted<B, T>>,
    is_under_way: bool,
}

/// What was counted, and of which state of things. Times are those of the monotonic clock.
#[derive(Clone)]
struct Counted<B, T> {
    basis: B,
    value: T,
    began: Duration,
    cost: Duration,
}

impl<B, T> Counted<B, T> {
    /// Since it was begun: what came later may be in it or not.
    fn age(&self) -> Duration {
        System.monotonic().saturating_sub(self.began)
    }

    /// Good enough where things have changed since.
    fn is_young(&self) -> bool {
        self.is_good_at(self.age())
    }

    fn is_good_at(&self, age: Duration) -> bool {
        age < self.cost * TIMES_ITS_COST
    }
}

impl<B, T> Default for Count<B, T> {
    fn default() -> Count<B, T> {
        Count { state: Mutex::new(State { last: None, is_under_way: false }), ended: Condvar::new() }
    }
}

impl<B: Clone + Send + 'static, T: Copy + Send + 'static> Count<B, T> {
    /// The last count if it is good, else a new one; and whatever is the last one if that takes longer than this.
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

/// A count that is being made. It ends also where it panics, so that the next can begin.
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
    async fn who_asks_waits_for_a_bounded_time_and_gets_the_last_count() {
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
    fn a_count_of_little_is_good_for_a_moment_and_one_of_much_for_long() {
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
