//! Users, of whom each belongs to one account.

use super::answer::{Members, Reply, UserElement, result};
use super::call::{Call, Named, of_the_configuration};
use super::edit::Edit;
use super::error::{Fault, IamError};
use super::page::{Gathered, Listed, Wanted};
use super::{boundary, valid};
use crate::identities::fresh_id;
use serde::Serialize;
use std::sync::Arc;
use stratum_auth::User;
use stratum_metadata::record::{AccountName, IdentityDetail, IdentityKind, IdentityRecord};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct One<'a> {
    user: UserElement<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    users: Members<UserElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

pub async fn create(call: &Call) -> Result<Reply, IamError> {
    let name = valid::name("userName", call.required("UserName")?, 64)?;
    let (path, tags) = (call.path()?, call.tags()?);
    let at = free(call, name)?;
    let mut edit = Edit::begin(call).await?;
    let boundary = boundary::at_first(call)?;
    edit.must_not_be(IdentityKind::User, &at)?;
    edit.must_have_room(IdentityKind::User, valid::MOST_USERS).await?;
    let record = IdentityRecord {
        id: fresh_id(call.store.entropy.as_ref(), "AIDA"),
        name: name.to_owned(),
        path: path.to_owned(),
        created: call.now,
        tags,
        inline: Default::default(),
        attached: Default::default(),
        detail: IdentityDetail::User { groups: Default::default(), access_keys: Vec::new(), boundary },
    };
    edit.put(&at, record.clone());
    edit.commit().await?;
    result(&One { user: UserElement::of(call.account_id(), &record) })
}

pub async fn get(call: &Call) -> Result<Reply, IamError> {
    match call.user()? {
        Named::Owner(owner) => result(&One { user: UserElement::owner(&owner) }),
        Named::Made(_) => {
            let record = call.identity(IdentityKind::User)?;
            result(&One { user: UserElement::of(call.account_id(), &record) })
        }
    }
}

/// Lists the users that IAM created and those of the configuration.
pub async fn list(call: &Call) -> Result<Reply, IamError> {
    let (wanted, _leave) = (Wanted::of(call)?, call.leave().await?);
    let (is_below, is_owner_below) = (call.is_below(), call.is_below());
    let made =
        call.gather(IdentityKind::User, wanted.after(), wanted.begin(), move |user| is_below(&user.path));
    let Gathered { items: made, is_cut, .. } = made.await?;
    // An owner who comes after the last of a page that is cut comes on a later one.
    let last = made.last().filter(|_| is_cut).map(|user| user.name.to_ascii_lowercase());
    let is_here = |owner: &Arc<User>| {
        let place = place(&UserElement::owner(owner));
        place.as_str() > wanted.after()
            && last.as_ref().is_none_or(|last| place <= *last)
            && is_owner_below("/")
    };
    let owners: Vec<_> = call.owners().filter(is_here).collect();
    let mut all: Vec<UserElement<'_>> = owners.iter().map(|owner| UserElement::owner(owner)).collect();
    all.extend(made.iter().map(|user| UserElement::of(call.account_id(), user)));
    all.sort_by_key(place);
    let Listed { items, marker } = wanted.page(call, all, is_cut, place);
    result(&Page { users: items.into(), is_truncated: marker.is_some(), marker })
}

/// Where a user stands in a list: by the name in lower case. An owner comes right behind a user of the same name.
fn place(user: &UserElement<'_>) -> String {
    let is_owner = user.create_date.is_none();
    format!("{}{}", user.user_name.to_ascii_lowercase(), if is_owner { "\0" } else { "" })
}

pub async fn update(call: &Call) -> Result<Reply, IamError> {
    let at = call.at(IdentityKind::User)?;
    let mut edit = Edit::begin(call).await?;
    let mut record = edit.identity(IdentityKind::User, &at)?;
    if let Some(path) = call.form.get("NewPath") {
        record.path = valid::path(path)?.to_owned();
    }
    let mut to = at.clone();
    if let Some(name) = call.form.get("NewUserName") {
        record.name = valid::name("newUserName", name, 64)?.to_owned();
        to = free(call, name)?;
    }
    call.may_call(IdentityKind::User, &record.path, &record.name)?;
    if to != at {
        edit.must_not_be(IdentityKind::User, &to)?;
        edit.remove(IdentityKind::User, &at);
        for id in record.access_keys() {
            let key = call.view.access_key(id)?;
            edit.put_key(
                id,
                key.map(|key| stratum_metadata::record::AccessKeyRecord { user: to.clone(), ..key }),
            );
        }
    }
    edit.put(&to, record);
    edit.commit().await?;
    Ok(Reply::Done)
}

/// Deletes a user who has no access keys, no policies and no groups any more.
pub async fn delete(call: &Call) -> Result<Reply, IamError> {
    let at = call.at(IdentityKind::User)?;
    let mut edit = Edit::begin(call).await?;
    let record = edit.identity(IdentityKind::User, &at)?;
    let conflict =
        |what: &str| Err(Fault::DeleteConflict.because(format!("Cannot delete entity, must {what} first.")));
    if !record.access_keys().is_empty() {
        return conflict("delete access keys");
    }
    if !record.inline.is_empty() {
        return conflict("delete policies");
    }
    if !record.attached.is_empty() {
        return conflict("detach all policies");
    }
    if record.groups().next().is_some() {
        return conflict("remove users from group");
    }
    edit.remove(IdentityKind::User, &at);
    edit.commit().await?;
    Ok(Reply::Done)
}

/// The name in the state for a user who is to have this name. A name of the configuration's users is taken.
fn free(call: &Call, name: &str) -> Result<AccountName, IamError> {
    match call.user_called(name)? {
        Named::Made(at) => Ok(at),
        Named::Owner(_) => Err(Fault::EntityAlreadyExists
            .because(format!("User with name {name} already exists, in the server's configuration."))),
    }
}

/// The name in the state of a user who is to be changed: a user of the configuration can't be.
pub fn made(named: Named) -> Result<AccountName, IamError> {
    match named {
        Named::Made(at) => Ok(at),
        Named::Owner(owner) => Err(of_the_configuration(&owner)),
    }
}
