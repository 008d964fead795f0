//! What is known of bodies before they are read: whether coding makes them shorter.
//!
//! Who looks at bytes is above this crate; here it is only asked.

use crate::record::{BucketId, ObjectRecord};

/// Whether coding makes an object's bodies shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreseen {
    /// Nobody knows: their first bytes are tried.
    #[default]
    Nothing,
    /// They are coded untried.
    Shrinks,
    /// They are stored as they are.
    HardlyShrinks,
}

/// Who knows.
pub trait Foresight: Send + Sync {
    /// What is known of an object, by its key and its record.
    fn foresee(&self, bucket: BucketId, key: &[u8], record: &ObjectRecord) -> Foreseen;
}

/// Nobody does.
pub struct Unforeseen;

impl Foresight for Unforeseen {
    fn foresee(&self, _: BucketId, _: &[u8], _: &ObjectRecord) -> Foreseen {
        Foreseen::Nothing
    }
}
