//! What a record keeps of where its object belongs, and why.

use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// A decision that takes an object to a tier. Where its bytes lie by now is its body's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierDecision {
    pub tier: Tier,
    /// When it was made: since then the object belongs there.
    pub since: UnixMillis,
    pub reason: TierReason,
    /// What it stood on, where the object's use decided.
    pub basis: Option<TierBasis>,
}

impl TierDecision {
    /// One that needs no figures to be understood.
    pub fn new(tier: Tier, since: UnixMillis, reason: TierReason) -> TierDecision {
        TierDecision { tier, since, reason, basis: None }
    }
}

/// What was known when an object's use decided: enough to say later why, in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierBasis {
    /// The tier that it belonged in until then.
    pub from: Tier,
    /// How long it had not been used, in milliseconds.
    pub idle: u64,
    /// What a month costs less in the new tier than in the one before, as the object was used then; less than nothing where it
    /// costs more. In billionths of a dollar.
    pub saves: i64,
}

/// Why an object goes to a tier. What only keeps it where it is, such as a bucket's first days, is none. New ones stand at
/// the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierReason {
    /// An operator moved it, and the engine may move it again.
    ByHand,
    /// It is pinned there.
    Pin,
    /// Its metadata asks for it.
    Hint,
    StorageClass,
    Lifecycle,
    /// The tier that it lay in was too full.
    Capacity,
    /// It was suddenly read much.
    Spike,
    /// What it is expected to cost.
    Model,
}

/// The decisions that were made of an object, the last one last: the first ones are forgotten where there are many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TierDecision>", into = "Vec<TierDecision>")]
pub struct TierDecisions(Vec<TierDecision>);

impl TierDecisions {
    /// How many are remembered.
    pub const MAX: usize = 8;

    /// The one that counts.
    pub fn last(&self) -> Option<&TierDecision> {
        self.0.last()
    }

    /// All that are remembered, in the order of time.
    pub fn all(&self) -> &[TierDecision] {
        &self.0
    }

    /// None while the object lies where it was put.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, decision: TierDecision) {
        if self.0.len() >= Self::MAX {
            self.0.remove(0);
        }
        self.0.push(decision);
    }
}

/// More than are remembered.
#[derive(Debug, thiserror::Error)]
#[error("{0} decisions of a tier are kept, and there are at most {max}", max = TierDecisions::MAX)]
pub struct TooMany(usize);

impl TryFrom<Vec<TierDecision>> for TierDecisions {
    type Error = TooMany;

    fn try_from(all: Vec<TierDecision>) -> Result<Self, TooMany> {
        if all.len() <= Self::MAX { Ok(TierDecisions(all)) } else { Err(TooMany(all.len())) }
    }
}

impl From<TierDecisions> for Vec<TierDecision> {
    fn from(decisions: TierDecisions) -> Self {
        decisions.0
    }
}

/// A tier that an operator set, which comes before all that the engine would decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierPin {
    pub tier: Tier,
    /// The canonical user id of who set it.
    pub by: String,
    pub since: UnixMillis,
    /// Until it is taken away, where there is no end.
    pub until: Option<UnixMillis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decisions_are_remembered() {
        let mut decisions = TierDecisions::default();
        for since in 0..20 {
            decisions.push(TierDecision::new(Tier::Cold, since, TierReason::ByHand));
        }
        let all = decisions.all();
        assert_eq!((all.len(), all[0].since, decisions.last().unwrap().since), (8, 12, 19));
        let bytes = postcard::to_allocvec(&decisions).unwrap();
        assert_eq!(postcard::from_bytes::<TierDecisions>(&bytes).unwrap(), decisions);
        let too_many = postcard::to_allocvec(&[all, all].concat()).unwrap();
        assert!(postcard::from_bytes::<TierDecisions>(&too_many).is_err());
    }
}
