use super::*;
use std::sync::atomic::{AtomicU64, Ordering};
use stratum_storage::ambient::System;
use stratum_storage::task::{Next, Work};

/// A task that counts its steps, and panics in one of them.
struct Stumbles {
    executor: Executor,
    steps: Arc<AtomicU64>,
    panics_in: u64,
}

impl Task for Stumbles {
    fn row(&self) -> Row {
        Row {
            name: "stumbles",
            role: Role::Leader,
            class: None,
            executor: self.executor,
            delay: Duration::from_millis(5),
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        let step = || {
            let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(step != self.panics_in, "over its feet");
            Next::After(Duration::from_millis(5))
        };
        match self.executor {
            Executor::Runtime => Box::pin(async move { step() }),
            Executor::Thread => task::blocking(move || {
                // On the runtime, this wait would block all other tasks.
                let (tell, told) = oneshot::channel();
                std::thread::spawn(move || tell.send(()));
                told.blocking_recv().unwrap();
                step()
            }),
        }
    }
}

/// Runs the task, and calls the check with its health meanwhile.
async fn watched(
    executor: Executor,
    panics_in: u64,
    watch: impl AsyncFnOnce(&Supervisor, &Tasks, &AtomicU64),
) {
    let (tasks, steps) = (Tasks::default(), Arc::<AtomicU64>::default());
    let clock = Arc::new(System);
    let mut supervisor = Supervisor::new(tasks.clone(), clock, Threads::Own, &Handle::current());
    supervisor.run(Arc::new(Stumbles { executor, steps: steps.clone(), panics_in })).unwrap();
    watch(&supervisor, &tasks, &steps).await;
    supervisor.stop().await;
    let at_the_end = steps.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(steps.load(Ordering::Relaxed), at_the_end, "it goes on after the stop");
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} was not seen within 10 s");
}

async fn what_panics_is_begun_again_and_told(executor: Executor) {
    watched(executor, 3, async |_: &Supervisor, tasks: &Tasks, steps: &AtomicU64| {
        let health = || tasks.health(&System).remove(0);
        wait_until("the failure", || health().failures == 1 && !health().is_running).await;
        let note = health().note().unwrap();
        assert!(note.contains("stumbles failed once, last "), "{note}");
        assert!(note.contains(" ago over: it panicked: over its feet; it is begun again in"), "{note}");
        wait_until("ten steps", || steps.load(Ordering::Relaxed) >= 10).await;
        assert_eq!((health().failures, health().is_running), (1, true));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_panics_on_the_runtime_is_begun_again_and_told() {
    what_panics_is_begun_again_and_told(Executor::Runtime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_panics_on_its_thread_is_begun_again_and_told() {
    what_panics_is_begun_again_and_told(Executor::Thread).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_without_its_role_rests() {
    watched(Executor::Runtime, 0, async |supervisor: &Supervisor, _: &Tasks, steps: &AtomicU64| {
        let steps = || steps.load(Ordering::Relaxed);
        wait_until("steps", || steps() > 3).await;
        supervisor.set_roles(Roles::ALL.without(Role::Leader));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let rested = steps();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(steps(), rested);
        supervisor.set_roles(Roles::ALL.without(Role::Host));
        wait_until("more steps", || steps() > rested + 3).await;
    })
    .await;
}

#[test]
fn pauses_double_until_a_minute_and_start_over_after_a_sound_run() {
    let task = Entry { name: "task", course: Mutex::default(), heard: AtomicU64::new(0) };
    let second = Duration::from_secs;
    let fail = |began: u64, now: u64| task.failed(second(began), second(now), "x".into()).as_secs();
    let pauses: Vec<u64> = (0..8).map(|at| fail(at, at)).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!((fail(0, 299), fail(0, 300), fail(0, 1)), (60, 1, 2));
}

#[test]
fn a_failure_is_told_until_the_task_has_run_soundly_for_a_while() {
    let task = Entry { name: "task", course: Mutex::default(), heard: AtomicU64::new(0) };
    let second = Duration::from_secs;
    let note = |now: u64| task.health(second(now)).note();
    assert_eq!(note(0), None);
    task.failed(second(0), second(10), "x".into());
    assert!(note(10).unwrap().contains("it is begun again in 1 s"));
    task.begins();
    assert!(
        note(200).unwrap().contains("failed once, last 190 s ago over: x; it was begun again and is at work")
    );
    assert_eq!(note(310), None);
}

/// A task whose step waits to be told to go on, again and again.
struct Waits(Arc<tokio::sync::Notify>);

impl Task for Waits {
    fn row(&self) -> Row {
        let (role, class, executor) = (Role::Leader, None, Executor::Runtime);
        Row { name: "waits", role, class, executor, delay: Duration::ZERO }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            for _ in 0..2 {
                self.0.notified().await;
            }
            Next::WhenWoken
        })
    }
}

#[tokio::test]
async fn a_step_that_is_not_heard_of_is_told_until_it_goes_on() {
    let (tasks, goes_on) = (Tasks::default(), Arc::new(tokio::sync::Notify::new()));
    let clock = Arc::new(stratum_storage::ambient::Simulated::new(0, 0));
    let mut supervisor = Supervisor::new(tasks.clone(), clock.clone(), Threads::Own, &Handle::current());
    supervisor.run(Arc::new(Waits(goes_on.clone()))).unwrap();
    let health = || tasks.health(clock.as_ref()).remove(0);
    let silent_for = |seconds: u64| health().silent_seconds == seconds;
    // Until the step has begun, and waits.
    wait_until("the step", || tasks.0.lock()[0].heard.load(Ordering::Relaxed) > 0).await;
    clock.advance(SILENT_AFTER - Duration::from_secs(1));
    assert_eq!(health().note(), None);
    clock.advance(Duration::from_secs(61));
    let note = health().note().unwrap();
    assert!(note.starts_with("the background task waits has not been heard of for 61 min: "), "{note}");
    goes_on.notify_one();
    wait_until("that it goes on", || silent_for(0)).await;
    assert_eq!(health().note(), None);
    clock.advance(Duration::from_secs(7));
    assert!(silent_for(7), "it waits for the second time");
    goes_on.notify_one();
    wait_until("the end of the step", || silent_for(0)).await;
    clock.advance(SILENT_AFTER * 2);
    assert!(silent_for(0), "between two steps there is nothing to hear");
    supervisor.stop().await;
}
