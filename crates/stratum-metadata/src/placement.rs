//! Which tier the bytes of an object go to: the one decision, made for each object when it comes.
//!
//! It is another question than where the journal and the metadata lie ([`Tier::JOURNAL`]). A small body rides in the
//! journal first, whatever its object, and goes where it belongs when it is packed; a larger one is placed before it is
//! written, and the parts of an upload where the upload belongs. What only moves bytes that were placed before
//! (evacuation, compaction, heal) keeps the tier that they are in.

use crate::declared::Declared;
use crate::record::{Attributes, Level, TierDecision};
use crate::transition::TIERS_SINCE;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;

/// Where an object's bytes belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// What its record says of that; nothing where nobody has a wish.
    decision: Option<TierDecision>,
}

impl Placement {
    /// Of what a client declares. A tier that the store doesn't have is stood in for by the next warmer one, and a state
    /// before [`TIERS_SINCE`] can't say where an object belongs.
    pub fn of(declared: &Declared, level: Level, has: impl Fn(Tier) -> bool, now: UnixMillis) -> Placement {
        let wanted = declared.tier(now).filter(|_| level >= TIERS_SINCE);
        let decision = wanted.map(|(wanted, reason)| TierDecision::new(wanted.or_warmer(&has), now, reason));
        Placement { decision }
    }

    /// Of what was decided before.
    pub fn decided(attributes: &Attributes) -> Placement {
        Placement { decision: attributes.tiering.last().copied() }
    }

    /// The tier. Everything new is hot where nothing was decided: nobody has seen yet how it is used.
    pub fn tier(&self) -> Tier {
        self.decision.map_or(Tier::Hot, |decision| decision.tier)
    }

    /// What a record keeps of it.
    pub fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        self.decision.into_iter().for_each(|decision| attributes.tiering.push(decision));
        attributes
    }
}

impl Attributes {
    /// The same for an object whose bytes may lie elsewhere than was decided: it is looked at as soon as can be.
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
    fn what_nobody_has_a_wish_for_is_hot_and_says_nothing() {
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
    fn a_tier_that_is_not_there_is_stood_in_for_by_the_next_warmer_one() {
        let no_cold = of(StorageClass::Glacier, Level::SECOND, |tier| tier != Tier::Cold);
        let hot_alone = of(StorageClass::Glacier, Level::SECOND, |tier| tier == Tier::Hot);
        assert_eq!((no_cold.tier(), hot_alone.tier()), (Tier::Warm, Tier::Hot));
    }
}
