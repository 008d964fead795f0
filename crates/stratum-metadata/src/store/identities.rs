//! Reads of users, groups, roles, their keys and policies.

use super::ReadView;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{
    AccessKeyRecord, AccountName, IdentitiesRecord, IdentityKind, IdentityRecord, ManagedPolicyRecord,
};

impl ReadView {
    /// Rises whenever any of them changes, before anybody learns of the change: what was derived from them before is
    /// then out of date. To be read before they are.
    ///
    /// # Errors
    /// If the state can't be believed.
    pub fn identity_changes(&self) -> Result<u64, ReadError> {
        Ok(self.machine()?.identity_changes())
    }

    /// The one record for all identities; `None` while there are none.
    pub fn identities(&self) -> Result<Option<IdentitiesRecord>, ReadError> {
        self.get(&keys::identities())
    }

    pub fn identity(
        &self,
        kind: IdentityKind,
        at: &AccountName,
    ) -> Result<Option<IdentityRecord>, ReadError> {
        self.get(&keys::identity(kind, at))
    }

    pub fn access_key(&self, id: &str) -> Result<Option<AccessKeyRecord>, ReadError> {
        self.get(&keys::access_key(id))
    }

    /// Whether there is any access key, in any account.
    pub async fn has_access_keys(&self) -> Result<bool, ReadError> {
        let found = self.scanning(|view| {
            let (from, to) = (keys::start_of(Tag::AccessKey), keys::end_of(Tag::AccessKey));
            view.records::<AccessKeyRecord>(&from, &to, 1)
        });
        Ok(!found.await?.is_empty())
    }

    pub fn managed_policy(&self, at: &AccountName) -> Result<Option<ManagedPolicyRecord>, ReadError> {
        self.get(&keys::managed_policy(at))
    }

    /// All identities of a kind in an account, by name.
    pub async fn identities_of(
        &self,
        kind: IdentityKind,
        account: &str,
    ) -> Result<Vec<IdentityRecord>, ReadError> {
        let all = keys::identities_of(kind, account);
        self.scanning(move |view| view.records(&all, &keys::end_of_prefix(&all), usize::MAX)).await
    }

    /// All managed policies of an account, by name.
    pub async fn managed_policies_of(&self, account: &str) -> Result<Vec<ManagedPolicyRecord>, ReadError> {
        let all = keys::managed_policies_of(account);
        self.scanning(move |view| view.records(&all, &keys::end_of_prefix(&all), usize::MAX)).await
    }
}
