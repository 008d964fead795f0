//! Changes of identities as they were journaled before users and roles had permissions boundaries. The forms are
//! frozen: they are never edited.
//!
//! Level 2 was open when boundaries came, so both forms are of that level, and what tells them apart is that one of them
//! takes all bytes of a command and says what a server can have written. In the earlier form only the renaming of a
//! group has anything behind a user's or a role's record; any other command ends where the boundary would begin, which
//! no command of today's form does. Behind a user of a group that is renamed comes another user or the group. Read in
//! today's form, the record's end is then taken for no boundary and the next record's kind for what is written, so that
//! a change would follow whose account is made of other fields: if that can be read at all, it isn't about the account
//! that the rest of the command is about.

use super::{Command, IdentityChanges, IdentityWrite, Proposed, unnoticed};
use crate::record::unbounded::IdentityRecord;
use crate::record::{AccessKeyRecord, AccountName, DecodeError, IdentityKind, ManagedPolicyRecord, Notice};
use serde::{Deserialize, Serialize};
use stratum_storage::blob::Index;
use stratum_storage::volume::WriterId;

/// The number of [`Command::ChangeIdentities`] among the commands.
const CHANGE_IDENTITIES: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Changes {
    read: Option<Index>,
    key: Option<Vec<u8>>,
    writes: Vec<Write>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Write {
    Identity { kind: IdentityKind, at: AccountName, record: Option<IdentityRecord> },
    AccessKey { id: String, record: Option<AccessKeyRecord> },
    Policy { at: AccountName, record: Option<ManagedPolicyRecord> },
}

/// Reads the content of a journal entry of level 2, in today's form or in one of the earlier ones.
pub(super) fn parse(bytes: &[u8]) -> Result<Proposed, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((proposed, rest)) if is_todays(&proposed, rest) => Ok(proposed),
        parsed => earlier(bytes)
            .or_else(|| unnoticed::parse(bytes))
            .ok_or(())
            .or_else(|()| parsed.map(|(proposed, _)| proposed))
            .map_err(DecodeError::Damaged),
    }
}

/// Whether what was read in today's form was written in it.
fn is_todays(proposed: &Proposed, rest: &[u8]) -> bool {
    match &proposed.command {
        Command::ChangeIdentities(changes) => rest.is_empty() && changes.is_of_one_account(),
        Command::DeleteBucket { .. } => rest.is_empty(),
        _ => true,
    }
}

/// The change of identities that takes all of the bytes in the earlier form.
fn earlier(bytes: &[u8]) -> Option<Proposed> {
    type Front = (Option<WriterId>, Option<Box<Notice>>, u32);
    let ((by, notice, number), rest): (Front, _) = postcard::take_from_bytes(bytes).ok()?;
    if number != CHANGE_IDENTITIES {
        return None;
    }
    let (changes, rest): (Changes, _) = postcard::take_from_bytes(rest).ok()?;
    let changes = IdentityChanges::from(changes);
    let is_whole = rest.is_empty() && changes.is_of_one_account();
    is_whole.then_some(Proposed { by, notice, command: Command::ChangeIdentities(changes) })
}

impl From<Changes> for IdentityChanges {
    fn from(Changes { read, key, writes }: Changes) -> Self {
        IdentityChanges { read, key, writes: writes.into_iter().map(Into::into).collect() }
    }
}

impl From<Write> for IdentityWrite {
    fn from(write: Write) -> Self {
        match write {
            Write::Identity { kind, at, record } => {
                IdentityWrite::Identity { kind, at, record: record.map(Into::into) }
            }
            Write::AccessKey { id, record } => IdentityWrite::AccessKey { id, record },
            Write::Policy { at, record } => IdentityWrite::Policy { at, record },
        }
    }
}

impl IdentityChanges {
    /// Whether all that is written is about one account, as in every change that a server makes.
    fn is_of_one_account(&self) -> bool {
        let mut accounts = self.writes.iter().filter_map(IdentityWrite::account);
        accounts.next().is_none_or(|first| accounts.all(|account| account == first))
    }
}

