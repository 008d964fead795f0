//! Managed policies, with their versions.

use super::answer::{Encoded, Members, PolicyElement, Reply, result};
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::page::{Gathered, Listed, Wanted};
use super::uses::{Counted, Uses};
use super::valid;
use crate::identities::{Arn, CANNED, Canned, fresh_id};
use crate::number;
use crate::text::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_metadata::record::{
    AccountName, IdentityKind, IdentityRecord, ManagedPolicyRecord, PolicyVersion,
};
use stratum_policy::Policy;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One<'a> {
    policy: PolicyElement<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    policies: Members<PolicyElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneVersion<'a> {
    policy_version: VersionElement<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions<'a> {
    versions: Members<VersionElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionElement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Encoded<'a>>,
    version_id: String,
    is_default_version: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_date: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entities<'a> {
    policy_groups: Members<GroupName<'a>>,
    policy_users: Members<UserName<'a>>,
    policy_roles: Members<RoleName<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupName<'a> {
    group_name: &'a str,
    group_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserName<'a> {
    user_name: &'a str,
    user_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleName<'a> {
    role_name: &'a str,
    role_id: &'a str,
}

/// The parts of a list of policies, in their order.
const EVERYBODYS: &str = "aws";
const OURS: &str = "own";

/// A managed policy that exists.
enum Found {
    /// One that every account has.
    Canned(&'static Canned),
    /// One that the account has made, under its name in the state.
    Made(AccountName, Box<ManagedPolicyRecord>),
}

impl Found {
    /// The policy's ARN as records keep it.
    fn arn(&self) -> String {
        match self {
            Found::Canned(canned) => canned.arn(),
            Found::Made(at, record) => arn_of_record(at.account(), record),
        }
    }

