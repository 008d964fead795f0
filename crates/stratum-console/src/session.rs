//! Sessions: a cookie that nobody but the server can read or make says who is signed in.
//!
//! The cookie is a sealed text: the access key (never its secret), whose key it is, what marks its secret, when the
//! session began, and the token that every form of the session repeats. The server keeps only which sessions have
//! [`ended`](crate::ended) before their time, and the key that seals cookies; both outlast a restart. Whether the
//! access key is still valid, and has the same secret, is asked of the store with every request.

use crate::door::{Door, Key, SessionKeeper, Who};
use crate::ended::{Ended, Ending, Mark, SESSION_MILLIS};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::header::COOKIE;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stratum_cipher::{DataKey, Salt};
use subtle::ConstantTimeEq;
use tracing_mutex::parkinglot::Mutex;

const NAME: &str = "stratum-console";
/// Browsers keep cookies of up to 4 KiB.
const MOST_BYTES: usize = 3_900;

/// A session, as its cookie holds it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    access_key: String,
    session_token: Option<String>,
    mark: Mark,
    /// [`Who::secret_mark`] when the session began. Sessions of an earlier version have none, and have ended.
    #[serde(default)]
    secret_mark: String,
    form_token: String,
}

impl Session {
    pub fn key(&self) -> Key {
        Key { access_key: self.access_key.clone(), session_token: self.session_token.clone() }
    }

    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// When it ends by itself, in milliseconds of Unix time.
    pub fn ends(&self) -> u64 {
        self.mark.began.saturating_add(SESSION_MILLIS)
    }

    /// Whether the session's key still belongs to the same holder and has the same secret: the configuration may have
    /// given the key to somebody else, or another secret, because somebody else knows the one that it had.
    pub fn is_of(&self, who: &Who) -> bool {
        self.mark.holder == who.holder && self.secret_mark == who.secret_mark
    }

    /// The token that every form of this session repeats. No page of another site knows it.
    pub fn form_token(&self) -> &str {
        &self.form_token
    }

    pub fn is_its_form(&self, token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// Seals and opens cookies, and knows which sessions have ended.
pub struct Sessions {
    key: DataKey,
    keeper: Arc<dyn SessionKeeper>,
    noted: Arc<Mutex<Noted>>,
    /// How many changes of `noted` have been kept. The lock is held until keeping has ended, even if the request that
    /// began it is gone.
    kept: Arc<tokio::sync::Mutex<u64>>,
}

/// Which sessions have ended, and how often that has changed.
struct Noted {
    ended: Ended,
    changes: u64,
}

impl Sessions {
    pub fn new(door: &dyn Door) -> Sessions {
        let keeper = door.sessions();
        let ended = Ended::read(&keeper.ended(), door.now());
        let noted = Arc::new(Mutex::new(Noted { ended, changes: 0 }));
        Sessions { key: keeper.key(), keeper, noted, kept: Arc::default() }
    }

    /// Begins a session, and gives its cookie. Gives none if the credentials are too long for a cookie.
    pub fn begin(
        &self,
        door: &dyn Door,
        key: Key,
        who: &Who,
        scheme: &Scheme,
    ) -> Option<(HeaderValue, Session)> {
        let (mut salt, mut token, mut id) = ([0; Salt::BYTES], [0; 16], [0; 8]);
        door.fill(&mut salt);
        door.fill(&mut token);
        door.fill(&mut id);
        let holder = who.holder.clone();
        let began = self.noted.lock().ended.earliest(&holder, door.now());
        let session = Session {
            access_key: key.access_key,
            session_token: key.session_token,
            mark: Mark { holder, id: u64::from_le_bytes(id), began },
            secret_mark: who.secret_mark.clone(),
            form_token: hex::encode(token),
        };
        let words = serde_json::to_vec(&session).ok()?;
        let sealed = BASE64.encode(self.key.seal_words(Salt(salt), &words));
        let fits = sealed.len() <= MOST_BYTES;
        Some((cookie(&sealed, SESSION_MILLIS / 1_000, scheme).filter(|_| fits)?, session))
    }

    /// The session whose cookie is in the headers, if it hasn't ended.
    pub fn of(&self, headers: &HeaderMap, now: u64) -> Option<Session> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut named = cookies.flat_map(|line| line.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == NAME && value.len() <= MOST_BYTES).then_some(value)
        });
        // Another server of this host may have set a cookie of the same name, so all are tried.
        named.find_map(|sealed| {
            let words = self.key.open_words(&BASE64.decode(sealed).ok()?)?;
            let session: Session = serde_json::from_slice(&words).ok()?;
            let has_ended = now >= session.ends() || self.noted.lock().ended.has(&session.mark);
            (!has_ended).then_some(session)
        })
    }

    /// Ends sessions at once, and returns when that is kept, so that a restart doesn't bring them back.
    ///
    /// Only one call writes at a time, and it writes all changes that came meanwhile, too.
    ///
    /// # Errors
    /// Why it can't be kept. The sessions have ended all the same, until the server is restarted.
    pub async fn end(&self, ending: Ending<'_>, now: u64) -> Result<(), String> {
        let change = {
            let mut noted = self.noted.lock();
            noted.ended.end(ending, now);
            noted.changes += 1;
            noted.changes
        };
        let mut kept = self.kept.clone().lock_owned().await;
        if *kept >= change {
            return Ok(());
        }
        let (keeper, noted) = (self.keeper.clone(), self.noted.clone());
        let keep = move || -> Result<(), String> {
            let (bytes, changes) = {
                let noted = noted.lock();
                (noted.ended.bytes()?, noted.changes)
            };
            keeper.keep(&bytes)?;
            *kept = changes;
            Ok(())
        };
        tokio::task::spawn_blocking(keep).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The cookie by which a browser drops its session's cookie.
    pub fn forgotten(scheme: &Scheme) -> Option<HeaderValue> {
        cookie("", 0, scheme)
    }
}

fn cookie(value: &str, seconds: u64, scheme: &Scheme) -> Option<HeaderValue> {
    let secure = if *scheme == Scheme::HTTPS { "; Secure" } else { "" };
    let path = crate::ROOT;
    let text = format!("{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}
