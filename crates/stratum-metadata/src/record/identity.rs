//! Users, groups and roles, the keys of users, and the policies that are attached to all of them, as IAM has them.
//!
//! An account is its owner's canonical user id. Within it names are the same in either case, so they lie under their
//! lower case. What a user, a group or a role may have is bounded, and stands in its record: whoever asks what somebody may do reads
//! the record, those of the groups it names, and the attached policies. What is allowed to change what is not for the state to
//! know: a change is made of what was read, and counts only if none has come between.

use super::level::{Level, same_since};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// What an identity is. The number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum IdentityKind {
    User = 0,
    Group = 1,
    Role = 2,
}

impl IdentityKind {
    pub const ALL: [IdentityKind; 3] = [IdentityKind::User, IdentityKind::Group, IdentityKind::Role];

    /// As its ARN has it.
    pub fn name(self) -> &'static str {
        match self {
            IdentityKind::User => "user",
            IdentityKind::Group => "group",
            IdentityKind::Role => "role",
        }
    }
}

impl fmt::Display for IdentityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where an identity or a policy lies: its account, and its name in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountName {
    account: String,
    folded: String,
}

impl AccountName {
    pub fn new(account: &str, name: &str) -> AccountName {
        AccountName { account: account.to_owned(), folded: name.to_ascii_lowercase() }
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    /// In lower case.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

/// A user, a group or a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Never given twice, not even to one of the same name.
    pub id: String,
    /// As it was written.
    pub name: String,
    pub path: String,
    pub created: UnixMillis,
    pub tags: BTreeMap<String, String>,
    /// Its own policies: their documents, by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of those that are attached to it.
    pub attached: BTreeSet<String>,
    pub detail: IdentityDetail,
}

/// What only a user, a group or a role has. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityDetail {
    User {
        /// Their names in lower case.
        groups: BTreeSet<String>,
        /// The ids of its keys, the oldest first.
        access_keys: Vec<String>,
    },
    Group,
    Role {
        description: Option<String>,
        /// The longest that a session of it lasts.
        session_seconds: u32,
        /// The policy that says who may assume it.
        trust: String,
    },
}

impl IdentityRecord {
    pub fn kind(&self) -> IdentityKind {
        match self.detail {
            IdentityDetail::User { .. } => IdentityKind::User,
            IdentityDetail::Group => IdentityKind::Group,
            IdentityDetail::Role { .. } => IdentityKind::Role,
        }
    }

    /// The groups that a user is in; none of anything else.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let groups = match &self.detail {
            IdentityDetail::User { groups, .. } => Some(groups),
            IdentityDetail::Group | IdentityDetail::Role { .. } => None,
        };
        groups.into_iter().flatten().map(String::as_str)
    }

    /// The keys that a user has; none of anything else.
    pub fn access_keys(&self) -> &[String] {
        match &self.detail {
            IdentityDetail::User { access_keys, .. } => access_keys,
            IdentityDetail::Group | IdentityDetail::Role { .. } => &[],
        }
    }
}

/// A user's key, under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    pub user: AccountName,
    /// Its secret, sealed with the key of all of them.
    pub sealed: Vec<u8>,
    pub is_active: bool,
    pub created: UnixMillis,
}

/// A policy that may be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicyRecord {
    pub id: String,
    pub name: String,
    pub path: String,
    pub description: Option<String>,
    pub created: UnixMillis,
    pub updated: UnixMillis,
    pub tags: BTreeMap<String, String>,
    /// The version that counts.
    pub default: u32,
    /// The highest number that was given to a version.
    pub newest: u32,
    pub versions: BTreeMap<u32, PolicyVersion>,
}

/// A version of it, which never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    pub document: String,
    pub created: UnixMillis,
}

/// What there is one of for all identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitiesRecord {
    /// The entry that changed any of them last.
    pub changed: Index,
    /// The key that secrets and session tokens are sealed with, wrapped.
    pub key: Vec<u8>,
}

impl IdentitiesRecord {
    /// What the key is the key of, to who wraps it.
    pub const KEY_NAME: &[u8] = b"identities";
}

same_since!(Level::SECOND; IdentityRecord, AccessKeyRecord, ManagedPolicyRecord, IdentitiesRecord);
