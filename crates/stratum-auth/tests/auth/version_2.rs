//! Signature Version 2: the examples of S3's own page, generated requests with a signer of our own, and what becomes
//! of such a request when anything that is signed is changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use sha1::Sha1;
use stratum_auth::{
    AuthError, Authenticated, Mechanism, Mismatch, Payload, Place, Request, Sha256Digest, Verifier, Version,
    Version2,
};

use crate::{ACCESS_KEY, SECRET_KEY, SIGNED_AT, headers, identities};

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
struct Sent {
    method: String,
    bucket: Option<String>,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Sent {
    fn of(method: &str, bucket: Option<&str>, target: &str, pairs: &[(&str, &str)]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.into(),
            bucket: bucket.map(str::to_owned),
            path: path.into(),
            query: query.into(),
            headers: headers(pairs.iter().copied()),
        }
    }

    fn judged(&self, version_2: Version2, now: i64) -> Result<Authenticated, AuthError> {
        let request = Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            virtual_bucket: self.bucket.as_deref(),
        };
        Verifier::new("us-east-1").with_version_2(version_2).authenticate(&request, now, &identities())
    }

    fn passes(&self, now: i64) -> bool {
        self.judged(Version2::Taken, now).is_ok_and(|answer| answer.signer.is_some())
    }

    fn refusal(&self, now: i64) -> AuthError {
        self.judged(Version2::Taken, now).expect_err("a refusal")
    }

    fn authorised(mut self, signature: &str) -> Self {
        let value = format!("AWS {ACCESS_KEY}:{signature}");
        self.headers.insert("authorization", HeaderValue::from_str(&value).expect("a header value"));
        self
    }
}

fn sign(text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).expect("a key");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

const IN_2007: &str = "Tue, 27 Mar 2007 19:36:42 +0000";
/// [`IN_2007`] in Unix seconds.
const THEN: i64 = 1_175_024_202;
const BUCKET: Option<&str> = Some("awsexamplebucket1");

