//! Why an object isn't moved by hand: it is pinned, or what was declared of it would take it back at the next walk.
//!
//! A move by hand gives way to a hint and to a storage class, so it would cost two moves and change nothing. A pin comes
//! before both, and is what such an object needs.

use std::fmt;
use stratum_api::storage_class_name;
use stratum_engine::tiering::{tier_of_policy, tier_of_store};
use stratum_engine::wishes_of;
use stratum_metadata::record::{ObjectRecord, StorageClass};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;
use stratum_tiering::policy;
use stratum_tiering::tier::PerTier;

/// What keeps an object in a tier whatever is decided by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Pin(Tier),
    Hint(Tier),
    Class(StorageClass, Tier),
}

/// What the walks of a store go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walks {
    /// The tiers that the store has.
    pub has: PerTier<bool>,
    /// Whether they heed what is declared; not if tiering is off.
    pub heed_declared: bool,
}

impl Kept {
    /// What would undo a move of the object to the tier `to`, or is undone by it; nothing if the object may go.
    pub fn from(
        to: Tier,
        record: &ObjectRecord,
        is_current: bool,
        walks: Walks,
        now: UnixMillis,
    ) -> Option<Kept> {
        if let Some(pin) = record.attributes.pinned(now) {
            return Some(Kept::Pin(pin.tier));
        }
        // Walks look at current objects alone, and at none without bytes.
        if !walks.heed_declared || !is_current || record.size == 0 {
            return None;
        }
        let wishes = wishes_of(record, &walks.has, now);
        let hint = wishes.hint.filter(|hint| hint.until.is_none_or(|until| now < until));
        let (kept, back) = match (hint, wishes.class) {
            (Some(hint), _) => (Kept::Hint(tier_of_policy(hint.tier)), hint.tier),
            (None, policy::StorageClass::Fixed(tier)) => {
                (Kept::Class(record.storage_class, tier_of_policy(tier)), tier)
            }
            (None, policy::StorageClass::Free) => return None,
        };
        (back != tier_of_store(to)).then_some(kept)
    }

    /// Why the object isn't moved, with what to do instead.
    pub fn why(self, to: Tier) -> String {
        let to = to.name();
        match self {
            Kept::Pin(tier) => format!(
                "it is pinned to {}, where nothing else moves it: unpin it first, or pin it to {to}",
                tier.name()
            ),
            Kept::Hint(_) | Kept::Class(..) => {
                format!("{self} takes it back there at the next walk: pin it to {to} instead")
            }
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Pin(tier) => write!(f, "it is pinned to {}", tier.name()),
            Kept::Hint(tier) => {
                write!(f, "it belongs in {}, since its metadata asks for that, which", tier.name())
            }
            Kept::Class(class, tier) => {
                write!(
                    f,
                    "it belongs in {} by its storage class {}, which",
                    tier.name(),
                    storage_class_name(*class)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use stratum_metadata::record::{Attributes, Body, ETag, ObjectHeaders, TierPin, VersionId};
    use stratum_storage::blob::{BlobRef, Place};

    const WALKS: Walks = Walks { has: PerTier { hot: true, warm: true, cold: true }, heed_declared: true };

    fn record(class: StorageClass, hint: Option<&str>) -> ObjectRecord {
        let user: BTreeMap<String, String> =
            hint.map(|tier| ("stratum-tier".to_owned(), tier.to_owned())).into_iter().collect();
        ObjectRecord {
            version: VersionId::NULL,
            modified: 0,
            size: 1,
            etag: ETag::Md5([0; 16]),
            storage_class: class,
            checksum: None,
            headers: ObjectHeaders { user, ..ObjectHeaders::default() },
            body: Body::Blob(BlobRef::plain(Place::Empty)),
            committed: 1,
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn what_would_be_taken_back_is_kept_and_pins_too() {
        let kept = |to, record: &ObjectRecord| Kept::from(to, record, true, WALKS, 5);
        let glacier = record(StorageClass::Glacier, None);
        let why = kept(Tier::Hot, &glacier).unwrap();
        assert_eq!(why, Kept::Class(StorageClass::Glacier, Tier::Cold));
        assert_eq!(
            why.why(Tier::Hot),
            "it belongs in cold by its storage class GLACIER, which takes it back there at the next walk: pin it to hot \
             instead"
        );
        assert_eq!(kept(Tier::Cold, &glacier), None);
        let hinted = record(StorageClass::Glacier, Some("hot"));
        assert_eq!(kept(Tier::Warm, &hinted), Some(Kept::Hint(Tier::Hot)));
        assert_eq!(kept(Tier::Hot, &hinted), None);
        assert_eq!(kept(Tier::Warm, &record(StorageClass::Standard, Some("auto"))), None);
        // Walks don't look at other versions, nor at anything where tiering is off, nor at what has no bytes.
        assert_eq!(Kept::from(Tier::Hot, &glacier, false, WALKS, 5), None);
        let off = Walks { heed_declared: false, ..WALKS };
        assert_eq!(Kept::from(Tier::Hot, &glacier, true, off, 5), None);
        assert_eq!(kept(Tier::Hot, &ObjectRecord { size: 0, ..glacier.clone() }), None);
        // A store without a cold tier keeps it in warm.
        let no_cold = Walks { has: PerTier { cold: false, ..WALKS.has }, ..WALKS };
        assert_eq!(Kept::from(Tier::Warm, &glacier, true, no_cold, 5), None);

        let pin = TierPin { tier: Tier::Hot, by: "root".into(), since: 1, until: Some(6) };
        let attributes = Attributes { pin: Some(pin), ..Attributes::default() };
        let pinned = ObjectRecord { attributes, ..record(StorageClass::Standard, None) };
        assert_eq!(Kept::from(Tier::Cold, &pinned, false, WALKS, 5), Some(Kept::Pin(Tier::Hot)));
        assert_eq!(Kept::from(Tier::Cold, &pinned, true, WALKS, 6), None, "it ended");
    }
}
