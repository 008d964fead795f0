//! How long requests took in the last hour, for whoever looks at a server without a Prometheus beside it.
//!
//! Half a minute is a step, and a step counts requests by classes of time, each a quarter as long again as the one before: so what is
//! told of one is at most that much too long, and all of it takes 80 KiB, however many requests there are.

use serde::Serialize;
use std::sync::LazyLock;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How long a step is.
const STEP: Duration = Duration::from_secs(30);
/// Steps that are kept: an hour.
const STEPS: usize = 120;
/// Classes of time: from up to 50 µs to more than a minute.
const CLASSES: usize = 64;
const FIRST_CLASS_SECONDS: f64 = 0.000_05;
const CLASS_RATIO: f64 = 1.25;

/// What the last hour was like, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    pub step_seconds: u64,
    pub steps: Vec<StepTimes>,
}

/// What half a minute was like.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepTimes {
    /// How long ago it ended, in seconds; 0 for the one that goes on.
    pub ended_seconds_ago: u64,
    pub reads: Times,
    pub writes: Times,
    /// Requests that failed on the server's side.
    pub failed: u64,
}

/// How long the requests of one kind took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    pub requests: u64,
    /// Half took no longer; nothing where there was none.
    pub median_seconds: Option<f64>,
    /// Of a hundred, 99 took no longer.
    pub p99_seconds: Option<f64>,
}

static HISTORY: LazyLock<Mutex<History>> = LazyLock::new(Mutex::default);

/// Counts a request, at a time of the monotonic clock.
pub(super) fn count(now: Duration, is_write: bool, took: Duration, failed: bool) {
    HISTORY.lock().count(now, is_write, took, failed);
}

/// The last hour, at a time of the monotonic clock.
pub fn recent(now: Duration) -> Recent {
    HISTORY.lock().recent(now)
}

struct History {
    /// By the number of the step, around.
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Step {
    /// Which it is, from the clock's beginning on; one of long ago isn't shown.
    number: u64,
    reads: Classes,
    writes: Classes,
    failed: u64,
}

#[derive(Clone)]
struct Classes([u32; CLASSES]);

impl Default for History {
    fn default() -> Self {
        History { steps: vec![Step::new(u64::MAX); STEPS] }
    }
}

impl Step {
    fn new(number: u64) -> Step {
        Step { number, reads: Classes([0; CLASSES]), writes: Classes([0; CLASSES]), failed: 0 }
    }
}

impl History {
    fn count(&mut self, now: Duration, is_write: bool, took: Duration, failed: bool) {
        let number = number(now);
        let Some(step) = self.steps.get_mut((number % STEPS as u64) as usize) else { return };
        if step.number != number {
            *step = Step::new(number);
        }
        if is_write {
            step.writes.count(took)
        } else {
            step.reads.count(took)
        }
        step.failed += u64::from(failed);
    }

    fn recent(&self, now: Duration) -> Recent {
        let last = number(now);
        let first = last.saturating_sub(STEPS as u64 - 1);
        let of = |number: u64| {
            let step = self.steps.iter().find(|step| step.number == number);
            let times = step.map(|step| (step.reads.times(), step.writes.times(), step.failed));
            let (reads, writes, failed) = times.unwrap_or_default();
            let ended = STEP * (number as u32 + 1);
            StepTimes { ended_seconds_ago: now.saturating_sub(ended).as_secs(), reads, writes, failed }
        };
        Recent { step_seconds: STEP.as_secs(), steps: (first..=last).map(of).collect() }
    }
}

fn number(now: Duration) -> u64 {
    now.as_secs() / STEP.as_secs()
}

impl Classes {
    fn count(&mut self, took: Duration) {
        let class = (took.as_secs_f64() / FIRST_CLASS_SECONDS).log(CLASS_RATIO).ceil().max(0.0);
        if let Some(count) = self.0.get_mut((class as usize).min(CLASSES - 1)) {
            *count = count.saturating_add(1);
        }
    }

    fn times(&self) -> Times {
        let requests: u64 = self.0.iter().copied().map(u64::from).sum();
        let within = |share: f64| {
            let wanted = (requests as f64 * share).ceil() as u64;
            let mut seen = 0;
            let class = self.0.iter().position(|count| {
                seen += u64::from(*count);
                requests > 0 && seen >= wanted
            })?;
            Some(FIRST_CLASS_SECONDS * CLASS_RATIO.powi(class as i32))
        };
        Times { requests, median_seconds: within(0.5), p99_seconds: within(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_step_tells_how_long_its_requests_took() {
        let mut history = History::default();
        for took in 1..=100 {
            history.count(at(65), false, Duration::from_millis(took), took > 98);
        }
        history.count(at(95), true, Duration::from_secs(3600), false);
        let recent = history.recent(at(100));
        assert_eq!(recent.steps.iter().map(|step| step.reads.requests).collect::<Vec<_>>(), [0, 0, 100, 0]);
        let step = &recent.steps[2];
        let (median, p99) = (step.reads.median_seconds.unwrap(), step.reads.p99_seconds.unwrap());
        assert!((0.05..0.05 * CLASS_RATIO).contains(&median), "{median}");
        assert!((0.099..0.099 * CLASS_RATIO).contains(&p99), "{p99}");
        assert_eq!((step.failed, step.ended_seconds_ago, step.writes.median_seconds), (2, 10, None));
        assert!(recent.steps[3].writes.p99_seconds.unwrap() > 50.0);
    }

    #[test]
    fn an_hour_is_kept_and_what_was_before_is_not_taken_for_it() {
        let mut history = History::default();
        history.count(at(10), false, at(1), false);
        assert_eq!(history.recent(at(3_599)).steps[0].reads.requests, 1);
        let later = history.recent(at(3_610));
        assert_eq!((later.steps.len(), later.steps.iter().map(|step| step.reads.requests).sum()), (STEPS, 0));
        history.count(at(3_610), false, at(1), false);
        let recent = history.recent(at(3_615));
        assert_eq!(recent.steps[STEPS - 1].reads.requests, 1);
    }
}
