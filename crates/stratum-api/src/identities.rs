//! Who sends requests: the owners of accounts, whom the configuration names, and the members that were made in the
//! accounts.
//!
//! Root owns an account, and so does every `[[user]]` of the configuration. A [`Member`] is a user that was made in an
//! account, or a session of one of its users or roles, and may do what policies allow. An access key is looked up in
//! the configuration first and then in the state ([`Keys`]), where one lookup shows that a key doesn't exist. What a
//! member may do is read once and kept until any user, group, role or policy changes ([`Members`]), so that a request
//! parses no policies.

mod arn;
mod canned;
mod member;
mod sealing;
mod session;

pub use arn::{Arn, access_key_id, fresh_id, secret_key};
pub use canned::{CANNED, Canned};
pub use member::{Member, MemberKind, ParsedPolicies};
pub use sealing::Sealing;
pub use session::{OwnersSession, Session, Subject};

use crate::kept::{Kept, Parsed, kept};
use std::sync::Arc;
use stratum_auth::{AuthError, Identities, Keyring, SecretKey, User};
use stratum_cipher::{DataKey, KeyService};
use stratum_metadata::record::IdentitiesRecord;
use stratum_metadata::{ReadError, ReadView};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blocking;
use subtle::ConstantTimeEq;
use tracing_mutex::parkinglot::RwLock;

/// The most bytes of text that the policies of kept members were parsed from.
const MOST_BYTES: u64 = 2 << 20;
/// No member has so much: a user may be in ten groups, and ten policies may be attached to each of them.
const LONGEST_BYTES: u64 = 1 << 20;
/// How long after a failure to get the key that opens secrets it is asked for again.
const RETRY_MILLIS: u64 = 10_000;
const SHUT: &str = "users' secrets can't be opened";

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The owner of an account: with their own key, or with the key of a session that they began.
    User(Arc<User>, Option<Arc<OwnersSession>>),
    /// A user that was made in an account, or a session.
    Member(Arc<Member>),
    /// The request isn't signed.
    Nobody,
}

impl Caller {
    /// The owner of the account that the caller belongs to.
    pub fn owner(&self) -> Option<&Arc<User>> {
        match self {
            Caller::User(user, _) => Some(user),
            Caller::Member(member) => Some(&member.account),
            Caller::Nobody => None,
        }
    }

    /// The access key that the caller signs with: a session's, if the caller has one.
    pub fn access_key(&self) -> Option<&str> {
        match self {
            Caller::User(_, Some(session)) => Some(&session.access_key),
            Caller::User(user, None) => Some(user.access_key.as_str()),
            Caller::Member(member) => Some(&member.access_key),
            Caller::Nobody => None,
        }
    }

    /// What the caller is called in logs and counted by: the id of an owner, the ARN of a member.
    pub fn id(&self) -> Option<&str> {
        match self {
            Caller::User(user, _) => Some(&user.id),
            Caller::Member(member) => Some(member.arn.as_str()),
            Caller::Nobody => None,
        }
    }

    /// When the caller's session began; `None` for a caller who has none.
    pub fn session_began(&self) -> Option<UnixMillis> {
        match self {
            Caller::User(_, session) => session.as_ref().map(|session| session.issued),
            Caller::Member(member) => member.issued,
            Caller::Nobody => None,
        }
    }
}

/// The members who asked for something last, and the key that opens their secrets.
#[derive(Debug)]
pub struct Members {
    known: Kept<String, Arc<Known>>,
    pub parsed: ParsedPolicies,
    opened: RwLock<Opened>,
    /// Held by whoever reads identities in order to change them.
    changing: tokio::sync::Mutex<()>,
}

/// Whose an access key is, and what was read with it.
#[derive(Debug)]
struct Known {
    /// How often identities had changed when this was read.
    changes: u64,
    caller: Caller,
    secret: SecretKey,
    /// The token of a session, and when the session ends; `None` for a user's own key.
    session: Option<(String, UnixMillis)>,
    text_bytes: u64,
}

