//! Managed policies that are attached to users, groups and roles.

use super::answer::{Members, Reply, result};
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::managed;
use super::page::Listed;
use super::valid;
use crate::identities::{Arn, Canned};
use serde::Serialize;
use stratum_metadata::record::IdentityKind;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    attached_policies: Members<Attached>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    policy_name: String,
    policy_arn: String,
}

pub async fn attach(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (arn, at) = (call.required("PolicyArn")?, call.at(kind)?);
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    let arn = managed::arn_of(call, arn)?;
    record.attached.insert(arn);
    if record.attached.len() > valid::MOST_ATTACHED_POLICIES {
        return Err(Fault::LimitExceeded.because(format!(
            "Cannot exceed quota for PoliciesPer{}{}: {}",
            kind.name().get(..1).unwrap_or_default().to_uppercase(),
            kind.name().get(1..).unwrap_or_default(),
            valid::MOST_ATTACHED_POLICIES
        )));
    }
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn detach(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (arn, at) = (call.required("PolicyArn")?, call.at(kind)?);
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    let known = record.attached.iter().find(|known| known.eq_ignore_ascii_case(arn)).cloned();
    let known = known.ok_or_else(|| Fault::NoSuchEntity.because(format!("Policy {arn} was not found.")))?;
    record.attached.remove(&known);
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn list(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let (record, is_below) = (call.identity(kind)?, call.is_below());
    let mut all = Vec::new();
    for arn in record.attached {
        let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
        let path = match Canned::by_arn(&arn) {
            Some(_) => "/",
            None => Arn::parse(&arn, "policy").map_or("/", |(_, path)| path),
        };
        if is_below(path) {
            all.push(Attached { policy_name: name, policy_arn: arn });
        }
    }
    let Listed { items, marker } = call.page(all, |attached| attached.policy_arn.clone())?;
    result(&Page { attached_policies: items.into(), is_truncated: marker.is_some(), marker })
}
