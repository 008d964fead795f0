//! The walk: every object is looked at once in an eighth of a day, a page at a time, with a rest after each page.

use super::Tiering;
use super::capacity::{Pressures, Regrets};
use super::decide::{Change, TieringError};
use super::ledger::{Held, saved};
use super::status::WarmingUp;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use stratum_metadata::record::{Body, BucketId, BucketRecord, ObjectRecord};
use stratum_metadata::{ReadError, ReadView, Walk, tier_of};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Place};
use stratum_storage::blocking;
use stratum_storage::task::Stop;
use stratum_tiering::day::MONTH_DAYS;
use stratum_tiering::policy::{Decision, Policy, Rule};
use stratum_tiering::tier::{PerTier, Tier};
use stratum_tiering::usage::SlowReads;
use stratum_tiering::usage::accounts::Account;

/// A page is followed by a rest of so many times its own length: a walk takes a fifth of a processor, at most.
const RESTS: u32 = 4;
/// Of all objects one part in so many may be sent down for its use in a walk, and so many whatever there are: a clock that was
/// wrong at the start, or a mistake in the prices, doesn't move a whole store before anybody can look.
const SENT_DOWN: u64 = 8;
const SENT_DOWN_AT_LEAST: u64 = 1_024;
/// Buckets whose warm-up is told.
const TOLD: usize = 100;

/// What a walk came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walked {
    /// When it ended.
    pub at: UnixMillis,
    pub seconds: f64,
    pub objects: u64,
    /// How many of them were sent to another tier.
    pub decided: u64,
    /// How many would have been, and are left to later walks: since many were, or since there is no room where they belong.
    pub put_off: u64,
    pub waiting_for_room: u64,
    /// Records that couldn't be read.
    pub damaged: u64,
    /// Objects and bytes of bodies by tier, and what of them was stored of those in one body that lie where they belong.
    pub held: Held,
    pub plain: PerTier<u64>,
    pub stored: PerTier<u64>,
}

/// The walk that is under way, and when it goes on.
#[derive(Default)]
pub(super) struct Walking {
    underway: Option<Underway>,
    /// By the monotonic clock.
    next: Duration,
}

struct Underway {
    walk: Walk,
    began: Duration,
    walked: Walked,
    /// How many may still be sent down.
    left: u64,
    pressures: Pressures,
    regrets: PerTier<Regrets>,
    /// Bytes that lie in a tier and are on their way out of it.
    leaving: PerTier<u64>,
    /// The bucket of the objects that it goes over now, and what it holds.
    bucket: Option<(BucketRecord, Held)>,
    warming_up: Vec<WarmingUp>,
}

impl Tiering {
    /// Walks on if it is time, by a page. Says how long to rest.
    pub(super) async fn walk_on(
        &self,
        policy: &Policy,
        now: UnixMillis,
        stop: &Stop,
    ) -> Result<Duration, TieringError> {
        let began = self.clock.monotonic();
        let mut walking = self.walking.lock().await;
        if began < walking.next || *stop.borrow() {
            return Ok(walking.next.saturating_sub(began));
        }
        // If it fails, the next one begins anew.
        let mut underway = walking.underway.take().unwrap_or_else(|| self.begin_walk(began));
        let view = self.metadata.local();
        let (changes, is_last) = blocking::in_place(|| self.page(&view, policy, &mut underway, now))?;
        underway.walked.decided += changes.len() as u64;
        self.propose(changes).await?;
        let ended = self.clock.monotonic();
        if is_last {
            let period =
                Duration::from_millis((policy.day.milliseconds() as f64 / super::WALKS_A_DAY) as u64);
            walking.next = (underway.began + period).max(ended);
            self.end_walk(underway, now, ended);
        } else {
            let rests = if self.pace.is_hurried() { 0 } else { RESTS };
            walking.next = ended + ended.saturating_sub(began) * rests;
            self.state.lock().status.walking = Some(underway.walked.objects);
            walking.underway = Some(underway);
        }
        Ok(walking.next.saturating_sub(ended))
    }

