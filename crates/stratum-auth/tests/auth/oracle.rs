//! Thousands of generated requests, signed by `aws-sigv4`, which must all pass.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::HeaderMap;
use proptest::prelude::*;
use stratum_auth::{AuthError, Authenticated, Request, Verifier};

use crate::{ACCESS_KEY, SECRET_KEY, SIGNED_AT, headers, identities};

const HOST: &str = "127.0.0.1:9000";

/// A request and how it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    pub method: &'static str,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub presigned: bool,
    /// Whether the request also sends the payload line of its canonical request.
    pub names_payload: bool,
    pub body: Vec<u8>,
}

/// The request as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Wire {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
}

impl Wire {
    pub fn authenticate(&self, now: i64) -> Result<Authenticated, AuthError> {
        let Self { method, path, query, headers } = self;
        let request = Request { method, path, query, headers, virtual_bucket: None };
        Verifier::new("us-east-1").authenticate(&request, now, &identities())
    }
}

impl Draft {
    pub fn get(path: &str, query: &str) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            presigned: false,
            names_payload: true,
            body: Vec::new(),
        }
    }

    pub fn sign(&self) -> Wire {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let body = if self.presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(600));
            SignableBody::UnsignedPayload
        } else {
            SignableBody::Bytes(&self.body)
        };
        if self.names_payload {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(SIGNED_AT as u64))
            .settings(settings)
            .build()
            .expect("complete parameters")
            .into();
        let target =
            if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let sent = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(self.method, format!("http://{HOST}{target}"), sent.clone(), body);
        let output = sign(request.expect("a request"), &params).expect("a signature").into_parts().0;
        let (signed_headers, parameters) = output.into_parts();
        let added = signed_headers.iter().map(|header| (header.name(), header.value()));
        let headers = headers(sent.chain(added).chain([("host", HOST)]));
        let mut query = self.query.clone();
        for (name, value) in parameters {
            let separator = if query.is_empty() { "" } else { "&" };
            write!(query, "{separator}{name}={}", encode(&value, "")).expect("a string");
        }
        Wire { method: self.method.into(), path: self.path.clone(), query, headers }
    }
}

/// Percent-encodes all of `text` but unreserved characters and those in `bare`.
fn encode(text: &str, bare: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved || bare.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string");
        }
    }
    out
}

/// Text of unusual characters, some of which need care in each part of a request.
fn odd(max: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range('a', 'd'),
        3 => prop::sample::select(" +%/&=?#;:,.~-_*'()!$@[]\"\\<>{}|^`".chars().collect::<Vec<_>>()),
        1 => prop::sample::select("éßΩ漢😀\u{a0}\u{7f}\u{1}\n".chars().collect::<Vec<_>>()),
    ];
    prop::collection::vec(character, 0..max).prop_map(|chars| chars.into_iter().collect())
}

fn query() -> impl Strategy<Value = String> {
    // Each pair is written in its own way: with or without `=`, a space as `+` or `%20`, with more or fewer
    // characters encoded.
    let pair = (odd(6), odd(8), any::<bool>(), any::<bool>()).prop_map(|(name, value, form, bare)| {
        let bare = if bare { "/:,@!$'()*?" } else { "" };
        let written = |text: &str| {
            let text = encode(text, bare);
            if form { text.replace("%20", "+") } else { text.replace("%C3", "%c3") }
        };
        let (name, value) = (written(&format!("n{name}")), written(&value));
        if value.is_empty() && form { name } else { format!("{name}={value}") }
    });
    prop::collection::vec(pair, 0..6).prop_map(|pairs| {
        let mut pairs = pairs;
        // A repeated name, and a repeated pair.
        if let [first, second, ..] = &pairs[..] {
            pairs.extend([first.clone(), format!("{}=again", second.split('=').next().unwrap_or_default())]);
        }
        pairs.join("&")
    })
}

fn header_lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec![
        "x-amz-meta-a",
        "x-amz-meta-b",
        "x-amz-acl",
        "content-type",
        "content-length",
        "expect",
        "user-agent",
        "range",
        "x-amz-copy-source",
    ]);
    let value = "[ -~]{0,12}";
    prop::collection::vec((name.prop_map(String::from), value), 0..5)
}

prop_compose! {
    fn draft()(
        method in prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE", "POST"]),
        key in odd(24),
        query in query(),
        headers in header_lines(),
        presigned in any::<bool>(),
        names_payload in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..16),
    ) -> Draft {
        let names_payload = names_payload || !presigned;
        let path = format!("/bucket/{}", encode(&key, "/"));
        Draft { method, path, query, headers, presigned, names_payload, body }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn what_another_signer_signs_passes(draft in draft()) {
        let wire = draft.sign();
        let answer = wire.authenticate(SIGNED_AT + 5);
        prop_assert!(answer.as_ref().is_ok_and(|answer| answer.signer.is_some()), "{wire:?}: {answer:?}");
    }

    #[test]
    fn nothing_on_the_wire_makes_it_panic(
        path in "[ -~]{0,20}",
        query in "(X-Amz-(Algorithm|Credential|Date|Signature|Expires|SignedHeaders)=[ -~]{0,30}&){0,7}",
        authorization in "(AWS4-HMAC-SHA256|AWS) (Credential=|SignedHeaders=|Signature=|[ -~]|a/20130524/r/s3/aws4_request,){0,8}",
        date in "[0-9TZ]{16}|20130524T000000Z|[ -~]{0,8}",
    ) {
        let with = headers([
            ("authorization", authorization.as_str()), ("x-amz-date", &date), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ]);
        for headers in [with, HeaderMap::new()] {
            let wire = Wire { method: "GET".into(), path: path.clone(), query: query.clone(), headers };
            let answer = wire.authenticate(SIGNED_AT);
            prop_assert!(answer.is_err() || answer.is_ok_and(|answer| answer.signer.is_none()));
        }
    }
}
