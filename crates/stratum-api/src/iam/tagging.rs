//! Tags of users, roles and policies.

use super::answer::{Members, Reply, TagElement, result, tags};
use super::call::Call;
use super::edit::Edit;
use super::error::IamError;
use super::managed;
use super::page::Listed;
use super::valid;
use serde::Serialize;
use std::collections::BTreeMap;
use stratum_metadata::record::IdentityKind;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    tags: Members<TagElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

pub async fn tag(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (added, at) = (call.tags()?, call.at(kind)?);
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    extend(&mut record.tags, added)?;
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn untag(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let at = call.at(kind)?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    call.tag_keys()?.into_iter().for_each(|key| remove(&mut record.tags, key));
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn list(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    told(call, &call.identity(kind)?.tags)
}

pub async fn tag_policy(call: &Call) -> Result<Reply, IamError> {
    let added = call.tags()?;
    let edit = Edit::begin(call).await?;
    let (at, mut record) = managed::made(call)?;
    extend(&mut record.tags, added)?;
    managed::put(edit, &at, Some(record)).await
}

pub async fn untag_policy(call: &Call) -> Result<Reply, IamError> {
    let edit = Edit::begin(call).await?;
    let (at, mut record) = managed::made(call)?;
    call.tag_keys()?.into_iter().for_each(|key| remove(&mut record.tags, key));
    managed::put(edit, &at, Some(record)).await
}

pub async fn list_of_policy(call: &Call) -> Result<Reply, IamError> {
    told(call, &managed::tags_of(call)?)
}

/// Adds tags to those that are there. A tag that is there already gets the new value.
///
/// # Errors
/// As [`valid::tags`].
fn extend(tags: &mut BTreeMap<String, String>, added: BTreeMap<String, String>) -> Result<(), IamError> {
    added.keys().for_each(|key| remove(tags, key));
    tags.extend(added);
    valid::tags(std::mem::take(tags).into_iter()).map(|all| *tags = all)
}

/// Removes the tag with that key. Case doesn't matter in keys.
fn remove(tags: &mut BTreeMap<String, String>, key: &str) {
    tags.retain(|known, _| !known.eq_ignore_ascii_case(key));
}

/// A page of the tags.
fn told(call: &Call, all: &BTreeMap<String, String>) -> Result<Reply, IamError> {
    let Listed { items, marker } = call.page(all.iter().collect(), |(key, _)| (*key).clone())?;
    let page = items.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    result(&Page { tags: tags(&page), is_truncated: marker.is_some(), marker })
}
