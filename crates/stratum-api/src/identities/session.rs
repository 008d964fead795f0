//! Sessions: temporary credentials, all of which lies sealed in their token.
//!
//! Nothing is written when one begins and nothing is to be swept when it ends, so nobody fills the state by asking for many. What a
//! session may is looked up anew with each change of identities: it ends with the user or the role that it is of.

use serde::{Deserialize, Serialize};
use std::fmt;
use stratum_storage::ambient::UnixMillis;

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub access_key: String,
    pub secret: String,
    pub subject: Subject,
    /// The policy that it stays within, besides those of its role.
    pub policy: Option<String>,
    /// And the managed ones, by their ARNs: what they say is looked up.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    pub issued: UnixMillis,
    pub ends: UnixMillis,
}

/// Whose session it is. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// Of an account's owner.
    Owner { account: String },
    /// Of a user of that id.
    User { account: String, name: String, id: String },
    /// Of a role of that id; `session` is what who assumed it called it.
    Role { account: String, name: String, id: String, session: String },
}

impl fmt::Debug for Session {
    /// Without its secret.
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

    /// The id of its user or role.
    pub fn id(&self) -> Option<&String> {
        match self {
            Subject::Owner { .. } => None,
            Subject::User { id, .. } | Subject::Role { id, .. } => Some(id),
        }
    }
}