    fn begin_walk(&self, began: Duration) -> Underway {
        let last = self.state.lock().last.map_or(0, |walked| walked.objects);
        Underway {
            walk: Walk::all(),
            began,
            walked: Walked::default(),
            left: (last / SENT_DOWN).max(SENT_DOWN_AT_LEAST),
            pressures: self.pressures(),
            regrets: PerTier::default(),
            leaving: PerTier::default(),
            bucket: None,
            warming_up: Vec::new(),
        }
    }

    /// A page of objects, and what is to change of them. Blocks.
    fn page(
        &self,
        view: &ReadView,
        policy: &Policy,
        underway: &mut Underway,
        now: UnixMillis,
    ) -> Result<(Vec<Change>, bool), ReadError> {
        let page = view.walk(&mut underway.walk)?;
        underway.walked.damaged += page.damaged;
        let mut changes = Vec::new();
        for object in page.objects {
            if !self.enter(view, policy, underway, object.bucket, now)? {
                continue;
            }
            let Some((bucket, _)) = &underway.bucket else { continue };
            let Some(subject) = self.subject(bucket, &object.key, &object.record, now) else { continue };
            let decision = policy.decide(&subject.features(&underway.pressures), &self.prices, now);
            self.count(underway, &object.record, &decision);
            if underway.lets(&decision)
                && let Some(change) = self.change(object.bucket, object.key, &object.record, &decision)
            {
                underway.note(&decision);
                changes.push(change);
            }
        }
        Ok((changes, page.is_last))
    }

    /// Goes on to a bucket, unless it is there. False if it is being deleted.
    fn enter(
        &self,
        view: &ReadView,
        policy: &Policy,
        underway: &mut Underway,
        id: BucketId,
        now: UnixMillis,
    ) -> Result<bool, ReadError> {
        if underway.bucket.as_ref().is_some_and(|(bucket, _)| bucket.id == id) {
            return Ok(true);
        }
        self.leave(underway, now);
        let Some(bucket) = view.bucket_of(id)? else { return Ok(false) };
        let watched = bucket.created.max(self.usage.counted_since(now));
        let ends = watched.saturating_add(policy.day.days(policy.warm_up_days));
        if now < ends && underway.warming_up.len() < TOLD {
            underway.warming_up.push(WarmingUp { bucket: bucket.name.clone(), ends });
        }
        underway.bucket = Some((bucket, Held::default()));
        Ok(true)
    }

    /// The bucket that was gone over is done.
    fn leave(&self, underway: &mut Underway, now: UnixMillis) {
        if let Some((bucket, held)) = underway.bucket.take() {
            underway.walked.held.add(&held);
            let before = self.ledger.lock().walked(bucket.id, held, now);
            if let Some((held, at)) = before {
                let saved = saved(&held, &self.prices, self.day().between(at, now) / MONTH_DAYS);
                self.charge(bucket.id.0, Account { saved, spent: 0.0 }, now);
            }
        }
    }

    fn count(&self, underway: &mut Underway, record: &ObjectRecord, decision: &Decision) {
        let terms = &decision.terms;
        let (size, tier) = (terms.size, terms.tier);
        underway.walked.objects += 1;
        if let Some((_, held)) = &mut underway.bucket {
            held.count(tier, size);
        }
        if let Some(regret) = terms.regret
            && !matches!(decision.by, Rule::Pin | Rule::Hint | Rule::StorageClass | Rule::Lifecycle)
        {
            underway.regrets[tier].add(regret.dollars, size);
        }
        let Body::Blob(blob) = &record.body else { return };
        match tier_of(&self.volumes.table, blob).map(super::meet::tier_of_store) {
            Some(lies) if lies != tier => underway.leaving[lies] += size,
            Some(_) => {
                underway.walked.plain[tier] += size;
                underway.walked.stored[tier] += stored(blob);
            }
            None => {}
        }
    }

