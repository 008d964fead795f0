//! Who sends requests: the owners of accounts, whom the configuration names, and the members that were made in them.
//!
//! An account is its owner's: root has one, and so has every `[[user]]`. A [`Member`] is a user that was made in an account, or a
//! session of one of its users or roles, and may what policies give it. Whose key signed a request is asked of the configuration
//! first and then of the state ([`Keys`]), where one look-up tells a key that is none. What a member may is read once and kept
//! until any user, group, role or policy changes ([`Members`]), so that a request parses nothing.

mod arn;
mod canned;
mod member;
mod sealing;
mod session;

pub use arn::{Arn, access_key_id, fresh_id, secret_key};
pub use canned::{CANNED, Canned};
pub use member::{Member, MemberKind};
pub use sealing::Sealing;
pub use session::{Session, Subject};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use stratum_auth::{AuthError, Identities, Keyring, SecretKey, User};
use stratum_cipher::{DataKey, KeyService};
use stratum_metadata::record::IdentitiesRecord;
use stratum_metadata::{ReadError, ReadView};
use stratum_storage::ambient::UnixMillis;
use subtle::ConstantTimeEq;
use tracing_mutex::parkinglot::RwLock;

/// How much text the policies of members that are kept may have had, in bytes. Read, one takes up to 40 times its text.
const KEPT_BYTES: u64 = 2 << 20;
/// What a member without any policy counts for.
const LEAST_BYTES: u64 = 256;
/// After what opens secrets could not be had.
const RETRY_MILLIS: u64 = 10_000;
const SHUT: &str = "users' secrets can't be opened";
/// Members that there are at least room for.
const KEPT: usize = 1024;

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The owner of an account.
    User(Arc<User>),
    /// Somebody else of an account.
    Member(Arc<Member>),
    /// Nobody signed it.
    Nobody,
}

impl Caller {
    /// The owner of the account that they belong to.
    pub fn owner(&self) -> Option<&Arc<User>> {
        match self {
            Caller::User(user) => Some(user),
            Caller::Member(member) => Some(&member.account),
            Caller::Nobody => None,
        }
    }

    /// The key that they signed with.
    pub fn access_key(&self) -> Option<&str> {
        match self {
            Caller::User(user) => Some(user.access_key.as_str()),
            Caller::Member(member) => Some(&member.access_key),
            Caller::Nobody => None,
        }
    }

    /// What they are called in logs, and counted by.
    pub fn id(&self) -> Option<&str> {
        match self {
            Caller::User(user) => Some(&user.id),
            Caller::Member(member) => Some(member.arn.as_str()),
            Caller::Nobody => None,
        }
    }
}

/// The members who asked for something last, and what opens their secrets.
#[derive(Debug)]
pub struct Members {
    known: Cache<String, Arc<Known>, ByText>,
    opened: RwLock<Opened>,
    /// Held by whoever reads identities to change them.
    changing: tokio::sync::Mutex<()>,
}

/// Whose an access key is, as it was found.
#[derive(Debug)]
struct Known {
    /// How often identities had changed when it was read.
    changes: u64,
    caller: Caller,
    secret: SecretKey,
    /// Of a session: its token, and when it ends.
    session: Option<(String, UnixMillis)>,
    text_bytes: u64,
}

#[derive(Debug, Default)]
struct Opened {
    /// How often identities had changed when it was looked for.
    changes: Option<u64>,
    lock: Lock,
}

/// What opens secrets.
#[derive(Clone, Debug, Default)]
enum Lock {
    /// There are none.
    #[default]
    Nothing,
    Open(Sealing),
    /// It could not be had, and is asked for again at that time.
    Shut(UnixMillis),
}

#[derive(Clone, Debug)]
struct ByText;

impl Weighter<String, Arc<Known>> for ByText {
    fn weight(&self, _: &String, known: &Arc<Known>) -> u64 {
        known.text_bytes.max(LEAST_BYTES)
    }
}

