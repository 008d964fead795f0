//! Keeps background tasks running, and tells when one has failed, or hangs.
//!
//! A task that panics is started again after a pause, which doubles with every failure in a row; after the task has
//! run for a while without one, the first pause applies again. What a task is for (redundancy, room in the journal,
//! space) matters more than the one thing that made it panic. Until it has run for that while the status says which
//! task failed, why, and when it will be tried again or that it runs again; the metrics count failures.
//!
//! Steps take as long as their work does: one may rebuild a drive for a day. One that works is heard of all the time,
//! though: each part of it that is done, or waited for, polls the step's future. So a step that hasn't been polled for an
//! hour hangs, or blocks its thread for longer than any does, and the status says which task that is.

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::drive::Threads;
use stratum_storage::panics;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tracing_mutex::parkinglot::Mutex;

/// The pause after a first failure, and the longest one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// After running for this long, the next failure counts as a first one.
const SOUND_AFTER: Duration = Duration::from_secs(300);
/// A task of whose step nothing was heard for this long is told.
const SILENT_AFTER: Duration = Duration::from_secs(3600);

/// The health of a task, for the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskHealth {
    pub name: String,
    /// Whether it runs; if not, it failed and waits to be started again.
    pub is_running: bool,
    /// Failures since the server started.
    pub failures: u64,
    /// Why it failed last.
    pub last_failure: Option<String>,
    /// How long ago that was.
    pub failed_seconds_ago: Option<u64>,
    /// Seconds until it is started again, if it waits for that.
    pub again_in_seconds: u64,
    /// Seconds for which nothing was heard of the step that is under way; 0 if none is.
    pub silent_seconds: u64,
}

impl TaskHealth {
    /// What an operator should know about the task; `None` if it has run well for a while.
    pub fn note(&self) -> Option<String> {
        self.note_of_silence().or_else(|| self.note_of_failures())
    }

    fn note_of_silence(&self) -> Option<String> {
        let TaskHealth { name, silent_seconds, .. } = self;
        let minutes = silent_seconds / 60;
        (*silent_seconds >= SILENT_AFTER.as_secs()).then(|| {
            format!(
                "the background task {name} has not been heard of for {minutes} min: most likely a drive hangs that it waits \
                 for, and what it does waits, too. See to the drive; if all drives are well, restart the server, and please \
                 report it with the log"
            )
        })
    }

    /// A task that fails every few minutes is told all the time.
    fn note_of_failures(&self) -> Option<String> {
        let TaskHealth { name, failures, again_in_seconds, .. } = self;
        let over = self.last_failure.as_deref()?;
        let ago = self.failed_seconds_ago.filter(|ago| !self.is_running || *ago < SOUND_AFTER.as_secs())?;
        let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
        let now = match self.is_running {
            true => "it was begun again and is at work".to_owned(),
            false => format!("it is begun again in {again_in_seconds} s"),
        };
        Some(format!(
            "the background task {name} failed {times}, last {ago} s ago over: {over}; {now}. Please report it with the log"
        ))
    }
}

/// The supervised tasks and their health. A cheap handle.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Mutex<Vec<Arc<Entry>>>>);

impl Tasks {
    /// The health of the tasks, in the order in which they were started.
    pub fn health(&self, clock: &dyn Clock) -> Vec<TaskHealth> {
        let now = clock.monotonic();
        self.0.lock().iter().map(|task| task.health(now)).collect()
    }

    /// The names of tasks that haven't ended, for which a stop waits.
    pub fn left(&self) -> Vec<&'static str> {
        let tasks = self.0.lock();
        tasks.iter().filter(|task| !task.course.lock().has_ended).map(|task| task.name).collect()
    }

    fn enter(&self, name: &'static str) -> Arc<Entry> {
        let task = Arc::new(Entry { name, course: Mutex::default(), heard: AtomicU64::new(0) });
        self.0.lock().push(task.clone());
        metrics::counter!("stratum_task_failures_total", "task" => name).absolute(0);
        metrics::gauge!("stratum_task_running", "task" => name).set(1.0);
        task
    }
}

