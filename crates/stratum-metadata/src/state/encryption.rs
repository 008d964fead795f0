//! Data keys that are wrapped again after the key above them was rotated. What the data keys encrypt stays as it is.

use super::view::View;
use super::{ApplyError, Step, owners};
use crate::command::{KeyChange, KeyHolder, Outcome};
use crate::keys;
use crate::owned::{self, Owned};
use crate::record::{Attributes, Owner, StoredUpload};

/// Applies each change by itself: one is skipped if its record has another key by now, or is gone.
pub(super) fn rewrap(view: &mut View<'_>, changes: Vec<KeyChange>) -> Step {
    let mut applied = 0;
    for change in changes {
        applied += u64::from(apply(view, change)?);
    }
    Ok(Outcome::Count(applied))
}

fn apply(view: &mut View<'_>, change: KeyChange) -> Result<bool, ApplyError> {
    let KeyChange { of, from, to } = change;
    match of {
        KeyHolder::Object { bucket, key, version, committed } => {
            let owner = Owner::Object { bucket, key, version, committed };
            let Some((at, mut owned)) = owned::find(&owner, |key| view.value(key))? else { return Ok(false) };
            let (Owned::Current(record) | Owned::NonCurrent(record)) = &mut owned else { return Ok(false) };
            if !exchange(&mut record.attributes, &from, to) {
                return Ok(false);
            }
            owners::put(view, at, owned)?;
        }
        KeyHolder::Upload(upload) => {
            let at = keys::upload(upload);
            let Some(mut stored) = view.get::<StoredUpload>(at.clone())? else { return Ok(false) };
            if !exchange(&mut stored.record.attributes, &from, to) {
                return Ok(false);
            }
            view.put(at, &stored)?;
        }
    }
    Ok(true)
}

fn exchange(attributes: &mut Attributes, from: &[u8], to: Vec<u8>) -> bool {
    match &mut attributes.encryption {
        Some(encryption) if encryption.key == from => {
            encryption.key = to;
            true
        }
        _ => false,
    }
}