impl Default for Members {
    fn default() -> Self {
        Self {
            known: Cache::with_weighter(KEPT, KEPT_BYTES, ByText),
            opened: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }
}

impl Members {
    /// Has what opens secrets be at hand, if there are any. Costs a comparison while nothing has changed.
    ///
    /// Who owns an account signs in without it, so what fails is told to those alone who can't.
    pub async fn open(&self, view: &ReadView, keys: &dyn KeyService, now: UnixMillis) {
        let Ok(changes) = view.identity_changes() else { return };
        if self.opened.read().is_of(changes, now) {
            return;
        }
        let lock = Lock::of(view, keys, now).await;
        *self.opened.write() = Opened { changes: Some(changes), lock };
    }

    /// What seals secrets, where there is one.
    pub fn sealing(&self) -> Option<Sealing> {
        match &self.opened.read().lock {
            Lock::Open(sealing) => Some(sealing.clone()),
            Lock::Nothing | Lock::Shut(_) => None,
        }
    }

    /// Whether there are secrets that can't be opened.
    pub fn is_shut(&self) -> bool {
        matches!(self.opened.read().lock, Lock::Shut(_))
    }

    /// Waits until nobody else changes identities, as long as the guard is kept.
    pub async fn change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }
}

impl Opened {
    fn is_of(&self, changes: u64, now: UnixMillis) -> bool {
        let is_due = matches!(self.lock, Lock::Shut(again) if again <= now);
        self.changes == Some(changes) && !is_due
    }
}

impl Lock {
    async fn of(view: &ReadView, keys: &dyn KeyService, now: UnixMillis) -> Lock {
        let problem = match view.identities() {
            Ok(None) => return Lock::Nothing,
            // None of them has a secret yet.
            Ok(Some(all)) if all.key.is_empty() => return Lock::Nothing,
            Ok(Some(all)) => match keys.unwrap(&all.key, IdentitiesRecord::KEY_NAME).await {
                Ok(key) => return Lock::Open(Sealing::new(key)),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            problem,
            "users' secrets can't be opened: nobody but the owners of accounts can sign in"
        );
        Lock::Shut(now.saturating_add(RETRY_MILLIS))
    }
}

/// Wraps the key above the secrets.
///
/// # Errors
/// What the key service fails in.
pub async fn wrap(
    keys: &dyn KeyService,
    key: &DataKey,
    salt: stratum_cipher::Salt,
) -> Result<Vec<u8>, stratum_cipher::KeyError> {
    keys.wrap(None, key, IdentitiesRecord::KEY_NAME, salt).await
}

/// All keys that a request may be signed with, at a moment.
#[derive(Debug)]
pub struct Keys<'a> {
    pub configured: &'a Identities,
    pub members: &'a Members,
    pub view: ReadView,
    pub now: UnixMillis,
}

impl Keyring for Keys<'_> {
    type Holder = Caller;

    fn find(&self, access_key: &str, session_token: Option<&str>) -> Result<(Caller, SecretKey), AuthError> {
        let token = session_token.filter(|token| !token.is_empty());
        match (self.configured.by_access_key(access_key), token) {
            (Some((user, secret)), None) => Ok((Caller::User(user.clone()), secret.clone())),
            (Some(_), Some(_)) => Err(AuthError::InvalidToken),
            (None, token) => self.find_member(access_key, token),
        }
    }

    fn is_root(caller: &Caller) -> bool {
        matches!(caller, Caller::User(user) if user.root)
    }
}

