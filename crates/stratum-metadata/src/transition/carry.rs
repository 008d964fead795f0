//! Carries objects to a tier: several bodies at a time, within a bound of memory, and small ones packed together.
//!
//! An object is done when each of its bodies that lay elsewhere has certainly been moved. Whatever else becomes of a
//! body (its record changed, the tier is full, it is time to stop) leaves its object among the reviews, so that it is
//! looked at again. An object with a body that can't be moved is put off, which delays no other object.

use super::large::Copied;
use super::review::{Bodies, Review, Wanted};
use super::reviews::Reviews;
use super::small::{Job, Recoded};
use super::{CLASS, Foreseen, Stray, TransitionError, Transitions};
use crate::command::{Command, TierChange};
use crate::relocate::{self, Batch, MoveError, Moved, Small, Trust};
use bytes::Bytes;
use std::time::Duration;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;
use stratum_storage::blocking;
use stratum_storage::task::Stop;
use tokio::task::JoinSet;

/// The memory that all jobs under way may take, in bytes; one job is started in any case.
const MEMORY_BYTES: u64 = 128 << 20;
/// The most jobs that are under way at a time.
const JOBS_AT_ONCE: usize = 8;
/// Objects that are done are committed this often...
const TELL_INTERVAL: Duration = Duration::from_millis(500);
/// ... or as soon as there are this many: a command has at most 1 MiB, and a key at most 1 KiB.
const KEYS_A_COMMAND: usize = 256;

/// Objects that are carried to a tier.
pub(super) struct Carrying<'a> {
    reviews: &'a Reviews,
    transitions: Transitions,
    tier: Tier,
    stop: Stop,
    objects: Vec<Object>,
    under_way: JoinSet<(u64, Result<Landed, TransitionError>)>,
    /// Memory of the jobs under way, in bytes.
    held: u64,
    waiting: Batch,
    waiting_of: Vec<Stray>,
    done: Vec<TierChange>,
    told_at: Duration,
    failed: Option<TransitionError>,
}

struct Object {
    /// `None` once the object is done.
    review: Option<Review>,
    /// Bodies that are not moved yet, plus one until all bodies have been found.
    left: usize,
    /// Whether some of its bodies were moved.
    carried: bool,
    put_off: bool,
}

/// How a job ended.
enum Landed {
    /// The bodies that came to lie in their tier.
    There(Vec<Stray>, Moved),
    Recoded(Recoded),
    PutOff(Vec<(Stray, String)>),
    /// The bodies are looked at again at the next pass.
    Left,
}

impl<'a> Carrying<'a> {
    pub fn new(reviews: &'a Reviews, tier: Tier, stop: &Stop) -> Carrying<'a> {
        Carrying {
            reviews,
            transitions: reviews.transitions.clone(),
            tier,
            stop: stop.clone(),
            objects: Vec::new(),
            under_way: JoinSet::new(),
            held: 0,
            waiting: Batch::default(),
            waiting_of: Vec::new(),
            done: Vec::new(),
            told_at: reviews.clock.monotonic(),
            failed: None,
        }
    }

    /// Carries all of them. The error is what ended it early; jobs under way are finished in any case.
    pub async fn carry(mut self, wanted: Vec<Wanted>) -> Result<(), TransitionError> {
        let (mut whole, mut of_parts) = (Vec::new(), Vec::new());
        for (object, Wanted { review, foreseen, bodies }) in wanted.into_iter().enumerate() {
            match bodies {
                Bodies::One(size, from) => {
                    whole.push(Stray { object, owner: review.owner(), size, foreseen, from });
                }
                Bodies::Parts => of_parts.push((object, review.clone(), foreseen)),
            }
            self.objects.push(Object { review: Some(review), left: 1, carried: false, put_off: false });
        }
        self.take_up(whole).await;
        for (object, review, foreseen) in of_parts {
            self.take_up_parts(object, review, foreseen).await;
        }
        self.finish().await;
        self.failed.map_or(Ok(()), Err)
    }

    fn is_over(&self) -> bool {
        self.failed.is_some() || *self.stop.borrow()
    }

    async fn take_up(&mut self, bodies: Vec<Stray>) {
        for job in Job::of(bodies) {
            let memory = job.memory(&self.transitions, self.tier);
            while self.under_way.len() >= JOBS_AT_ONCE || self.held > 0 && self.held + memory > MEMORY_BYTES {
                self.land().await;
            }
            if self.is_over() {
                return;
            }
            let (transitions, tier, stop) = (self.transitions.clone(), self.tier, self.stop.clone());
            self.launch(memory, async move { transitions.run(job, tier, stop).await });
        }
    }

    async fn take_up_parts(&mut self, object: usize, review: Review, foreseen: Foreseen) {
        let mut next = Some(0);
        while let Some(from) = next
            && !self.is_over()
        {
            let (transitions, tier, review) = (self.transitions.clone(), self.tier, review.clone());
            let look = blocking::spawn(move || transitions.parts(object, &review, foreseen, tier, from));
            let found = match look.await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => return self.fail(error.into()),
                Err(error) => return self.fail(error.into()),
            };
            next = found.1;
            if let Some(object) = self.objects.get_mut(object) {
                object.left += found.0.len();
            }
            self.take_up(found.0).await;
        }
        if !self.is_over() {
            self.one_less(object);
        }
    }

