//! Sessions: temporary credentials. All of a session is in its token, which is sealed.
//!
//! Nothing is written when a session begins and nothing is to be swept when it ends, so nobody can fill the state by
//! asking for many. What a session may do is looked up anew after each change of identities, so a session ends with the
//! user or the role that it is of. A session of an account's owner ends with the key that the owner began it with:
//! when the configuration gives the owner another access key or another secret.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use stratum_auth::{Identities, User};
use stratum_storage::ambient::UnixMillis;

/// What the token of a session holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub access_key: String,
    pub secret: String,
    pub subject: Subject,
    /// The policy that the session must stay within, besides those of its role.
    pub policy: Option<String>,
    /// The ARNs of managed policies that the session must stay within, too. Their documents are looked up.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// The tags of the session, which count before those of its role.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The keys of the tags that the sessions that are begun from this session have, too.
    #[serde(default)]
    pub transitive: BTreeSet<String>,
    pub issued: UnixMillis,
    pub ends: UnixMillis,
}

/// Whom a session is of. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The owner of an account. The mark is what the owner's key made of [`MARKED`] when the session began; sessions
    /// of an earlier version have none, and have ended.
    Owner {
        account: String,
        #[serde(default)]
        mark: String,
    },
    /// The user with that id.
    User { account: String, name: String, id: String },
    /// The role with that id; `session` is the name that whoever assumed the role gave to the session.
    Role { account: String, name: String, id: String, session: String },
}

/// What is known of a caller who is the owner of an account and signs with a session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnersSession {
    pub access_key: String,
    pub issued: UnixMillis,
}

/// What an owner's secret marks, before the owner's access key.
const MARKED: &str = "session\0";

impl fmt::Debug for Session {
    /// Leaves out the secret and the access key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("subject", &self.subject)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// The owner of an account, with the mark of the key that the configuration gives them; `None` if it gives none.
    pub fn owner(configured: &Identities, owner: &User) -> Option<Subject> {
        let access_key = owner.access_key.as_str();
        let (_, secret) = configured.by_access_key(access_key)?;
        let mark = secret.mark(format!("{MARKED}{access_key}").as_bytes()).to_string();
        Some(Subject::Owner { account: owner.id.clone(), mark })
    }

    pub fn account(&self) -> &str {
        let (Subject::Owner { account, .. } | Subject::User { account, .. } | Subject::Role { account, .. }) =
            self;
        account
    }

    /// The id of the user or role; `None` for an owner.
    pub fn id(&self) -> Option<&String> {
        match self {
            Subject::Owner { .. } => None,
            Subject::User { id, .. } | Subject::Role { id, .. } => Some(id),
        }
    }
}