impl Keys<'_> {
    fn find_member(&self, access_key: &str, token: Option<&str>) -> Result<(Caller, SecretKey), AuthError> {
        let unknown = || AuthError::InvalidAccessKeyId { access_key: access_key.to_owned() };
        // What can't be one of ours costs nothing.
        if !arn::is_access_key_id(access_key) {
            return Err(if token.is_some() { AuthError::InvalidToken } else { unknown() });
        }
        let changes = self.view.identity_changes().map_err(unavailable)?;
        let known = self.members.known.get(access_key).filter(|known| known.changes == changes);
        let known = match known.filter(|known| known.is_of(token)) {
            Some(known) => known,
            None => {
                let sealing = match &self.members.opened.read().lock {
                    Lock::Open(sealing) => sealing.clone(),
                    Lock::Nothing => return Err(unknown()),
                    Lock::Shut(_) => return Err(AuthError::Unavailable(SHUT.into())),
                };
                let read = match token {
                    None => self.read_key(&sealing, access_key, changes)?,
                    Some(token) => self.read_session(&sealing, access_key, token, changes)?,
                };
                let known = Arc::new(read.ok_or_else(unknown)?);
                self.members.known.insert(access_key.to_owned(), known.clone());
                known
            }
        };
        match &known.session {
            Some((_, ends)) if *ends <= self.now => Err(AuthError::ExpiredToken),
            _ => Ok((known.caller.clone(), known.secret.clone())),
        }
    }

    /// A user's own key.
    fn read_key(
        &self,
        sealing: &Sealing,
        access_key: &str,
        changes: u64,
    ) -> Result<Option<Known>, AuthError> {
        let record = self.view.access_key(access_key).map_err(unavailable)?;
        let Some(record) = record.filter(|record| record.is_active) else { return Ok(None) };
        let Some(secret) = sealing.open_secret(access_key, &record.sealed) else {
            return Err(AuthError::Unavailable(format!("the secret of {access_key} can't be opened")));
        };
        let Some(account) = self.configured.by_id(record.user.account()) else { return Ok(None) };
        let name = record.user.folded();
        let member = Member::user(&self.view, account, name, access_key, None).map_err(unavailable)?;
        Ok(member.map(|(member, text_bytes)| Known {
            changes,
            caller: Caller::Member(Arc::new(member)),
            secret,
            session: None,
            text_bytes,
        }))
    }

    /// A session's key, of which nothing is kept but the key that opens its token.
    fn read_session(
        &self,
        sealing: &Sealing,
        access_key: &str,
        token: &str,
        changes: u64,
    ) -> Result<Option<Known>, AuthError> {
        let session = sealing.open_session(token).ok_or(AuthError::InvalidToken)?;
        let is_its: bool = session.access_key.as_bytes().ct_eq(access_key.as_bytes()).into();
        let secret = SecretKey::new(&session.secret).map_err(|_| AuthError::InvalidToken)?;
        if !is_its {
            return Err(AuthError::InvalidToken);
        }
        let Some(account) = self.configured.by_id(session.subject.account()) else { return Ok(None) };
        let found = match &session.subject {
            Subject::Owner { .. } => Some((Caller::User(account.clone()), 0)),
            Subject::User { name, .. } | Subject::Role { name, .. } => {
                let member = match &session.subject {
                    Subject::Role { .. } => Member::role(&self.view, account, name, &session),
                    _ => Member::user(&self.view, account, name, access_key, Some(&session)),
                };
                member.map_err(unavailable)?.map(|(member, bytes)| (Caller::Member(Arc::new(member)), bytes))
            }
        };
        let ends = session.ends;
        Ok(found.map(|(caller, text_bytes)| Known {
            changes,
            caller,
            secret,
            session: Some((token.to_owned(), ends)),
            text_bytes: text_bytes + token.len() as u64,
        }))
    }
}

impl Known {
    /// Whether it is what that token makes of the key, or that key without one.
    fn is_of(&self, token: Option<&str>) -> bool {
        match (&self.session, token) {
            (None, None) => true,
            (Some((known, _)), Some(token)) => known.as_bytes().ct_eq(token.as_bytes()).into(),
            _ => false,
        }
    }
}

fn unavailable(error: ReadError) -> AuthError {
    AuthError::Unavailable(error.to_string())
}