    fn launch(
        &mut self,
        memory: u64,
        work: impl Future<Output = Result<Landed, TransitionError>> + Send + 'static,
    ) {
        self.held += memory;
        self.under_way.spawn(async move { (memory, work.await) });
    }

    fn fail(&mut self, error: TransitionError) {
        self.failed.get_or_insert(error);
    }

    /// Waits for the next job to end, and records its result.
    async fn land(&mut self) {
        let Some(landed) = self.under_way.join_next().await else { return };
        match landed {
            Ok((memory, outcome)) => {
                self.held = self.held.saturating_sub(memory);
                match outcome {
                    Ok(landed) => self.note(landed),
                    Err(error) => self.fail(error),
                }
            }
            Err(error) => self.fail(error.into()),
        }
        let is_time = self.reviews.clock.monotonic().saturating_sub(self.told_at) >= TELL_INTERVAL;
        if self.done.len() >= KEYS_A_COMMAND || is_time && !self.done.is_empty() {
            self.tell();
        }
    }

    fn note(&mut self, landed: Landed) {
        match landed {
            Landed::There(bodies, moved) => {
                self.reviews.note_moved(self.tier, moved, bodies.iter().map(|body| body.size).sum());
                for body in bodies {
                    self.one_less(body.object);
                }
            }
            Landed::Recoded(Recoded { smalls, unreadable }) => {
                unreadable.into_iter().for_each(|(body, reason)| self.put_off(&body, &reason));
                smalls.into_iter().for_each(|(body, small)| self.wait(body, small));
            }
            Landed::PutOff(bodies) => {
                bodies.iter().for_each(|(body, reason)| self.put_off(body, reason));
            }
            Landed::Left => {}
        }
    }

    /// Records that a body is settled; its object is settled with the last one.
    fn one_less(&mut self, object: usize) {
        let Some(object) = self.objects.get_mut(object) else { return };
        object.left = object.left.saturating_sub(1);
        object.carried = true;
        if object.left > 0 {
            return;
        }
        let Some(review) = object.review.take() else { return };
        let later = object.put_off.then(|| self.reviews.later());
        if later.is_none() {
            self.reviews.status.lock().objects += 1;
        }
        self.done.push(review.done(later));
    }

    fn put_off(&mut self, body: &Stray, reason: &str) {
        self.reviews.status.lock().unreadable += 1;
        tracing::error!(owner = %body.owner, to = self.tier.name(), reason, "a body can't be moved and stays where it is");
        if let Some(object) = self.objects.get_mut(body.object) {
            object.put_off = true;
        }
        self.one_less(body.object);
    }