#[derive(Debug, Default)]
struct Opened {
    /// How often identities had changed when the key was asked for.
    changes: Option<u64>,
    lock: Lock,
}

/// The key that opens secrets, or why there is none.
#[derive(Clone, Debug, Default)]
enum Lock {
    /// There are no secrets.
    #[default]
    Nothing,
    Open(Sealing),
    /// The key could not be had, and is asked for again at this time.
    Shut(UnixMillis),
}

impl Parsed for Known {
    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}

impl Default for Members {
    fn default() -> Self {
        Self {
            known: kept(MOST_BYTES, LONGEST_BYTES),
            parsed: ParsedPolicies::default(),
            opened: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }
}

impl Members {
    /// Sees to it that the key that opens secrets is there, if there are secrets. Costs a comparison while nothing has
    /// changed.
    ///
    /// The owners of accounts sign in without this key. So a failure isn't returned here, but told only to those
    /// callers who can't sign in because of it.
    pub async fn open(&self, view: &ReadView, keys: &dyn KeyService, now: UnixMillis) {
        let Ok(changes) = view.identity_changes() else { return };
        if self.opened.read().is_of(changes, now) {
            return;
        }
        let lock = Lock::of(view, keys, now).await;
        *self.opened.write() = Opened { changes: Some(changes), lock };
    }

    /// The key that seals secrets, if there is one.
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

    /// Waits until nobody else changes identities. Nobody else does while the guard is kept.
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
            // No user has a secret yet.
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

/// Wraps the key that opens secrets.
///
/// # Errors
/// Failures of the key service.
pub async fn wrap(
    keys: &dyn KeyService,
    key: &DataKey,
    salt: stratum_cipher::Salt,
) -> Result<Vec<u8>, stratum_cipher::KeyError> {
    keys.wrap(None, key, IdentitiesRecord::KEY_NAME, salt).await
}

/// All access keys that a request may be signed with, at the time `now`.
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
            (Some((user, secret)), None) => Ok((Caller::User(user.clone(), None), secret.clone())),
            (Some(_), Some(_)) => Err(AuthError::InvalidToken),
            (None, token) => self.find_member(access_key, token),
        }
    }

    fn is_root(caller: &Caller) -> bool {
        matches!(caller, Caller::User(user, _) if user.root)
    }
}

impl Keys<'_> {
    fn find_member(&self, access_key: &str, token: Option<&str>) -> Result<(Caller, SecretKey), AuthError> {
        let unknown = || AuthError::InvalidAccessKeyId { access_key: access_key.to_owned() };
        // A text that can't be an access key of this server costs no lookup.
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

    /// Reads a user's own access key.
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
        let parsed = &self.members.parsed;
        let member = blocking::in_place(|| Member::user(&self.view, parsed, account, name, access_key, None));
        let member = member.map_err(unavailable)?;
        Ok(member.map(|(member, text_bytes)| Known {
            changes,
            caller: Caller::Member(Arc::new(member)),
            secret,
            session: None,
            text_bytes,
        }))
    }

    /// Reads the access key of a session. The state keeps nothing of a session but the key that opens its token.
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
            Subject::Owner { .. } => {
                let is_of_todays_key =
                    Subject::owner(self.configured, account).as_ref() == Some(&session.subject);
                let of_owner = OwnersSession { access_key: access_key.to_owned(), issued: session.issued };
                is_of_todays_key.then(|| (Caller::User(account.clone(), Some(Arc::new(of_owner))), 0))
            }
            Subject::User { name, .. } | Subject::Role { name, .. } => {
                let parsed = &self.members.parsed;
                let member = blocking::in_place(|| match &session.subject {
                    Subject::Role { .. } => Member::role(&self.view, parsed, account, name, &session),
                    _ => Member::user(&self.view, parsed, account, name, access_key, Some(&session)),
                });
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
    /// Whether this was read with that session token, or without one if there is none.
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
