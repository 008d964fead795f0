//! Which tier the bytes of an object go to: the one decision, made for each object anew.
//!
//! It is another question than where the journal and the metadata lie ([`Tier::JOURNAL`]). A small body rides in the
//! journal first, whatever its object, and is placed when it is packed; a larger one is placed before it is written. What
//! only moves bytes that were placed before (evacuation, compaction, heal) keeps the tier that they are in.

use crate::record::{BucketId, StorageClass};
use stratum_storage::blob::Tier;

/// What is known of an object, or of a part of one, when its bytes are to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub bucket: BucketId,
    /// What the client declared. Not at hand for a part that is packed.
    pub storage_class: Option<StorageClass>,
    /// Bytes that are stored, as far as they are counted: of a body without a declared length none are yet.
    pub size: Option<u64>,
}

impl Arrival {
    /// An object of that class in a bucket, of a size that isn't known yet.
    pub fn new(bucket: BucketId, storage_class: StorageClass) -> Arrival {
        Arrival { bucket, storage_class: Some(storage_class), size: None }
    }

    /// The same, now that its size is known, if it is.
    pub fn sized(self, size: Option<u64>) -> Arrival {
        Arrival { size, ..self }
    }
}

/// Where an object's bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placement {
    pub tier: Tier,
}

impl Placement {
    /// Everything new is hot, whatever is known of it: nobody has seen yet how it is used.
    pub fn of(_object: &Arrival) -> Placement {
        Placement { tier: Tier::Hot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_known_of_it_a_new_object_is_hot() {
        for class in [StorageClass::Standard, StorageClass::GlacierIr, StorageClass::DeepArchive] {
            let object = Arrival::new(BucketId(7), class);
            for size in [None, Some(0), Some(5 << 40)] {
                assert_eq!(Placement::of(&object.sized(size)).tier, Tier::Hot);
            }
        }
    }
}
