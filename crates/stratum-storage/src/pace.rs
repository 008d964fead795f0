//! The one pace of all background work: heal, scrub, compaction, drains, moves between drives.
//!
//! Work is cut into small pieces (a stripe, a megabyte), and each piece takes a [`Turn`]. Two things hold turns back.
//! The *budget*, in bytes and operations a second, bounds what background work takes of an idle machine. *Courtesy*
//! bounds what requests feel: while requests come in, a turn that took some time is followed by a pause of three
//! times as long, so that three quarters of the time are the requests', however slow the drives are. While the pace
//! is to [hurry](Pace::hurry), there is neither courtesy nor budget.
//!
//! Of the tasks that wait, the one of the most urgent [`Class`] goes first. Packing and checkpoints take no turns, and have rests of their own:
//! the journal's room depends on them.

use crate::ambient::Clock;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tracing_mutex::parkinglot::Mutex;

/// What background work is for; the more urgent come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Fragments that are missing or bad.
    Heal,
    /// Bodies on their way from a drive or a volume that is to go.
    Evacuate,
    /// Space that garbage takes.
    Compact,
    Scrub,
    /// Bodies on their way to another tier.
    Transition,
    /// Shards on their way from fuller drives to emptier ones: nothing is the worse for it if they wait.
    Balance,
}

impl Class {
    pub const ALL: [Class; 6] =
        [Class::Heal, Class::Evacuate, Class::Compact, Class::Scrub, Class::Transition, Class::Balance];

    pub fn name(self) -> &'static str {
        match self {
            Class::Heal => "heal",
            Class::Evacuate => "evacuate",
            Class::Compact => "compact",
            Class::Scrub => "scrub",
            Class::Transition => "transition",
            Class::Balance => "balance",
        }
    }
}

/// What all background work together may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Read and written, all drives together.
    pub bytes_per_second: u64,
    pub operations_per_second: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes_per_second: 256 << 20, operations_per_second: 1000 }
    }
}

/// How long after a request the machine still counts as busy with requests.
const BUSY_PERIOD: Duration = Duration::from_millis(100);
/// A turn is followed by a pause of this many times its own length while requests come in.
const PAUSE_FACTOR: u32 = 3;
/// The longest such pause: a drive that hung must not stop background work for long.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a turn that is held up by a pause, or by others, is looked for again without being told of a change.
const LOOK_INTERVAL: Duration = Duration::from_secs(300);
/// The budget that may gather while nothing is done.
const BUDGET_BURST: Duration = Duration::from_millis(250);

/// The pace. Shared by all background work of a store.
#[derive(Debug)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    budget: Budget,
    hurry: AtomicBool,
    paused: [AtomicBool; Class::ALL.len()],
    /// When the last request began, in microseconds of the monotonic clock.
    last_request: AtomicU64,
    state: Mutex<PaceState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct PaceState {
    /// Somebody has a turn, or pauses after one.
    taken: bool,
    waiting: [usize; Class::ALL.len()],
    /// When the budget is even again, in the monotonic clock's time.
    even_at: Duration,
    /// What each task took in all.
    done: [Done; Class::ALL.len()],
}

/// What a background task has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    pub bytes: u64,
    pub turns: u64,
}

/// Leave to do one piece of work; drop it when the piece is done.
#[derive(Debug)]
pub struct Turn {
    pace: Arc<Pace>,
    began: Duration,
    exclusive: bool,
}

