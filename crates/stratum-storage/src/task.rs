//! Background work: what a task is, and the loop that runs one.
//!
//! What goes on beside requests is a [`Task`]: a row that says what it is, and a step. A step does what can be done
//! now and says what to wait for; it is bounded, by a segment, a volume or what one look finds, and it goes by the
//! store's own state, so that a task that is begun anew after a failure goes on where it was. Waiting, stopping,
//! restarting and telling of it are not the task's business but that of whoever runs it: [`run`] is the loop, and the
//! supervisor of `stratum-engine` keeps it going.

use crate::blocking;
use crate::pace::Class;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Turns true when a task is to end, and stays so.
pub type Stop = watch::Receiver<bool>;

/// What a task does, or waits for.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Work that goes on until the store stops.
pub trait Task: Send + Sync + 'static {
    fn row(&self) -> Row;

    /// Does what can be done now. One that takes long looks at `stop` in between, or lets itself be dropped
    /// ([`unless_stopped`]).
    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next>;

    /// Completes when there is something to do before the time that the last step gave. The future is made before
    /// that step, so that nothing told during the step is missed.
    fn woken(&self) -> Work<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// What is left to do after the last step.
    fn ended(&self) -> Work<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name in status and metrics, which never changes.
    pub name: &'static str,
    pub role: Role,
    /// The class in which it takes turns of the pace; `None` where it keeps up with requests, or takes next to
    /// nothing.
    pub class: Option<Class>,
    pub executor: Executor,
    /// How long after the start its first step is.
    pub delay: Duration,
}

/// Which of several servers runs a task. One that is alone has every role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The one that decides what is moved, swept and rebuilt.
    Leader,
    /// Every one that fills volumes: for its own.
    Owner,
    /// Every one that has drives: for those.
    Host,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Leader, Role::Owner, Role::Host];

    pub fn name(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Owner => "owner",
            Role::Host => "host",
        }
    }
}

/// Where a task's steps are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// With all that is async. What blocks of it goes through [`crate::blocking`].
    Runtime,
    /// On a thread of its own, since they block ([`blocking`]): a drive that hangs must not hold up anything else.
    Thread,
}

/// What a task waits for after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    AtOnce,
    /// For so long, or until it is woken.
    After(Duration),
    WhenWoken,
}

/// Runs a task until it is to stop.
pub async fn run(task: Arc<dyn Task>, mut stop: Stop) {
    let (mut woken, mut next) = (task.woken(), Next::After(task.row().delay));
    while comes(next, woken, &mut stop).await {
        woken = task.woken();
        next = task.step(&stop).await;
    }
    task.ended().await;
}

/// Waits for the next step; false when it is time to end.
async fn comes(next: Next, woken: Work<'_, ()>, stop: &mut Stop) -> bool {
    let due = async {
        match next {
            Next::AtOnce => tokio::time::sleep(Duration::ZERO).await,
            Next::After(time) => tokio::time::sleep(time).await,
            Next::WhenWoken => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        // A sender that was dropped is an end, too.
        _ = stop.wait_for(|stop| *stop) => false,
        () = woken => true,
        () = due => true,
    }
}

/// The step of a task that blocks.
pub fn blocking<'a>(step: impl FnOnce() -> Next + Send + 'a) -> Work<'a, Next> {
    Box::pin(async { blocking::in_place(step) })
}

/// The step of a task that does all that one look finds, and looks again after a time. It is dropped where it is when
/// it is to end.
pub fn looking<'a, T>(
    stop: &'a Stop,
    look: impl Future<Output = T> + Send + 'a,
    every: Duration,
) -> Work<'a, Next> {
    Box::pin(async move {
        unless_stopped(stop, look).await;
        Next::After(every)
    })
}

/// Does something unless it is time to end: then it is dropped where it is, and gives nothing.
pub async fn unless_stopped<T>(stop: &Stop, work: impl Future<Output = T>) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        done = work => Some(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::sync::Notify;
    use tokio::time::Instant;
    use tracing_mutex::parkinglot::Mutex;

    /// Does as it is told, and notes when.
    struct Told {
        began: Instant,
        next: Mutex<VecDeque<Next>>,
        steps: Mutex<Vec<u64>>,
        wake: Notify,
        /// The step in the middle of which it is woken.
        woken_in: usize,
        has_ended: Mutex<bool>,
    }

    impl Task for Told {
        fn row(&self) -> Row {
            let (role, class, executor) = (Role::Host, None, Executor::Runtime);
            Row { name: "told", role, class, executor, delay: Duration::from_secs(1) }
        }

        fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
            Box::pin(async {
                let steps = {
                    let mut steps = self.steps.lock();
                    steps.push(self.began.elapsed().as_secs());
                    steps.len()
                };
                if steps == self.woken_in {
                    self.wake.notify_waiters();
                }
                tokio::task::yield_now().await;
                self.next.lock().pop_front().unwrap_or(Next::WhenWoken)
            })
        }

        fn woken(&self) -> Work<'_, ()> {
            Box::pin(self.wake.notified())
        }

        fn ended(&self) -> Work<'_, ()> {
            *self.has_ended.lock() = true;
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn steps_come_when_they_are_due_or_woken_and_end() {
        let second = Duration::from_secs;
        let next = [Next::AtOnce, Next::After(second(10)), Next::After(second(100)), Next::WhenWoken];
        let task = Arc::new(Told {
            began: Instant::now(),
            next: Mutex::new(next.into()),
            steps: Mutex::default(),
            wake: Notify::new(),
            woken_in: 3,
            has_ended: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let told = async {
            tokio::time::sleep(second(50)).await;
            task.wake.notify_waiters();
            tokio::time::sleep(second(50)).await;
            stop.send_replace(true);
        };
        tokio::join!(run(task.clone(), stopped), told);
        // The fourth was told of in the middle of the third, the fifth while it waited.
        assert_eq!(*task.steps.lock(), [1, 1, 11, 11, 50]);
        assert!(*task.has_ended.lock());
    }

    #[tokio::test]
    async fn what_is_dropped_at_a_stop_gives_nothing() {
        let (stop, stopped) = watch::channel(false);
        assert_eq!(unless_stopped(&stopped, async { 1 }).await, Some(1));
        stop.send_replace(true);
        assert_eq!(unless_stopped(&stopped, async { 2 }).await, None);
        drop(stop);
        assert_eq!(unless_stopped(&stopped, std::future::pending::<u8>()).await, None);
    }
}
