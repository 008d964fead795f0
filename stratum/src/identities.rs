//! The accounts whose owners may sign in: root, and the users of the configuration.

use crate::config::Config;
use crate::credentials::Credentials;
use crate::failure::Failure;
use std::collections::BTreeSet;
use stratum_api::context::NOBODY;
use stratum_auth::{AccessKey, Identities, SecretKey, User};

/// Root's canonical id.
const ROOT_ID: &str = "root";

/// Refuses users of the configuration whose canonical id is taken. It is checked before any drive is opened, since it
/// depends on the configuration alone.
///
/// # Errors
/// A user has the id of root, or the id that stands for requests without a signature.
pub fn refuse_taken_ids(config: &Config) -> Result<(), Failure> {
    for (taken, of) in [(ROOT_ID, "root"), (NOBODY, "whoever signs nothing")] {
        if config.users.iter().any(|user| user.id.get_ref() == taken) {
            return Err(format!("user.id: \"{taken}\" is the id of {of}: give the user another one").into());
        }
    }
    Ok(())
}

/// The canonical ids of all accounts.
pub fn accounts(config: &Config) -> BTreeSet<String> {
    config.users.iter().map(|entry| entry.id.get_ref().clone()).chain([ROOT_ID.to_owned()]).collect()
}

/// The identities of all accounts, with their keys.
///
/// # Errors
/// A key is not valid, or two users have the same one.
pub fn identities(config: &Config, root: &Credentials) -> Result<Identities, Failure> {
    let user = |access_key: &str, id: &str, display_name: &str, email: &str, root| -> Result<User, Failure> {
        Ok(User {
            id: id.to_owned(),
            display_name: display_name.to_owned(),
            email: email.to_owned(),
            access_key: AccessKey::new(access_key)?,
            root,
        })
    };
    let mut users =
        vec![(user(&root.access_key, ROOT_ID, "root", "", true)?, SecretKey::new(&root.secret_key)?)];
    for entry in &config.users {
        let name = if entry.display_name.is_empty() { entry.id.get_ref() } else { &entry.display_name };
        let user = user(entry.access_key.get_ref(), entry.id.get_ref(), name, &entry.email, false)?;
        users.push((user, SecretKey::new(&entry.secret_key.get_ref().0)?));
    }
    Ok(Identities::new(users)?)
}
