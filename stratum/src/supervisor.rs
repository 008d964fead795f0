//! Keeps background tasks running, and says so when one doesn't.
//!
//! A task is work that goes on until the server stops. One that panics, or ends before it should, is begun again after a
//! pause that doubles with every failure in a row, and forgotten to have failed once it has run for a while: what it is
//! there for (redundancy, room in the journal, space) matters more than the one thing that it stumbled over. Until it
//! runs again the status says which task failed, over what, and when it is tried again; the metrics count it.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::panics;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The pause after a first failure, and the longest one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Whoever ran for so long before a failure starts from the first pause again.
const SOUND_AFTER: Duration = Duration::from_secs(300);

/// How a task is, for the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskHealth {
    pub name: String,
    /// Whether it is at work; otherwise it failed and waits to be begun again.
    pub is_running: bool,
    /// Failures since the server started.
    pub failures: u64,
    /// Over what it failed last.
    pub last_failure: Option<String>,
    /// Until it is begun again, if it waits.
    pub again_in_seconds: u64,
}

impl TaskHealth {
    /// What an operator should know, if anything.
    pub fn note(&self) -> Option<String> {
        let TaskHealth { name, failures, again_in_seconds, .. } = self;
        let over = self.last_failure.as_deref().filter(|_| !self.is_running)?;
        let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        Some(format!(
            "the background task {name} failed {times}, last over: {over}; it is begun again in {again_in_seconds} s. \
             Please report it with the log"
        ))
    }
}

/// The tasks that are supervised, for whoever asks how they are. A cheap handle.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Mutex<Vec<Arc<Task>>>>);

impl Tasks {
    /// In the order in which they were begun.
    pub fn health(&self, clock: &dyn Clock) -> Vec<TaskHealth> {
        let now = clock.monotonic();
        self.0.lock().iter().map(|task| task.health(now)).collect()
    }

    fn enter(&self, name: &'static str) -> Arc<Task> {
        let task = Arc::new(Task { name, course: Mutex::default() });
        self.0.lock().push(task.clone());
        metrics::counter!("stratum_task_failures_total", "task" => name).absolute(0);
        metrics::gauge!("stratum_task_running", "task" => name).set(1.0);
        task
    }
}

/// A task and how it went.
struct Task {
    name: &'static str,
    course: Mutex<Course>,
}

#[derive(Default)]
struct Course {
    failures: u64,
    /// Failures without a sound run between them.
    in_a_row: u32,
    last_failure: Option<String>,
    /// On the monotonic clock, while it waits.
    again_at: Option<Duration>,
}

impl Task {
    fn health(&self, now: Duration) -> TaskHealth {
        let course = self.course.lock();
        TaskHealth {
            name: self.name.into(),
            is_running: course.again_at.is_none(),
            failures: course.failures,
            last_failure: course.last_failure.clone(),
            again_in_seconds: course.again_at.map_or(0, |at| at.saturating_sub(now).as_secs()),
        }
    }

    /// Notes a failure of a run that began then; gives the pause before the next.
    fn failed(&self, began: Duration, now: Duration, over: String) -> Duration {
        tracing::error!(task = self.name, failure = over, "a background task failed and is begun again");
        metrics::counter!("stratum_task_failures_total", "task" => self.name).increment(1);
        metrics::gauge!("stratum_task_running", "task" => self.name).set(0.0);
        let mut course = self.course.lock();
        if now.saturating_sub(began) >= SOUND_AFTER {
            course.in_a_row = 0;
        }
        let pause = FIRST_BACKOFF.saturating_mul(1 << course.in_a_row.min(10)).min(LONGEST_BACKOFF);
        course.failures += 1;
        course.in_a_row = course.in_a_row.saturating_add(1);
        course.last_failure = Some(over);
        course.again_at = Some(now + pause);
        pause
    }

    fn begins(&self) {
        self.course.lock().again_at = None;
        metrics::gauge!("stratum_task_running", "task" => self.name).set(1.0);
    }
}

