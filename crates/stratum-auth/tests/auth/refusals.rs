//! A valid request that is changed in one place at a time: each place has its own error.

use http::HeaderValue;
use stratum_auth::{AuthError, Carrier, Fault, Payload, Sha256Digest, Verifier};

use crate::oracle::{Draft, Wire};
use crate::{ACCESS_KEY, SIGNED_AT};

fn signed() -> Wire {
    let mut draft = Draft::get("/bucket/a%20key", "prefix=x&marker=y");
    draft.headers = vec![("x-amz-acl".into(), "private".into()), ("range".into(), "bytes=0-9".into())];
    draft.sign()
}

fn presigned() -> Wire {
    Draft { presigned: true, names_payload: false, ..Draft::get("/bucket/key", "versionId=null") }.sign()
}

fn error(wire: &Wire) -> AuthError {
    wire.authenticate(SIGNED_AT).expect_err("a refusal")
}

fn spoil_authorization(from: &str, to: &str) -> AuthError {
    let mut wire = signed();
    let value = wire.headers["authorization"].to_str().expect("ASCII").replace(from, to);
    wire.headers.insert("authorization", HeaderValue::from_str(&value).expect("a header value"));
    error(&wire)
}

fn spoil_query(from: &str, to: &str) -> AuthError {
    let mut wire = presigned();
    assert!(wire.query.contains(from), "{}", wire.query);
    wire.query = wire.query.replace(from, to);
    error(&wire)
}

#[test]
fn the_unspoiled_pass() {
    assert!(signed().authenticate(SIGNED_AT).is_ok());
    assert!(presigned().authenticate(SIGNED_AT).is_ok());
}

#[test]
fn every_signed_part_counts() {
    type Spoil = fn(&mut Wire);
    let anywhere: [(&str, Spoil); 6] = [
        ("method", |wire| wire.method = "PUT".into()),
        ("path", |wire| wire.path = "/bucket/a%20kez".into()),
        ("path normalised", |wire| wire.path = "/bucket/./a%20key".into()),
        ("path decoded as a form", |wire| wire.path = "/bucket/a+key".into()),
        ("path encoded twice", |wire| wire.path = "/bucket/a%2520key".into()),
        ("another parameter", |wire| wire.query.push_str("&acl")),
    ];
    let header: [(&str, Spoil); 3] = [
        ("query value", |wire| wire.query = wire.query.replace("prefix=x", "prefix=z")),
        ("signed header", |wire| _ = wire.headers.insert("range", HeaderValue::from_static("bytes=0-8"))),
        ("signed header again", |wire| _ = wire.headers.append("range", HeaderValue::from_static("x"))),
    ];
    let both =
        anywhere.into_iter().flat_map(|(what, spoil)| [(what, spoil, signed()), (what, spoil, presigned())]);
    for (what, spoil, mut wire) in both.chain(header.map(|(what, spoil)| (what, spoil, signed()))) {
        spoil(&mut wire);
        assert!(matches!(error(&wire), AuthError::SignatureDoesNotMatch(_)), "{what}");
    }
}

#[test]
fn a_mismatch_shows_what_was_signed() {
    let mut wire = signed();
    wire.path = "/bucket/other".into();
    let AuthError::SignatureDoesNotMatch(mismatch) = error(&wire) else { panic!("no mismatch") };
    assert_eq!(mismatch.access_key, ACCESS_KEY);
    assert!(
        mismatch
            .canonical_request
            .starts_with("GET\n/bucket/other\nmarker=y&prefix=x\nhost:127.0.0.1:9000\n")
    );
    let hash = Sha256Digest::of(mismatch.canonical_request.as_bytes());
    let scope = "20130524/us-east-1/s3/aws4_request";
    assert_eq!(mismatch.string_to_sign, format!("AWS4-HMAC-SHA256\n20130524T000000Z\n{scope}\n{hash}"));
    assert_eq!(mismatch.signature_provided.len(), 64);
}

/// Whatever a client without a secret sends, checking it costs little time, and the answer is no more than a few
/// times as long.
#[test]
fn a_refusal_is_bounded_whatever_was_sent() {
    let repeated = format!("SignedHeaders={}host", "host;".repeat(6000));
    let malformed = AuthError::Malformed { carrier: Carrier::Header, fault: Fault::SignedHeaders };
    assert_eq!(spoil_authorization("SignedHeaders=host", &repeated), malformed);

    let long = Draft { headers: vec![("x-amz-meta-a".into(), "v".repeat(30_000))], ..Draft::get("/b/k", "") };
    for (path, query) in [
        ("/b/k".to_owned(), "%".repeat(20_000)),
        (format!("/b/{}", "\u{1}".repeat(20_000)), String::new()),
        ("/b/k".to_owned(), "a&".repeat(15_000)),
    ] {
        let mut wire = long.sign();
        (wire.path, wire.query) = (path, query);
        #[allow(clippy::disallowed_methods)] // a bound on what this very call takes
        let began = std::time::Instant::now();
        let AuthError::SignatureDoesNotMatch(mismatch) = error(&wire) else { panic!("no mismatch") };
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(mismatch.canonical_request.len(), stratum_auth::Mismatch::SHOWN_BYTES);
        assert!(mismatch.string_to_sign.len() < 1024);
    }
}

