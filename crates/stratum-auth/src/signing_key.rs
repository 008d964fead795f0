//! Signing keys, and a cache of them.
//!
//! A key depends on the secret, the day, the region and the service. It is derived once (four HMACs) and kept as an
//! HMAC state that is copied for each use, so a check with a cached key costs one hash of the canonical request and
//! one HMAC.

use std::collections::HashMap;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tracing_mutex::parkinglot::RwLock;

use crate::digest::{Hex, Sha256Digest, hmac};
use crate::identity::SecretKey;
use crate::request::Scope;

/// The HMAC state of one day's signing key.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    pub(crate) fn derive(secret: &SecretKey, scope: &Scope<'_>) -> Self {
        let mut key = hmac(&["AWS4", secret.reveal()].concat().into_bytes());
        for step in [scope.day(), scope.region(), scope.service(), "aws4_request"] {
            key.update(step.as_bytes());
            key = hmac(&key.finalize().into_bytes());
        }
        Self(key)
    }

    /// The signature of the concatenated `parts`.
    pub(crate) fn sign<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> Hex {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        Sha256Digest(mac.finalize().into_bytes().into()).hex()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The keys that were derived, by access key, day and the rest of the scope.
///
/// Only the keys of known users are kept, and only for days whose requests are still valid (a header for one or two
/// days, a presigned URL for a week), so that nobody can fill the cache.
#[derive(Debug, Default)]
pub(crate) struct SigningKeys {
    by_access_key: RwLock<HashMap<Box<str>, Vec<CachedKey>>>,
}

#[derive(Debug)]
struct CachedKey {
    /// The day, the region and the service.
    scope: Box<str>,
    /// The secret from which the key was derived: when it changes, the old key must not be found.
    secret: SecretKey,
    key: SigningKey,
}

impl SigningKeys {
    /// Two days for headers around midnight, a week for presigned URLs, and some to spare.
    const MAX_CACHED_DAYS: usize = 12;
    const MAX_CACHED_ACCESS_KEYS: usize = 4096;

    /// The key for `scope`, whose day, region and service the caller has checked.
    pub(crate) fn get(&self, scope: &Scope<'_>, secret: &SecretKey) -> SigningKey {
        let same = |cached: &CachedKey| &*cached.scope == scope.without_key() && cached.secret == *secret;
        if let Some(days) = self.by_access_key.read().get(scope.access_key())
            && let Some(found) = days.iter().find(|cached| same(cached))
        {
            return found.key.clone();
        }
        let key = SigningKey::derive(secret, scope);
        let mut all = self.by_access_key.write();
        if all.len() >= Self::MAX_CACHED_ACCESS_KEYS && !all.contains_key(scope.access_key()) {
            all.clear();
        }
        let days = all.entry(scope.access_key().into()).or_default();
        days.retain(|cached| cached.secret == *secret && &*cached.scope != scope.without_key());
        if days.len() >= Self::MAX_CACHED_DAYS {
            days.remove(0);
        }
        let scope = scope.without_key().into();
        days.push(CachedKey { scope, secret: secret.clone(), key: key.clone() });
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Carrier;

    fn scope(day: &str) -> Scope<'static> {
        of_service(day, "s3")
    }

    fn of_service(day: &str, service: &str) -> Scope<'static> {
        let text = format!("AKIDEXAMPLE/{day}/us-east-1/{service}/aws4_request");
        Scope::parse(text.into(), Carrier::Header).expect("a scope")
    }

    fn signs(key: &SigningKey) -> String {
        key.sign([b"text".as_slice()]).as_str().to_owned()
    }

    #[test]
    fn a_changed_secret_never_finds_the_old_key() {
        let keys = SigningKeys::default();
        let [old, new] = ["the old secret", "the new secret"].map(|s| SecretKey::new(s).expect("a secret"));
        let first = keys.get(&scope("20130524"), &old);
        assert_eq!(signs(&first), signs(&keys.get(&scope("20130524"), &old)));
        let second = keys.get(&scope("20130524"), &new);
        assert_eq!(signs(&second), signs(&SigningKey::derive(&new, &scope("20130524"))));
        assert_ne!(signs(&first), signs(&second));
        let iam = keys.get(&of_service("20130524", "iam"), &new);
        assert_ne!(signs(&second), signs(&iam));
    }

    #[test]
    fn the_cache_stays_small_and_right() {
        let keys = SigningKeys::default();
        let secret = SecretKey::new("the only secret").expect("a secret");
        for day in 10..40 {
            let day = format!("201305{day}");
            let key = keys.get(&scope(&day), &secret);
            assert_eq!(signs(&key), signs(&SigningKey::derive(&secret, &scope(&day))));
        }
        let kept = keys.by_access_key.read().get("AKIDEXAMPLE").map(Vec::len);
        assert_eq!(kept, Some(SigningKeys::MAX_CACHED_DAYS));
    }

    #[test]
    fn a_key_never_shows_itself() {
        let key =
            SigningKey::derive(&SecretKey::new("the only secret").expect("a secret"), &scope("20130524"));
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
