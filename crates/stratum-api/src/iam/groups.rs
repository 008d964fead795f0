//! Groups of users.

use super::answer::{GroupElement, Members, Reply, UserElement, result};
use super::call::Call;
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::page::Listed;
use super::users::made;
use super::valid;
use crate::identities::fresh_id;
use serde::Serialize;
use std::ops::ControlFlow;
use stratum_metadata::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};

/// How much the records of a group's users may be, in bytes, for the group to be renamed: one change, which is one entry of
/// the journal, rewrites all of them.
const RENAMED_BYTES: usize = 2 << 20;
/// What that takes, in bytes: the records, the change, and what is written of it.
const RENAMING_MEMORY_BYTES: u64 = 3 * RENAMED_BYTES as u64;
/// What a record takes beside its texts, in bytes.
const RECORD_BYTES: usize = 256;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One<'a> {
    group: GroupElement<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WithUsers<'a> {
    group: GroupElement<'a>,
    users: Members<UserElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    groups: Members<GroupElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

pub async fn create(call: &Call) -> Result<Reply, IamError> {
    let name = valid::name("groupName", call.required("GroupName")?, 128)?;
    let (path, at) = (call.path()?, AccountName::new(call.account_id(), name));
    let mut edit = Edit::begin(call).await?;
    edit.must_not_be(IdentityKind::Group, &at)?;
    edit.must_have_room(IdentityKind::Group, valid::MOST_GROUPS).await?;
    let record = IdentityRecord {
        id: fresh_id(call.store.entropy.as_ref(), "AGPA"),
        name: name.to_owned(),
        path: path.to_owned(),
        created: call.now,
        tags: Default::default(),
        inline: Default::default(),
        attached: Default::default(),
        detail: IdentityDetail::Group,
    };
    edit.put(&at, record.clone());
    edit.commit().await?;
    result(&One { group: GroupElement::of(call.account_id(), &record) })
}

/// A group, with a page of the users in it.
pub async fn get(call: &Call) -> Result<Reply, IamError> {
    let (group, at) = (call.identity(IdentityKind::Group)?, call.at(IdentityKind::Group)?);
    let _leave = call.leave().await?;
    let users = call.identities(IdentityKind::User, move |user| is_in(user, &at));
    let Listed { items, marker } = users.await?;
    let users: Members<_> = items.iter().map(|user| UserElement::of(call.account_id(), user)).collect();
    let group = GroupElement::of(call.account_id(), &group);
    result(&WithUsers { group, users, is_truncated: marker.is_some(), marker })
}

pub async fn list(call: &Call) -> Result<Reply, IamError> {
    let (is_below, _leave) = (call.is_below(), call.leave().await?);
    let groups = call.identities(IdentityKind::Group, move |group| is_below(&group.path));
    page(call, groups.await?)
}

pub async fn of_user(call: &Call) -> Result<Reply, IamError> {
    let user = call.identity(IdentityKind::User)?;
    let mut groups = Vec::new();
    for name in user.groups() {
        groups.extend(call.view.identity(IdentityKind::Group, &AccountName::new(call.account_id(), name))?);
    }
    page(call, call.page(groups, |group| group.name.to_ascii_lowercase())?)
}

fn page(call: &Call, groups: Listed<IdentityRecord>) -> Result<Reply, IamError> {
    let Listed { items, marker } = groups;
    let groups = items.iter().map(|group| GroupElement::of(call.account_id(), group)).collect();
    result(&Page { groups, is_truncated: marker.is_some(), marker })
}

pub async fn update(call: &Call) -> Result<Reply, IamError> {
    let at = call.at(IdentityKind::Group)?;
    let mut edit = Edit::begin(call).await?;
    let mut group = edit.identity(IdentityKind::Group, &at)?;
    if let Some(path) = call.form.get("NewPath") {
        group.path = valid::path(path)?.to_owned();
    }
    let mut to = at.clone();
    if let Some(name) = call.form.get("NewGroupName") {
        group.name = valid::name("newGroupName", name, 128)?.to_owned();
        to = AccountName::new(call.account_id(), name);
    }
    call.may_call(IdentityKind::Group, &group.path, &group.name)?;
    if to != at {
        edit.must_not_be(IdentityKind::Group, &to)?;
        edit.remove(IdentityKind::Group, &at);
        let _admitted = call.memory.admit(RENAMING_MEMORY_BYTES)?;
        for mut user in users_of(call, &at).await? {
            if let IdentityDetail::User { groups, .. } = &mut user.detail {
                groups.remove(at.folded());
                groups.insert(to.folded().to_owned());
            }
            edit.put(&AccountName::new(call.account_id(), &user.name), user);
        }
    }
    edit.put(&to, group);
    edit.commit().await?;
    Ok(Reply::Done)
}