    fn end_walk(&self, mut underway: Underway, now: UnixMillis, ended: Duration) {
        self.leave(&mut underway, now);
        let Underway { began, mut walked, pressures, regrets, leaving, warming_up, .. } = underway;
        (walked.at, walked.seconds) = (now, ended.saturating_sub(began).as_secs_f64());
        if walked.put_off > 0 {
            tracing::warn!(
                put_off = walked.put_off,
                decided = walked.decided,
                "more objects belong in colder tiers than one walk sends there; later walks go on"
            );
        }
        self.ledger.lock().ended(now);
        self.charge_slow_reads(now);
        publish(&walked);
        let pressures = Pressures::new(&pressures, &self.rooms(), &regrets, &leaving);
        for (tier, note) in pressures.notes() {
            tracing::warn!(%tier, note, "a tier is almost full");
        }
        let mut state = self.state.lock();
        state.status.walking = None;
        state.status.warming_up = warming_up;
        state.last = Some(walked);
        state.pressures = pressures;
    }

    /// What reads from warm and cold cost more than the same ones from hot, since the walk before.
    fn charge_slow_reads(&self, now: UnixMillis) {
        let prices = &self.prices;
        for ((bucket, tier), SlowReads { reads, bytes }) in self.usage.take_slow() {
            let dearer = (prices.get(tier) - prices.get(Tier::Hot)) * reads as f64;
            let bytes = bytes as f64;
            let spent = dearer + prices.retrieval(tier, bytes) - prices.retrieval(Tier::Hot, bytes);
            metrics::gauge!("stratum_tiering_retrieval_cost_dollars", "from" => tier.name()).increment(spent);
            self.charge(bucket, Account { saved: 0.0, spent }, now);
        }
    }

    /// What presses, as of the last walk.
    pub(super) fn pressures(&self) -> Pressures {
        self.state.lock().pressures.clone()
    }
}

impl Underway {
    /// Whether a decision is carried out by this walk.
    fn lets(&mut self, decision: &Decision) -> bool {
        if decision.tier == decision.terms.tier {
            return false;
        }
        if !self.pressures.lets(decision) {
            self.walked.waiting_for_room += 1;
            return false;
        }
        if goes_down_to_save(decision) && self.left == 0 {
            self.walked.put_off += 1;
            return false;
        }
        true
    }

    fn note(&mut self, decision: &Decision) {
        let tier = decision.terms.tier;
        if goes_down_to_save(decision) {
            self.left -= 1;
        }
        if decision.tier > tier {
            self.pressures.left(tier, decision.terms.size);
        }
    }
}

/// Whether it counts among those of which a walk sends down no more than a part.
fn goes_down_to_save(decision: &Decision) -> bool {
    decision.by == Rule::Model && decision.tier > decision.terms.tier
}

/// What is stored of a body, parity not counted.
fn stored(blob: &BlobRef) -> u64 {
    match &blob.place {
        Place::Packed(at) => at.length.into(),
        Place::Extents(extents) => extents.iter().map(|extent| extent.length).sum(),
        Place::Journal { length, .. } | Place::ThisEntry { length, .. } => (*length).into(),
        Place::Empty => 0,
    }
}

fn publish(walked: &Walked) {
    metrics::gauge!("stratum_tiering_walk_seconds").set(walked.seconds);
    metrics::gauge!("stratum_tiering_walk_objects").set(walked.objects as f64);
    metrics::gauge!("stratum_tiering_put_off_objects").set((walked.put_off + walked.waiting_for_room) as f64);
    for tier in Tier::ALL {
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "tier" => tier.name()).set(value);
        gauge("stratum_tiering_objects", walked.held.objects[tier] as f64);
        gauge("stratum_tiering_bytes", walked.held.bytes[tier] as f64);
        let (plain, stored) = (walked.plain[tier] as f64, walked.stored[tier] as f64);
        gauge("stratum_tiering_compression_ratio", if stored > 0.0 { plain / stored } else { 1.0 });
    }
}
