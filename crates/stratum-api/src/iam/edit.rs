//! A change of identities: of users, groups, roles, access keys and managed policies.
//!
//! A change is made from records that are read first. A lock keeps other requests to this server from changing
//! identities meanwhile, and the command says as of which change the records were read, so that it is refused where
//! another server has changed any since.

use super::call::Call;
use super::error::{Fault, IamError};
use crate::identities::{self, Sealing};
use bytes::Bytes;
use stratum_cipher::{DataKey, Salt};
use stratum_metadata::VERSIONS_SINCE;
use stratum_metadata::command::{Command, IdentityChanges, IdentityWrite, Outcome, Refusal};
use stratum_metadata::record::{
    AccessKeyRecord, AccountName, IdentityKind, IdentityRecord, ManagedPolicyRecord,
};
use stratum_storage::ambient::Entropy;
use stratum_storage::blob::Index;
use tokio::sync::MutexGuard;

/// A change that is being put together: what it writes is one command.
pub struct Edit<'a> {
    call: &'a Call,
    _alone: MutexGuard<'a, ()>,
    /// The newest change of identities when this one began.
    read: Option<Index>,
    /// The key that seals users' secrets, wrapped, where this change makes it.
    key: Option<Vec<u8>>,
    writes: Vec<IdentityWrite>,
}

impl<'a> Edit<'a> {
    /// Waits until nobody else of this server changes identities.
    ///
    /// # Errors
    /// `NotImplemented` in a store of a level that has no identities yet.
    pub async fn begin(call: &'a Call) -> Result<Self, IamError> {
        let level = call.store.metadata.level();
        if level < VERSIONS_SINCE {
            return Err(Fault::NotImplemented.because(format!(
                "Users and policies take a store of level {VERSIONS_SINCE}, and this one is of level {level}: its operator can \
                 run `stratum level raise`."
            )));
        }
        let alone = call.store.members.change().await;
        let read = call.view.identities()?.map(|all| all.changed);
        Ok(Edit { call, _alone: alone, read, key: None, writes: Vec::new() })
    }

    /// The record of a user, group or role that must exist.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn identity(&self, kind: IdentityKind, at: &AccountName) -> Result<IdentityRecord, IamError> {
        self.call.view.identity(kind, at)?.ok_or_else(|| Fault::no_such(kind.name(), at.folded()))
    }

    /// Refuses a name that is taken.
    ///
    /// # Errors
    /// `EntityAlreadyExists`.
    pub fn must_not_be(&self, kind: IdentityKind, at: &AccountName) -> Result<(), IamError> {
        match self.call.view.identity(kind, at)? {
            None => Ok(()),
            Some(record) => Err(Fault::EntityAlreadyExists.because(format!(
                "{} with name {} already exists.",
                capital(kind),
                record.name
            ))),
        }
    }

    /// Refuses one more identity of a kind where the account has `most` of them.
    ///
    /// # Errors
    /// `LimitExceeded`.
    pub async fn must_have_room(&self, kind: IdentityKind, most: usize) -> Result<(), IamError> {
        let count = self.call.view.count_identities(kind, self.call.account_id()).await?;
        match count < most {
            true => Ok(()),
            false => Err(Fault::LimitExceeded
                .because(format!("Cannot exceed quota for {}sPerAccount: {most}", capital(kind)))),
        }
    }

    pub fn put(&mut self, at: &AccountName, record: IdentityRecord) {
        let kind = record.kind();
        self.writes.push(IdentityWrite::Identity { kind, at: at.clone(), record: Some(record) });
    }

    pub fn remove(&mut self, kind: IdentityKind, at: &AccountName) {
        self.writes.push(IdentityWrite::Identity { kind, at: at.clone(), record: None });
    }

    pub fn put_key(&mut self, id: &str, record: Option<AccessKeyRecord>) {
        self.writes.push(IdentityWrite::AccessKey { id: id.to_owned(), record });
    }

    pub fn put_policy(&mut self, at: &AccountName, record: Option<ManagedPolicyRecord>) {
        self.writes.push(IdentityWrite::Policy { at: at.clone(), record });
    }

    /// The key that seals users' secrets. The first change that needs the key makes it. A key that can't be opened is
    /// replaced by a new one where no access key is sealed with it.
    ///
    /// # Errors
    /// `ServiceUnavailable` where the key can't be opened and access keys are sealed with it; failures of the key
    /// service.
    pub async fn sealing(&mut self) -> Result<Sealing, IamError> {
        let store = &self.call.store;
        store.members.open(&self.call.view, store.keys.as_ref(), self.call.now).await;
        // To replace a key that can't be opened would make every secret that it seals unreadable for good.
        let is_shut = store.members.is_shut() && self.call.view.has_access_keys().await?;
        match store.members.sealing() {
            Some(sealing) => Ok(sealing),
            None if is_shut => Err(crate::error::S3Error::new(crate::error::Code::ServiceUnavailable)
                .because("the key of users' secrets can't be opened")
                .into()),
            None => {
                let mut random = [0; 32];
                store.entropy.fill(&mut random);
                let key = DataKey::new(random);
                let wrapped = identities::wrap(store.keys.as_ref(), &key, salt(store.entropy.as_ref())).await;
                self.key = Some(wrapped.map_err(crate::error::S3Error::from)?);
                Ok(Sealing::new(key))
            }
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// `ConcurrentModification` where another server has changed identities since this change began; failures of the
    /// store.
    pub async fn commit(self) -> Result<(), IamError> {
        let changes = IdentityChanges { read: self.read, key: self.key, writes: self.writes };
        let command = Command::ChangeIdentities(changes);
        match self.call.store.metadata.commit(command, Bytes::new()).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(Refusal::IdentitiesChanged) => Err(Fault::ConcurrentModification.into()),
            other => Err(crate::error::S3Error::new(crate::error::Code::InternalError)
                .because(format_args!("the outcome of a change of identities was: {other}"))
                .into()),
        }
    }
}

pub fn salt(entropy: &dyn Entropy) -> Salt {
    let mut salt = [0; Salt::BYTES];
    entropy.fill(&mut salt);
    Salt(salt)
}

fn capital(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::User => "User",
        IdentityKind::Group => "Group",
        IdentityKind::Role => "Role",
    }
}
