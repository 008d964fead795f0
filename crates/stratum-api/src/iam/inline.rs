//! Inline policies, each of which belongs to one user, group or role.

use super::answer::{Encoded, Members, Reply, result};
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::page::Listed;
use super::valid;
use serde::Serialize;
use stratum_metadata::record::IdentityKind;
use stratum_policy::Policy;

#[derive(Serialize)]
struct One<'a> {
    #[serde(rename = "UserName", skip_serializing_if = "Option::is_none")]
    user_name: Option<&'a str>,
    #[serde(rename = "GroupName", skip_serializing_if = "Option::is_none")]
    group_name: Option<&'a str>,
    #[serde(rename = "RoleName", skip_serializing_if = "Option::is_none")]
    role_name: Option<&'a str>,
    #[serde(rename = "PolicyName")]
    policy_name: &'a str,
    #[serde(rename = "PolicyDocument")]
    policy_document: Encoded<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    policy_names: Members<String>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

pub async fn put(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let name = name(call)?;
    let document = call.required("PolicyDocument")?;
    let at = call.at(kind)?;
    let most = match kind {
        IdentityKind::User => valid::MOST_INLINE_CHARS_OF_USER,
        IdentityKind::Group => valid::MOST_INLINE_CHARS_OF_GROUP,
        IdentityKind::Role => valid::MOST_INLINE_CHARS_OF_ROLE,
    };
    valid::document(document, most, "PolicySize")?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    Policy::parse_identity(document.as_bytes())?.check_sids()?;
    record.inline.insert(name.to_owned(), document.to_owned());
    if record.inline.values().map(|text| valid::length(text)).sum::<usize>() > most {
        return Err(Fault::LimitExceeded
            .because(format!("Maximum policy size of {most} bytes exceeded for {kind} {}", record.name)));
    }
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn get(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (name, record) = (name(call)?, call.identity(kind)?);
    let document = record.inline.get(name).ok_or_else(|| no_such(kind, name))?;
    let of = |this| (kind == this).then_some(record.name.as_str());
    result(&One {
        user_name: of(IdentityKind::User),
        group_name: of(IdentityKind::Group),
        role_name: of(IdentityKind::Role),
        policy_name: name,
        policy_document: Encoded(document),
    })
}

pub async fn delete(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (name, at) = (name(call)?, call.at(kind)?);
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    record.inline.remove(name).ok_or_else(|| no_such(kind, name))?;
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn list(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let names = call.identity(kind)?.inline.into_keys().collect();
    let Listed { items, marker } = call.page(names, String::clone)?;
    result(&Names { policy_names: items.into(), is_truncated: marker.is_some(), marker })
}

fn name(call: &Call) -> Result<&str, IamError> {
    valid::name("policyName", call.required("PolicyName")?, 128)
}

fn no_such(kind: IdentityKind, name: &str) -> IamError {
    Fault::no_such(&format!("{kind} policy"), name)
}
