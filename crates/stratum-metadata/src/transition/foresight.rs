//! What is known of bodies before they are read: whether coding makes them shorter.
//!
//! What looks at the bytes is a layer above this crate; here it is only asked.

use crate::record::{BucketId, ObjectRecord};

/// Whether coding makes an object's bodies shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreseen {
    /// It isn't known: coding is tried on the first bytes.
    #[default]
    Nothing,
    /// It does: the bodies are coded without a try.
    Shrinks,
    /// It doesn't: the bodies are stored uncoded.
    HardlyShrinks,
}

/// Knows such things of objects.
pub trait Foresight: Send + Sync {
    /// What is known of an object, by its key and its record.
    fn foresee(&self, bucket: BucketId, key: &[u8], record: &ObjectRecord) -> Foreseen;
}

/// Knows nothing of any object.
pub struct Unforeseen;

impl Foresight for Unforeseen {
    fn foresee(&self, _: BucketId, _: &[u8], _: &ObjectRecord) -> Foreseen {
        Foreseen::Nothing
    }
}
