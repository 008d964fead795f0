//! Signs requests with Signature Version 4, as an SDK does, in about two microseconds.
//!
//! The signing key is valid for a day and the text of the date for a second, so both are cached for a second; what
//! remains for each request is one hash over the canonical request and one HMAC. See "Authenticating Requests (AWS
//! Signature Version 4)" in the S3 API guide.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use stratum_storage::ambient::UnixMillis;
use time::OffsetDateTime;

/// The SHA-256 of a body, in lower-case hex.
pub(crate) type PayloadHash = [u8; 64];

/// An access key, its secret, and the region to sign for.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The parts of a request that its head is written from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub method: &'static str,
    pub host: &'a str,
    /// The path, escaped already.
    pub path: &'a str,
    /// The query, sorted and escaped, without its `?`.
    pub query: &'a str,
    pub payload: &'a PayloadHash,
    /// The body's length, where the method has a body.
    pub length: Option<usize>,
    /// The `Content-Type` of the body, where the server needs one. It isn't signed.
    pub content_type: Option<&'static str>,
}

/// Writes signed request heads.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: Credentials,
    service: &'static str,
    second: u64,
    date: String,
    scope: String,
    key: Hmac<Sha256>,
    canonical: String,
}

impl Signer {
    /// A signer of requests to S3.
    pub fn new(credentials: &Credentials, now: UnixMillis) -> Signer {
        Signer::of_service(credentials, "s3", now)
    }

    pub fn of_service(credentials: &Credentials, service: &'static str, now: UnixMillis) -> Signer {
        let (date, scope, key) = stamp(credentials, service, now / 1000);
        let credentials = credentials.clone();
        let (second, canonical) = (now / 1000, String::with_capacity(512));
        Signer { credentials, service, second, date, scope, key, canonical }
    }

    /// Writes the whole head of a request, up to the empty line, in place of what `head` held.
    pub fn write_head(&mut self, request: Request<'_>, now: UnixMillis, head: &mut Vec<u8>) {
        if self.second != now / 1000 {
            self.second = now / 1000;
            (self.date, self.scope, self.key) = stamp(&self.credentials, self.service, self.second);
        }
        let Request { method, host, path, query, payload, length, content_type } = request;
        let payload = std::str::from_utf8(payload).unwrap_or_default();
        self.canonical.clear();
        for text in [method, "\n", path, "\n", query, "\nhost:", host, "\nx-amz-content-sha256:", payload] {
            self.canonical.push_str(text);
        }
        for text in ["\nx-amz-date:", &self.date, "\n\n", SIGNED, "\n", payload] {
            self.canonical.push_str(text);
        }
        let digest = hash(self.canonical.as_bytes());
        let mut mac = self.key.clone();
        for text in ["AWS4-HMAC-SHA256\n", &self.date, "\n", &self.scope, "\n"] {
            mac.update(text.as_bytes());
        }
        mac.update(&digest);
        let mut signature = [0; 64];
        let _ = hex::encode_to_slice(mac.finalize().into_bytes(), &mut signature); // 32 bytes are 64 digits
        head.clear();
        let mark = if query.is_empty() { "" } else { "?" };
        for text in
            [method, " ", path, mark, query, " HTTP/1.1\r\nhost: ", host, "\r\nx-amz-content-sha256: "]
        {
            head.extend_from_slice(text.as_bytes());
        }
        for text in
            [payload, "\r\nx-amz-date: ", &self.date, "\r\nauthorization: AWS4-HMAC-SHA256 Credential="]
        {
            head.extend_from_slice(text.as_bytes());
        }
        for text in
            [&self.credentials.access_key, "/", &self.scope, ", SignedHeaders=", SIGNED, ", Signature="]
        {
            head.extend_from_slice(text.as_bytes());
        }
        head.extend_from_slice(&signature);
        if let Some(length) = length {
            head.extend_from_slice(format!("\r\ncontent-length: {length}").as_bytes());
        }
        if let Some(content_type) = content_type {
            head.extend_from_slice(format!("\r\ncontent-type: {content_type}").as_bytes());
        }
        head.extend_from_slice(b"\r\n\r\n");
    }
}

/// The SHA-256 of some bytes, in lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> PayloadHash {
    let mut text = [0; 64];
    let _ = hex::encode_to_slice(Sha256::digest(bytes), &mut text); // 32 bytes are 64 digits
    text
}

/// The names of the signed headers, sorted as SigV4 demands.
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";

/// The date, the credential scope and the HMAC with the signing key, for a second since 1970.
fn stamp(credentials: &Credentials, service: &str, second: u64) -> (String, String, Hmac<Sha256>) {
    let at = OffsetDateTime::from_unix_timestamp(second as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    let date = format!("{day}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    let scope = format!("{day}/{}/{service}/aws4_request", credentials.region);
    let mut key = keyed(format!("AWS4{}", credentials.secret_key).as_bytes());
    for part in [day.as_str(), credentials.region.as_str(), service, "aws4_request"] {
        key.update(part.as_bytes());
        key = keyed(&key.finalize().into_bytes());
    }
    (date, scope, key)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[allow(clippy::expect_used)] // HMAC is defined for keys of any length (RFC 2104)
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(request: Request<'_>) -> String {
        // The credentials and the moment of the examples in the S3 API guide: 2013-05-24T00:00:00Z.
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let mut head = Vec::new();
        let mut signer = Signer::new(&credentials, 0);
        signer.write_head(request, 1_369_353_600_000, &mut head);
        String::from_utf8(head).expect("text")
    }

    /// The guide's example "GET Bucket (List Objects)", which signs the same headers as this signer.
    #[test]
    fn the_guides_example_is_signed_as_the_guide_says() {
        let head = head_of(Request {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: "max-keys=2&prefix=J",
            payload: &hash(b""),
            length: None,
            content_type: None,
        });
        let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(head.ends_with(&format!("Signature={signature}\r\n\r\n")), "{head}");
        assert!(head.starts_with("GET /?max-keys=2&prefix=J HTTP/1.1\r\nhost: examplebucket"), "{head}");
    }

    #[test]
    fn a_body_has_its_length_in_the_head() {
        let payload = hash(b"abc");
        let request = Request {
            method: "PUT",
            host: "h",
            path: "/b/k",
            query: "",
            payload: &payload,
            length: Some(3),
            content_type: None,
        };
        let head = head_of(request);
        assert!(head.starts_with("PUT /b/k HTTP/1.1\r\n") && head.ends_with("\r\ncontent-length: 3\r\n\r\n"));
    }
}