#[test]
fn a_spoiled_credential_says_how() {
    let malformed = |fault| AuthError::Malformed { carrier: Carrier::Header, fault };
    let region = Fault::Region { given: "eu-west-1".into(), expected: "us-east-1".into() };
    assert_eq!(spoil_authorization("us-east-1", "eu-west-1"), malformed(region.clone()));
    assert_eq!(spoil_authorization("/s3/", "/ec2/"), malformed(Fault::Service { given: "ec2".into() }));
    let day = Fault::CredentialDate { given: "20130525".into(), expected: "20130524".into() };
    assert_eq!(spoil_authorization("20130524", "20130525"), malformed(day));
    let unknown = AuthError::InvalidAccessKeyId { access_key: "AKIDOTHER".into() };
    assert_eq!(spoil_authorization(ACCESS_KEY, "AKIDOTHER"), unknown);
    assert_eq!(spoil_query(ACCESS_KEY, "AKIDOTHER"), unknown);
    let query = AuthError::Malformed { carrier: Carrier::Query, fault: region };
    assert_eq!(spoil_query("us-east-1", "eu-west-1"), query);
}

#[test]
fn a_spoiled_signature_never_matches() {
    for to in ["Signature=0", "Signature= 00", "Signature=,Other="] {
        assert!(matches!(spoil_authorization("Signature=", to), AuthError::SignatureDoesNotMatch(_)), "{to}");
    }
    assert!(matches!(
        spoil_query("X-Amz-Expires=600", "X-Amz-Expires=601"),
        AuthError::SignatureDoesNotMatch(_)
    ));
    assert!(matches!(
        spoil_query("X-Amz-Signature=", "X-Amz-Signature=0"),
        AuthError::SignatureDoesNotMatch(_)
    ));
}

#[test]
fn headers_that_must_be_signed_are_named() {
    let unsigned = |names: &str| AuthError::HeadersNotSigned { headers: names.into() };
    for make in [signed, presigned] {
        let mut wire = make();
        wire.headers.insert("x-amz-tagging", HeaderValue::from_static("a=b"));
        assert_eq!(error(&wire), unsigned("x-amz-tagging"));
    }
    assert_eq!(spoil_authorization("=host;", "="), unsigned("host"));
    assert_eq!(spoil_query("SignedHeaders=host", "SignedHeaders=range"), unsigned("host"));
}

#[test]
fn time_limits_are_kept_to_the_second() {
    let fails = |wire: &Wire, at: i64| wire.authenticate(SIGNED_AT + at).err();
    let wire = signed();
    assert_eq!((fails(&wire, 900), fails(&wire, -900)), (None, None));
    for now in [SIGNED_AT + 901, SIGNED_AT - 901, i64::MIN, i64::MAX] {
        let error = wire.authenticate(now).err();
        assert!(matches!(error, Some(AuthError::RequestTimeTooSkewed { now: n, .. }) if n == now), "{now}");
    }
    let wire = presigned();
    assert_eq!((fails(&wire, 599), fails(&wire, -900)), (None, None));
    let (expired_at, now) = (SIGNED_AT + 600, SIGNED_AT + 600);
    assert_eq!(fails(&wire, 600), Some(AuthError::Expired { expired_at, now }));
    assert!(matches!(fails(&wire, -901), Some(AuthError::NotYetValid { .. })));
}

#[test]
fn the_declared_hash_of_a_body_comes_out() {
    let wire = Draft { method: "PUT", body: b"body".to_vec(), ..Draft::get("/bucket/key", "") }.sign();
    let answer = wire.authenticate(SIGNED_AT).expect("a valid request");
    let Payload::Sha256(declared) = answer.payload else { panic!("{:?}", answer.payload) };
    assert!(declared.check(Sha256Digest::of(b"body")).is_ok());
    assert!(declared.check(Sha256Digest::of(b"bodx")).is_err());
}

#[test]
fn one_verifier_serves_days_and_users_in_turn() {
    let verifier = Verifier::new("us-east-1");
    let wire = signed();
    let request = stratum_auth::Request {
        method: &wire.method,
        path: &wire.path,
        query: &wire.query,
        headers: &wire.headers,
        virtual_bucket: None,
    };
    let (known, nobody) = (crate::identities(), stratum_auth::Identities::default());
    for _ in 0..2 {
        assert!(verifier.authenticate(&request, SIGNED_AT, &known).is_ok());
        assert!(matches!(
            verifier.authenticate(&request, SIGNED_AT, &nobody),
            Err(AuthError::InvalidAccessKeyId { .. })
        ));
    }
}
