//! Decisions that an operator makes about an object's tier.

use crate::command::{Command, Outcome, Pinning, TierChange, TierCondition};
use crate::fate::{CommitError, NotWritten};
use crate::record::{BucketId, Level, ObjectRecord, TierDecision, TierPin, TierReason};
use crate::store::Metadata;
use bytes::Bytes;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// What an operator wants for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierWish {
    /// It goes to that tier, and may be moved again by any later decision.
    Move(Tier),
    /// It goes to that tier and stays there while the pin holds.
    Pin(TierPin),
    /// It stays where it is until another decision is made.
    Unpin,
}

/// The first level whose records can hold decisions about tiers.
pub const TIERS_SINCE: Level = Level::SECOND;

impl Metadata {
    /// Makes these decisions for a bucket's objects, with reviews that are due at once. Returns how many of the
    /// objects still existed; one that was replaced since it was looked up isn't the one that was meant.
    ///
    /// # Errors
    /// See [`CommitError`]; `Unavailable` if the state's level is before [`TIERS_SINCE`].
    pub async fn decide_tiers(
        &self,
        bucket: BucketId,
        objects: Vec<(Vec<u8>, ObjectRecord)>,
        wish: &TierWish,
        now: UnixMillis,
    ) -> Result<u64, CommitError> {
        if self.level() < TIERS_SINCE {
            let problem = format!(
                "moving objects between tiers takes a store of level {TIERS_SINCE}, and this one is of level {}: run \
                 `stratum level raise`",
                self.level()
            );
            return Err(NotWritten::Unavailable(problem).into());
        }
        let changes = objects.into_iter().map(|(key, record)| wish.of(bucket, key, &record, now)).collect();
        match self.commit(Command::DecideTiers(changes), Bytes::new()).await? {
            Outcome::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }
}

impl TierWish {
    fn of(&self, bucket: BucketId, key: Vec<u8>, record: &ObjectRecord, now: UnixMillis) -> TierChange {
        let decided = |tier, reason| Some(TierDecision::new(tier, now, reason));
        let (decision, pinning, review) = match self {
            TierWish::Move(tier) => (decided(*tier, TierReason::ByHand), Pinning::Clear, Some(now)),
            TierWish::Pin(pin) => (decided(pin.tier, TierReason::Pin), Pinning::Set(pin.clone()), Some(now)),
            TierWish::Unpin => (None, Pinning::Clear, record.attributes.review),
        };
        let ObjectRecord { version, committed, .. } = *record;
        let condition = TierCondition::Always;
        TierChange { bucket, key, version, committed, condition, decision, pinning, review }
    }
}
