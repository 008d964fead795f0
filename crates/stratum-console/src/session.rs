//! Who is signed in: a cookie that nobody else can read or make.
//!
//! Nothing is kept here. The cookie is a sealed text: the access key (never its secret), when the session ends, and the token that
//! every form of the session repeats. What it is sealed with is the server's to keep over a restart. Whether the access key still
//! counts is asked of the store with every request.

use crate::door::{Door, Key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::header::COOKIE;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use stratum_cipher::{DataKey, Salt};
use subtle::ConstantTimeEq;

/// How long a session lasts, in milliseconds.
const LASTS: u64 = 12 * 3_600 * 1_000;
const NAME: &str = "stratum-console";
/// Browsers keep cookies of up to 4 KiB.
const MOST_BYTES: usize = 3_900;

/// One session, as its cookie says it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    access_key: String,
    session_token: Option<String>,
    ends: u64,
    form_token: String,
}

impl Session {
    pub fn key(&self) -> Key {
        Key { access_key: self.access_key.clone(), session_token: self.session_token.clone() }
    }

    /// What every form of this session says, and no other page knows.
    pub fn form_token(&self) -> &str {
        &self.form_token
    }

    pub fn is_its_form(&self, token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// What seals cookies.
pub struct Sessions {
    key: DataKey,
}

impl Sessions {
    pub fn new(door: &dyn Door) -> Sessions {
        Sessions { key: door.session_key() }
    }

    /// A session that begins now, and its cookie; nothing if the credentials are too long for one.
    pub fn begin(&self, door: &dyn Door, key: Key, scheme: &Scheme) -> Option<(HeaderValue, Session)> {
        let (mut salt, mut token) = ([0; Salt::BYTES], [0; 16]);
        door.fill(&mut salt);
        door.fill(&mut token);
        let session = Session {
            access_key: key.access_key,
            session_token: key.session_token,
            ends: door.now().saturating_add(LASTS),
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
            (now < session.ends).then_some(session)
        })
    }

    /// The cookie that ends it.
    pub fn end(scheme: &Scheme) -> Option<HeaderValue> {
        cookie("", 0, scheme)
    }
}

fn cookie(value: &str, seconds: u64, scheme: &Scheme) -> Option<HeaderValue> {
    let secure = if *scheme == Scheme::HTTPS { "; Secure" } else { "" };
    let path = crate::ROOT;
    let text = format!("{NAME}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}
