//! What a record keeps of the tier in which its object belongs, and why.

use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// A decision that an object belongs in a tier. Where its bytes are at present is in its body's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierDecision {
    pub tier: Tier,
    /// When the decision was made.
    pub since: UnixMillis,
    pub reason: TierReason,
    /// The figures that it was based on, if the object's use decided.
    pub basis: Option<TierBasis>,
}

impl TierDecision {
    /// A decision that doesn't follow from the object's use.
    pub fn new(tier: Tier, since: UnixMillis, reason: TierReason) -> TierDecision {
        TierDecision { tier, since, reason, basis: None }
    }

    /// Whether the object went to a warmer tier because of its use.
    pub fn goes_up(&self) -> bool {
        self.basis.is_some_and(|basis| self.tier < basis.from)
    }
}

/// What was known when an object's use decided: enough to say later why, in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierBasis {
    /// The tier in which the object belonged before.
    pub from: Tier,
    /// How long the object had not been used, in milliseconds; of a move to a warmer tier, until it was read.
    pub idle: u64,
    /// How much less is paid in the new tier than in the one before for what the rule [compares](Compared), in
    /// billionths of a dollar; negative if it costs more.
    pub saves: i64,
}

/// What the rule compares that decided by an object's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// A month with the object's use at that time: which objects leave a tier that is too full.
    Month,
    /// A month of storage alone, which has to repay the way: what goes to a colder tier.
    Storage,
    /// One read: what comes back to a warmer tier.
    Read,
}

impl Compared {
    /// What is compared for a move between these tiers.
    pub fn of(reason: TierReason, from: Tier, to: Tier) -> Compared {
        match reason {
            TierReason::Capacity => Compared::Month,
            _ if to < from => Compared::Read,
            _ => Compared::Storage,
        }
    }
}

/// Why an object goes to a tier. Reasons for staying, such as the first days of a bucket, are not among them. New
/// variants go at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierReason {
    /// An operator moved it, and the engine may move it again.
    ByHand,
    /// An operator pinned it there.
    Pin,
    /// Its metadata asks for the tier.
    Hint,
    StorageClass,
    Lifecycle,
    /// The tier in which it was had too little room.
    Capacity,
    /// It was suddenly read much more than usual.
    Spike,
    /// The expected cost.
    Model,
}

/// The decisions that were made about an object, the latest last; the oldest are forgotten if there are many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<TierDecision>", into = "Vec<TierDecision>")]
pub struct TierDecisions(Vec<TierDecision>);

impl TierDecisions {
    /// How many decisions are kept.
    pub const MAX: usize = 8;

    /// The decision that is in force.
    pub fn last(&self) -> Option<&TierDecision> {
        self.0.last()
    }

    /// All decisions that are kept, in the order of time.
    pub fn all(&self) -> &[TierDecision] {
        &self.0
    }

    /// Whether nothing was ever decided: the object is in the tier in which it was put.
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

/// A stored record has more decisions than are kept.
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

/// A tier that an operator set, which overrides whatever the engine would decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierPin {
    pub tier: Tier,
    /// The canonical user id of who set it.
    pub by: String,
    pub since: UnixMillis,
    /// When it ends; `None`: when it is removed.
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