    /// Keeps a small body until there are others to pack it with.
    fn wait(&mut self, body: Stray, small: Small) {
        self.waiting_of.push(body);
        if self.waiting.add(small) {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let (batch, bodies) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.waiting_of));
        if self.is_over() || bodies.is_empty() {
            return;
        }
        let (transitions, tier) = (self.transitions.clone(), self.tier);
        // The bodies are in memory three times: as they are, in stripes, and as they are read again.
        let memory = 3 * batch.bytes as u64;
        self.launch(memory, async move { transitions.pack(batch, bodies, tier).await });
    }

    /// Finishes everything that was begun, and commits what is done.
    async fn finish(&mut self) {
        loop {
            while !self.under_way.is_empty() {
                self.land().await;
            }
            if self.waiting_of.is_empty() && self.done.is_empty() {
                return;
            }
            self.pack();
            self.tell();
        }
    }

    /// Takes the objects that are done off the reviews.
    fn tell(&mut self) {
        self.told_at = self.reviews.clock.monotonic();
        let (transitions, changes) = (self.transitions.clone(), std::mem::take(&mut self.done));
        self.launch(0, async move { transitions.decide(changes).await.map(|()| Landed::Left) });
    }
}

impl Transitions {
    async fn run(&self, job: Job, tier: Tier, stop: Stop) -> Result<Landed, TransitionError> {
        match job {
            Job::Stripe(at, bodies) => Ok(Landed::Recoded(self.of_stripe(at, bodies, tier).await?)),
            Job::Journal(bodies) => Ok(Landed::Recoded(self.of_journal(bodies, tier).await?)),
            Job::One(body) => match self.copy(&body, tier, &stop).await? {
                Copied::Large(copy) => {
                    let volumes = &self.mover.volumes;
                    let moved =
                        relocate::relocate_extents(&self.mover.metadata, volumes, vec![*copy]).await?;
                    Ok(if moved.bodies == 1 { Landed::There(vec![body], moved) } else { Landed::Left })
                }
                Copied::Small(small) => {
                    Ok(Landed::Recoded(Recoded { smalls: vec![(body, small)], unreadable: Vec::new() }))
                }
                Copied::Left => Ok(Landed::Left),
                Copied::PutOff(reason) => Ok(Landed::PutOff(vec![(body, reason)])),
            },
        }
    }

    /// Packs bodies, and returns them as moved only if all of them were: if some were overwritten meanwhile, the next
    /// look finds out which.
    async fn pack(&self, batch: Batch, bodies: Vec<Stray>, tier: Tier) -> Result<Landed, TransitionError> {
        self.takes(tier, batch.bytes as u64)?;
        let turn = self.mover.pace.turn(CLASS, batch.bytes as u64).await;
        let (metadata, volumes) = (&self.mover.metadata, &self.mover.volumes);
        let packed = relocate::pack(metadata, volumes, tier, batch.bodies, Trust::ReadAgain).await;
        drop(turn);
        match packed {
            Ok(moved) if moved.bodies == bodies.len() as u64 => Ok(Landed::There(bodies, moved)),
            Ok(_) => Ok(Landed::Left),
            Err(error @ MoveError::OtherBytes) => {
                let reason = error.to_string();
                Ok(Landed::PutOff(bodies.into_iter().map(|body| (body, reason.clone())).collect()))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn decide(&self, mut changes: Vec<TierChange>) -> Result<(), TransitionError> {
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(KEYS_A_COMMAND));
            let command = Command::DecideTiers(std::mem::replace(&mut changes, rest));
            let committed = self.mover.metadata.commit(command, Bytes::new()).await;
            committed.map_err(|error| TransitionError::Commit(error.to_string()))?;
        }
        Ok(())
    }
}

impl Reviews {
    /// When an object that can't be moved now is looked at again.
    fn later(&self) -> UnixMillis {
        self.clock.now().saturating_add(super::reviews::PUT_OFF_DELAY.as_millis() as u64)
    }
}
