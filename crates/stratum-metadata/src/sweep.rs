//! The sweeper: has what fell due or was dropped removed, in small steps.
//!
//! It proposes a `Sweep` only if there is something to sweep. The command carries the time, which is believed only
//! while the wall clock advances as fast as the monotonic one: a clock that jumped must not make anything expire.

use crate::command::{Command, Outcome};
use crate::keys::{self, Tag};
use crate::machine::Machine;
use crate::store::Metadata;
use crate::tree::TreeError;
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use tracing_mutex::parkinglot::Mutex;

/// The pause between two looks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How far the two clocks may drift apart before nothing expires any more.
const MOST_CLOCK_DRIFT: Duration = Duration::from_secs(3_600);

/// The sweeper, one for a store.
pub struct Sweeper {
    metadata: Metadata,
    time: Mutex<Time>,
}

impl Sweeper {
    pub fn new(metadata: Metadata, clock: Arc<dyn Clock>) -> Sweeper {
        Sweeper { metadata, time: Mutex::new(Time::new(clock)) }
    }
}

impl Task for Sweeper {
    fn row(&self) -> Row {
        Row {
            name: "sweep",
            role: Role::Leader,
            class: None,
            executor: Executor::Runtime,
            delay: Duration::ZERO,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            let now = self.time.lock().now();
            match sweep_once(&self.metadata, now).await {
                true => Next::AtOnce,
                false => Next::After(POLL_INTERVAL),
            }
        })
    }
}

/// Does one step; returns whether more can be done at once. With a `now` of 0 nothing expires.
async fn sweep_once(metadata: &Metadata, now: UnixMillis) -> bool {
    match has_work(metadata.state(), now) {
        Ok(false) => return false,
        Ok(true) => {}
        Err(error) => {
            tracing::warn!(%error, "what is due can't be looked up");
            return false;
        }
    }
    match metadata.commit(Command::Sweep { now }, Bytes::new()).await {
        Ok(Outcome::Count(removed)) => removed > 0,
        Ok(_) => false,
        Err(error) => {
            tracing::warn!(%error, "a sweep was not committed; it is tried again");
            false
        }
    }
}

fn has_work(machine: &Machine, now: UnixMillis) -> Result<bool, TreeError> {
    let ranges = [
        (keys::start_of(Tag::Due), keys::due_until(now)),
        (keys::start_of(Tag::Dropped), keys::end_of(Tag::Dropped)),
        (keys::start_of(Tag::DeletedBucket), keys::end_of(Tag::DeletedBucket)),
    ];
    let mut found = false;
    for (from, to) in ranges {
        machine.scan(&from, &to, |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
    }
    Ok(found)
}

/// The wall clock, while it can be believed.
pub struct Time {
    clock: Arc<dyn Clock>,
    /// Both clocks when they last agreed.
    wall: UnixMillis,
    monotonic: Duration,
    warned: bool,
}

impl Time {
    pub fn new(clock: Arc<dyn Clock>) -> Time {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        Time { clock, wall, monotonic, warned: false }
    }

    /// By how many seconds the wall clock has jumped, while it isn't believed.
    pub fn jumped_by(&self) -> Option<i64> {
        let (now, expected) = (self.clock.now(), self.expected());
        (!is_believed(now, expected)).then(|| (now as i64).saturating_sub(expected as i64) / 1_000)
    }

    /// What the wall clock should show, by the monotonic one.
    fn expected(&self) -> UnixMillis {
        let elapsed = self.clock.monotonic().saturating_sub(self.monotonic);
        self.wall.saturating_add(elapsed.as_millis() as u64)
    }

    /// The time, or 0 after the wall clock has jumped; a restart makes it believed again.
    pub fn now(&mut self) -> UnixMillis {
        let (now, expected) = (self.clock.now(), self.expected());
        if is_believed(now, expected) {
            return now;
        }
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                now,
                expected,
                "the wall clock jumped: nothing expires until it is back or the server restarts"
            );
        }
        0
    }
}

fn is_believed(now: UnixMillis, expected: UnixMillis) -> bool {
    now.abs_diff(expected) <= MOST_CLOCK_DRIFT.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Clocks {
        wall: AtomicU64,
        monotonic: AtomicU64,
    }

    impl Clock for Clocks {
        fn now(&self) -> UnixMillis {
            self.wall.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_clock_that_jumps_is_not_believed() {
        let hour = 3_600_000;
        let clocks = Arc::new(Clocks::default());
        clocks.wall.store(100 * hour, Ordering::Relaxed);
        let mut time = Time::new(clocks.clone());
        assert_eq!(time.now(), 100 * hour);
        clocks.wall.store(103 * hour, Ordering::Relaxed);
        clocks.monotonic.store(3 * hour, Ordering::Relaxed);
        assert_eq!((time.now(), time.jumped_by()), (103 * hour, None));
        clocks.wall.store(200 * hour, Ordering::Relaxed);
        assert_eq!((time.now(), time.jumped_by()), (0, Some(97 * 3_600)));
        clocks.wall.store(hour, Ordering::Relaxed);
        assert_eq!((time.now(), time.jumped_by()), (0, Some(-102 * 3_600)));
        clocks.wall.store(104 * hour, Ordering::Relaxed);
        assert_eq!((time.now(), time.jumped_by()), (104 * hour, None));
    }
}