impl Pace {
    pub fn new(budget: Budget, clock: Arc<dyn Clock>) -> Arc<Pace> {
        Arc::new(Pace {
            clock,
            budget,
            hurry: AtomicBool::new(false),
            paused: Default::default(),
            last_request: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// For tests and for offline work: holds nothing back.
    pub fn unbounded(clock: Arc<dyn Clock>) -> Arc<Pace> {
        let pace = Pace::new(Budget::default(), clock);
        pace.hurry(true);
        pace
    }

    /// Waits for leave to read and write about `bytes`.
    pub async fn turn(self: &Arc<Self>, task: Class, bytes: u64) -> Turn {
        let mut queued = Queued { pace: self, task, is_in: false };
        loop {
            let changed = self.changed.notified();
            if !self.is_paused(task) {
                if self.is_hurried() {
                    self.account(task, bytes, None);
                    return self.begin(false);
                }
                queued.enter();
                match self.try_take(task, bytes) {
                    Ok(()) => return self.begin(true),
                    Err(Some(wait)) => {
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    Err(None) => {}
                }
            } else {
                queued.leave();
            }
            // Whoever waits looks again now and then, by which it is known that it waits here and doesn't hang elsewhere.
            let _ = tokio::time::timeout(LOOK_INTERVAL, changed).await;
        }
    }

    fn begin(self: &Arc<Self>, exclusive: bool) -> Turn {
        Turn { pace: self.clone(), began: self.clock.monotonic(), exclusive }
    }

    /// Takes the turn, or says how long the budget must wait for it; `None` if others go first.
    fn try_take(&self, task: Class, bytes: u64) -> Result<(), Option<Duration>> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let others_first = state.waiting[..task as usize].iter().any(|waiting| *waiting > 0);
        if state.taken || others_first {
            return Err(None);
        }
        if state.even_at > now + BUDGET_BURST {
            return Err(Some(state.even_at - now - BUDGET_BURST));
        }
        state.taken = true;
        drop(state);
        self.account(task, bytes, Some(now));
        Ok(())
    }

    /// Notes what was taken, and charges the budget at the time given; a hurried pace charges nothing.
    fn account(&self, task: Class, bytes: u64, charged_at: Option<Duration>) {
        metrics::counter!("stratum_background_bytes_total", "task" => task.name()).increment(bytes);
        metrics::counter!("stratum_background_operations_total", "task" => task.name()).increment(1);
        let mut state = self.state.lock();
        if let Some(now) = charged_at {
            state.even_at = state.even_at.max(now) + self.cost(bytes);
        }
        let done = &mut state.done[task as usize];
        done.bytes += bytes;
        done.turns += 1;
    }

    /// How much of the budget's time an operation takes.
    fn cost(&self, bytes: u64) -> Duration {
        let Budget { bytes_per_second, operations_per_second } = self.budget;
        let for_bytes = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        for_bytes.max(Duration::from_secs_f64(1.0 / operations_per_second.max(1) as f64))
    }

    /// A client's request has come in.
    pub fn request_began(&self) {
        let now = self.clock.monotonic().as_micros() as u64;
        self.last_request.store(now, Ordering::Relaxed);
    }

    fn is_busy(&self, now: Duration) -> bool {
        let last = Duration::from_micros(self.last_request.load(Ordering::Relaxed));
        last != Duration::ZERO && now.saturating_sub(last) < BUSY_PERIOD
    }

    /// Whether background work goes as fast as it can, whatever requests feel.
    pub fn hurry(&self, hurry: bool) {
        self.hurry.store(hurry, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Acquire)
    }

    /// Holds a task's next turns back, or lets them go on.
    pub fn pause(&self, task: Class, pause: bool) {
        self.paused[task as usize].store(pause, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub fn is_paused(&self, task: Class) -> bool {
        self.paused[task as usize].load(Ordering::Acquire)
    }

    pub fn budget(&self) -> Budget {
        self.budget
    }

    pub fn done(&self, task: Class) -> Done {
        self.state.lock().done[task as usize]
    }

    fn release(&self) {
        self.state.lock().taken = false;
        self.changed.notify_waiters();
    }
}

/// A place among those that wait for a turn, taken once and given back when this is dropped.
struct Queued<'a> {
    pace: &'a Pace,
    task: Class,
    is_in: bool,
}

impl Queued<'_> {
    fn enter(&mut self) {
        if !std::mem::replace(&mut self.is_in, true) {
            self.pace.state.lock().waiting[self.task as usize] += 1;
        }
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.is_in, false) {
            self.pace.state.lock().waiting[self.task as usize] -= 1;
            self.pace.changed.notify_waiters();
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.exclusive {
            return;
        }
        let now = self.pace.clock.monotonic();
        let pause = (now.saturating_sub(self.began) * PAUSE_FACTOR).min(LONGEST_PAUSE);
        let runtime = tokio::runtime::Handle::try_current();
        match runtime {
            Ok(runtime) if self.pace.is_busy(now) && !pause.is_zero() => {
                let pace = self.pace.clone();
                runtime.spawn(async move {
                    tokio::time::sleep(pause).await;
                    pace.release();
                });
            }
            _ => self.pace.release(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::System;

    fn pace(bytes_per_second: u64) -> Arc<Pace> {
        Pace::new(Budget { bytes_per_second, operations_per_second: 1_000_000 }, Arc::new(System))
    }

    /// How long five pieces of ten milliseconds take.
    async fn five_pieces(pace: &Arc<Pace>, is_busy: bool) -> Duration {
        let began = System.monotonic();
        for _ in 0..5 {
            if is_busy {
                pace.request_began();
            }
            let turn = pace.turn(Class::Heal, 1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(turn);
        }
        System.monotonic() - began
    }

    #[tokio::test]
    async fn requests_get_three_quarters_of_the_time() {
        let alone = five_pieces(&pace(1 << 40), false).await;
        let beside = five_pieces(&pace(1 << 40), true).await;
        assert!(beside >= Duration::from_millis(170) && alone < beside, "{alone:?} {beside:?}");
        let hurried = pace(1 << 40);
        hurried.hurry(true);
        assert!(five_pieces(&hurried, true).await < beside);
    }

    #[tokio::test]
    async fn the_budget_holds() {
        let pace = pace(1 << 20);
        let began = System.monotonic();
        for _ in 0..8 {
            drop(pace.turn(Class::Scrub, 128 << 10).await);
        }
        let took = System.monotonic() - began;
        assert!(
            took >= Duration::from_millis(600),
            "a mebibyte at one a second, less what may gather: {took:?}"
        );
        assert_eq!(pace.done(Class::Scrub), Done { bytes: 1 << 20, turns: 8 });
    }

    #[tokio::test]
    async fn the_most_urgent_goes_first_and_who_is_paused_waits() {
        let pace = pace(1 << 40);
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = pace.turn(Class::Scrub, 1).await;
        let mut waiting = Vec::new();
        for task in [Class::Scrub, Class::Compact, Class::Heal] {
            let (pace, order) = (pace.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = pace.turn(task, 1).await;
                order.lock().push(task);
            }));
            tokio::task::yield_now().await;
        }
        pace.pause(Class::Compact, true);
        drop(first);
        while order.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*order.lock(), [Class::Heal, Class::Scrub]);
        pace.pause(Class::Compact, false);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(order.lock().last(), Some(&Class::Compact));
    }
}
