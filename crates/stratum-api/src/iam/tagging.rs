//! Tags of users and roles.

use super::answer::{Members, Reply, TagElement, result, tags};
use super::call::{Call, Listed};
use super::edit::Edit;
use super::error::IamError;
use super::valid;
use serde::Serialize;
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
    record.tags.extend(added);
    record.tags = valid::tags(record.tags.into_iter())?;
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn untag(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let at = call.at(kind)?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    for key in call.members("TagKeys") {
        record.tags.remove(key);
    }
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn list(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let record = call.identity(kind)?;
    let Listed { items, marker } = call.page(record.tags.iter().collect(), |(key, _)| (*key).clone())?;
    let page = items.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    result(&Page { tags: tags(&page), is_truncated: marker.is_some(), marker })
}
