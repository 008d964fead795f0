//! Writes a record that owns bodies back to where it was found.

use super::ApplyError;
use super::view::View;
use crate::owned::Owned;
use crate::record::Version;

pub(super) fn put(view: &mut View<'_>, at: Vec<u8>, owned: Owned) -> Result<(), ApplyError> {
    match owned {
        Owned::Current(record) => view.put(at, &record),
        Owned::NonCurrent(record) => view.put(at, &Version::Object(Box::new(record))),
        Owned::Part(part) => view.put(at, &part),
    }
}
