//! Checks users, groups, roles, keys and policies: what they name must exist, and name them in turn.

use super::keyed::{NOT_A_KEY, Read, read};
use super::{Check, Finding};
use crate::keys;
use crate::machine::ReadError;
use crate::record::{AccessKeyRecord, AccountName, IdentityKind, IdentityRecord, ManagedPolicyRecord};

impl Check<'_> {
    pub(super) fn identity(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((kind, at)) = keys::parse_identity(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let record: IdentityRecord = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        if record.kind() != kind || AccountName::new(at.account(), &record.name) != at {
            self.misplaced(kind.name(), &at, "lies under another's name");
        }
        for group in record.groups() {
            let group = AccountName::new(at.account(), group);
            if !self.has(&keys::identity(IdentityKind::Group, &group))? {
                self.misplaced(kind.name(), &at, "is in a group that isn't there");
            }
        }
        for id in record.access_keys() {
            let access_key: Option<AccessKeyRecord> = self.get(&keys::access_key(id))?;
            if access_key.is_none_or(|access_key| access_key.user != at) {
                self.misplaced(kind.name(), &at, "names a key that isn't its own");
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn access_key(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(id) = keys::parse_access_key(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let record: AccessKeyRecord = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        let user: Option<IdentityRecord> = self.get(&keys::identity(IdentityKind::User, &record.user))?;
        if user.is_none_or(|user| !user.access_keys().iter().any(|known| known == id)) {
            self.misplaced(IdentityKind::User.name(), &record.user, "has a key that it doesn't name");
        }
        Ok(Ok(()))
    }

    pub(super) fn managed_policy(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some(at) = keys::parse_managed_policy(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let record: ManagedPolicyRecord = match read(value) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        if AccountName::new(at.account(), &record.name) != at {
            self.misplaced("policy", &at, "lies under another's name");
        }
        if !record.versions.contains_key(&record.default) {
            self.misplaced("policy", &at, "has no version that counts");
        }
        Ok(Ok(()))
    }

    fn misplaced(&mut self, kind: &'static str, at: &AccountName, problem: &'static str) {
        let (account, name) = (at.account().to_owned(), at.folded().to_owned());
        self.found(Finding::Identity { kind, account, name, problem });
    }
}
