//! How long requests took in the last hour, for an operator without a Prometheus.
//!
//! The hour is divided into steps of half a minute. A step counts its requests in classes of durations, of which each
//! ends at 1.25 times the end of the one before. A quantile is told as the end of its class, and so is at most a
//! quarter too long. The history takes 62 KiB, however many requests there are.

use serde::Serialize;
use std::sync::LazyLock;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// The length of a step.
const STEP: Duration = Duration::from_secs(30);
/// How many steps are kept: those of an hour.
const KEPT_STEPS: usize = 120;
/// How many classes of durations there are. The last has everything from about a minute on.
const CLASSES: usize = 64;
/// The end of the first class: 50 µs.
const FIRST_CLASS_SECONDS: f64 = 0.000_05;
/// The end of a class, divided by that of the one before.
const CLASS_RATIO: f64 = 1.25;

/// The steps of the last hour, the oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    pub step_seconds: u64,
    pub steps: Vec<StepTimes>,
}

/// How the requests of one step went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepTimes {
    /// How long ago the step ended, in seconds; 0 for the step that hasn't ended yet.
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
    /// Half of the requests took no longer; none where there were no requests.
    pub median_seconds: Option<f64>,
    /// 99 of a hundred requests took no longer; none where there were no requests.
    pub p99_seconds: Option<f64>,
}

static HISTORY: LazyLock<Mutex<History>> = LazyLock::new(Mutex::default);

/// Counts a request that was answered at `now`, by the monotonic clock.
pub(super) fn count(now: Duration, is_write: bool, took: Duration, failed: bool) {
    HISTORY.lock().count(now, is_write, took, failed);
}

/// The hour before `now`, by the monotonic clock.
pub fn recent(now: Duration) -> Recent {
    HISTORY.lock().recent(now)
}

struct History {
    /// A ring: a step lies at its number modulo the length.
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Step {
    /// The number of the step, counted from the clock's beginning. It tells a step of the last hour from an older one
    /// that nothing has replaced yet.
    number: u64,
    reads: Classes,
    writes: Classes,
    failed: u64,
}

/// How many requests took how long, by the class of the duration.
#[derive(Clone)]
struct Classes([u32; CLASSES]);

impl Default for History {
    fn default() -> Self {
        History { steps: vec![Step::new(u64::MAX); KEPT_STEPS] }
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
        let Some(step) = self.steps.get_mut((number % KEPT_STEPS as u64) as usize) else { return };
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
        let first = last.saturating_sub(KEPT_STEPS as u64 - 1);
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
    fn the_steps_of_an_hour_are_kept_and_older_ones_are_not_told() {
        let mut history = History::default();
        history.count(at(10), false, at(1), false);
        assert_eq!(history.recent(at(3_599)).steps[0].reads.requests, 1);
        let later = history.recent(at(3_610));
        assert_eq!(
            (later.steps.len(), later.steps.iter().map(|step| step.reads.requests).sum()),
            (KEPT_STEPS, 0)
        );
        history.count(at(3_610), false, at(1), false);
        let recent = history.recent(at(3_615));
        assert_eq!(recent.steps[KEPT_STEPS - 1].reads.requests, 1);
    }
}
