//! One object: what is known of it, what is decided about it, and the command for that.

use super::Tiering;
use super::capacity::Pressures;
use super::meet::{is_by_use, reason_of, tier_of_policy, tier_of_store};
use crate::wishes_of;
use bytes::Bytes;
use stratum_metadata::command::{Command, Outcome, Pinning, TierChange, TierCondition};
use stratum_metadata::record::{
    Body, BucketId, BucketRecord, Compared, ObjectRecord, TierBasis, TierDecision, TierReason,
};
use stratum_metadata::{ReadError, tier_of};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob;
use stratum_tiering::policy::{Decision, Features, Policy, Rule, Wishes};
use stratum_tiering::tier::Tier;
use stratum_tiering::usage::Known;
use stratum_tiering::usage::accounts::{Account, AccountName};

/// The most woken objects that are decided about in one step.
const WOKEN_A_STEP: usize = 1_024;
/// The most changes in one command.
const CHANGES_A_COMMAND: usize = 256;
/// Billionths of a dollar in a dollar.
const NANOS_A_DOLLAR: f64 = 1e9;

/// Why nothing could be decided now. Nothing is lost: the next walk decides it.
#[derive(Debug, thiserror::Error)]
pub enum TieringError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the decisions could not be made durable: {0}")]
    Commit(String),
}

/// An object, and what is known of its use.
pub(super) struct Subject {
    size: u64,
    pub(super) tier: Tier,
    since: UnixMillis,
    written: UnixMillis,
    watched_since: UnixMillis,
    wishes: Wishes,
    pub(super) known: Known,
}

/// A change of an object's tier, and what metrics and status tell of it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) change: TierChange,
    pub(super) from: Tier,
    pub(super) to: Tier,
    pub(super) reason: TierReason,
    pub(super) size: u64,
    /// What the move itself costs, in dollars.
    pub(super) cost: f64,
}

impl Subject {
    pub(super) fn features(&self, pressures: &Pressures) -> Features<'_> {
        Features {
            size: self.size,
            tier: self.tier,
            since: self.since,
            written: self.written,
            own: self.known.own.as_ref(),
            group: self.known.group.as_ref(),
            watched_since: self.watched_since,
            wishes: self.wishes,
            pressure: pressures.of(self.tier),
        }
    }
}

impl Tiering {
    /// What is known of an object; `None` for one without bytes, which is in no tier.
    pub(super) fn subject(
        &self,
        bucket: &BucketRecord,
        key: &[u8],
        record: &ObjectRecord,
        now: UnixMillis,
    ) -> Option<Subject> {
        if record.size == 0 {
            return None;
        }
        let last = record.attributes.tiering.last();
        let by_hand = last.filter(|last| last.reason == TierReason::ByHand).map(|last| last.since);
        Some(Subject {
            size: record.size,
            tier: self.belongs_in(record, now),
            since: last.map_or(record.modified, |last| last.since),
            written: record.modified,
            watched_since: bucket.created.max(self.usage.counted_since(now)),
            wishes: Wishes { by_hand, ..wishes_of(record, &self.has, now) },
            known: self.usage.of(bucket.id.0, &String::from_utf8_lossy(key)),
        })
    }

    /// The tier that counts for a decision: the one in which the object belongs by earlier decisions, as its move is
    /// under way; without any, the one in which its body is. An object of several parts about which nothing was
    /// decided counts as being in the tier for new objects.
    pub(super) fn belongs_in(&self, record: &ObjectRecord, now: UnixMillis) -> Tier {
        let lies = || match &record.body {
            Body::Blob(blob) => tier_of(&self.volumes.table, blob),
            Body::Parts { .. } => None,
        };
        tier_of_store(record.attributes.belongs_in(now).or_else(lies).unwrap_or(blob::Tier::JOURNAL))
    }

