//! Users and roles as they were stored before they had permissions boundaries. Frozen: nothing here is ever edited.
//!
//! Level 2 was open when boundaries came, so both forms are of that level. The boundary is the last field of a record:
//! where a record ends before its boundary, it is of this form, and no record of today's form does.

use super::identity;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stratum_storage::ambient::UnixMillis;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    id: String,
    name: String,
    path: String,
    created: UnixMillis,
    tags: BTreeMap<String, String>,
    inline: BTreeMap<String, String>,
    attached: BTreeSet<String>,
    detail: IdentityDetail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum IdentityDetail {
    User { groups: BTreeSet<String>, access_keys: Vec<String> },
    Group,
    Role { description: Option<String>, session_seconds: u32, trust: String },
}

impl IdentityRecord {
    /// The record of this form that takes all of the bytes; `None` if they hold none, or more than one.
    pub(super) fn whole(bytes: &[u8]) -> Option<IdentityRecord> {
        let (record, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(record)
    }
}

impl From<IdentityRecord> for identity::IdentityRecord {
    fn from(record: IdentityRecord) -> Self {
        let IdentityRecord { id, name, path, created, tags, inline, attached, detail } = record;
        let detail = match detail {
            IdentityDetail::User { groups, access_keys } => {
                identity::IdentityDetail::User { groups, access_keys, boundary: None }
            }
            IdentityDetail::Group => identity::IdentityDetail::Group,
            IdentityDetail::Role { description, session_seconds, trust } => {
                identity::IdentityDetail::Role { description, session_seconds, trust, boundary: None }
            }
        };
        identity::IdentityRecord { id, name, path, created, tags, inline, attached, detail }
    }
}