/// Begins tasks, and ends them all.
pub struct Supervisor {
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    futures: Vec<tokio::task::JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Supervisor {
    pub fn new(tasks: Tasks, clock: Arc<dyn Clock>, runtime: &Handle) -> Supervisor {
        let stop = watch::Sender::new(false);
        Supervisor { tasks, clock, runtime: runtime.clone(), stop, futures: Vec::new(), threads: Vec::new() }
    }

    /// Runs what `begin` gives until the server stops, which it is told by what `begin` gets; begins anew after a failure.
    pub fn run<F>(&mut self, name: &'static str, begin: impl Fn(watch::Receiver<bool>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (task, clock, mut stopped) = (self.tasks.enter(name), self.clock.clone(), self.stop.subscribe());
        self.futures.push(self.runtime.spawn(async move {
            loop {
                let began = clock.monotonic();
                // A task of tokio's own: its panic is caught there.
                let ended = tokio::spawn(begin(stopped.clone())).await;
                if *stopped.borrow() {
                    return;
                }
                let over = match ended {
                    Ok(()) => "it ended".to_owned(),
                    Err(error) => error
                        .try_into_panic()
                        .map_or("it was cancelled".to_owned(), |panic| panicked(&panics::words(&*panic))),
                };
                if !waited(task.failed(began, clock.monotonic(), over), &mut stopped).await {
                    return;
                }
                task.begins();
            }
        }));
    }

    /// Does a round of work on a thread of its own every so often, for what blocks: a drive that hangs must not hold up
    /// anything else.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn every(
        &mut self,
        name: &'static str,
        interval: Duration,
        mut round: impl FnMut() + Send + 'static,
    ) -> std::io::Result<()> {
        let (task, clock, mut stopped) = (self.tasks.enter(name), self.clock.clone(), self.stop.subscribe());
        let runtime = self.runtime.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut began = clock.monotonic();
            let mut pause = interval;
            while runtime.block_on(waited(pause, &mut stopped)) {
                task.begins();
                // What a round left half done is seen again by the next: every round starts from the store's own state.
                pause = match panics::caught(&mut round) {
                    Ok(()) => interval,
                    Err(words) => {
                        let pause = task.failed(began, clock.monotonic(), panicked(&words));
                        began = clock.monotonic();
                        pause
                    }
                };
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all tasks, each when it is done with what it is at.
    pub fn stop(self) {
        self.stop.send_replace(true);
        for future in self.futures {
            let _ = self.runtime.block_on(future);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// Waits for so long; false when it is time to end.
async fn waited(pause: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_err()
}

fn panicked(words: &str) -> String {
    format!("it panicked: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use stratum_storage::ambient::System;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..1000 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} was not seen within 10 s");
    }

    #[test]
    fn what_panics_or_ends_is_begun_again_and_told() {
        let (runtime, tasks) = (runtime(), Tasks::default());
        let mut supervisor = Supervisor::new(tasks.clone(), Arc::new(System), runtime.handle());
        let begun = Arc::new(AtomicU64::new(0));
        let counted = begun.clone();
        supervisor.run("stumbles", move |mut stopped| {
            let times = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match times {
                    0 => panic!("over its feet"),
                    1 => {}
                    _ => drop(stopped.wait_for(|stopped| *stopped).await),
                }
            }
        });
        let health = || tasks.health(&System).remove(0);
        wait_until("the first failure", || health().failures == 1 && !health().is_running);
        let note = health().note().unwrap();
        assert!(note.contains("stumbles failed once, last over: it panicked: over its feet"), "{note}");
        wait_until("two failures and a run", || health().failures == 2 && health().is_running);
        assert_eq!(health().last_failure.as_deref(), Some("it ended"));
        assert_eq!((health().note(), begun.load(Ordering::Relaxed)), (None, 3));
        supervisor.stop();
    }

    #[test]
    fn a_round_that_panics_is_not_the_last() {
        let (runtime, tasks) = (runtime(), Tasks::default());
        let mut supervisor = Supervisor::new(tasks.clone(), Arc::new(System), runtime.handle());
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = rounds.clone();
        let round = move || assert!(counted.fetch_add(1, Ordering::Relaxed) != 1, "the second round");
        supervisor.every("rounds", Duration::from_millis(5), round).unwrap();
        wait_until("ten rounds", || rounds.load(Ordering::Relaxed) >= 10);
        let health = tasks.health(&System).remove(0);
        assert_eq!((health.failures, health.is_running), (1, true));
        supervisor.stop();
    }

    #[test]
    fn pauses_double_until_a_minute_and_start_over_after_a_sound_run() {
        let task = Task { name: "task", course: Mutex::default() };
        let second = Duration::from_secs;
        let fail = |began: u64, now: u64| task.failed(second(began), second(now), "x".into()).as_secs();
        let pauses: Vec<u64> = (0..8).map(|at| fail(at, at)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((fail(0, 299), fail(0, 300), fail(0, 1)), (60, 1, 2));
    }
}
