//! The task that takes objects where they belong: it goes over the reviews that are due, and has their bodies carried.
//!
//! A decision is a command, and stands in the object's record together with the time of its review, which is among the
//! keys in the order of time. So nothing of what is still to do is in memory, and a restart goes on from it. An object
//! that lies where it belongs leaves the reviews; one whose tier has no room or too few drives waits there, and the status
//! tells; one that can't be read is looked at again later.

use super::{Carriage, Carried, TransitionError, Transitions, tier_of};
use crate::command::{Command, Pinning, TierChange, TierCondition};
use crate::keys;
use crate::machine::ReadError;
use crate::owned::{self, Owned};
use crate::record::{Body, BucketId, DecodeError, ObjectRecord, Owner, PartSummary, VersionId, decode};
use crate::relocate::blob_of;
use crate::sweep::Time;
use crate::tree::Base;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::{self, Index, Tier};
use stratum_storage::blocking;
use stratum_storage::task::{Next, Place, Role, Row, Stop, Task, Work};

/// Reviews of one step.
const PAGE: usize = 128;
/// How often it is looked what is due.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long a tier that takes nothing is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// When an object that can't be read is looked at again.
const UNREADABLE_DELAY: Duration = Duration::from_secs(600);

/// A review that is due.
#[derive(Clone, Debug)]
struct Review {
    time: UnixMillis,
    bucket: BucketId,
    key: Vec<u8>,
    version: VersionId,
    committed: Index,
}

impl Review {
    fn parse(key: &[u8], value: &[u8]) -> Result<Review, DecodeError> {
        let (time, bucket, key, committed) = keys::parse_review(key).ok_or(DecodeError::Empty)?;
        Ok(Review { time, bucket, key, version: decode(value)?, committed })
    }

    /// The first key after it among the reviews.
    fn next_key(&self) -> Vec<u8> {
        [keys::review(self.time, self.bucket, &self.key, self.committed), vec![0]].concat()
    }

    fn owner(&self) -> Owner {
        let Review { bucket, key, version, committed, .. } = self.clone();
        Owner::Object { bucket, key, version, committed }
    }

    /// It was looked at, and is looked at next at that time, if ever.
    fn done(self, next: Option<UnixMillis>) -> TierChange {
        let Review { time, bucket, key, version, committed } = self;
        let pinning = Pinning::Leave;
        TierChange {
            bucket,
            key,
            version,
            committed,
            condition: TierCondition::Reviewed(time),
            decision: None,
            pinning,
            review: next,
        }
    }

    /// The bodies of the object that it is about.
    fn bodies<'a>(&self, record: &'a ObjectRecord) -> Box<dyn Iterator<Item = Carried> + Send + 'a> {
        match &record.body {
            Body::Blob(_) => Box::new(std::iter::once(Carried { owner: self.owner(), size: record.size })),
            Body::Parts { upload, parts } => {
                Box::new(parts.iter().map(|PartSummary { number, size, .. }| Carried {
                    owner: Owner::Part { upload: *upload, number: *number },
                    size: *size,
                }))
            }
        }
    }
}

/// How the task is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// Since the start: objects that came where they belong, their bodies, and the bytes of plaintext that were copied.
    pub objects: u64,
    pub bodies: u64,
    pub bytes: u64,
    /// Bodies that could not be read.
    pub unreadable: u64,
    /// Tiers that take nothing now, and why.
    pub waiting: BTreeMap<String, String>,
}

/// The task. One of a store.
pub struct Reviews {
    transitions: Transitions,
    clock: Arc<dyn Clock>,
    time: Mutex<Time>,
    /// Where the next step goes on; nothing at the beginning.
    next: Mutex<Option<Vec<u8>>>,
    status: Mutex<TransitionStatus>,
}

impl Reviews {
    pub fn new(transitions: Transitions, clock: Arc<dyn Clock>) -> Reviews {
        let time = Mutex::new(Time::new(clock.clone()));
        Reviews { transitions, clock, time, next: Mutex::default(), status: Mutex::default() }
    }

    pub fn status(&self) -> TransitionStatus {
        self.status.lock().clone()
    }

    async fn step_once(&self, stop: &Stop) -> Result<Next, TransitionError> {
        let now = self.time.lock().now();
        let from = self.next.lock().take();
        if from.is_none() {
            self.status.lock().waiting.clear();
        }
        let due = self.due(now, from).await?;
        if due.len() == PAGE {
            *self.next.lock() = due.last().map(Review::next_key);
        }
        let is_last = due.len() < PAGE;
        let transitions = self.transitions.clone();
        let Sorted { elsewhere, at_home } = blocking::spawn(move || transitions.sort(due, now)).await??;
        self.decide(at_home).await?;
        for (tier, reviews) in elsewhere {
            self.bring(tier, reviews, stop).await?;
        }
        let is_waiting = !self.status.lock().waiting.is_empty();
        Ok(match (is_last, is_waiting) {
            (false, _) => Next::AtOnce,
            (true, true) => Next::After(RETRY_DELAY),
            (true, false) => Next::After(POLL_INTERVAL),
        })
    }

