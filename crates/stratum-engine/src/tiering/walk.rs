//! The walk: looks at every object once in an eighth of a day, a page at a time, with a rest after each page.

use super::Tiering;
use super::capacity::{Pressures, Regrets};
use super::decide::{Change, TieringError};
use super::ledger::{Held, saved};
use super::prefixes::Prefixes;
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

/// The rest after a page, as a multiple of the time that the page took: a walk takes a fifth of a processor at most.
const REST_FACTOR: u32 = 4;
/// In one walk, at most one of so many objects is sent to a colder tier because of its use, but at least
/// `SENT_DOWN_AT_LEAST` may be: a clock that was wrong at the start, or a mistake in the prices, must not move a
/// whole store before anybody can look.
const SENT_DOWN_DIVISOR: u64 = 8;
const SENT_DOWN_AT_LEAST: u64 = 1_024;
/// The most buckets that the status tells as being watched.
const TOLD_BUCKETS: usize = 100;

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walked {
    /// When the walk ended.
    pub at: UnixMillis,
    pub seconds: f64,
    pub objects: u64,
    /// How many objects were sent to another tier.
    pub decided: u64,
    /// How many more should be, but are left to later walks: too many were sent already, or their tier has no room.
    pub put_off: u64,
    pub waiting_for_room: u64,
    /// Records that could not be read.
    pub damaged: u64,
    /// Objects and bytes by tier; and, for objects of one body that are in their tier, their plaintext and stored
    /// bytes.
    pub held: Held,
    pub plain: PerTier<u64>,
    pub stored: PerTier<u64>,
}

/// The walk under way, and when the next page is due.
#[derive(Default)]
pub(super) struct Walking {
    underway: Option<Underway>,
    /// By the monotonic clock.
    next: Duration,
}

struct Underway {
    walk: Walk,
    /// By the monotonic clock, and by the wall clock.
    began: Duration,
    began_at: UnixMillis,
    walked: Walked,
    /// How many more objects this walk may send to colder tiers for their use.
    left: u64,
    pressures: Pressures,
    regrets: PerTier<Regrets>,
    /// Bytes in each tier that are on their way out of it.
    leaving: PerTier<u64>,
    /// The bucket that the walk is in, and what it has found there so far.
    bucket: Option<(BucketRecord, Prefixes)>,
    warming_up: Vec<WarmingUp>,
}

impl Tiering {
    /// Does a page of the walk if it is time. Returns how long to rest.
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
        // If this page fails, the next one begins a new walk.
        let mut underway = walking.underway.take().unwrap_or_else(|| self.begin_walk(began, now));
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
            let rests = if self.pace.is_hurried() { 0 } else { REST_FACTOR };
            walking.next = ended + ended.saturating_sub(began) * rests;
            self.state.lock().status.walking = Some(underway.walked.objects);
            walking.underway = Some(underway);
        }
        Ok(walking.next.saturating_sub(ended))
    }

    fn begin_walk(&self, began: Duration, began_at: UnixMillis) -> Underway {
        let last = self.state.lock().last.map_or(0, |walked| walked.objects);
        Underway {
            walk: Walk::all(),
            began,
            began_at,
            walked: Walked::default(),
            left: (last / SENT_DOWN_DIVISOR).max(SENT_DOWN_AT_LEAST),
            pressures: self.pressures(),
            regrets: PerTier::default(),
            leaving: PerTier::default(),
            bucket: None,
            warming_up: Vec::new(),
        }
    }

    /// Reads a page of objects, and returns what is to change of them. Blocks.
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
            self.count(underway, &object.key, &object.record, &decision);
            if underway.lets(&decision)
                && let Some(change) = self.change(object.bucket, object.key, &object.record, &decision)
            {
                underway.note(&decision);
                changes.push(change);
            }
        }
        Ok((changes, page.is_last))
    }

    /// Goes on to a bucket, unless the walk is in it. False if the bucket is being deleted.
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
        if now < ends && underway.warming_up.len() < TOLD_BUCKETS {
            underway.warming_up.push(WarmingUp { bucket: bucket.name.clone(), ends });
        }
        underway.bucket = Some((bucket, Prefixes::default()));
        Ok(true)
    }

    /// Ends the bucket that the walk was in.
    fn leave(&self, underway: &mut Underway, now: UnixMillis) {
        if let Some((bucket, prefixes)) = underway.bucket.take() {
            let found = prefixes.finish();
            underway.walked.held.add(&found.whole.all);
            let before = self.ledger.lock().walked(bucket.id, found, now);
            if let Some((held, at)) = before {
                let saved = saved(&held, &self.prices, self.day().between(at, now) / MONTH_DAYS);
                self.charge(bucket.id.0, Account { saved, spent: 0.0 }, now);
            }
        }
    }

    fn count(&self, underway: &mut Underway, key: &[u8], record: &ObjectRecord, decision: &Decision) {
        let terms = &decision.terms;
        let (size, tier) = (terms.size, terms.tier);
        underway.walked.objects += 1;
        if let Some((_, prefixes)) = &mut underway.bucket {
            prefixes.count(key, tier, size);
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
        let Underway { began, began_at, mut walked, pressures, regrets, leaving, warming_up, .. } = underway;
        (walked.at, walked.seconds) = (now, ended.saturating_sub(began).as_secs_f64());
        if walked.put_off > 0 {
            tracing::warn!(
                put_off = walked.put_off,
                decided = walked.decided,
                "more objects belong in colder tiers than one walk sends there; later walks go on"
            );
        }
        self.ledger.lock().ended(began_at, now);
        self.charge_slow_reads(now);
        publish(&walked);
        let pressures = Pressures::new(&pressures, &self.rooms(), &regrets, &leaving);
        let mut state = self.state.lock();
        for (tier, note) in pressures.notes() {
            let was_told =
                state.pressures.notes().iter().any(|before| before.0 == tier && before.1.is_like(note));
            match was_told {
                true => tracing::debug!(%tier, %note, "a tier is still almost full"),
                false => tracing::warn!(%tier, %note, "a tier is almost full"),
            }
        }
        state.status.walking = None;
        state.status.warming_up = warming_up;
        state.last = Some(walked);
        state.pressures = pressures;
    }

    /// Adds to the accounts how much more reads from warm and cold cost than from hot, since the last walk.
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

    /// The pressures, as of the last walk.
    pub(super) fn pressures(&self) -> Pressures {
        self.state.lock().pressures.clone()
    }
}

impl Underway {
    /// Whether this walk carries a decision out.
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

/// Whether a decision counts towards the limit of moves to colder tiers in one walk.
fn goes_down_to_save(decision: &Decision) -> bool {
    decision.by == Rule::Model && decision.tier > decision.terms.tier
}

/// The stored bytes of a body, without parity.
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
