//! Signatures against published examples and against those of other implementations.

mod chunked;
mod oracle;
mod published;
mod refusals;
mod version_2;

use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_auth::{AccessKey, Identities, SecretKey, User};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2013-05-24T00:00:00Z, when the published examples are signed.
const SIGNED_AT: i64 = 1_369_353_600;

fn identities() -> Identities {
    let user = User {
        id: "1".into(),
        display_name: "example".into(),
        email: String::new(),
        access_key: AccessKey::new(ACCESS_KEY).expect("an access key"),
        root: true,
    };
    Identities::new([(user, SecretKey::new(SECRET_KEY).expect("a secret key"))]).expect("one user")
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    headers
}
