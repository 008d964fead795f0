//! Makes presigned URLs, for users whose secret is at hand.
//!
//! The same canonical request and the same keys are used here and where URLs are checked, so the two always agree.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::canonical;
use crate::digest::Sha256Digest;
use crate::error::Carrier;
use crate::identity::{AccessKey, SecretKey};
use crate::request::{Carried, PayloadMode, Request, Scope, Signed};
use crate::signature::{S3, Verifier, string_to_sign};
use crate::signed_headers::SignedHeaders;
use crate::timestamp::Timestamp;

/// The characters that are not encoded in a query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The request that a presigned URL allows everybody who has it to make.
#[derive(Debug, Clone, Copy)]
pub struct Presign<'a> {
    pub method: &'a str,
    /// The host and, if it has one, the port, as the client will send them.
    pub host: &'a str,
    /// Percent-encoded, from the first `/` on.
    pub path: &'a str,
    /// Percent-encoded, without the `?`; empty if there is none.
    pub query: &'a str,
    /// For how many seconds the URL is valid, 1 to 604800.
    pub expires: u32,
}

impl Verifier {
    /// The query of a URL with which everybody who has it may make the request in the name of `access_key`, from
    /// `now` (Unix seconds) on. `None` if such a request can't be signed.
    pub fn presign(
        &self,
        wanted: &Presign<'_>,
        access_key: &AccessKey,
        secret: &SecretKey,
        session_token: Option<&str>,
        now: i64,
    ) -> Option<String> {
        query(wanted, self, (access_key, secret), session_token, now)
    }
}

fn query(
    wanted: &Presign<'_>,
    verifier: &Verifier,
    (access_key, secret): (&AccessKey, &SecretKey),
    session_token: Option<&str>,
    now: i64,
) -> Option<String> {
    let at = Timestamp::from_unix(now)?;
    let scope = format!("{access_key}/{}/{}/{S3}/aws4_request", at.day(), verifier.region());
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let mut query = wanted.query.to_owned();
    let mut append = |name: &str, value: &str| {
        let separator = if query.is_empty() { "" } else { "&" };
        query.push_str(&format!("{separator}{name}={}", encoded(value)));
    };
    append("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
    append("X-Amz-Credential", &scope);
    append("X-Amz-Date", at.as_str());
    append("X-Amz-Expires", &wanted.expires.to_string());
    append("X-Amz-SignedHeaders", "host");
    if let Some(token) = session_token {
        append("X-Amz-Security-Token", token);
    }
    let headers: HeaderMap =
        [(http::header::HOST, HeaderValue::from_str(wanted.host).ok()?)].into_iter().collect();
    let request = Request {
        method: wanted.method,
        path: wanted.path,
        query: &query,
        headers: &headers,
        virtual_bucket: None,
    };
    let signed = Signed {
        carried: Carried::Presigned { expires: wanted.expires },
        scope: Scope::parse(Cow::Owned(scope), Carrier::Query).ok()?,
        at,
        signed_headers: SignedHeaders::parse("host".into(), Carrier::Query).ok()?,
        signature: "".into(),
        payload: PayloadMode::Unsigned,
        payload_line: UNSIGNED_PAYLOAD.into(),
        session_token: session_token.map(Cow::Borrowed),
    };
    let mut canonical = Vec::with_capacity(512);
    canonical::write(&mut canonical, &request, &signed);
    let string_to_sign = string_to_sign(at, &signed.scope, Sha256Digest::of(&canonical));
    let signature = verifier.keys.get(&signed.scope, secret).sign([string_to_sign.as_bytes()]);
    Some(format!("{query}&X-Amz-Signature={}", signature.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthError, Identities, User};

    const NOW: i64 = 1_369_353_600;

    fn somebody() -> Identities {
        let user = User {
            id: "id".into(),
            display_name: "somebody".into(),
            email: String::new(),
            access_key: AccessKey::new("AKIDEXAMPLE").expect("a key"),
            root: false,
        };
        Identities::new([(user, SecretKey::new("a long secret").expect("a secret"))]).expect("users")
    }

    fn sent(verifier: &Verifier, method: &str, path: &str, query: &str, now: i64) -> Result<bool, AuthError> {
        let headers = [(http::header::HOST, HeaderValue::from_static("store:9000"))].into_iter().collect();
        let request = Request { method, path, query, headers: &headers, virtual_bucket: None };
        verifier.authenticate(&request, now, &somebody()).map(|answer| answer.signer.is_some())
    }

    #[test]
    fn a_presigned_url_allows_exactly_its_request() {
        let verifier = Verifier::new("us-east-1");
        let (key, secret) = (AccessKey::new("AKIDEXAMPLE").expect("a key"), "a long secret");
        let secret = SecretKey::new(secret).expect("a secret");
        for (path, query) in [
            ("/b/k", ""),
            ("/b/a%20b%2Fc%3F%23%25%22", "partNumber=1&uploadId=x%2By"),
            ("/b/../x//%E2%82%AC", "response-content-disposition=attachment%3B%20filename%3D%22a%22"),
        ] {
            let wanted = Presign { method: "PUT", host: "store:9000", path, query, expires: 60 };
            let query = verifier.presign(&wanted, &key, &secret, None, NOW).expect("a query");
            assert_eq!(sent(&verifier, "PUT", path, &query, NOW + 59).ok(), Some(true), "{path}");
            assert!(matches!(sent(&verifier, "PUT", path, &query, NOW + 60), Err(AuthError::Expired { .. })));
            for (method, path, query) in [
                ("GET", path, query.clone()),
                ("PUT", "/b/other", query.clone()),
                ("PUT", path, query.replace("Expires=60", "Expires=61")),
            ] {
                assert!(sent(&verifier, method, path, &query, NOW).is_err(), "{method} {path}");
            }
        }
    }

    #[test]
    fn admit_refuses_a_wrong_secret() {
        let verifier = Verifier::new("us-east-1");
        let admitted = |key, secret| verifier.admit(key, None, secret, &somebody()).is_ok();
        assert!(admitted("AKIDEXAMPLE", "a long secret"));
        for (key, secret) in [
            ("AKIDEXAMPLE", "a long secreT"),
            ("AKIDEXAMPLE", "a long secret "),
            ("AKIDEXAMPLE", ""),
            ("AKIDOTHER", "a long secret"),
            ("", ""),
        ] {
            assert!(!admitted(key, secret), "{key} {secret}");
        }
        assert!(verifier.admit("AKIDEXAMPLE", Some("token"), "a long secret", &somebody()).is_err());
    }
}