    /// The first reviews that are due, from a key on.
    async fn due(&self, now: UnixMillis, from: Option<Vec<u8>>) -> Result<Vec<Review>, TransitionError> {
        let metadata = self.transitions.mover.metadata.clone();
        let look = move || -> Result<Vec<Review>, ReadError> {
            let (mut due, mut failed) = (Vec::new(), None);
            let from = from.unwrap_or_else(|| keys::start_of(keys::Tag::Review));
            metadata.state().scan(&from, &keys::reviews_until(now), |key, value| {
                match Review::parse(key, value) {
                    Ok(review) => due.push(review),
                    Err(error) => failed = Some(error),
                }
                if failed.is_none() && due.len() < PAGE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            failed.map_or(Ok(due), |error| Err(error.into()))
        };
        Ok(blocking::spawn(look).await??)
    }

    /// Takes objects to a tier, and those that are there then off the reviews.
    async fn bring(&self, tier: Tier, reviews: Vec<Review>, stop: &Stop) -> Result<(), TransitionError> {
        let carried = match self.carry(tier, &reviews, stop).await {
            Err(error) if error.is_waiting() => {
                tracing::warn!(tier = tier.name(), %error, "a tier takes nothing; what belongs there waits");
                self.status.lock().waiting.insert(tier.name().into(), error.to_string());
                Carriage::default()
            }
            outcome => outcome?,
        };
        self.tell(tier, &carried);
        let is_unreadable = carried.unreadable > 0 && !*stop.borrow();
        let later = self.clock.now().saturating_add(UNREADABLE_DELAY.as_millis() as u64);
        let transitions = self.transitions.clone();
        let settle = move || transitions.settle(tier, reviews, is_unreadable.then_some(later));
        let (there, done) = blocking::spawn(settle).await??;
        self.status.lock().objects += there;
        self.decide(done).await
    }

    async fn carry(&self, tier: Tier, reviews: &[Review], stop: &Stop) -> Result<Carriage, TransitionError> {
        let mut carrying = self.transitions.to(tier);
        for review in reviews {
            let (transitions, wanted) = (self.transitions.clone(), review.clone());
            let look = move || transitions.record(&wanted);
            let Some(record) = blocking::spawn(look).await?? else { continue };
            for body in review.bodies(&record) {
                if *stop.borrow() {
                    return carrying.finish().await;
                }
                carrying.carry(&body).await?;
            }
        }
        carrying.finish().await
    }

    fn tell(&self, tier: Tier, carried: &Carriage) {
        let mut status = self.status.lock();
        status.bodies += carried.moved.bodies;
        status.bytes += carried.plaintext;
        status.unreadable += carried.unreadable;
        let task = super::copy::CLASS.name();
        metrics::counter!("stratum_moved_bodies_total", "task" => task).increment(carried.moved.bodies);
        metrics::counter!("stratum_moved_written_bytes_total", "task" => task)
            .increment(carried.moved.written);
        metrics::counter!("stratum_transition_bytes_total", "to" => tier.name()).increment(carried.plaintext);
    }

    async fn decide(&self, changes: Vec<TierChange>) -> Result<(), TransitionError> {
        if changes.is_empty() {
            return Ok(());
        }
        let command = Command::DecideTiers(changes);
        let committed = self.transitions.mover.metadata.commit(command, Bytes::new()).await;
        committed.map(drop).map_err(|error| TransitionError::Commit(error.to_string()))
    }
}

/// Reviews by what is to be done.
#[derive(Default)]
struct Sorted {
    /// By the tier in which the objects belong and don't lie.
    elsewhere: BTreeMap<Tier, Vec<Review>>,
    /// Nothing is to be done.
    at_home: Vec<TierChange>,
}

/// What the state says of objects. All of it blocks.
impl Transitions {
    fn sort(&self, due: Vec<Review>, now: UnixMillis) -> Result<Sorted, ReadError> {
        let mut sorted = Sorted::default();
        for review in due {
            match self.wanted(&review, now)? {
                Some(tier) => sorted.elsewhere.entry(tier).or_default().push(review),
                None => sorted.at_home.push(review.done(None)),
            }
        }
        Ok(sorted)
    }

    /// The tier in which an object belongs, unless all of it lies there.
    fn wanted(&self, review: &Review, now: UnixMillis) -> Result<Option<Tier>, ReadError> {
        let Some(record) = self.record(review)? else { return Ok(None) };
        let Some(tier) = record.attributes.belongs_in(now) else { return Ok(None) };
        Ok((!self.lies_in(tier, review, &record)?).then_some(tier))
    }

    fn record(&self, review: &Review) -> Result<Option<ObjectRecord>, ReadError> {
        let state = self.mover.metadata.state();
        Ok(match owned::find(&review.owner(), |key| state.get(key).map_err(ReadError::from))? {
            Some((_, Owned::Current(record) | Owned::NonCurrent(record))) => Some(record),
            Some((_, Owned::Part(_))) | None => None,
        })
    }

    fn lies_in(&self, tier: Tier, review: &Review, record: &ObjectRecord) -> Result<bool, ReadError> {
        for body in review.bodies(record) {
            let blob = blob_of(self.mover.metadata.state(), &body.owner)?;
            let is_there = blob.is_none_or(|blob| {
                blob.place == blob::Place::Empty || tier_of(&self.mover.volumes.table, &blob) == Some(tier)
            });
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Of objects that were carried to a tier: what is done with those that are there, and, if there is a time for that,
    /// when the others are looked at again.
    fn settle(
        &self,
        tier: Tier,
        reviews: Vec<Review>,
        later: Option<UnixMillis>,
    ) -> Result<(u64, Vec<TierChange>), ReadError> {
        let (mut there, mut done) = (0, Vec::new());
        for review in reviews {
            let Some(record) = self.record(&review)? else { continue };
            if self.lies_in(tier, &review, &record)? {
                there += 1;
                done.push(review.done(None));
            } else if later.is_some() {
                done.push(review.done(later));
            }
        }
        Ok((there, done))
    }
}

impl Task for Reviews {
    fn row(&self) -> Row {
        Row {
            name: "transition",
            role: Role::Leader,
            class: Some(super::copy::CLASS),
            place: Place::Runtime,
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