/// A task and its failures.
struct Entry {
    name: &'static str,
    course: Mutex<Course>,
    /// When the step under way was last heard of: milliseconds of the monotonic clock, and one more; 0 if none is.
    heard: AtomicU64,
}

#[derive(Default)]
struct Course {
    failures: u64,
    /// Failures without a sound run between them.
    in_a_row: u32,
    last_failure: Option<String>,
    /// When that was, by the monotonic clock.
    failed_at: Option<Duration>,
    /// When it is started again, by the monotonic clock, while it waits for that.
    again_at: Option<Duration>,
    /// Set when the task has ended at a stop.
    has_ended: bool,
}

impl Entry {
    fn health(&self, now: Duration) -> TaskHealth {
        let course = self.course.lock();
        TaskHealth {
            name: self.name.into(),
            is_running: course.again_at.is_none(),
            failures: course.failures,
            last_failure: course.last_failure.clone(),
            failed_seconds_ago: course.failed_at.map(|at| now.saturating_sub(at).as_secs()),
            again_in_seconds: course.again_at.map_or(0, |at| at.saturating_sub(now).as_secs()),
            silent_seconds: self.silent_for(now).as_secs(),
        }
    }

    /// How long nothing was heard of the step that is under way.
    fn silent_for(&self, now: Duration) -> Duration {
        match self.heard.load(Ordering::Relaxed).checked_sub(1) {
            Some(heard) => now.saturating_sub(Duration::from_millis(heard)),
            None => Duration::ZERO,
        }
    }

    fn is_heard(&self, now: Duration) {
        self.heard.store(now.as_millis() as u64 + 1, Ordering::Relaxed);
    }

    fn has_no_step(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// Records a failure of a run that began at `began`; returns the pause before the next run.
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
        course.failed_at = Some(now);
        course.again_at = Some(now + pause);
        pause
    }

    fn begins(&self) {
        self.course.lock().again_at = None;
        metrics::gauge!("stratum_task_running", "task" => self.name).set(1.0);
    }
}

/// A task that is listened to.
struct Heard {
    task: Arc<dyn Task>,
    entry: Arc<Entry>,
    clock: Arc<dyn Clock>,
}

impl Task for Heard {
    fn row(&self) -> Row {
        self.task.row()
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(HeardStep { step: self.task.step(stop), heard: self })
    }

    fn woken(&self) -> Work<'_, ()> {
        self.task.woken()
    }

    fn ended(&self) -> Work<'_, ()> {
        self.task.ended()
    }
}

/// A step that is heard of whenever it is polled, until it ends, however it does.
struct HeardStep<'a> {
    step: Work<'a, Next>,
    heard: &'a Heard,
}

impl Future for HeardStep<'_> {
    type Output = Next;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        self.heard.entry.is_heard(self.heard.clock.monotonic());
        self.step.as_mut().poll(context)
    }
}

impl Drop for HeardStep<'_> {
    fn drop(&mut self) {
        self.heard.entry.has_no_step();
    }
}

/// The roles that this server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles([bool; Role::ALL.len()]);

impl Roles {
    /// The roles of a server that runs alone.
    pub const ALL: Roles = Roles([true; Role::ALL.len()]);

    pub fn without(mut self, role: Role) -> Roles {
        self.0[role as usize] = false;
        self
    }

    fn include(self, role: Role) -> bool {
        self.0[role as usize]
    }
}

/// Starts tasks, and ends all of them.
pub struct Supervisor {
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    threads: Threads,
    runtime: Handle,
    roles: watch::Sender<Roles>,
    stop: watch::Sender<bool>,
    futures: Vec<tokio::task::JoinHandle<()>>,
    /// The started tasks, each with a channel that closes when the task has ended.
    spawned: Vec<(oneshot::Receiver<()>, JoinHandle<()>)>,
}