/// Deletes a group that has no policies and no users any more.
pub async fn delete(call: &Call) -> Result<Reply, IamError> {
    let at = call.at(IdentityKind::Group)?;
    let mut edit = Edit::begin(call).await?;
    let group = edit.identity(IdentityKind::Group, &at)?;
    let conflict =
        |what: &str| Err(Fault::DeleteConflict.because(format!("Cannot delete entity, must {what} first.")));
    if !group.inline.is_empty() {
        return conflict("delete policies");
    }
    if !group.attached.is_empty() {
        return conflict("detach all policies");
    }
    if has_users(call, &at).await? {
        return conflict("remove users from group");
    }
    edit.remove(IdentityKind::Group, &at);
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn add(call: &Call) -> Result<Reply, IamError> {
    membership(call, |groups, group| {
        groups.insert(group.to_owned());
    })
    .await
}

pub async fn remove(call: &Call) -> Result<Reply, IamError> {
    membership(call, |groups, group| {
        groups.remove(group);
    })
    .await
}

async fn membership(
    call: &Call,
    change: impl FnOnce(&mut std::collections::BTreeSet<String>, &str) + Send,
) -> Result<Reply, IamError> {
    call.required("UserName")?;
    let (group, at) = (call.at(IdentityKind::Group)?, made(call.user()?)?);
    let mut edit = Edit::begin(call).await?;
    edit.identity(IdentityKind::Group, &group)?;
    let mut user = edit.identity(IdentityKind::User, &at)?;
    if let IdentityDetail::User { groups, .. } = &mut user.detail {
        change(groups, group.folded());
        if groups.len() > valid::MOST_GROUPS_OF_USER {
            return Err(Fault::LimitExceeded
                .because(format!("Cannot exceed quota for GroupsPerUser: {}", valid::MOST_GROUPS_OF_USER)));
        }
    }
    edit.put(&at, user);
    edit.commit().await?;
    Ok(Reply::Done)
}

fn is_in(user: &IdentityRecord, group: &AccountName) -> bool {
    user.groups().any(|name| name == group.folded())
}

async fn has_users(call: &Call, group: &AccountName) -> Result<bool, IamError> {
    let group = group.clone();
    let look = move |found: &mut bool, user: IdentityRecord| {
        *found = is_in(&user, &group);
        if *found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    Ok(call.view.visit_identities(IdentityKind::User, call.account_id(), "", false, look).await?)
}

/// The users in a group that is renamed: the record of each names the group.
///
/// # Errors
/// `LimitExceeded` where their records are too much for one change; failures of the store.
async fn users_of(call: &Call, group: &AccountName) -> Result<Vec<IdentityRecord>, IamError> {
    let at = group.clone();
    let gather = move |(users, bytes): &mut (Vec<_>, usize), user: IdentityRecord| {
        if !is_in(&user, &at) {
            return ControlFlow::Continue(());
        }
        *bytes += record_bytes(&user);
        users.push(user);
        if *bytes > RENAMED_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let kind = IdentityKind::User;
    let (users, bytes) =
        call.view.visit_identities(kind, call.account_id(), "", (Vec::new(), 0), gather).await?;
    if bytes > RENAMED_BYTES {
        return Err(Fault::LimitExceeded.because(
            "Too many users are in the group to rename it, which changes each of them. Make another group, and move them \
             there.",
        ));
    }
    Ok(users)
}

/// About how many bytes a user's record takes.
fn record_bytes(user: &IdentityRecord) -> usize {
    let named =
        [&user.id, &user.name, &user.path].into_iter().chain(&user.attached).chain(user.access_keys());
    let named = named.map(String::len).chain(user.groups().chain(user.boundary()).map(str::len));
    let texts = user.inline.iter().chain(&user.tags).map(|(name, text)| name.len() + text.len());
    RECORD_BYTES + named.chain(texts).sum::<usize>()
}
