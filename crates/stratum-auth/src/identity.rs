//! The users who may sign requests, their keys, and how to find them.
//!
//! [`Identities`] are built once from the configuration; looking a user up takes a hash and no lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hmac::Mac;
use subtle::ConstantTimeEq;

use crate::digest::{Sha256Digest, hmac};
use crate::error::AuthError;

/// An access key's public half: 1 to 128 visible ASCII characters, none of them `/` or `,`, which delimit it in
/// a credential.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessKey(Box<str>);

impl AccessKey {
    /// # Errors
    /// [`IdentityError::AccessKey`] if `text` could not be written in a credential.
    pub fn new(text: &str) -> Result<Self, IdentityError> {
        let fits = (1..=128).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b',') {
            Ok(Self(text.into()))
        } else {
            Err(IdentityError::AccessKey)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An access key's secret half: 8 to 1024 bytes. It is never shown, not even by `Debug`.
#[derive(Clone)]
pub struct SecretKey(Arc<str>);

impl SecretKey {
    /// # Errors
    /// [`IdentityError::SecretKey`] if `text` is too short to be a secret, or absurdly long.
    pub fn new(text: &str) -> Result<Self, IdentityError> {
        if (8..=1024).contains(&text.len()) { Ok(Self(text.into())) } else { Err(IdentityError::SecretKey) }
    }

    /// The secret itself, for deriving keys and for the one file that stores it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The HMAC-SHA-256 of `words` with this secret: whoever keeps it can tell later whether a secret is still the
    /// same one.
    ///
    /// Who knows it and the words can try guesses of the secret, so it is kept where only the server reads it.
    pub fn mark(&self, words: &[u8]) -> Sha256Digest {
        let mut mac = hmac(self.0.as_bytes());
        mac.update(words);
        Sha256Digest(mac.finalize().into_bytes().into())
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A user, who may own buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The canonical user id, by which ownership is recorded.
    pub id: String,
    pub display_name: String,
    /// Empty if there is none.
    pub email: String,
    pub access_key: AccessKey,
    /// Whether this is the operator, who may also administer the server.
    pub root: bool,
}

/// Looks up the holder and the secret of an access key.
pub trait Keyring {
    /// The user or session that a key belongs to.
    type Holder;

    /// The holder and the secret of a key. The key of a session comes with the token that the session was given.
    ///
    /// # Errors
    /// [`AuthError::InvalidAccessKeyId`]; [`AuthError::InvalidToken`] and [`AuthError::ExpiredToken`];
    /// [`AuthError::Unavailable`] if it can't be looked up.
    fn find(
        &self,
        access_key: &str,
        session_token: Option<&str>,
    ) -> Result<(Self::Holder, SecretKey), AuthError>;

    /// Whether the holder is the operator of the server.
    fn is_root(holder: &Self::Holder) -> bool;
}

impl Keyring for Identities {
    type Holder = Arc<User>;

    /// None of these keys is a session's, so a token is wrong with any of them.
    fn find(
        &self,
        access_key: &str,
        session_token: Option<&str>,
    ) -> Result<(Arc<User>, SecretKey), AuthError> {
        let unknown = || AuthError::InvalidAccessKeyId { access_key: access_key.to_owned() };
        let (user, secret) = self.by_access_key(access_key).ok_or_else(unknown)?;
        match session_token {
            None => Ok((user.clone(), secret.clone())),
            Some(_) => Err(AuthError::InvalidToken),
        }
    }

    fn is_root(user: &Arc<User>) -> bool {
        user.root
    }
}

/// All users of the configuration, by access key, canonical id and email.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    keys: HashMap<Box<str>, (Arc<User>, SecretKey)>,
    ids: HashMap<String, Arc<User>>,
    emails: HashMap<String, Arc<User>>,
}

impl Identities {
    /// # Errors
    /// [`IdentityError::Duplicate`] if two users share an access key, an id or an email;
    /// [`IdentityError::EmptyId`] if one has no id.
    pub fn new(users: impl IntoIterator<Item = (User, SecretKey)>) -> Result<Self, IdentityError> {
        let mut all = Self::default();
        for (user, secret) in users {
            let user = Arc::new(user);
            if user.id.is_empty() {
                return Err(IdentityError::EmptyId { access_key: user.access_key.clone() });
            }
            let duplicate = |what, value: &str| IdentityError::Duplicate { what, value: value.to_owned() };
            if all.ids.insert(user.id.clone(), user.clone()).is_some() {
                return Err(duplicate("id", &user.id));
            }
            if !user.email.is_empty() && all.emails.insert(user.email.clone(), user.clone()).is_some() {
                return Err(duplicate("email", &user.email));
            }
            if all.keys.insert(user.access_key.0.clone(), (user.clone(), secret)).is_some() {
                return Err(duplicate("access_key", user.access_key.as_str()));
            }
        }
        Ok(all)
    }

    /// The user whom `access_key` belongs to, and its secret.
    pub fn by_access_key(&self, access_key: &str) -> Option<(&Arc<User>, &SecretKey)> {
        self.keys.get(access_key).map(|(user, secret)| (user, secret))
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<User>> {
        self.ids.get(id)
    }

    pub fn by_email(&self, email: &str) -> Option<&Arc<User>> {
        self.emails.get(email)
    }

    /// Every user, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.ids.values()
    }
}

/// Why the users in the configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("an access key must be 1 to 128 visible ASCII characters without '/' and ','")]
    AccessKey,
    #[error("a secret key must be 8 to 1024 bytes long")]
    SecretKey,
    #[error("the user with the access key {access_key} has an empty id: give it one, no other user's")]
    EmptyId { access_key: AccessKey },
    #[error("two users have the {what} '{value}': change one of them")]
    Duplicate { what: &'static str, value: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str, key: &str, email: &str) -> (User, SecretKey) {
        let access_key = AccessKey::new(key).expect("an access key");
        let (id, display_name, email) = (id.to_owned(), id.to_uppercase(), email.to_owned());
        let user = User { id, display_name, email, access_key, root: false };
        (user, SecretKey::new("a secret of somebody").expect("a secret"))
    }

    #[test]
    fn users_are_found_by_key_id_and_email() {
        let all = Identities::new([user("a", "AK1", "a@x"), user("b", "AK2", "")]).expect("two users");
        assert_eq!(all.by_access_key("AK2").map(|(user, _)| user.id.as_str()), Some("b"));
        assert_eq!(all.by_id("a").map(|user| user.access_key.as_str()), Some("AK1"));
        assert_eq!(all.by_email("a@x").map(|user| user.id.as_str()), Some("a"));
        assert!(all.by_email("").is_none());
        assert!(all.by_access_key("AK3").is_none());
        assert_eq!(all.users().count(), 2);
    }

    #[test]
    fn users_that_cannot_be_told_apart_are_refused() {
        for (other, what) in [
            (user("a", "AK2", ""), "id"),
            (user("b", "AK1", ""), "access_key"),
            (user("b", "AK2", "a@x"), "email"),
        ] {
            let error = Identities::new([user("a", "AK1", "a@x"), other]).expect_err("a duplicate");
            assert!(
                matches!(error, IdentityError::Duplicate { what: found, .. } if found == what),
                "{error}"
            );
        }
        assert!(matches!(Identities::new([user("", "AK1", "")]), Err(IdentityError::EmptyId { .. })));
    }

    #[test]
    fn a_mark_is_of_one_secret_and_of_one_text() {
        let secret = |text| SecretKey::new(text).expect("a secret");
        let mark = secret("a secret of somebody").mark(b"words");
        assert_eq!(mark, secret("a secret of somebody").mark(b"words"));
        assert_ne!(mark, secret("a secret of another").mark(b"words"));
        assert_ne!(mark, secret("a secret of somebody").mark(b"others"));
    }

    #[test]
    fn a_secret_is_never_shown_and_nonsense_is_no_key() {
        let (user, secret) = user("a", "AK1", "");
        let all = Identities::new([(user, secret)]).expect("one user");
        assert!(!format!("{all:?}").contains("somebody"));
        assert_eq!(SecretKey::new("short"), Err(IdentityError::SecretKey));
        for text in ["", "a/b", "a,b", "a b", "é", &"k".repeat(129)] {
            assert_eq!(AccessKey::new(text), Err(IdentityError::AccessKey), "{text}");
        }
    }
}
