//! Users, groups and roles, the keys of users, and the policies that are attached to them, as in IAM.
//!
//! An account is identified by its owner's canonical user id. Within an account, case doesn't matter in names, so
//! records lie under names in lower case. Everything that a user, a group or a role has is bounded and stands in its
//! record: to find out what somebody may do, one reads that record, those of its groups, and the attached policies.
//! The state doesn't know which changes are allowed: the proposer works a change out from what it read, and the
//! change is applied only if none has come between.

use super::level::{Level, Migrate, NoPrevious, TakesLevel, same_since};
use super::{DecodeError, unbounded};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// The kinds of identities. The number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum IdentityKind {
    User = 0,
    Group = 1,
    Role = 2,
}

impl IdentityKind {
    pub const ALL: [IdentityKind; 3] = [IdentityKind::User, IdentityKind::Group, IdentityKind::Role];

    /// The kind as it stands in an ARN.
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

/// What identities and policies lie under: the account, and the name in lower case.
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

    /// The name in lower case.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

/// A user, a group or a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Never given twice, not even to a later identity of the same name.
    pub id: String,
    /// The name as it was written.
    pub name: String,
    pub path: String,
    pub created: UnixMillis,
    pub tags: BTreeMap<String, String>,
    /// Its inline policies: their documents, by name.
    pub inline: BTreeMap<String, String>,
    /// The ARNs of the policies that are attached to it.
    pub attached: BTreeSet<String>,
    pub detail: IdentityDetail,
}

/// What only a user, a group or a role has. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityDetail {
    User {
        /// The names of its groups, in lower case.
        groups: BTreeSet<String>,
        /// The ids of its access keys, the oldest first.
        access_keys: Vec<String>,
        /// The ARN of its permissions boundary: the policy that bounds its rights.
        boundary: Option<String>,
    },
    Group,
    Role {
        description: Option<String>,
        /// The longest duration of one of its sessions, in seconds.
        session_seconds: u32,
        /// The policy that says who may assume the role.
        trust: String,
        /// As a user's.
        boundary: Option<String>,
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

    /// The groups of a user; empty for any other identity.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let groups = match &self.detail {
            IdentityDetail::User { groups, .. } => Some(groups),
            IdentityDetail::Group | IdentityDetail::Role { .. } => None,
        };
        groups.into_iter().flatten().map(String::as_str)
    }

    /// The ARN of the permissions boundary of a user or a role.
    pub fn boundary(&self) -> Option<&str> {
        match &self.detail {
            IdentityDetail::User { boundary, .. } | IdentityDetail::Role { boundary, .. } => {
                boundary.as_deref()
            }
            IdentityDetail::Group => None,
        }
    }

    /// The ids of a user's keys; empty for any other identity.
    pub fn access_keys(&self) -> &[String] {
        match &self.detail {
            IdentityDetail::User { access_keys, .. } => access_keys,
            IdentityDetail::Group | IdentityDetail::Role { .. } => &[],
        }
    }
}

/// A user's access key, under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    pub user: AccountName,
    /// Its secret, sealed with the key that all secrets are sealed with.
    pub sealed: Vec<u8>,
    pub is_active: bool,
    pub created: UnixMillis,
}

/// A managed policy, which can be attached to identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicyRecord {
    pub id: String,
    pub name: String,
    pub path: String,
    pub description: Option<String>,
    pub created: UnixMillis,
    pub updated: UnixMillis,
    pub tags: BTreeMap<String, String>,
    /// The number of the version that is in force.
    pub default: u32,
    /// The highest number that was given to a version.
    pub newest: u32,
    pub versions: BTreeMap<u32, PolicyVersion>,
}

/// A version of a managed policy, which never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    pub document: String,
    pub created: UnixMillis,
}

/// The one record for all identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentitiesRecord {
    /// The entry that last changed any of them.
    pub changed: Index,
    /// The wrapped key with which secrets and session tokens are sealed.
    pub key: Vec<u8>,
}

impl IdentitiesRecord {
    /// What that key is wrapped for, which is needed to unwrap it.
    pub const KEY_NAME: &[u8] = b"identities";
}

same_since!(Level::SECOND; AccessKeyRecord, ManagedPolicyRecord, IdentitiesRecord);

impl Migrate for IdentityRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = NoPrevious;

    fn migrate(previous: NoPrevious) -> Result<Self, DecodeError> {
        match previous {}
    }

    fn previous(&self) -> Result<NoPrevious, TakesLevel> {
        Err(TakesLevel(Self::SINCE))
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        postcard::from_bytes(bytes)
            .or_else(|error| unbounded::IdentityRecord::whole(bytes).map(Into::into).ok_or(error))
            .map_err(DecodeError::Damaged)
    }
}