impl IdentityWrite {
    /// The account that is written about; `None` where a key is removed, which says none.
    fn account(&self) -> Option<&str> {
        match self {
            IdentityWrite::Identity { at, .. } | IdentityWrite::Policy { at, .. } => Some(at.account()),
            IdentityWrite::AccessKey { record, .. } => record.as_ref().map(|record| record.user.account()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{IdentityDetail, IdentityRecord, Level};

    fn identity(name: &str, detail: IdentityDetail) -> IdentityWrite {
        let at = AccountName::new("ann", name);
        let record = IdentityRecord {
            id: "AIDA234567ABCDEFGHIJ".into(),
            name: name.into(),
            path: "/".into(),
            created: 1_700_000_000_000,
            tags: Default::default(),
            inline: Default::default(),
            attached: Default::default(),
            detail,
        };
        IdentityWrite::Identity { kind: record.kind(), at, record: Some(record) }
    }

    fn user(name: &str, boundary: Option<&str>) -> IdentityWrite {
        let boundary = boundary.map(str::to_owned);
        let detail = IdentityDetail::User { groups: ["w".into()].into(), access_keys: Vec::new(), boundary };
        identity(name, detail)
    }

    fn removed(kind: IdentityKind, name: &str) -> IdentityWrite {
        IdentityWrite::Identity { kind, at: AccountName::new("ann", name), record: None }
    }

    fn proposed(writes: Vec<IdentityWrite>) -> Proposed {
        Command::ChangeIdentities(IdentityChanges { read: Some(299), key: None, writes }).into()
    }

    /// The bytes of a change in the earlier form. Its users and roles have no boundary.
    fn earlier_bytes(proposed: &Proposed) -> Vec<u8> {
        let Command::ChangeIdentities(changes) = &proposed.command else { panic!("another command") };
        let front: (Option<WriterId>, Option<Box<Notice>>, u32) = (None, None, CHANGE_IDENTITIES);
        let mut bytes = [vec![Level::SECOND.number()], postcard::to_allocvec(&front).unwrap()].concat();
        let count = (changes.read, &changes.key, changes.writes.len() as u32);
        bytes.extend(postcard::to_allocvec(&count).unwrap());
        for write in &changes.writes {
            let written = postcard::to_allocvec(write).unwrap();
            let boundary = usize::from(matches!(
                write,
                IdentityWrite::Identity {
                    kind: IdentityKind::User | IdentityKind::Role,
                    record: Some(_),
                    ..
                }
            ));
            bytes.extend(&written[..written.len() - boundary]);
        }
        bytes
    }

    /// What servers write with the records of users and roles, with names as short as they may be.
    fn changes(boundary: Option<&str>) -> Vec<Proposed> {
        let group = || identity("v", IdentityDetail::Group);
        let role = IdentityDetail::Role {
            description: None,
            session_seconds: 3600,
            trust: "{}".into(),
            boundary: boundary.map(str::to_owned),
        };
        let renamed = |names: &[&str]| {
            let users = names.iter().map(|name| user(name, boundary));
            [removed(IdentityKind::Group, "w")].into_iter().chain(users).chain([group()]).collect()
        };
        let key = AccessKeyRecord {
            user: AccountName::new("ann", "a"),
            sealed: vec![2; 88],
            is_active: true,
            created: 1,
        };
        let key = IdentityWrite::AccessKey { id: "AKIA234567ABCDEFGHIJ".into(), record: Some(key) };
        let writes = [
            vec![user("a", boundary)],
            vec![identity("r", role)],
            vec![key.clone(), user("a", boundary)],
            vec![removed(IdentityKind::User, "b"), key, user("a", boundary)],
            renamed(&["a"]),
            renamed(&["a", "b"]),
            renamed(&["a", "b", "c"]),
        ];
        writes.map(proposed).into()
    }

    #[test]
    fn changes_from_before_boundaries_are_read_as_they_were_meant() {
        for proposed in changes(None) {
            assert_eq!(Proposed::decode(&earlier_bytes(&proposed)).as_ref(), Ok(&proposed));
        }
    }

    #[test]
    fn todays_changes_are_never_taken_for_earlier_ones() {
        for proposed in changes(None).into_iter().chain(changes(Some("arn:aws:iam::aws:policy/readonly"))) {
            let bytes = proposed.encode(Level::SECOND).unwrap();
            assert_eq!(Proposed::decode(&bytes).as_ref(), Ok(&proposed));
        }
    }

    #[test]
    fn a_change_that_is_cut_is_neither() {
        for proposed in changes(None) {
            let bytes = proposed.encode(Level::SECOND).unwrap();
            let cut = bytes.len() - 2;
            assert!(matches!(Proposed::decode(&bytes[..cut]), Err(DecodeError::Damaged(_))));
        }
    }
}