impl Supervisor {
    /// With [`Threads::Caller`] all tasks run on the runtime, as a simulation needs it.
    pub fn new(tasks: Tasks, clock: Arc<dyn Clock>, threads: Threads, runtime: &Handle) -> Supervisor {
        Supervisor {
            tasks,
            clock,
            threads,
            runtime: runtime.clone(),
            roles: watch::Sender::new(Roles::ALL),
            stop: watch::Sender::new(false),
            futures: Vec::new(),
            spawned: Vec::new(),
        }
    }

    /// Runs a task until the store stops, whenever this server has the task's role; starts it again after a failure.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn run(&mut self, task: Arc<dyn Task>) -> std::io::Result<()> {
        let Row { name, executor, .. } = task.row();
        let (clock, roles, stopped) = (self.clock.clone(), self.roles.subscribe(), self.stop.subscribe());
        let entry = self.tasks.enter(name);
        let running = async move {
            keep_running(task, entry.clone(), clock, roles, stopped).await;
            entry.course.lock().has_ended = true;
        };
        match (executor, self.threads) {
            (Executor::Runtime, _) | (Executor::Thread, Threads::Caller) => {
                self.futures.push(self.runtime.spawn(running));
            }
            (Executor::Thread, Threads::Own) => {
                let (runtime, (ended, ends)) = (self.runtime.clone(), oneshot::channel());
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                    runtime.block_on(running);
                    let _ = ended.send(());
                })?;
                self.spawned.push((ends, thread));
            }
        }
        Ok(())
    }

    /// Sets the roles of this server. A task whose role is gone ends as at a stop.
    pub fn set_roles(&self, roles: Roles) {
        self.roles.send_replace(roles);
    }

    /// The signal that ends all tasks.
    pub fn stopped(&self) -> Stop {
        self.stop.subscribe()
    }

    /// Ends all tasks, each after its present step.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for future in self.futures {
            let _ = future.await;
        }
        for (ends, thread) in self.spawned {
            let _ = ends.await;
            let _ = thread.join();
        }
    }

    /// Drops all tasks where they are, as if the power had failed.
    pub fn abandon(self) {
        self.futures.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Runs a task again after each failure, with pauses.
async fn keep_running(
    task: Arc<dyn Task>,
    entry: Arc<Entry>,
    clock: Arc<dyn Clock>,
    roles: watch::Receiver<Roles>,
    mut stopped: Stop,
) {
    let task: Arc<dyn Task> = Arc::new(Heard { task, entry: entry.clone(), clock: clock.clone() });
    loop {
        let began = clock.monotonic();
        let run = run_in_role(task.clone(), roles.clone(), stopped.clone());
        // What a failed step left half done is seen again by the next one, since every step starts from the store's
        // own state.
        let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else { return };
        let pause = entry.failed(began, clock.monotonic(), panicked(&panics::words(&*panic)));
        if !waited(pause, &mut stopped).await {
            return;
        }
        entry.begins();
    }
}

/// Runs a task whenever this server has its role, until everything is to stop.
async fn run_in_role(task: Arc<dyn Task>, mut roles: watch::Receiver<Roles>, mut stopped: Stop) {
    let role = task.row().role;
    loop {
        let given = async { roles.wait_for(|roles| roles.include(role)).await.is_ok() };
        if task::unless_stopped(&stopped, given).await != Some(true) {
            return;
        }
        let (end, ends) = watch::channel(false);
        let running = std::pin::pin!(task::run(task.clone(), ends));
        let ending = async {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => {}
                _ = roles.wait_for(|roles| !roles.include(role)) => {}
            }
            end.send_replace(true);
        };
        tokio::join!(ending, running);
    }
}

/// Waits for so long; false if everything is to stop before.
async fn waited(pause: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_err()
}

fn panicked(words: &str) -> String {
    format!("it panicked: {words}")
}

#[cfg(test)]
mod tests;
