//! Access keys of users.

use super::answer::{Members, Reply, result};
use super::call::{Call, Named};
use super::edit::{Edit, salt};
use super::error::{Fault, IamError};
use super::page::Listed;
use super::users::made;
use super::valid;
use crate::identities::{access_key_id, secret_key};
use crate::text::Timestamp;
use serde::Serialize;
use stratum_metadata::record::{AccessKeyRecord, AccountName, IdentityDetail, IdentityKind};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    access_key: NewKey<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewKey<'a> {
    user_name: &'a str,
    access_key_id: &'a str,
    status: &'static str,
    secret_access_key: &'a str,
    create_date: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    access_key_metadata: Members<KeyElement<'a>>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement<'a> {
    user_name: &'a str,
    access_key_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_date: Option<Timestamp>,
}

/// Creates an access key. The answer has its secret key, which is told this once and never again.
pub async fn create(call: &Call) -> Result<Reply, IamError> {
    let at = made(call.user()?)?;
    let mut edit = Edit::begin(call).await?;
    let mut user = edit.identity(IdentityKind::User, &at)?;
    let IdentityDetail::User { access_keys, .. } = &mut user.detail else {
        return Err(Fault::no_such("user", at.folded()));
    };
    if access_keys.len() >= valid::MOST_ACCESS_KEYS {
        return Err(Fault::LimitExceeded
            .because(format!("Cannot exceed quota for AccessKeysPerUser: {}", valid::MOST_ACCESS_KEYS)));
    }
    let entropy = call.store.entropy.as_ref();
    let (id, secret) = (access_key_id(entropy, "AKIA"), secret_key(entropy));
    let sealing = edit.sealing().await?;
    let record = AccessKeyRecord {
        user: at.clone(),
        sealed: sealing.seal_secret(salt(entropy), &id, &secret),
        is_active: true,
        created: call.now,
    };
    access_keys.push(id.clone());
    let name = user.name.clone();
    edit.put_key(&id, Some(record));
    edit.put(&at, user);
    edit.commit().await?;
    result(&Created {
        access_key: NewKey {
            user_name: &name,
            access_key_id: &id,
            status: status(true),
            secret_access_key: &secret,
            create_date: Timestamp(call.now),
        },
    })
}

pub async fn list(call: &Call) -> Result<Reply, IamError> {
    let (name, keys) = match call.user()? {
        Named::Owner(owner) => {
            let key = KeyElement {
                user_name: "",
                access_key_id: owner.access_key.as_str().to_owned(),
                status: status(true),
                create_date: None,
            };
            (owner.display_name.clone(), vec![key])
        }
        Named::Made(_) => {
            let user = call.identity(IdentityKind::User)?;
            let mut keys = Vec::new();
            for id in user.access_keys() {
                let Some(key) = call.view.access_key(id)? else { continue };
                keys.push(KeyElement {
                    user_name: "",
                    access_key_id: id.clone(),
                    status: status(key.is_active),
                    create_date: Some(Timestamp(key.created)),
                });
            }
            (user.name, keys)
        }
    };
    let mut keys: Vec<_> = keys.into_iter().map(|key| KeyElement { user_name: &name, ..key }).collect();
    keys.sort_by(|one, other| one.access_key_id.cmp(&other.access_key_id));
    let Listed { items, marker } = call.page(keys, |key| key.access_key_id.clone())?;
    result(&Page { access_key_metadata: items.into(), is_truncated: marker.is_some(), marker })
}

pub async fn update(call: &Call) -> Result<Reply, IamError> {
    let is_active = match call.required("Status")? {
        "Active" => true,
        "Inactive" => false,
        _ => return Err(Fault::ValidationError.because("Status must be Active or Inactive.")),
    };
    let (at, id) = named(call)?;
    let mut edit = Edit::begin(call).await?;
    let key = key_of(call, &edit, &at, id)?;
    edit.put_key(id, Some(AccessKeyRecord { is_active, ..key }));
    edit.commit().await?;
    Ok(Reply::Done)
}

pub async fn delete(call: &Call) -> Result<Reply, IamError> {
    let (at, id) = named(call)?;
    let mut edit = Edit::begin(call).await?;
    key_of(call, &edit, &at, id)?;
    let mut user = edit.identity(IdentityKind::User, &at)?;
    if let IdentityDetail::User { access_keys, .. } = &mut user.detail {
        access_keys.retain(|known| known != id);
    }
    edit.put_key(id, None);
    edit.put(&at, user);
    edit.commit().await?;
    Ok(Reply::Done)
}

/// The user and the access key that the form names.
fn named(call: &Call) -> Result<(AccountName, &str), IamError> {
    let id = call.required("AccessKeyId")?;
    match call.user()? {
        // An account's owner has the one key of the configuration, and no other.
        Named::Owner(owner) if owner.access_key.as_str() != id => Err(no_such_key(id)),
        user => Ok((made(user)?, id)),
    }
}

fn key_of(call: &Call, edit: &Edit<'_>, at: &AccountName, id: &str) -> Result<AccessKeyRecord, IamError> {
    edit.identity(IdentityKind::User, at)?;
    let key = call.view.access_key(id)?.filter(|key| key.user == *at);
    key.ok_or_else(|| no_such_key(id))
}

fn no_such_key(id: &str) -> IamError {
    let quoted: String = id.chars().take(128).collect();
    Fault::NoSuchEntity.because(format!("The Access Key with id {quoted} cannot be found."))
}

fn status(is_active: bool) -> &'static str {
    if is_active { "Active" } else { "Inactive" }
}
