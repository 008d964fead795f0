//! Requests signed by AWS signature version 2, on servers that accept it and on servers that refuse it.

use crate::client::Client;
use crate::iam::root;
use crate::rig::{Age, Answer, Choices, OTHER, ROOT, Rig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stratum_auth::Version2;

/// A server that refuses requests without a signature, with a bucket of root's and an object in it.
async fn rig(version_2: Version2) -> Rig {
    let domains = vec!["s3.example.com".to_owned()];
    let choices = Choices { age: Age::New, anonymous: false, version_2, domains, ..Choices::default() };
    let rig = Rig::with(choices).await;
    rig.signed(ROOT, "PUT", "/bucket", &[], b"").await;
    rig.signed(ROOT, "PUT", "/bucket/k", &[], b"kept").await;
    rig
}

#[allow(clippy::disallowed_methods)] // the server compares with the machine's time
fn now() -> SystemTime {
    SystemTime::now()
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// The signature of a request. `resource` is the part of the target that is signed, and `headers` must be in the order
/// of their names.
fn signature(secret: &str, method: &str, date: &str, headers: &[(&str, &str)], resource: &str) -> String {
    let header = |name| headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    let mut text = format!("{method}\n{}\n{}\n{date}\n", header("content-md5"), header("content-type"));
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        text += &format!("{name}:{value}\n");
    }
    hmac(secret, &(text + resource))
}

/// Sends a request with the signature in its `Authorization` header.
async fn send(
    rig: &Rig,
    (access_key, secret): (&str, &str),
    method: &str,
    (target, resource): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let date = httpdate::fmt_http_date(now());
    let authorization = format!("AWS {access_key}:{}", signature(secret, method, &date, headers, resource));
    let own = [("date", date.as_str()), ("authorization", authorization.as_str())];
    rig.send(method, target, &[headers, &own].concat(), body.as_bytes()).await
}

/// A target with the signature in its query, which expires in `lasts` seconds. `headers` become parameters of the
/// query, and are signed as if they were headers.
fn presigned(
    (access_key, secret): (&str, &str),
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    lasts: i64,
) -> String {
    let expires = (seconds(now()) as i64 + lasts).to_string();
    let signature = signature(secret, method, &expires, headers, target);
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut signed = target.to_owned();
    let own = [("AWSAccessKeyId", access_key), ("Expires", &expires), ("Signature", &signature)];
    for (name, value) in headers.iter().chain(&own) {
        signed += if signed.contains('?') { "&" } else { "?" };
        signed += &format!("{name}={}", encode(value));
    }
    signed
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_isnt_taken_it_is_refused_in_either_place() {
    let rig = rig(Version2::Refused).await;
    let refused = (400, "InvalidRequest".to_owned());
    for method in ["GET", "PUT", "DELETE"] {
        let header = send(&rig, ROOT, method, ("/bucket/k", "/bucket/k"), &[], "").await;
        assert_eq!(refusal(&header), refused);
        assert!(header.text().contains("Please use AWS4-HMAC-SHA256"), "{}", header.text());
        let query = rig.send(method, &presigned(ROOT, method, "/bucket/k", &[], 60), &[], b"").await;
        assert_eq!(refusal(&query), refused);
    }
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.body, b"kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_taken_a_header_signs() {
    let rig = rig(Version2::Taken).await;
    let headers =
        [("content-type", "text/plain"), ("x-amz-meta-a", "b"), ("x-amz-storage-class", "STANDARD_IA")];
    let path = ("/bucket/a%20key", "/bucket/a%20key");
    assert_eq!(send(&rig, ROOT, "PUT", path, &headers, "body").await.status, 200);
    let got = send(&rig, ROOT, "GET", path, &[], "").await;
    assert_eq!((got.body.as_slice(), got.header("x-amz-meta-a")), (&b"body"[..], Some("b")));
    let listed = send(&rig, ROOT, "GET", ("/bucket?list-type=2&prefix=a", "/bucket"), &[], "").await;
    assert_eq!(listed.element("KeyCount").as_deref(), Some("1"));
    let acl = send(&rig, ROOT, "GET", ("/bucket?acl", "/bucket?acl"), &[], "").await;
    assert_eq!(acl.status, 200, "{}", acl.text());
    let upload = send(&rig, ROOT, "POST", ("/bucket/up?uploads", "/bucket/up?uploads"), &[], "").await;
    let id = upload.element("UploadId").unwrap();
    let part = format!("/bucket/up?partNumber=1&uploadId={id}");
    assert_eq!(send(&rig, ROOT, "PUT", (&part, &part), &[], "part").await.status, 200);
    assert_eq!(send(&rig, ROOT, "DELETE", path, &[], "").await.status, 204);

    for (what, target, resource) in [
        ("the path", "/bucket/k", "/bucket/other"),
        ("a sub-resource that S3's page doesn't name", "/bucket/k?retention", "/bucket/k"),
        ("a version", "/bucket/k?versionId=null", "/bucket/k"),
    ] {
        let refused = send(&rig, ROOT, "DELETE", (target, resource), &[], "").await;
        assert_eq!(refusal(&refused), (403, "SignatureDoesNotMatch".into()), "{what}");
    }
    let wrong = send(&rig, (ROOT.0, "another secret"), "GET", ("/bucket/k", "/bucket/k"), &[], "").await;
    assert_eq!(refusal(&wrong), (403, "SignatureDoesNotMatch".into()));
    assert!(wrong.element("StringToSign").is_some() && wrong.element("CanonicalRequest").is_none());
    let nobody = send(&rig, ("AKIANOBODY", ROOT.1), "GET", ("/bucket/k", "/bucket/k"), &[], "").await;
    assert_eq!(refusal(&nobody), (403, "InvalidAccessKeyId".into()));
    assert_eq!(send(&rig, OTHER, "GET", ("/bucket/k", "/bucket/k"), &[], "").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_know_how_old_a_signature_is_that_has_a_date() {
    let rig = rig(Version2::Taken).await;
    let young = |most: i64| {
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*","Condition":{{"NumericLessThan":{{"s3:signatureAge":"{most}"}}}}}}}}"#
        )
    };
    let get = async |most: i64| {
        let put = rig.signed(ROOT, "PUT", "/bucket?policy", &[], young(most).as_bytes()).await;
        assert_eq!(put.status, 204, "{}", put.text());
        let signed = send(&rig, OTHER, "GET", ("/bucket/k", "/bucket/k"), &[], "").await;
        let url = presigned(OTHER, "GET", "/bucket/k", &[], 60);
        (signed.status, rig.send("GET", &url, &[], b"").await.status)
    };
    // A URL of version 2 says when it ends, and not when it was signed.
    assert_eq!(get(800_000).await, (200, 403));
    assert_eq!(get(-800_000).await, (403, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_is_good_for_a_quarter_of_an_hour() {
    let rig = rig(Version2::Taken).await;
    let get = async |date: &str| {
        let authorization = format!("AWS {}:{}", ROOT.0, signature(ROOT.1, "GET", date, &[], "/bucket/k"));
        let headers = [("date", date), ("authorization", authorization.as_str())];
        let answer = rig.send("GET", "/bucket/k", &headers, b"").await;
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    let at = |moved: i64| {
        let at = (seconds(now()) as i64 + moved) as u64;
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
    };
    assert_eq!(get(&at(-800)).await.0, 200);
    for moved in [-1000, 1000, 86_400] {
        assert_eq!(get(&at(moved)).await, (403, "RequestTimeTooSkewed".into()), "{moved}");
    }
    for date in ["", "Bad Date", "Tue, 07 Jul 1950 21:53:04 GMT"] {
        assert_eq!(get(date).await, (403, "AccessDenied".into()), "{date}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_taken_a_query_signs_until_it_expires() {
    let rig = rig(Version2::Taken).await;
    let wanted = "/bucket/k?response-content-type=text/csv";
    let got = rig.send("GET", &presigned(ROOT, "GET", wanted, &[], 60), &[], b"").await;
    assert_eq!((got.body.as_slice(), got.header("content-type")), (&b"kept"[..], Some("text/csv")));
    let put = presigned(ROOT, "PUT", "/bucket/p", &[("content-type", "a/b"), ("x-amz-meta-a", "b c")], 60);
    assert_eq!(rig.send("PUT", &put, &[("content-type", "a/b")], b"body").await.status, 200);
    let head = rig.signed(ROOT, "HEAD", "/bucket/p", &[], b"").await;
    assert_eq!((head.header("content-type"), head.header("x-amz-meta-a")), (Some("a/b"), Some("b c")));

    let denied = (403, "AccessDenied".to_owned());
    let expired = rig.send("GET", &presigned(ROOT, "GET", "/bucket/k", &[], -1), &[], b"").await;
    assert_eq!(refusal(&expired), denied);
    assert!(expired.text().contains("<Message>Request has expired</Message>"), "{}", expired.text());
    let far = rig.send("GET", &presigned(ROOT, "GET", "/bucket/k", &[], 1 << 32), &[], b"").await;
    assert_eq!(refusal(&far), denied);
    assert!(far.text().contains("Invalid date (should be seconds since epoch)"), "{}", far.text());

    let mismatch = (403, "SignatureDoesNotMatch".to_owned());
    for (method, added, headers) in [
        ("PUT", "", &[][..]),
        ("PUT", "", &[("content-type", "a/c")]),
        ("PUT", "&x-amz-acl=private", &[("content-type", "a/b")]),
        ("PUT", "&tagging", &[("content-type", "a/b")]),
        ("PUT", "", &[("content-type", "a/b"), ("x-amz-copy-source", "/bucket/k")]),
        ("DELETE", "", &[("content-type", "a/b")]),
    ] {
        let refused = rig.send(method, &format!("{put}{added}"), headers, b"body").await;
        assert_eq!(refusal(&refused), mismatch, "{method} {added} {headers:?}");
    }
    let unknown = rig.send("PUT", &format!("{put}&other=1"), &[("content-type", "a/b")], b"body").await;
    assert_eq!(refusal(&unknown), (501, "NotImplemented".into()), "a write heeds every parameter");
    let both = presigned(ROOT, "GET", "/bucket/k", &[], 60);
    let both = rig.signed(ROOT, "GET", &both, &[], b"").await;
    assert_eq!(refusal(&both), (400, "InvalidArgument".into()));
}

/// A presigned URL with a checksum is good only for a body with this checksum, whether the checksum comes in the query
/// or in a header.
#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_that_is_signed_counts_wherever_it_stands() {
    let rig = rig(Version2::Taken).await;
    let crc = ("x-amz-checksum-crc32", "y/Q5Jg==");
    let in_query = presigned(ROOT, "PUT", "/bucket/c", &[crc], 60);
    assert_eq!(rig.send("PUT", &in_query, &[], b"other").await.status, 400);
    assert_eq!(rig.send("PUT", &in_query, &[], b"123456789").await.status, 200);
    let query = in_query.replace("x-amz-checksum-crc32=y%2FQ5Jg%3D%3D&", "");
    assert!(!query.contains("crc32"), "{query}");
    assert_eq!(rig.send("PUT", &query, &[crc], b"other").await.status, 400);
    assert_eq!(rig.send("PUT", &query, &[crc], b"123456789").await.status, 200);
    assert_eq!(rig.send("PUT", &query, &[], b"123456789").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_the_host_names_is_signed() {
    let rig = rig(Version2::Taken).await;
    let host = [("host", "Bucket.s3.example.com")];
    let get = async |resource| {
        let answer = send(&rig, ROOT, "GET", ("/k", resource), &host, "").await;
        answer.status
    };
    assert_eq!(get("/bucket/k").await, 200);
    assert_eq!(get("/k").await, 403);
    assert_eq!(get("/Bucket/k").await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_logs_are_told_which_version_it_is() {
    let rig = rig(Version2::Taken).await;
    let may = async |condition: &str, target: Option<&str>| {
        let policy = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::other:root"}},"Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::bucket/*","Condition":{{"StringEquals":{condition}}}}}]}}"#
        );
        assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], policy.as_bytes()).await.status, 204);
        let answer = match target {
            Some(target) => rig.send("GET", target, &[], b"").await,
            None => send(&rig, OTHER, "GET", ("/bucket/k", "/bucket/k"), &[], "").await,
        };
        answer.status == 200
    };
    let old = presigned(OTHER, "GET", "/bucket/k", &[], 60);
    for (condition, header, query) in [
        (r#"{"s3:signatureversion":"AWS"}"#, true, true),
        (r#"{"s3:signatureversion":"AWS4-HMAC-SHA256"}"#, false, false),
        (r#"{"s3:authType":"REST-HEADER"}"#, true, false),
        (r#"{"s3:authType":"REST-QUERY-STRING"}"#, false, true),
    ] {
        assert_eq!(may(condition, None).await, header, "{condition}");
        assert_eq!(may(condition, Some(&old)).await, query, "{condition}");
    }

    let client = Client { rig };
    let log = crate::access_logs::of_bucket(&client, "bucket", async || {
        send(&client.rig, ROOT, "GET", ("/bucket/k", "/bucket/k"), &[], "").await;
        let hushed = presigned(ROOT, "GET", "/bucket/k", &[], 60).replace("Signature=", "%53ignature=");
        assert_eq!(client.rig.send("GET", &hushed, &[], b"").await.status, 200);
        client.rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await;
    })
    .await;
    assert_eq!(log.len(), 3, "{log:?}");
    assert!(log[0].contains(" SigV2 - AuthHeader "), "{}", log[0]);
    assert!(log[1].contains(" SigV2 - QueryString ") && log[1].contains("%53ignature=- HTTP"), "{}", log[1]);
    assert!(log[2].contains(" SigV4 - AuthHeader "), "{}", log[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_with_its_token() {
    let rig = rig(Version2::Taken).await;
    let session = root().sts(&rig, "GetSessionToken", &[]).await;
    let element = |name| session.element(name).unwrap();
    let (key, secret, token) = (element("AccessKeyId"), element("SecretAccessKey"), element("SessionToken"));
    let key = (key.as_str(), secret.as_str());
    let token = ("x-amz-security-token", token.as_str());
    let path = ("/bucket/k", "/bucket/k");
    assert_eq!(send(&rig, key, "GET", path, &[token], "").await.body, b"kept");
    let with = presigned(key, "GET", "/bucket/k", &[token], 60);
    assert_eq!(rig.send("GET", &with, &[], b"").await.body, b"kept");
    let unknown = (403, "InvalidAccessKeyId".to_owned());
    assert_eq!(refusal(&send(&rig, key, "GET", path, &[], "").await), unknown);
    let without = presigned(key, "GET", "/bucket/k", &[], 60);
    assert_eq!(refusal(&rig.send("GET", &without, &[], b"").await), unknown);
    let other = [("x-amz-security-token", "x")];
    assert_eq!(refusal(&send(&rig, key, "GET", path, &other, "").await), (400, "InvalidToken".into()));
}

/// Version 2 doesn't sign the host, so a signature for S3 could be used for the operator's API or IAM. These take
/// version 4 only.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_s3_takes_it() {
    let rig = rig(Version2::Taken).await;
    let target = "/_stratum/v1/objects/bucket/k";
    let operators = send(&rig, ROOT, "GET", (target, target), &[], "").await;
    assert_eq!(operators.status, 403);
    assert!(operators.text().contains("version 4"), "{}", operators.text());
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let iam = send(&rig, ROOT, "POST", ("/", "/"), &form, "Action=ListUsers&Version=2010-05-08").await;
    assert!(iam.status == 400 && iam.text().contains("AWS4-HMAC-SHA256"), "{}", iam.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_what_its_signed_hash_says_and_no_signed_chunks() {
    let rig = rig(Version2::Taken).await;
    // The SHA-256 of "body".
    let hash = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    let put = async |hash: &str, body: &str| {
        let headers = [("x-amz-content-sha256", hash)];
        send(&rig, ROOT, "PUT", ("/bucket/h", "/bucket/h"), &headers, body).await
    };
    assert_eq!(put(hash, "body").await.status, 200);
    assert_eq!(refusal(&put(hash, "bodx").await), (400, "XAmzContentSHA256Mismatch".into()));
    let chunks = put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "4\r\nbody\r\n0\r\n\r\n").await;
    assert_eq!(refusal(&chunks), (400, "InvalidRequest".into()));
}
