//! Translates between the store's types and the policy's: tiers, and reasons.

use stratum_metadata::record::{TierDecision, TierReason};
use stratum_storage::blob;
use stratum_tiering::policy::Rule;
use stratum_tiering::tier;

/// The policy's type for a tier of the store.
pub fn tier_of_store(tier: blob::Tier) -> tier::Tier {
    match tier {
        blob::Tier::Hot => tier::Tier::Hot,
        blob::Tier::Warm => tier::Tier::Warm,
        blob::Tier::Cold => tier::Tier::Cold,
    }
}

/// The store's type for a tier of the policy.
pub fn tier_of_policy(tier: tier::Tier) -> blob::Tier {
    match tier {
        tier::Tier::Hot => blob::Tier::Hot,
        tier::Tier::Warm => blob::Tier::Warm,
        tier::Tier::Cold => blob::Tier::Cold,
    }
}

/// The reason that a record keeps for the rule that moved an object. Rules that only keep an object in its tier have
/// none.
pub(super) fn reason_of(rule: Rule) -> Option<TierReason> {
    match rule {
        Rule::Pin => Some(TierReason::Pin),
        Rule::Hint => Some(TierReason::Hint),
        Rule::StorageClass => Some(TierReason::StorageClass),
        Rule::Lifecycle => Some(TierReason::Lifecycle),
        Rule::Capacity => Some(TierReason::Capacity),
        Rule::Spike => Some(TierReason::Spike),
        // What is brought up ahead of a visit is expected to cost least there, too.
        Rule::Visit | Rule::Model => Some(TierReason::Model),
        Rule::ByHand | Rule::WarmUp | Rule::LeastIdle => None,
    }
}

/// Whether the object's use decided, rather than somebody's wish.
pub(super) fn is_by_use(reason: TierReason) -> bool {
    match reason {
        TierReason::Capacity | TierReason::Spike | TierReason::Model => true,
        TierReason::ByHand
        | TierReason::Pin
        | TierReason::Hint
        | TierReason::StorageClass
        | TierReason::Lifecycle => false,
    }
}

/// The name of a reason, for metrics and reports.
pub fn name_of(reason: TierReason) -> &'static str {
    match reason {
        TierReason::ByHand => "by-hand",
        TierReason::Pin => "pin",
        TierReason::Hint => "hint",
        TierReason::StorageClass => "storage-class",
        TierReason::Lifecycle => "lifecycle",
        TierReason::Capacity => "capacity",
        TierReason::Spike => "spike",
        TierReason::Model => "model",
    }
}

/// The reason of a decision in words, to stand after "because".
pub fn in_words(decision: &TierDecision) -> &'static str {
    match decision.reason {
        TierReason::ByHand => "an operator moved it",
        TierReason::Pin => "it is pinned there",
        TierReason::Hint => "its metadata asks for that",
        TierReason::StorageClass => "its storage class asks for that",
        TierReason::Lifecycle => "a lifecycle rule asks for that",
        TierReason::Capacity => "the tier that it lay in was too full",
        TierReason::Spike => "it was suddenly read much",
        TierReason::Model if decision.goes_up() => "it was read again",
        TierReason::Model => "it is expected to cost least there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_comes_back_and_a_reason_is_called_as_its_rule() {
        for tier in tier::Tier::ALL {
            assert_eq!(tier_of_store(tier_of_policy(tier)), tier);
            assert_eq!(tier_of_policy(tier).name(), tier.name());
        }
        // Records know what came up ahead of a visit as moved by the model.
        for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::Visit) {
            if let Some(reason) = reason_of(rule) {
                assert_eq!(serde_json::to_value(rule).unwrap(), name_of(reason));
            }
        }
    }
}
