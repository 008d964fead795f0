//! Permissions boundaries: managed policies that bound the rights of users and roles, whatever else gives them rights.
//!
//! Source: IAM User Guide, "Permissions boundaries for IAM entities".

use super::answer::Reply;
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::managed;
use serde::Serialize;
use stratum_metadata::record::{IdentityDetail, IdentityKind, IdentityRecord};

const PARAMETER: &str = "PermissionsBoundary";

/// The actions whose requests have the condition key `iam:PermissionsBoundary`: those that create a user or a role, and
/// those that give it rights or take them away.
const ASKED_OF: [&str; 14] = [
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateRole",
    "CreateUser",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "PutUserPermissionsBoundary",
    "PutUserPolicy",
];

/// The permissions boundary in the element of a user or a role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BoundaryElement<'a> {
    permissions_boundary_type: &'static str,
    permissions_boundary_arn: &'a str,
}

impl<'a> BoundaryElement<'a> {
    pub fn of(record: &'a IdentityRecord) -> Option<Self> {
        let arn = record.boundary()?;
        Some(Self { permissions_boundary_type: "PermissionsBoundaryPolicy", permissions_boundary_arn: arn })
    }
}

/// The ARN of the permissions boundary that a user or a role is created with, if there is one.
///
/// # Errors
/// `NoSuchEntity` where there is no such policy.
pub fn at_first(call: &Call) -> Result<Option<String>, IamError> {
    call.form.get(PARAMETER).map(|arn| managed::arn_of(call, arn)).transpose()
}

/// The value of the condition key: the policy that the request names, as its record is spelt, or else the permissions
/// boundary that the user or the role has.
///
/// # Errors
/// `ValidationError` for a name that no user or role can have; failures of the store.
pub fn asked(call: &Call) -> Result<Option<String>, IamError> {
    if !ASKED_OF.contains(&call.row.name) {
        return Ok(None);
    }
    if let Some(arn) = call.form.get(PARAMETER) {
        // A policy that doesn't exist is refused later.
        return Ok(Some(managed::known_as(call, arn)?.unwrap_or_else(|| arn.to_owned())));
    }
    let Some(record) = call.named_identity()? else { return Ok(None) };
    Ok(record.boundary().map(str::to_owned))
}

pub async fn put(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let arn = call.required(PARAMETER)?;
    change(call, kind, |boundary| {
        *boundary = Some(managed::arn_of(call, arn)?);
        Ok(())
    })
    .await
}

pub async fn delete(call: &Call, kind: IdentityKind) -> Result<Reply, IamError> {
    let none = || Fault::NoSuchEntity.because(format!("The {kind} has no permissions boundary."));
    change(call, kind, |boundary| boundary.take().map(drop).ok_or_else(none)).await
}

async fn change(
    call: &Call,
    kind: IdentityKind,
    change: impl FnOnce(&mut Option<String>) -> Result<(), IamError> + Send,
) -> Result<Reply, IamError> {
    let at = call.at(kind)?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(kind, &at)?;
    match &mut record.detail {
        IdentityDetail::User { boundary, .. } | IdentityDetail::Role { boundary, .. } => change(boundary)?,
        // No row of the table is about a group's boundary: groups have none.
        IdentityDetail::Group => return Err(Fault::no_such(kind.name(), at.folded())),
    }
    edit.put(&at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn the_actions_with_the_condition_key_are_in_the_table() {
        for name in ASKED_OF {
            assert!(table::ROWS.iter().any(|row| row.name == name), "{name}");
        }
    }
}
