//! What is wanted of an object's tier, by what its record says.

use crate::tiering::tier_of_store;
use stratum_metadata::record::{self, ObjectRecord};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::policy::{Pin, StorageClass, Wishes};
use stratum_tiering::tier::Tier;

/// What people want of an object, as of now.
pub fn wishes_of(record: &ObjectRecord, now: UnixMillis) -> Wishes {
    let pin = record.attributes.pinned(now);
    Wishes {
        pin: pin.map(|pin| Pin { tier: tier_of_store(pin.tier), until: pin.until }),
        class: class(record.storage_class),
        ..Wishes::default()
    }
}

/// The tier that a storage class names.
fn class(class: record::StorageClass) -> StorageClass {
    use record::StorageClass as Declared;
    match class {
        Declared::Standard | Declared::IntelligentTiering => StorageClass::Free,
        Declared::StandardIa | Declared::OnezoneIa | Declared::ReducedRedundancy => {
            StorageClass::Fixed(Tier::Warm)
        }
        Declared::GlacierIr | Declared::Glacier | Declared::DeepArchive => StorageClass::Fixed(Tier::Cold),
    }
}
