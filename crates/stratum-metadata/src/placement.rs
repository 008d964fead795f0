//! Decides to which tier the bytes of an object go, for each object when it is written.
//!
//! That doesn't say where the journal and the metadata lie ([`Tier::JOURNAL`]). A small body is in the journal first,
//! and goes to its object's tier when it is packed; a larger one is placed before it is written, and the parts of an
//! upload go to the upload's tier. What only moves bytes that were placed before (evacuation, compaction, heal) keeps
//! them in their tier.

use crate::declared::Declared;
use crate::record::{Attributes, Level, TierDecision};
use crate::transition::TIERS_SINCE;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// The tier of an object's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The decision for the object's record; `None` if nobody asked for a tier.
    decision: Option<TierDecision>,
}

impl Placement {
    /// The placement that a client declares. If the store lacks the tier, the next warmer one that it has takes its
    /// place. A state of a level before [`TIERS_SINCE`] can't hold a decision.
    pub fn of(declared: &Declared, level: Level, has: impl Fn(Tier) -> bool, now: UnixMillis) -> Placement {
        let wanted = declared.tier(now).filter(|_| level >= TIERS_SINCE);
        let decision = wanted.map(|(wanted, reason)| TierDecision::new(wanted.or_warmer(&has), now, reason));
        Placement { decision }
    }

    /// The placement that was decided before.
    pub fn decided(attributes: &Attributes) -> Placement {
        Placement { decision: attributes.tiering.last().copied() }
    }

    /// The tier. Without a decision that is hot, as nobody knows yet how the object will be used.
    pub fn tier(&self) -> Tier {
        self.decision.map_or(Tier::Hot, |decision| decision.tier)
    }

    /// The attributes that an object's record keeps of it.
    pub fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        self.decision.into_iter().for_each(|decision| attributes.tiering.push(decision));
        attributes
    }
}

impl Attributes {
    /// The same attributes for an object whose bytes may lie in another tier than was decided: it is reviewed as soon
    /// as possible.
    pub fn reviewed_at_once(self) -> Attributes {
        let decided = self.tiering.last().map(|decision| decision.since);
        Attributes { review: self.review.or(decided), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{StorageClass, TierReason};

    const ALL: fn(Tier) -> bool = |_| true;

    fn of(class: StorageClass, level: Level, has: fn(Tier) -> bool) -> Placement {
        Placement::of(&Declared { class, ..Declared::default() }, level, has, 7)
    }

    #[test]
    fn an_object_without_a_wish_is_hot_and_keeps_no_decision() {
        for class in [StorageClass::Standard, StorageClass::IntelligentTiering] {
            let placed = of(class, Level::SECOND, ALL);
            assert_eq!((placed.tier(), placed.attributes()), (Tier::Hot, Attributes::default()));
        }
    }

    #[test]
    fn a_class_places_and_the_record_says_why() {
        let placed = of(StorageClass::DeepArchive, Level::SECOND, ALL);
        let decision = TierDecision::new(Tier::Cold, 7, TierReason::StorageClass);
        assert_eq!((placed.tier(), placed.attributes().tiering.last()), (Tier::Cold, Some(&decision)));
        assert_eq!(placed.attributes().reviewed_at_once().review, Some(7));
        assert_eq!(Placement::decided(&placed.attributes()), placed);
    }

    #[test]
    fn a_store_of_the_first_level_places_nothing() {
        assert_eq!(of(StorageClass::DeepArchive, Level::FIRST, ALL), Placement::default());
    }

    #[test]
    fn a_missing_tier_is_replaced_by_the_next_warmer_one() {
        let no_cold = of(StorageClass::Glacier, Level::SECOND, |tier| tier != Tier::Cold);
        let hot_alone = of(StorageClass::Glacier, Level::SECOND, |tier| tier == Tier::Hot);
        assert_eq!((no_cold.tier(), hot_alone.tier()), (Tier::Warm, Tier::Hot));
    }
}
