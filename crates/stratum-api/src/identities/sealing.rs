//! What is sealed with the key of all identities: the secrets of users, which are kept in the state, and the tokens of
//! sessions, which only their holders keep.
//!
//! Both say inside the seal what they are and which access key they belong to, so that neither can pass for the other
//! or for somebody else's.

use super::session::Session;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use stratum_auth::SecretKey;
use stratum_cipher::{DataKey, Salt};

/// The most bytes of a token that is opened. A longer one isn't one of this server's.
const MOST_TOKEN_BYTES: usize = 16 << 10;

/// The key of all identities, which opens secrets and tokens.
#[derive(Clone, Debug)]
pub struct Sealing(DataKey);

impl Sealing {
    pub fn new(key: DataKey) -> Sealing {
        Sealing(key)
    }

    /// Seals the secret of an access key, as it is kept in the state.
    pub fn seal_secret(&self, salt: Salt, access_key: &str, secret: &str) -> Vec<u8> {
        self.0.seal_words(salt, format!("key\0{access_key}\0{secret}").as_bytes())
    }

    /// Opens the secret of an access key; `None` if it was sealed for another one.
    pub fn open_secret(&self, access_key: &str, sealed: &[u8]) -> Option<SecretKey> {
        let words = self.0.open_words(sealed)?;
        let text = std::str::from_utf8(&words).ok()?;
        let secret = text.strip_prefix("key\0")?.strip_prefix(access_key)?.strip_prefix('\0')?;
        SecretKey::new(secret).ok()
    }

    /// Makes the token of a session, and says how many hundredths of a token's room it takes; `None` if the token would be
    /// too long to be opened.
    pub fn seal_session(&self, salt: Salt, session: &Session) -> Option<(String, usize)> {
        let words = serde_json::to_string(session).unwrap_or_default();
        let token = BASE64.encode(self.0.seal_words(salt, format!("session\0{words}").as_bytes()));
        let hundredths = (token.len() * 100).div_ceil(MOST_TOKEN_BYTES);
        (token.len() <= MOST_TOKEN_BYTES).then_some((token, hundredths))
    }

    /// Opens the token of a session; `None` if this server didn't make it.
    pub fn open_session(&self, token: &str) -> Option<Session> {
        if token.len() > MOST_TOKEN_BYTES {
            return None;
        }
        let sealed = BASE64.decode(token).ok()?;
        let words = self.0.open_words(&sealed)?;
        let text = std::str::from_utf8(&words).ok()?.strip_prefix("session\0")?;
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::Subject;

    fn sealing(byte: u8) -> Sealing {
        Sealing::new(DataKey::new([byte; 32]))
    }

    #[test]
    fn a_secret_opens_for_its_own_key_alone() {
        let sealed = sealing(1).seal_secret(Salt([2; 32]), "AKIA1", "a long secret");
        let open = |key: u8, access_key: &str| sealing(key).open_secret(access_key, &sealed);
        assert_eq!(open(1, "AKIA1").unwrap().reveal(), "a long secret");
        assert!(open(1, "AKIA2").is_none() && open(2, "AKIA1").is_none());
        assert!(sealing(1).open_session(&BASE64.encode(&sealed)).is_none());
    }

    #[test]
    fn a_token_is_a_session_that_nobody_else_can_make() {
        let session = Session {
            access_key: "ASIA1".into(),
            secret: "a long secret".into(),
            subject: Subject::Owner { account: "root".into(), mark: String::new() },
            policy: None,
            policy_arns: Vec::new(),
            tags: [("team".into(), "red".into())].into(),
            transitive: ["team".into()].into(),
            issued: 1,
            ends: 2,
        };
        let (token, hundredths) = sealing(1).seal_session(Salt([2; 32]), &session).unwrap();
        assert!((1..20).contains(&hundredths), "{hundredths}");
        assert_eq!(sealing(1).open_session(&token).as_ref(), Some(&session));
        // A token that is too long to be opened isn't made.
        let long = Session { policy: Some("\n".repeat(8_000)), ..session };
        assert_eq!(sealing(1).seal_session(Salt([2; 32]), &long), None);
        assert!(sealing(2).open_session(&token).is_none());
        for wrong in ["", "x", &token[1..], &token[..token.len() - 1], &"A".repeat(20_000)] {
            assert!(sealing(1).open_session(wrong).is_none());
        }
    }
}
