//! Roles, and who may assume them.

use super::answer::{Members, Reply, RoleElement, result};
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::page::Listed;
use super::{boundary, valid};
use crate::identities::fresh_id;
use crate::number;
use serde::Serialize;
use stratum_metadata::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};
use stratum_policy::Policy;

/// How long a session of a role may last where CreateRole doesn't say it, and the range of what CreateRole may say.
const USUAL_SESSION_SECONDS: u32 = 3_600;
const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3_600..=43_200;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One<'a> {
    role: RoleElement<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    roles: Members<RoleElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
struct Empty {}

pub async fn create(call: &Call) -> Result<Reply, IamError> {
    let name = valid::name("roleName", call.required("RoleName")?, 64)?;
    let (path, tags) = (call.path()?, call.tags()?);
    let trust = trust(call.required("AssumeRolePolicyDocument")?)?;
    let description = call.form.get("Description").map(valid::description).transpose()?;
    let session_seconds = session_seconds(call)?.unwrap_or(USUAL_SESSION_SECONDS);
    let at = AccountName::new(call.account_id(), name);
    let mut edit = Edit::begin(call).await?;
    let boundary = boundary::at_first(call)?;
    edit.must_not_be(IdentityKind::Role, &at)?;
    edit.must_have_room(IdentityKind::Role, valid::MOST_ROLES).await?;
    let record = IdentityRecord {
        id: fresh_id(call.store.entropy.as_ref(), "AROA"),
        name: name.to_owned(),
        path: path.to_owned(),
        created: call.now,
        tags,
        inline: Default::default(),
        attached: Default::default(),
        detail: IdentityDetail::Role { description, session_seconds, trust: trust.to_owned(), boundary },
    };
    edit.put(&at, record.clone());
    edit.commit().await?;
    one(call, &record)
}

pub async fn get(call: &Call) -> Result<Reply, IamError> {
    one(call, &call.identity(IdentityKind::Role)?)
}

pub async fn list(call: &Call) -> Result<Reply, IamError> {
    let (is_below, _leave) = (call.is_below(), call.leave().await?);
    let roles = call.identities(IdentityKind::Role, move |role| is_below(&role.path));
    let Listed { items, marker } = roles.await?;
    let roles = items.iter().filter_map(|role| RoleElement::of(call.account_id(), role)).collect();
    result(&Page { roles, is_truncated: marker.is_some(), marker })
}

pub async fn update(call: &Call) -> Result<Reply, IamError> {
    change(call, |call, detail| {
        if let (IdentityDetail::Role { session_seconds: most, .. }, Some(seconds)) =
            (&mut *detail, session_seconds(call)?)
        {
            *most = seconds;
        }
        describe(call, detail)
    })
    .await?;
    result(&Empty {})
}

pub async fn update_description(call: &Call) -> Result<Reply, IamError> {
    call.required("Description")?;
    let record = change(call, describe).await?;
    one(call, &record)
}

pub async fn update_trust(call: &Call) -> Result<Reply, IamError> {
    let document = trust(call.required("PolicyDocument")?)?;
    change(call, |_, detail| {
        if let IdentityDetail::Role { trust, .. } = detail {
            document.clone_into(trust);
        }
        Ok(())
    })
    .await?;
    Ok(Reply::Done)
}

/// Deletes a role that has no policies any more.
pub async fn delete(call: &Call) -> Result<Reply, IamError> {
    let at = call.at(IdentityKind::Role)?;
    let mut edit = Edit::begin(call).await?;
    let role = edit.identity(IdentityKind::Role, &at)?;
    let conflict =
        |what: &str| Err(Fault::DeleteConflict.because(format!("Cannot delete entity, must {what} first.")));
    if !role.inline.is_empty() {
        return conflict("delete policies");
    }
    if !role.attached.is_empty() {
        return conflict("detach all policies");
    }
    edit.remove(IdentityKind::Role, &at);
    edit.commit().await?;
    Ok(Reply::Done)
}

async fn change(
    call: &Call,
    change: impl FnOnce(&Call, &mut IdentityDetail) -> Result<(), IamError> + Send,
) -> Result<IdentityRecord, IamError> {
    let at = call.at(IdentityKind::Role)?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(IdentityKind::Role, &at)?;
    change(call, &mut record.detail)?;
    edit.put(&at, record.clone());
    edit.commit().await?;
    Ok(record)
}

fn describe(call: &Call, detail: &mut IdentityDetail) -> Result<(), IamError> {
    if let (IdentityDetail::Role { description, .. }, Some(text)) = (detail, call.form.get("Description")) {
        *description = Some(valid::description(text)?);
    }
    Ok(())
}

fn one(call: &Call, record: &IdentityRecord) -> Result<Reply, IamError> {
    let role = RoleElement::of(call.account_id(), record);
    result(&One { role: role.ok_or_else(|| Fault::no_such("role", &record.name))? })
}

fn trust(document: &str) -> Result<&str, IamError> {
    valid::document(document, valid::MOST_TRUST_POLICY_CHARS, "ACLSizePerRole")?;
    Policy::parse_trust(document.as_bytes())?.check_sids()?;
    Ok(document)
}

fn session_seconds(call: &Call) -> Result<Option<u32>, IamError> {
    let wrong = || {
        Fault::ValidationError.because(format!(
            "MaxSessionDuration must be a number of seconds from {} to {}.",
            SESSION_SECONDS.start(),
            SESSION_SECONDS.end()
        ))
    };
    let Some(text) = call.form.get("MaxSessionDuration") else { return Ok(None) };
    let seconds = number::parse(text).filter(|seconds| SESSION_SECONDS.contains(seconds));
    seconds.map(Some).ok_or_else(wrong)
}
