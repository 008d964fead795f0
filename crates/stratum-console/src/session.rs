//! Who is signed in: a cookie that nobody else can read or make.
//!
//! The cookie is a sealed text: the access key (never its secret), whose it is, when the session began, and the token that
//! every form of the session repeats. Nothing is kept of a session but that it has [`ended`](crate::ended) before its time. That and what
//! cookies are sealed with is the server's to keep over a restart. Whether the access key still counts is asked of the store with every
//! request.

use crate::door::{Door, Holder, Key, SessionKeeper, Who};
use crate::ended::{Ended, Ending, LASTS, Mark};
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

/// One session, as its cookie says it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    access_key: String,
    session_token: Option<String>,
    mark: Mark,
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
        self.mark.began.saturating_add(LASTS)
    }

    /// Whether it is still whose it was: the configuration may have given the key to somebody else.
    pub fn is_of(&self, who: &Who) -> bool {
        self.mark.holder == who.holder
    }

    /// What every form of this session says, and no other page knows.
    pub fn form_token(&self) -> &str {
        &self.form_token
    }

    pub fn is_its_form(&self, token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// What seals cookies, and knows which of them have ended.
pub struct Sessions {
    key: DataKey,
    keeper: Arc<dyn SessionKeeper>,
    noted: Arc<Mutex<Noted>>,
    /// How many changes of it are kept. Held by whoever is keeping it, to the end, though nobody waits any more.
    kept: Arc<tokio::sync::Mutex<u64>>,
}

/// What has ended, and how often that has changed.
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

    /// A session that begins now, and its cookie; nothing if the credentials are too long for one.
    pub fn begin(
        &self,
        door: &dyn Door,
        key: Key,
        holder: Holder,
        scheme: &Scheme,
    ) -> Option<(HeaderValue, Session)> {
        let (mut salt, mut token, mut id) = ([0; Salt::BYTES], [0; 16], [0; 8]);
        door.fill(&mut salt);
        door.fill(&mut token);
        door.fill(&mut id);
        let began = self.noted.lock().ended.earliest(&holder, door.now());
        let session = Session {
            access_key: key.access_key,
            session_token: key.session_token,
            mark: Mark { holder, id: u64::from_le_bytes(id), began },
            form_token: hex::encode(token),
        };
        let words = serde_json::to_vec(&session).ok()?;
        let sealed = BASE64.encode(self.key.seal_words(Salt(salt), &words));
        let fits = sealed.len() <= MOST_BYTES;
        Some((cookie(&sealed, LASTS / 1_000, scheme).filter(|_| fits)?, session))
    }

    /// The session of whoever sends these headers.
    pub fn of(&self, headers: &HeaderMap, now: u64) -> Option<Session> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut named = cookies.flat_map(|line| line.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == NAME && value.len() <= MOST_BYTES).then_some(value)
        });
        // Another server of this host may have set one of the same name.
        named.find_map(|sealed| {
            let words = self.key.open_words(&BASE64.decode(sealed).ok()?)?;
            let session: Session = serde_json::from_slice(&words).ok()?;
            let has_ended = now >= session.ends() || self.noted.lock().ended.has(&session.mark);
            (!has_ended).then_some(session)
        })
    }

    /// Ends sessions at once, wherever their cookies are, and comes back when a restart would bring none of them back.
    ///
    /// One writes at a time, and for all that came meanwhile.
    ///
    /// # Errors
    /// Why it can't be kept. They have ended all the same, until there is a restart.
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

    /// The cookie that has a browser forget it.
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
