//! Sessions: temporary credentials. All of a session is in its token, which is sealed.
//!
//! Nothing is written when a session begins and nothing is to be swept when it ends, so nobody can fill the state by
//! asking for many. What a session may do is looked up anew after each change of identities, so a session ends with the
//! user or the role that it is of.

use serde::{Deserialize, Serialize};
use std::fmt;
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
    pub issued: UnixMillis,
    pub ends: UnixMillis,
}

/// Whom a session is of. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The owner of an account.
    Owner { account: String },
    /// The user with that id.
    User { account: String, name: String, id: String },
    /// The role with that id; `session` is the name that whoever assumed the role gave to the session.
    Role { account: String, name: String, id: String, session: String },
}

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
    pub fn account(&self) -> &str {
        let (Subject::Owner { account } | Subject::User { account, .. } | Subject::Role { account, .. }) =
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
