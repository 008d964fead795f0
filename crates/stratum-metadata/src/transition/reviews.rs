//! The task that moves objects into their tiers: it goes over the reviews that are due, and has the bodies of their
//! objects carried.
//!
//! A decision is a command; it is stored in the object's record together with the time of its review, and reviews are
//! also keys in the order of time. So nothing that is still to be done is only in memory, and a restart goes on from
//! it. An object that is in its tier is removed from the reviews. One whose tier has too little room or too few
//! drives waits there, and the status tells so. One that can't be moved is looked at again later.
//!
//! A tier that takes nothing is asked from time to time whether it has room. Until then nothing that belongs there is
//! read, neither in the rest of a pass over the reviews nor in the next one.

use super::carry::Carrying;
use super::review::{Review, Sorted};
use super::{CLASS, LEAST_ROOM_BYTES, TransitionError, Transitions};
use crate::relocate::Moved;
use crate::sweep::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::Tier;
use stratum_storage::blocking;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::writepath::WriteError;
use tracing_mutex::parkinglot::Mutex;

/// Reviews in one step: enough that bodies of one stripe are among them, and few enough to be kept in memory.
const PAGE_REVIEWS: usize = 1024;
/// The pause between two looks for reviews that are due.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long a tier that takes nothing is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// While tiers wait, the next pass over all reviews begins after this many times the duration of the last one.
const REST_FACTOR: u32 = 20;
/// How long an object that can't be moved is left alone.
pub(super) const PUT_OFF_DELAY: Duration = Duration::from_secs(600);

/// What the task has done and waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// Since the start: objects that were moved into their tiers, their bodies, and the bytes of plaintext that were
    /// copied.
    pub objects: u64,
    pub bodies: u64,
    pub bytes: u64,
    /// Bodies that could not be moved for a reason of their own: they, or their copies, can't be read.
    pub unreadable: u64,
    /// Tiers that take nothing now, and why.
    pub waiting: BTreeMap<String, String>,
}

/// The task, one for a store.
pub struct Reviews {
    pub(super) transitions: Transitions,
    pub(super) clock: Arc<dyn Clock>,
    time: Mutex<Time>,
    pass: Mutex<Pass>,
    pub(super) status: Mutex<TransitionStatus>,
}

/// How far the task has come in a pass over the reviews.
#[derive(Debug, Default)]
struct Pass {
    /// The first key of the next page; `None` for the beginning.
    next: Option<Vec<u8>>,
    began: Duration,
    /// When the next pass begins. Set when a pass ends while tiers wait; until then only new reviews are looked at.
    again_at: Option<Duration>,
    /// Tiers that take nothing, and when they are asked again.
    waiting: BTreeMap<Tier, Duration>,
}

impl Reviews {
    pub fn new(transitions: Transitions, clock: Arc<dyn Clock>) -> Reviews {
        let time = Mutex::new(Time::new(clock.clone()));
        Reviews { transitions, clock, time, pass: Mutex::default(), status: Mutex::default() }
    }

    pub fn status(&self) -> TransitionStatus {
        self.status.lock().clone()
    }

    async fn step_once(&self, stop: &Stop) -> Result<Next, TransitionError> {
        if self.transitions.mover.volumes.table.is_held_back() {
            return Ok(Next::After(RETRY_DELAY));
        }
        let now = self.time.lock().now();
        let due = self.due(now).await?;
        let is_last = due.len() < PAGE_REVIEWS;
        if let Some(last) = due.last() {
            self.pass.lock().next = Some(last.next_key());
        }
        let transitions = self.transitions.clone();
        let Sorted { elsewhere, at_home } = blocking::spawn(move || transitions.sort(due, now)).await??;
        self.transitions.decide(at_home).await?;
        let mut failed = None;
        for (tier, wanted) in elsewhere {
            if self.pass.lock().waiting.contains_key(&tier) {
                continue;
            }
            match Carrying::new(self, tier, stop).carry(wanted).await {
                Ok(()) => {}
                Err(TransitionError::Write(error)) if error.is_waiting() => self.wait(tier, &error),
                // The error concerns this tier only.
                Err(error) => failed = Some(error),
            }
        }
        let next = if is_last { self.pass_over() } else { Next::AtOnce };
        failed.map_or(Ok(next), Err)
    }

    /// The next page. It is the first one again if something may have changed for reviews that were passed over.
    async fn due(&self, now: UnixMillis) -> Result<Vec<Review>, TransitionError> {
        let has_room = self.ask();
        let from = {
            let (mut pass, monotonic) = (self.pass.lock(), self.clock.monotonic());
            if has_room || pass.again_at.is_some_and(|time| time <= monotonic) {
                (pass.next, pass.again_at) = (None, None);
            }
            if pass.next.is_none() {
                pass.began = monotonic;
            }
            pass.next.clone()
        };
        let transitions = self.transitions.clone();
        Ok(blocking::spawn(move || transitions.due(now, from, PAGE_REVIEWS)).await??)
    }

    /// Asks the waiting tiers whose time has come whether they have room again.
    fn ask(&self) -> bool {
        let now = self.clock.monotonic();
        let is_time = |(tier, time): (&Tier, &Duration)| (*time <= now).then_some(*tier);
        let asked: Vec<Tier> = self.pass.lock().waiting.iter().filter_map(is_time).collect();
        let mut has_room = false;
        for tier in asked {
            match self.transitions.takes(tier, LEAST_ROOM_BYTES) {
                Ok(()) => {
                    has_room = true;
                    self.pass.lock().waiting.remove(&tier);
                    self.status.lock().waiting.remove(tier.name());
                    tracing::info!(tier = tier.name(), "a tier has room again; what belongs there is moved");
                }
                Err(error) => self.wait_for(tier, &error),
            }
        }
        has_room
    }

    fn wait(&self, tier: Tier, error: &WriteError) {
        tracing::warn!(tier = tier.name(), %error, "a tier takes nothing; what belongs there waits");
        self.wait_for(tier, error);
    }

    fn wait_for(&self, tier: Tier, error: &WriteError) {
        self.pass.lock().waiting.insert(tier, self.clock.monotonic() + RETRY_DELAY);
        self.status.lock().waiting.insert(tier.name().into(), error.to_string());
    }

    /// Ends a pass: everything that is due was looked at.
    fn pass_over(&self) -> Next {
        let (mut pass, now) = (self.pass.lock(), self.clock.monotonic());
        if pass.waiting.is_empty() {
            (pass.next, pass.again_at) = (None, None);
        } else if pass.again_at.is_none() {
            let rest = now.saturating_sub(pass.began) * REST_FACTOR;
            pass.again_at = Some(now + rest.max(RETRY_DELAY));
        }
        Next::After(POLL_INTERVAL)
    }

    /// Counts bodies that were moved into a tier.
    pub(super) fn note_moved(&self, tier: Tier, moved: Moved, plaintext: u64) {
        let mut status = self.status.lock();
        status.bodies += moved.bodies;
        status.bytes += plaintext;
        let task = CLASS.name();
        metrics::counter!("stratum_moved_bodies_total", "task" => task).increment(moved.bodies);
        metrics::counter!("stratum_moved_written_bytes_total", "task" => task).increment(moved.written);
        metrics::counter!("stratum_transition_bytes_total", "to" => tier.name()).increment(plaintext);
    }
}

impl Task for Reviews {
    fn row(&self) -> Row {
        Row {
            name: "transition",
            role: Role::Leader,
            class: Some(CLASS),
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.step_once(stop).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "objects could not be taken where they belong; trying again");
                Next::After(RETRY_DELAY)
            })
        })
    }
}
