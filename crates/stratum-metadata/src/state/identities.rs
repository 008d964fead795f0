//! Users, groups, roles, their keys and policies: written as the proposer worked them out, if nothing has changed
//! since it read them.

use super::view::View;
use super::{ApplyError, Step};
use crate::command::{IdentityChanges, IdentityWrite, Outcome, Refusal};
use crate::keys;
use crate::record::IdentitiesRecord;
use stratum_storage::blob::Index;

pub(super) fn change(view: &mut View<'_>, index: Index, changes: IdentityChanges) -> Step {
    let now: Option<IdentitiesRecord> = view.get(keys::identities())?;
    if now.as_ref().map(|now| now.changed) != changes.read {
        return Err(Refusal::IdentitiesChanged.into());
    }
    write(view, index, now, changes)?;
    Ok(Outcome::Done)
}

/// Writes them whatever the proposer had read.
pub(super) fn change_anyway(view: &mut View<'_>, index: Index, changes: IdentityChanges) -> Step<()> {
    let now = view.get(keys::identities())?;
    Ok(write(view, index, now, changes)?)
}

fn write(
    view: &mut View<'_>,
    index: Index,
    now: Option<IdentitiesRecord>,
    changes: IdentityChanges,
) -> Result<(), ApplyError> {
    let key = changes.key.or(now.map(|now| now.key)).unwrap_or_default();
    view.put(keys::identities(), &IdentitiesRecord { changed: index, key })?;
    for write in changes.writes {
        match write {
            IdentityWrite::Identity { kind, at, record } => put(view, keys::identity(kind, &at), record)?,
            IdentityWrite::AccessKey { id, record } => put(view, keys::access_key(&id), record)?,
            IdentityWrite::Policy { at, record } => put(view, keys::managed_policy(&at), record)?,
        }
    }
    Ok(())
}

fn put<T: crate::record::Migrate>(
    view: &mut View<'_>,
    key: Vec<u8>,
    record: Option<T>,
) -> Result<(), ApplyError> {
    match record {
        Some(record) => view.put(key, &record),
        None => view.remove(key),
    }
}