    /// Where the policy stands in a list: among the account's own, or among those that every account has.
    fn place(&self) -> String {
        match self {
            Found::Made(at, _) => format!("{OURS}/{}", at.folded()),
            Found::Canned(canned) => format!("{EVERYBODYS}/{}", canned.name),
        }
    }
}

pub async fn create(call: &Call) -> Result<Reply, IamError> {
    let name = valid::name("policyName", call.required("PolicyName")?, 128)?;
    let (path, tags) = (call.path()?, call.tags()?);
    let document = document(call)?;
    let description = call.form.get("Description").map(valid::description).transpose()?;
    let at = AccountName::new(call.account_id(), name);
    let edit = Edit::begin(call).await?;
    if call.view.managed_policy(&at)?.is_some() {
        return Err(Fault::EntityAlreadyExists.because(format!("A policy called {name} already exists.")));
    }
    if call.view.count_managed_policies(call.account_id()).await? >= valid::MOST_POLICIES {
        return Err(Fault::LimitExceeded
            .because(format!("Cannot exceed quota for PoliciesPerAccount: {}", valid::MOST_POLICIES)));
    }
    let version = PolicyVersion { document: document.to_owned(), created: call.now };
    let record = ManagedPolicyRecord {
        id: fresh_id(call.store.entropy.as_ref(), "ANPA"),
        name: name.to_owned(),
        path: path.to_owned(),
        description,
        created: call.now,
        updated: call.now,
        tags,
        default: 1,
        newest: 1,
        versions: [(1, version)].into(),
    };
    put(edit, &at, Some(record.clone())).await?;
    result(&One { policy: PolicyElement::of(call.account_id(), &record, Uses::default()) })
}

pub async fn get(call: &Call) -> Result<Reply, IamError> {
    let found = find(call, call.required("PolicyArn")?)?;
    let uses = Uses::of(call, &found.arn()).await?;
    result(&One { policy: element(call, &found, uses) })
}

/// Lists the account's own policies and those that every account has (`Scope` `AWS`).
pub async fn list(call: &Call) -> Result<Reply, IamError> {
    let (ours, aws) = match call.form.get("Scope") {
        None | Some("All") => (true, true),
        Some("Local") => (true, false),
        Some("AWS") => (false, true),
        Some(_) => return Err(Fault::ValidationError.because("Scope must be All, AWS or Local.")),
    };
    let only_attached = match call.form.get("OnlyAttached") {
        Some("true") => true,
        None | Some("false") => false,
        Some(_) => return Err(Fault::ValidationError.because("OnlyAttached must be true or false.")),
    };
    let counted = Counted::of(call)?;
    // A list of one use has only the policies that are used so, with OnlyAttached or without it.
    let only_used = only_attached || call.form.get("PolicyUsageFilter").is_some();
    let (wanted, _leave) = (Wanted::of(call)?, call.leave().await?);
    let uses = Arc::new(Uses::of_all(call).await?);
    let (is_below, used) = (call.is_below(), uses.clone());
    let is_used = move |arn: &str| used.get(arn).is_some_and(|uses| counted.any(*uses));
    let is_meant = move |arn: &str, path: &str| is_below(path) && (!only_used || is_used(arn));
    let mut page = wanted.begin();
    if let Some(after) = wanted.after_in(EVERYBODYS).filter(|_| aws) {
        for canned in CANNED.iter().filter(|canned| canned.name > after && is_meant(&canned.arn(), "/")) {
            if page.take(Found::Canned(canned), 0).is_break() {
                break;
            }
        }
    }
    if let Some(after) = wanted.after_in(OURS).filter(|_| ours && !page.is_cut) {
        page = gather(call, after, page, is_meant).await?;
    }
    let Gathered { items, is_cut, .. } = page;
    let Listed { items, marker } = wanted.page(call, items, is_cut, Found::place);
    let uses = |found: &Found| uses.get(&found.arn()).copied().unwrap_or_default();
    let policies = items.iter().map(|found| element(call, found, uses(found))).collect();
    result(&Page { policies, is_truncated: marker.is_some(), marker })
}

/// Adds to a page the account's own policies whose names come after `after`, without what no list tells of a policy:
/// its versions' documents and its tags.
async fn gather(
    call: &Call,
    after: &str,
    page: Gathered<Found>,
    is_meant: impl Fn(&str, &str) -> bool + Send + 'static,
) -> Result<Gathered<Found>, IamError> {
    let account = call.account_id().to_owned();
    let visit = move |page: &mut Gathered<Found>, record: ManagedPolicyRecord| {
        if !is_meant(&arn_of_record(&account, &record), &record.path) {
            return ControlFlow::Continue(());
        }
        let at = AccountName::new(&account, &record.name);
        let description = record.description.as_ref().map_or(0, String::len);
        let record = ManagedPolicyRecord { versions: [].into(), tags: [].into(), ..record };
        page.take(Found::Made(at, Box::new(record)), description)
    };
    Ok(call.view.visit_managed_policies(call.account_id(), after, page, visit).await?)
}

/// Deletes a policy that is attached to nothing any more, bounds nobody, and has no version but the default.
pub async fn delete(call: &Call) -> Result<Reply, IamError> {
    let edit = Edit::begin(call).await?;
    let (at, record) = made(call)?;
    let uses = Uses::of(call, &arn_of_record(call.account_id(), &record)).await?;
    if uses.attached > 0 {
        return Err(Fault::DeleteConflict.because("Cannot delete a policy attached to entities."));
    }
    if uses.bounding > 0 {
        return Err(Fault::DeleteConflict
            .because("Cannot delete a policy that is the permissions boundary of entities."));
    }
    if record.versions.len() > 1 {
        return Err(Fault::DeleteConflict
            .because("This policy has more than one version. Before you delete a policy, you must delete the policy's versions."));
    }
    put(edit, &at, None).await
}

pub async fn create_version(call: &Call) -> Result<Reply, IamError> {
    let document = document(call)?;
    let edit = Edit::begin(call).await?;
    let (at, mut record) = made(call)?;
    if record.versions.len() >= valid::MOST_VERSIONS {
        return Err(Fault::LimitExceeded.because(format!(
            "A managed policy can have up to {} versions. Before you create a new version, you must delete an existing version.",
            valid::MOST_VERSIONS
        )));
    }
    record.newest = record.newest.saturating_add(1);
    let number = record.newest;
    record.versions.insert(number, PolicyVersion { document: document.to_owned(), created: call.now });
    match call.form.get("SetAsDefault") {
        Some("true") => record.default = number,
        None | Some("false") => {}
        Some(_) => return Err(Fault::ValidationError.because("SetAsDefault must be true or false.")),
    }
    record.updated = call.now;
    let is_default_version = record.default == number;
    put(edit, &at, Some(record)).await?;
    result(&OneVersion {
        policy_version: VersionElement {
            document: None,
            version_id: format!("v{number}"),
            is_default_version,
            create_date: Some(Timestamp(call.now)),
        },
    })
}

pub async fn get_version(call: &Call) -> Result<Reply, IamError> {
    let number = number(call)?;
    let found = find(call, call.required("PolicyArn")?)?;
    let element = versions_of(&found).into_iter().find(|version| version.version_id == format!("v{number}"));
    result(&OneVersion { policy_version: element.ok_or_else(|| no_such_version(number))? })
}

pub async fn list_versions(call: &Call) -> Result<Reply, IamError> {
    let found = find(call, call.required("PolicyArn")?)?;
    let versions =
        versions_of(&found).into_iter().map(|version| VersionElement { document: None, ..version });
    // Filled up with zeros, their numbers come in the order of their texts.
    let Listed { items, marker } =
        call.page(versions.collect(), |version| format!("{:0>11}", version.version_id))?;
    result(&Versions { versions: items.into(), is_truncated: marker.is_some(), marker })
}

pub async fn delete_version(call: &Call) -> Result<Reply, IamError> {
    let number = number(call)?;
    let edit = Edit::begin(call).await?;
    let (at, mut record) = made(call)?;
    if record.default == number {
        return Err(Fault::DeleteConflict.because("Cannot delete the default version of a policy."));
    }
    record.versions.remove(&number).ok_or_else(|| no_such_version(number))?;
    record.updated = call.now;
    put(edit, &at, Some(record)).await
}

pub async fn set_default(call: &Call) -> Result<Reply, IamError> {
    let number = number(call)?;
    let edit = Edit::begin(call).await?;
    let (at, mut record) = made(call)?;
    if !record.versions.contains_key(&number) {
        return Err(no_such_version(number));
    }
    (record.default, record.updated) = (number, call.now);
    put(edit, &at, Some(record)).await
}

/// Lists the users, groups and roles to which a policy is attached, or whose permissions boundary it is.
pub async fn entities(call: &Call) -> Result<Reply, IamError> {
    let meant = match call.form.get("EntityFilter") {
        None => None,
        Some("User") => Some(IdentityKind::User),
        Some("Group") => Some(IdentityKind::Group),
        Some("Role") => Some(IdentityKind::Role),
        Some(_) => return Err(Fault::ValidationError.because("EntityFilter must be User, Group or Role.")),
    };
    let arn = find(call, call.required("PolicyArn")?)?.arn();
    let counted = Counted::of(call)?;
    let (wanted, _leave) = (Wanted::of(call)?, call.leave().await?);
    let mut page = wanted.begin();
    // In the order of their names, as the page is.
    for kind in [IdentityKind::Group, IdentityKind::Role, IdentityKind::User] {
        let after = wanted.after_in(kind.name()).filter(|_| meant.is_none_or(|meant| meant == kind));
        let (Some(after), false) = (after, page.is_cut) else { continue };
        let (arn, is_below) = (arn.clone(), call.is_below());
        let is_meant =
            move |record: &IdentityRecord| counted.any(Uses::by(record, &arn)) && is_below(&record.path);
        page = call.gather(kind, after, page, is_meant).await?;
    }
    let Gathered { items, is_cut, .. } = page;
    let place = |record: &IdentityRecord| format!("{}/{}", record.kind(), record.name.to_ascii_lowercase());
    let Listed { items, marker } = wanted.page(call, items, is_cut, place);
    let of = |kind| items.iter().filter(move |record| record.kind() == kind);
    let groups =
        of(IdentityKind::Group).map(|group| GroupName { group_name: &group.name, group_id: &group.id });
    let users = of(IdentityKind::User).map(|user| UserName { user_name: &user.name, user_id: &user.id });
    let roles = of(IdentityKind::Role).map(|role| RoleName { role_name: &role.name, role_id: &role.id });
    result(&Entities {
        policy_groups: groups.collect(),
        policy_users: users.collect(),
        policy_roles: roles.collect(),
        is_truncated: marker.is_some(),
        marker,
    })
}

/// The ARN of a policy that may be attached, spelt as records keep it.
///
/// # Errors
/// `NoSuchEntity`.
pub fn arn_of(call: &Call, arn: &str) -> Result<String, IamError> {
    Ok(find(call, arn)?.arn())
}

/// The ARN, spelt as records keep it, of the policy that `arn` finds; none where it finds none.
///
/// # Errors
/// Failures of the store.
pub(super) fn known_as(call: &Call, arn: &str) -> Result<Option<String>, IamError> {
    Ok(look_up(call, call.account_id(), arn)?.map(|found| found.arn()))
}

fn find(call: &Call, arn: &str) -> Result<Found, IamError> {
    find_of(call, call.account_id(), arn)
}

/// Refuses a policy that the account doesn't have.
///
/// # Errors
/// `NoSuchEntity`.
pub(super) fn must_be(call: &Call, account: &str, arn: &str) -> Result<(), IamError> {
    find_of(call, account, arn).map(drop)
}

fn find_of(call: &Call, account: &str, arn: &str) -> Result<Found, IamError> {
    look_up(call, account, arn)?.ok_or_else(|| {
        Fault::NoSuchEntity.because(format!("Policy {arn:.2048} does not exist or is not attachable."))
    })
}

fn look_up(call: &Call, account: &str, arn: &str) -> Result<Option<Found>, IamError> {
    if let Some(canned) = Canned::by_arn(arn) {
        return Ok(Some(Found::Canned(canned)));
    }
    let Some((at, path)) = Arn::parse(arn, "policy").filter(|(at, _)| at.account() == account) else {
        return Ok(None);
    };
    let record = call.view.managed_policy(&at)?.filter(|record| record.path == path);
    Ok(record.map(|record| Found::Made(at, Box::new(record))))
}

/// The tags of the policy that the form names. A policy that every account has bears no tags.
pub(super) fn tags_of(call: &Call) -> Result<BTreeMap<String, String>, IamError> {
    Ok(match find(call, call.required("PolicyArn")?)? {
        Found::Made(_, record) => record.tags,
        Found::Canned(_) => BTreeMap::new(),
    })
}

/// The policy that the form names, to be changed: one that every account has can't be.
pub(super) fn made(call: &Call) -> Result<(AccountName, ManagedPolicyRecord), IamError> {
    match find(call, call.required("PolicyArn")?)? {
        Found::Made(at, record) => Ok((at, *record)),
        Found::Canned(_) => {
            Err(Fault::AccessDenied.because("The policy belongs to every account, and cannot be changed."))
        }
    }
}

pub(super) async fn put(
    mut edit: Edit<'_>,
    at: &AccountName,
    record: Option<ManagedPolicyRecord>,
) -> Result<Reply, IamError> {
    edit.put_policy(at, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

fn document(call: &Call) -> Result<&str, IamError> {
    let document = call.required("PolicyDocument")?;
    valid::document(document, valid::MOST_MANAGED_POLICY_CHARS, "PolicySize")?;
    Policy::parse_identity(document.as_bytes())?.check_sids()?;
    Ok(document)
}

fn number(call: &Call) -> Result<u32, IamError> {
    let text = call.required("VersionId")?;
    let number = text.strip_prefix('v').and_then(number::parse);
    number.ok_or_else(|| Fault::ValidationError.because("VersionId must be v and a number."))
}

fn no_such_version(number: u32) -> IamError {
    Fault::NoSuchEntity.because(format!("Policy version v{number} does not exist."))
}

fn arn_of_record(account: &str, record: &ManagedPolicyRecord) -> String {
    Arn::new(account, "policy", &record.path, &record.name).to_string()
}

fn element<'a>(call: &Call, found: &'a Found, uses: Uses) -> PolicyElement<'a> {
    match found {
        Found::Made(_, record) => PolicyElement::of(call.account_id(), record, uses),
        Found::Canned(canned) => PolicyElement {
            policy_name: canned.name,
            policy_id: None,
            attachment_count: uses.attached,
            permissions_boundary_usage_count: uses.bounding,
            arn: canned.arn(),
            path: "/",
            default_version_id: "v1".into(),
            is_attachable: true,
            description: Some(canned.description),
            create_date: None,
            update_date: None,
            tags: None,
        },
    }
}

/// All versions, the oldest first.
fn versions_of(found: &Found) -> Vec<VersionElement<'_>> {
    match found {
        Found::Canned(canned) => vec![VersionElement {
            document: Some(Encoded(canned.document)),
            version_id: "v1".into(),
            is_default_version: true,
            create_date: None,
        }],
        Found::Made(_, record) => record
            .versions
            .iter()
            .map(|(number, version)| VersionElement {
                document: Some(Encoded(&version.document)),
                version_id: format!("v{number}"),
                is_default_version: *number == record.default,
                create_date: Some(Timestamp(version.created)),
            })
            .collect(),
    }
}
