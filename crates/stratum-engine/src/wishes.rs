//! What people ask for an object's tier, by its record.

use crate::tiering::tier_of_store;
use stratum_metadata::declared::{self, Declared, TierHint};
use stratum_metadata::record::ObjectRecord;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob;
use stratum_tiering::policy::{Pin, Priority, StorageClass, Wishes};
use stratum_tiering::tier::{PerTier, Tier};

/// What people ask for an object as of now, in a store that has these tiers. A tier that the store lacks is replaced
/// by the next warmer one, as when new objects are placed.
pub fn wishes_of(record: &ObjectRecord, has: &PerTier<bool>, now: UnixMillis) -> Wishes {
    let there = |tier: blob::Tier| tier_of_store(tier.or_warmer(|tier| has[tier_of_store(tier)]));
    let declared = Declared::of(&record.headers, record.storage_class);
    Wishes {
        pin: record.attributes.pinned(now).map(|pin| Pin { tier: there(pin.tier), until: pin.until }),
        hint: hint(declared.hints.tier, there),
        priority: declared.hints.priority.map_or(Priority::default(), priority),
        class: declared
            .effective_class()
            .tier()
            .map_or(StorageClass::Free, |tier| StorageClass::Fixed(there(tier))),
        ..Wishes::default()
    }
}

fn hint(hint: TierHint, there: impl Fn(blob::Tier) -> Tier) -> Option<Pin> {
    match hint {
        TierHint::In { tier, until } => Some(Pin { tier: there(tier), until }),
        TierHint::Unsaid | TierHint::Auto => None,
    }
}

fn priority(priority: declared::Priority) -> Priority {
    match priority {
        declared::Priority::Latency => Priority::Latency,
        declared::Priority::Balanced => Priority::Balanced,
        declared::Priority::Cost => Priority::Cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::{
        Attributes, Body, ETag, ObjectHeaders, StorageClass as Declared, TierPin, VersionId,
    };
    use stratum_storage::blob::{BlobRef, Place};

    const ALL: PerTier<bool> = PerTier { hot: true, warm: true, cold: true };

    fn record(user: &[(&str, &str)], storage_class: Declared) -> ObjectRecord {
        let user = user.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        ObjectRecord {
            version: VersionId::NULL,
            modified: 0,
            size: 1,
            etag: ETag::Md5([0; 16]),
            storage_class,
            checksum: None,
            headers: ObjectHeaders { user, ..ObjectHeaders::default() },
            body: Body::Blob(BlobRef::plain(Place::Empty)),
            committed: 0,
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn wishes_are_what_is_declared() {
        let hints = [("stratum-tier", "warm"), ("stratum-priority", "latency")];
        let wishes = wishes_of(&record(&hints, Declared::Glacier), &ALL, 5);
        let hint = Pin { tier: Tier::Warm, until: None };
        assert_eq!((wishes.hint, wishes.priority), (Some(hint), Priority::Latency));
        assert_eq!(wishes.class, StorageClass::Fixed(Tier::Cold));
        let auto = wishes_of(&record(&[("stratum-tier", "auto")], Declared::Glacier), &ALL, 5);
        assert_eq!((auto.hint, auto.class), (None, StorageClass::Free));
        let rubbish = wishes_of(&record(&[("stratum-tier", "tepid")], Declared::Standard), &ALL, 5);
        assert_eq!(rubbish, Wishes::default());
    }

    #[test]
    fn a_wish_for_a_missing_tier_goes_to_a_warmer_one() {
        let pin = TierPin { tier: blob::Tier::Cold, by: "ann".into(), since: 1, until: None };
        let attributes = Attributes { pin: Some(pin), ..Attributes::default() };
        let pinned = ObjectRecord { attributes, ..record(&[("stratum-tier", "cold")], Declared::Glacier) };
        let wishes = wishes_of(&pinned, &PerTier { cold: false, ..ALL }, 5);
        let warm = Some(Pin { tier: Tier::Warm, until: None });
        assert_eq!((wishes.pin, wishes.hint, wishes.class), (warm, warm, StorageClass::Fixed(Tier::Warm)));
    }
}