#[test]
fn what_s3s_page_signs_passes() {
    let upload = [
        ("host", "static.example.com:8080"),
        ("date", "Tue, 27 Mar 2007 21:06:08 +0000"),
        ("x-amz-acl", "public-read"),
        ("content-type", "application/x-download"),
        ("content-md5", "4gJE4saaMU4BqNR0kLY+lw=="),
        ("x-amz-meta-reviewedby", "joe@example.com"),
        ("x-amz-meta-reviewedby", "jane@example.com"),
        ("x-amz-meta-filechecksum", "0x02661779"),
        ("x-amz-meta-checksumalgorithm", "crc32"),
        ("content-disposition", "attachment; filename=database.dat"),
        ("content-encoding", "gzip"),
        ("content-length", "5913339"),
    ];
    let image = [("content-type", "image/jpeg"), ("date", "Tue, 27 Mar 2007 21:15:45 +0000")];
    let examples = [
        (Sent::of("GET", BUCKET, "/photos/puppy.jpg", &[("date", IN_2007)]), "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
        (Sent::of("PUT", BUCKET, "/photos/puppy.jpg", &image), "iqRzw+ileNPu1fhspnRs8nOjjIA="),
        (
            Sent::of(
                "GET",
                BUCKET,
                "/?prefix=photos&max-keys=50&marker=puppy",
                &[("date", "Tue, 27 Mar 2007 19:42:41 +0000")],
            ),
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        ),
        (
            Sent::of("GET", BUCKET, "/?acl", &[("date", "Tue, 27 Mar 2007 19:44:46 +0000")]),
            "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
        ),
        (
            Sent::of("PUT", Some("static.example.com"), "/db-backup.dat.gz", &upload),
            "jtBQa0Aq+DkULFI8qrpwIjGEx0E=",
        ),
        (
            Sent::of("GET", None, "/", &[("date", "Wed, 28 Mar 2007 01:29:59 +0000")]),
            "qGdzdERIC03wnaRNKh6OqZehG9s=",
        ),
        (
            Sent::of(
                "GET",
                None,
                "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
                &[("date", "Wed, 28 Mar 2007 01:49:49 +0000")],
            ),
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        ),
    ];
    for (sent, signature) in examples {
        let date = sent.headers["date"].to_str().expect("ASCII").to_owned();
        let at = stratum_auth::Timestamp::parse_http(&date).expect("a date").unix();
        let sent = sent.authorised(signature);
        let answer = sent.judged(Version2::Taken, at).unwrap_or_else(|error| panic!("{sent:?}: {error:?}"));
        let signer = answer.signer.expect("somebody");
        assert_eq!(signer.holder.access_key.as_str(), ACCESS_KEY);
        assert_eq!(signer.mechanism, Mechanism { version: Version::V2, place: Place::Header });
        assert!(matches!(answer.payload, Payload::Unsigned));
        assert!(matches!(sent.judged(Version2::Refused, at), Err(AuthError::SignatureV2)), "{sent:?}");
    }
}

fn presigned() -> Sent {
    let target = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    Sent::of("GET", Some("johnsmith"), target, &[("host", "johnsmith.s3.amazonaws.com")])
}

#[test]
fn the_presigned_example_passes_until_it_expires() {
    let sent = presigned();
    let answer = sent.judged(Version2::Taken, 1_175_139_619).expect("it is signed");
    let mechanism = answer.signer.expect("somebody").mechanism;
    assert_eq!(mechanism, Mechanism { version: Version::V2, place: Place::Query });
    assert!(sent.passes(0), "nothing says when it begins");
    for now in [1_175_139_620, 1_175_139_621, i64::MAX] {
        assert_eq!(sent.refusal(now), AuthError::Expired { expired_at: 1_175_139_620, now });
    }
    assert!(matches!(sent.judged(Version2::Refused, 0), Err(AuthError::SignatureV2)));
    let later = Sent { query: sent.query.replace("9620", "9621"), ..sent.clone() };
    assert!(matches!(later.refusal(0), AuthError::SignatureDoesNotMatch(_)));
    let spelt = Sent { query: sent.query.replace("=11", "=011"), ..sent };
    assert!(matches!(spelt.refusal(0), AuthError::SignatureDoesNotMatch(_)), "it is signed as it is written");
}

#[test]
fn the_window_of_a_header_is_kept_to_the_second() {
    let sent = Sent::of("GET", BUCKET, "/photos/puppy.jpg", &[("date", IN_2007)]);
    let sent = sent.authorised("qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
    assert!(sent.passes(THEN + 900) && sent.passes(THEN - 900));
    for now in [THEN + 901, THEN - 901, i64::MIN, i64::MAX] {
        let skewed = sent.refusal(now);
        assert!(matches!(skewed, AuthError::RequestTimeTooSkewed { now: n, .. } if n == now), "{now}");
    }
}

#[test]
fn x_amz_date_stands_for_the_date() {
    let amz = ("x-amz-date", IN_2007);
    let text = format!("GET\n\n\n\nx-amz-date:{IN_2007}\n/b/k");
    for pairs in [vec![amz], vec![amz, ("date", "Tue, 27 Mar 2012 19:36:42 +0000")]] {
        assert!(Sent::of("GET", None, "/b/k", &pairs).authorised(&sign(&text)).passes(THEN));
    }
    let twice = Sent::of("GET", None, "/b/k", &[amz, amz, ("date", IN_2007)]).authorised(&sign(&text));
    assert_eq!(twice.refusal(THEN), AuthError::MissingDate);
    let old = Sent::of("GET", None, "/b/k", &[("date", "20070327T193642Z")]);
    assert!(old.authorised(&sign("GET\n\n\n20070327T193642Z\n/b/k")).passes(THEN));
}

#[test]
fn a_parameter_that_stands_for_a_header_is_signed_as_one() {
    let signed = |query: &str, lines: &str, pairs: &[(&str, &str)]| {
        let signature = sign(&format!("PUT\n\n\n2000000000\n{lines}/b/k")).replace('+', "%2B");
        let target =
            format!("/b/k?{query}&AWSAccessKeyId={ACCESS_KEY}&Expires=2000000000&Signature={signature}");
        Sent::of("PUT", None, &target, pairs)
    };
    assert!(signed("x-amz-acl=public-read", "x-amz-acl:public-read\n", &[]).passes(THEN));
    assert!(signed("X-Amz-Acl=a+b%2Fc", "x-amz-acl:a b/c\n", &[]).passes(THEN));
    assert!(signed("", "x-amz-acl:private\n", &[("x-amz-acl", "private")]).passes(THEN));
    let both = [("x-amz-meta-a", "one")];
    assert!(signed("x-amz-meta-a=two", "x-amz-meta-a:one,two\n", &both).passes(THEN));
    for (query, lines) in [
        ("x-amz-acl=public-read", ""),
        ("x%2Damz-acl=public-read", ""),
        ("X-AMZ-ACL=public-read", "x-amz-acl:private\n"),
        ("", "x-amz-acl:public-read\n"),
        ("x-amz-acl=public-read&x-amz-acl=private", "x-amz-acl:public-read\n"),
    ] {
        let refused = signed(query, lines, &[]).refusal(THEN);
        assert!(matches!(refused, AuthError::SignatureDoesNotMatch(_)), "{query}: {refused:?}");
    }
    let added = signed("", "", &[("x-amz-copy-source", "b/other")]).refusal(THEN);
    assert!(matches!(added, AuthError::SignatureDoesNotMatch(_)), "{added:?}");
}

#[test]
fn no_two_requests_have_the_same_string_to_sign() {
    let lines = "x-amz-checksum-crc32:a\nx-amz-server-side-encryption:AES256\n";
    let signature = sign(&format!("PUT\n\n\n2000000000\n{lines}/b/k")).replace('+', "%2B");
    let rest = format!("AWSAccessKeyId={ACCESS_KEY}&Expires=2000000000&Signature={signature}");
    let two = "x-amz-checksum-crc32=a&x-amz-server-side-encryption=AES256";
    assert!(Sent::of("PUT", None, &format!("/b/k?{two}&{rest}"), &[]).passes(THEN));
    let one = "x-amz-checksum-crc32=a%0Ax-amz-server-side-encryption%3AAES256";
    assert_eq!(
        Sent::of("PUT", None, &format!("/b/k?{one}&{rest}"), &[]).refusal(THEN),
        AuthError::AmbiguousV2
    );

    let signature = sign(&format!("GET\n\n\n{IN_2007}\n/b/k?response-content-type=a&versionId=v"));
    let get = |query: &str| {
        Sent::of("GET", None, &format!("/b/k?{query}"), &[("date", IN_2007)]).authorised(&signature)
    };
    assert!(get("versionId=v&response-content-type=a").passes(THEN));
    assert_eq!(get("response-content-type=a%26versionId%3Dv").refusal(THEN), AuthError::AmbiguousV2);
    let named = "response-content-disposition=attachment; filename=a&b=c";
    let signature = sign(&format!("GET\n\n\n{IN_2007}\n/b/k?{named}"));
    let target = "/b/k?response-content-disposition=attachment%3B%20filename%3Da%26b%3Dc";
    assert!(Sent::of("GET", None, target, &[("date", IN_2007)]).authorised(&signature).passes(THEN));
}

#[test]
fn a_parameter_is_signed_by_what_it_decodes_to() {
    let signed = |target: &str, resource: &str| {
        let signature = sign(&format!("GET\n\n\n{IN_2007}\n{resource}"));
        Sent::of("GET", None, target, &[("date", IN_2007)]).authorised(&signature).passes(THEN)
    };
    for (target, resource) in [
        ("/b?acl", "/b?acl"),
        ("/b?acl=", "/b?acl"),
        ("/b?%61cl", "/b?acl"),
        ("/b/k?versionId=a%2Bb+c", "/b/k?versionId=a+b c"),
        ("/b/k?uploadId=u&partNumber=2", "/b/k?partNumber=2&uploadId=u"),
        ("/b?prefix=a&x-id=List&delimiter=/", "/b"),
        ("/b?ACL", "/b"),
        ("/b", "/b/"),
        ("/b?acl", "/b/?acl"),
        ("/b/a%2fb//..", "/b/a%2fb//.."),
    ] {
        assert!(signed(target, resource), "{target}");
    }
    for (target, resource) in [
        ("/b?%61cl", "/b"),
        ("/b?retention", "/b"),
        ("/b/a%2Fb", "/b/a%2fb"),
        ("/b", "/b?acl"),
        ("/b/", "/b"),
        ("/b/k", "/b/k/"),
        ("/", "//"),
    ] {
        assert!(!signed(target, resource), "{target}");
    }
}

#[test]
fn the_list_of_signed_parameters_can_be_searched() {
    assert!(
        stratum_auth::version_2::SIGNED_PARAMETERS.is_sorted_by(|one, next| one.as_bytes() < next.as_bytes())
    );
}

#[test]
fn a_hash_of_the_body_that_is_signed_counts() {
    let hash = Sha256Digest::of(b"body").to_string();
    let text = format!("PUT\n\n\n{IN_2007}\nx-amz-content-sha256:{hash}\n/b/k");
    let pairs = [("date", IN_2007), ("x-amz-content-sha256", hash.as_str())];
    let answer = Sent::of("PUT", None, "/b/k", &pairs).authorised(&sign(&text)).judged(Version2::Taken, THEN);
    let Payload::Sha256(declared) = answer.expect("it is signed").payload else { panic!("no hash") };
    assert!(declared.check(Sha256Digest::of(b"body")).is_ok());
}

#[test]
fn a_key_that_nobody_has_and_a_token_that_nobody_gave_are_refused() {
    let sent = presigned();
    let other = Sent { query: sent.query.replace("AKIA", "BKIA"), ..sent.clone() };
    let access_key = "BKIAIOSFODNN7EXAMPLE".into();
    assert_eq!(other.refusal(0), AuthError::InvalidAccessKeyId { access_key });
    let token = Sent { query: format!("{}&x-amz-security-token=t", sent.query), ..sent };
    assert_eq!(token.refusal(0), AuthError::InvalidToken);
    let pairs = [("date", IN_2007), ("x-amz-security-token", "t")];
    let header = Sent::of("GET", None, "/b/k", &pairs);
    let text = format!("GET\n\n\n{IN_2007}\nx-amz-security-token:t\n/b/k");
    assert_eq!(header.authorised(&sign(&text)).refusal(THEN), AuthError::InvalidToken);
}

/// Whatever a client without a secret sends, checking it costs little time, and the answer is no more than a few
/// times as long.
#[test]
fn a_refusal_is_bounded_whatever_was_sent() {
    let long = "v".repeat(30_000);
    let pairs = [("date", IN_2007), ("x-amz-meta-a", long.as_str())];
    for target in [
        format!("/b/k?{}", "acl&".repeat(7_000)),
        format!("/b/k?versionId={}", "&acl".repeat(7_000)),
        "/b/k".into(),
    ] {
        let sent = Sent::of("GET", None, &target, &pairs).authorised("qgk2+6Sv9/oM7G3qLEjTH1a1l1g=");
        #[allow(clippy::disallowed_methods)] // a bound on what this very call takes
        let began = std::time::Instant::now();
        let refused = sent.refusal(THEN);
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
        let AuthError::SignatureDoesNotMatch(mismatch) = refused else { panic!("{refused:?}") };
        assert_eq!(mismatch.string_to_sign.len(), Mismatch::SHOWN_BYTES);
        assert_eq!((mismatch.access_key.as_str(), mismatch.canonical_request.as_str()), (ACCESS_KEY, ""));
    }
}

/// A change that somebody might make to a signed request in order to use it for something else.
#[derive(Debug, Clone)]
enum Change {
    Method,
    Bucket,
    Path(usize),
    /// Changes a byte in the value of a signed parameter or header: their index, and the byte's.
    Value(usize, usize),
    Header(&'static str),
    Parameter(&'static str),
    Signature(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Method),
        Just(Change::Bucket),
        any::<usize>().prop_map(Change::Path),
        (any::<usize>(), any::<usize>()).prop_map(|(which, at)| Change::Value(which, at)),
        prop::sample::select(vec![
            "content-md5",
            "content-type",
            "x-amz-acl",
            "x-amz-copy-source",
            "x-amz-meta-z"
        ])
        .prop_map(Change::Header),
        prop::sample::select(vec!["acl", "versionId", "uploadId", "response-expires", "retention", "policy"])
            .prop_map(Change::Parameter),
        any::<usize>().prop_map(Change::Signature),
    ]
}

/// A request to be signed: the parts of its target, then its signed parameters and headers.
#[derive(Debug, Clone)]
struct Draft {
    method: &'static str,
    bucket: Option<String>,
    key: String,
    parameters: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    presigned: bool,
}

prop_compose! {
    fn draft()(
        method in prop::sample::select(vec!["GET", "PUT", "HEAD", "DELETE", "POST"]),
        bucket in prop::option::of("[a-z]{3,8}"),
        key in "[a-zA-Z0-9/._~-]{1,16}",
        parameters in prop::collection::btree_map(
            prop::sample::select(vec!["partNumber", "tagging", "uploads", "response-content-type", "website"]),
            "[a-z0-9 /+;]{1,8}", 0..4),
        headers in prop::collection::btree_map(
            prop::sample::select(vec!["content-md5", "content-type", "x-amz-meta-a", "x-amz-storage-class", "x-amz-tagging"]),
            "[!-~]{1,8}", 0..5),
        presigned in any::<bool>(),
    ) -> Draft {
        let (parameters, headers) = (parameters.into_iter().collect(), headers.into_iter().collect());
        Draft { method, bucket, key, parameters, headers, presigned }
    }
}

impl Draft {
    fn sign(&self) -> Sent {
        let header = |name: &str| {
            self.headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let date = if self.presigned { "2000000000" } else { IN_2007 };
        let (md5, kind) = (header("content-md5"), header("content-type"));
        let mut text = format!("{}\n{md5}\n{kind}\n{date}\n", self.method);
        for (name, value) in self.headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
            text += &format!("{name}:{value}\n");
        }
        let path = format!("/{}", self.key);
        text += &self.bucket.as_ref().map(|bucket| format!("/{bucket}")).unwrap_or_default();
        text += &path;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            text += &format!("{}{name}={value}", if index == 0 { '?' } else { '&' });
        }
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let mut query: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let mut pairs: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let signature = sign(&text);
        if self.presigned {
            query
                .push(format!("Signature={}&Expires={date}&AWSAccessKeyId={ACCESS_KEY}", encode(&signature)));
        } else {
            pairs.push(("date", date));
        }
        let target = format!("{path}?{}", query.join("&"));
        let sent = Sent::of(self.method, self.bucket.as_deref(), &target, &pairs);
        if self.presigned { sent } else { sent.authorised(&signature) }
    }

    /// The request, signed as it is and then changed; `None` if it has nothing that this change applies to.
    fn tampered(&self, change: &Change) -> Option<Sent> {
        let mut sent = self.sign();
        match change {
            Change::Method => sent.method = if self.method == "GET" { "DELETE" } else { "GET" }.into(),
            Change::Bucket => match &mut sent.bucket {
                Some(bucket) => bucket.push('z'),
                None => sent.bucket = Some("other".into()),
            },
            Change::Path(at) => {
                let at = 1 + at % self.key.len();
                sent.path.replace_range(at..=at, if &sent.path[at..=at] == "q" { "r" } else { "q" });
            }
            Change::Value(which, at) => {
                let mut other = self.clone();
                let values = other.parameters.iter_mut().chain(&mut other.headers).map(|(_, value)| value);
                let mut values: Vec<&mut String> = values.collect();
                let count = values.len();
                let value = values.get_mut(which.checked_rem(count)?)?;
                let at = at % value.len();
                value.replace_range(at..=at, if &value[at..=at] == "q" { "r" } else { "q" });
                let (of, mut like) = (self.sign(), other.sign());
                // The signature of the original request on a changed one.
                if self.presigned {
                    let signature = |query: &str| {
                        query.split('&').find(|part| part.starts_with("Signature=")).map(str::to_owned)
                    };
                    let (old, new) = (signature(&of.query)?, signature(&like.query)?);
                    like.query = like.query.replace(&new, &old);
                } else {
                    like.headers.insert("authorization", of.headers["authorization"].clone());
                }
                sent = like;
            }
            Change::Header(name) => {
                sent.headers.append(HeaderName::from_static(name), HeaderValue::from_static("added"));
            }
            Change::Parameter(name) => sent.query = format!("{name}&{}", sent.query),
            Change::Signature(at) => {
                let other = |digit: u8| if digit == b'A' { 'B' } else { 'A' };
                let flip = |text: &mut String, begin: usize| {
                    let at = begin + at % 26;
                    let digit = text.as_bytes()[at];
                    text.replace_range(at..=at, &other(digit).to_string());
                };
                if self.presigned {
                    return None;
                }
                let mut value = sent.headers["authorization"].to_str().ok()?.to_owned();
                flip(&mut value, "AWS :".len() + ACCESS_KEY.len());
                sent.headers.insert("authorization", HeaderValue::from_str(&value).ok()?);
            }
        }
        Some(sent)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_signed_passes_where_version_2_is_taken_and_nowhere_else(draft in draft()) {
        let sent = draft.sign();
        let answer = sent.judged(Version2::Taken, THEN);
        prop_assert!(answer.as_ref().is_ok_and(|answer| answer.signer.is_some()), "{sent:?}: {answer:?}");
        prop_assert_eq!(sent.judged(Version2::Refused, THEN).err(), Some(AuthError::SignatureV2));
    }

    #[test]
    fn a_change_to_anything_signed_is_refused(draft in draft(), change in change()) {
        if let Some(sent) = draft.tampered(&change) {
            prop_assert!(!sent.passes(THEN), "{change:?} of {draft:?}");
        }
    }

    #[test]
    fn nothing_on_the_wire_makes_it_panic_or_somebody(
        path in "[ -~]{0,20}",
        query in "((AWSAccessKeyId|Signature|Expires|acl|versionId|x-amz-acl|X-Amz-Date)=[ -~]{0,30}&){0,7}",
        authorization in "AWS ([ -~]{0,30}|AKIAIOSFODNN7EXAMPLE:[A-Za-z0-9+/=]{0,30})",
        date in "[0-9TZ]{16}|[ -~]{0,8}|Fri, 24 May 2013 00:00:00 GMT",
    ) {
        let with = headers([("authorization", authorization.as_str()), ("date", &date)]);
        for headers in [with, HeaderMap::new()] {
            let (method, bucket) = ("GET".to_owned(), None);
            let sent = Sent { method, bucket, path: path.clone(), query: query.clone(), headers };
            let answer = sent.judged(Version2::Taken, SIGNED_AT);
            prop_assert!(answer.is_err() || answer.is_ok_and(|answer| answer.signer.is_none()));
        }
    }
}
