//! Reads of users, groups, roles, their keys and policies.

use super::ReadView;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{
    AccessKeyRecord, AccountName, IdentitiesRecord, IdentityKind, IdentityRecord, ManagedPolicyRecord,
    Migrate,
};
use std::ops::ControlFlow;

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

    /// Goes through the identities of a kind in an account, by their names in lower case: those after the name `after`,
    /// or all where that is empty, until `visit` breaks. One at a time is in memory, beside `seen`, which `visit` makes
    /// of them what is asked for.
    pub async fn visit_identities<T: Send + 'static>(
        &self,
        kind: IdentityKind,
        account: &str,
        after: &str,
        seen: T,
        visit: impl FnMut(&mut T, IdentityRecord) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.visiting(keys::identities_of(kind, account), after, seen, visit).await
    }

    /// The same of the managed policies of an account.
    pub async fn visit_managed_policies<T: Send + 'static>(
        &self,
        account: &str,
        after: &str,
        seen: T,
        visit: impl FnMut(&mut T, ManagedPolicyRecord) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.visiting(keys::managed_policies_of(account), after, seen, visit).await
    }

    /// How many identities of a kind an account has.
    pub async fn count_identities(&self, kind: IdentityKind, account: &str) -> Result<usize, ReadError> {
        self.counting(keys::identities_of(kind, account)).await
    }

    /// How many managed policies an account has.
    pub async fn count_managed_policies(&self, account: &str) -> Result<usize, ReadError> {
        self.counting(keys::managed_policies_of(account)).await
    }

    /// Goes through the records whose keys are `all` and a name.
    async fn visiting<R: Migrate, T: Send + 'static>(
        &self,
        all: Vec<u8>,
        after: &str,
        mut seen: T,
        mut visit: impl FnMut(&mut T, R) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T, ReadError> {
        let from = match after {
            "" => all.clone(),
            after => [all.as_slice(), after.as_bytes(), &[0]].concat(),
        };
        self.scanning(move |view| {
            view.visit(&from, &keys::end_of_prefix(&all), |record| visit(&mut seen, record))?;
            Ok(seen)
        })
        .await
    }

    async fn counting(&self, all: Vec<u8>) -> Result<usize, ReadError> {
        self.scanning(move |view| {
            let mut count = 0;
            view.scan(&all, &keys::end_of_prefix(&all), |_, _| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            Ok(count)
        })
        .await
    }
}