    /// The change that follows from a decision, if any.
    pub(super) fn change(
        &self,
        bucket: BucketId,
        key: Vec<u8>,
        record: &ObjectRecord,
        decision: &Decision,
    ) -> Option<Change> {
        let terms = &decision.terms;
        let (from, to, now) = (terms.tier, decision.tier, terms.now);
        let reason = reason_of(decision.by).filter(|_| from != to)?;
        let compared = match Compared::of(reason, tier_of_policy(from), tier_of_policy(to)) {
            Compared::Month => &terms.monthly_cost,
            Compared::Storage => &terms.storage_month,
            Compared::Read => &terms.read,
        };
        let saves = (compared[from] - compared[to]) * NANOS_A_DOLLAR;
        let basis =
            TierBasis { from: tier_of_policy(from), idle: terms.rested(), saves: saves.round() as i64 };
        let decided = TierDecision {
            // The figures are about past reads, and a visit is still to come.
            basis: (is_by_use(reason) && decision.by != Rule::Visit).then_some(basis),
            ..TierDecision::new(tier_of_policy(to), now, reason)
        };
        let last = record.attributes.tiering.last();
        let change = TierChange {
            bucket,
            key,
            version: record.version,
            committed: record.committed,
            condition: TierCondition::Unchanged {
                modified: record.modified,
                decided: last.map(|last| last.since),
            },
            decision: Some(decided),
            pinning: Pinning::Leave,
            review: Some(now),
        };
        let cost = terms.put[to] + terms.get[from] + terms.retrieval[from];
        Some(Change { change, from, to, reason, size: record.size, cost })
    }

    /// Decides about the woken objects: those that were read where reads are slow, or suddenly read much.
    pub(super) async fn decide_woken(&self, policy: &Policy, now: UnixMillis) -> Result<(), TieringError> {
        let woken = self.usage.take_woken(WOKEN_A_STEP);
        if woken.is_empty() {
            return Ok(());
        }
        let view = self.metadata.local();
        let decide = || -> Result<Vec<Change>, ReadError> {
            let mut changes = Vec::new();
            for (bucket, key) in woken {
                let (id, key) = (BucketId(bucket), key.into_bytes());
                let Some(bucket) = view.bucket_of(id)? else { continue };
                let Some(record) = view.object(id, &key)? else { continue };
                let Some(subject) = self.subject(&bucket, &key, &record, now) else { continue };
                let pressures = self.pressures();
                let decision = policy.decide(&subject.features(&pressures), &self.prices, now);
                if pressures.lets(&decision) {
                    changes.extend(self.change(id, key, &record, &decision));
                }
            }
            Ok(changes)
        };
        let changes = stratum_storage::blocking::in_place(decide)?;
        self.propose(changes).await
    }

    /// Commits changes, and counts and logs them.
    pub(super) async fn propose(&self, changes: Vec<Change>) -> Result<(), TieringError> {
        for some in changes.chunks(CHANGES_A_COMMAND) {
            let command = Command::DecideTiers(some.iter().map(|one| one.change.clone()).collect());
            let committed = self.metadata.commit(command, Bytes::new()).await;
            match committed.map_err(|error| TieringError::Commit(error.to_string()))? {
                Outcome::Count(0) => {}
                _ => some.iter().for_each(|one| self.tell(one)),
            }
        }
        Ok(())
    }

    /// Adds to a bucket's account of this month.
    pub(super) fn charge(&self, bucket: u64, by: Account, now: UnixMillis) {
        let month = super::ledger::month_of(self.day(), now);
        self.usage.charge(AccountName { month, bucket }, by);
    }

    fn tell(&self, change: &Change) {
        let Change { from, to, reason, size, cost, .. } = change;
        let name = super::meet::name_of(*reason);
        metrics::counter!("stratum_tiering_decisions_total", "reason" => name, "to" => to.name())
            .increment(1);
        metrics::gauge!("stratum_tiering_transition_cost_dollars", "to" => to.name()).increment(*cost);
        let (bucket, now) = (change.change.bucket, self.clock.now());
        let month = super::ledger::month_of(self.day(), now);
        self.ledger.lock().moved(bucket, *reason, *size, month);
        self.charge(bucket.0, Account { saved: 0.0, spent: *cost }, now);
        let key = String::from_utf8_lossy(&change.change.key).into_owned();
        tracing::debug!(bucket = change.change.bucket.0, key, %from, %to, reason = name, "decided");
        self.state.lock().status.recent(super::status::Recent {
            bucket: change.change.bucket.0,
            key,
            from: *from,
            to: *to,
            reason: name.into(),
            at: change.change.review.unwrap_or_default(),
        });
    }
}
