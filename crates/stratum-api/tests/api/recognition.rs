//! A request with parameters or headers that the server doesn't know never has the effect of the request without them,
//! and a request without a signature has no rights but those of a stranger.

use crate::rig::{Answer, Choices, OTHER, ROOT, Rig};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use std::time::{Duration, SystemTime};

/// A server with an object that the requests of these tests must leave as it is.
async fn with_object() -> Rig {
    let rig = Rig::with_bucket().await;
    assert_eq!(rig.send("PUT", "/bucket/k", &[], b"kept").await.status, 200);
    rig
}

async fn is_kept(rig: &Rig, after: &str) {
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"kept", "{after}");
}

/// A PUT with these headers. A name may come several times: each is a line of its own.
async fn put(rig: &Rig, target: &str, headers: &[(&str, &str)]) -> Answer {
    rig.send("PUT", target, headers, b"other").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_means_nothing_here_changes_nothing() {
    let rig = with_object().await;
    assert_eq!(rig.send("PUT", "/empty", &[], b"").await.status, 200);
    let parameters = [
        "annotation=a&annotationName=b",
        "uploads",
        "versions",
        "delete",
        "location",
        "partNumber=1",
        "policyStatus",
        "list-type=2",
        "versionning",
        "Acl",
        "acl&tagging",
    ];
    for parameter in parameters {
        for (method, target) in
            [("PUT", "/bucket/k"), ("DELETE", "/bucket/k"), ("DELETE", "/empty"), ("PUT", "/new")]
        {
            let answer = rig.send(method, &format!("{target}?{parameter}"), &[], b"other").await;
            let status = answer.status;
            assert!([400, 404, 405, 501].contains(&status), "{method} {target}?{parameter}: {}", answer.head);
        }
        is_kept(&rig, parameter).await;
        assert_eq!(rig.send("HEAD", "/empty", &[], b"").await.status, 200, "{parameter}");
        assert_eq!(rig.send("HEAD", "/new", &[], b"").await.status, 404, "{parameter}");
    }
    let read = rig.send("GET", "/bucket/k?uploads", &[], b"").await;
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
    assert_eq!(rig.send("GET", "/bucket/k?unknown=1", &[], b"").await.body, b"kept");
    assert_eq!(put(&rig, "/bucket/other?x-id=PutObject&X-Trace=1", &[]).await.status, 200);
    let owner = put(&rig, "/bucket/k?X-Amz-Expected-Bucket-Owner=nobody", &[]).await;
    assert_eq!((owner.status, owner.code().as_str()), (400, "InvalidArgument"));
    is_kept(&rig, "a header's name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_nobody_heeds_is_refused_on_writes() {
    let rig = with_object().await;
    for (name, status, code) in [
        ("x-amz-checksum-nonsense", 501, "NotImplemented"),
        ("x-amz-if-match-initiated-time", 501, "NotImplemented"),
        ("x-amz-mfa", 501, "NotImplemented"),
        ("x-amz-bucket-namespace", 501, "NotImplemented"),
        ("x-amz-if-match-size", 400, "InvalidArgument"),
        ("x-amz-security-token", 400, "InvalidToken"),
    ] {
        let refused = put(&rig, "/bucket/k", &[(name, "1")]).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{name}");
        is_kept(&rig, name).await;
    }
    let token = rig.send("GET", "/bucket/k", &[("x-amz-security-token", "t")], b"").await;
    assert_eq!(token.code(), "InvalidToken");
    let harmless =
        [("x-amz-user-agent", "sdk"), ("x-amz-te", "append-md5"), ("x-amz-request-payer", "requester")];
    assert_eq!(put(&rig, "/bucket/other", &harmless).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_nobody_asks_is_refused_on_writes() {
    let rig = with_object().await;
    let tags = b"<Tagging><TagSet/></Tagging>";
    for (method, target, header, body) in [
        ("PUT", "/bucket/k", ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), b"other".as_slice()),
        ("DELETE", "/bucket/k", ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), b""),
        ("PUT", "/bucket/k?tagging", ("if-match", "\"a\""), tags),
        ("POST", "/bucket/k?uploads", ("if-none-match", "*"), b""),
        ("DELETE", "/bucket", ("if-match", "\"a\""), b""),
    ] {
        let refused = rig.send(method, target, &[header], body).await;
        let told = (refused.status, refused.code());
        assert_eq!(told, (501, "NotImplemented".into()), "{method} {target} {header:?}");
        is_kept(&rig, header.0).await;
    }
    let range = [("content-range", "bytes 0-4/9")];
    assert_eq!(put(&rig, "/bucket/k", &range).await.code(), "InvalidArgument");
    is_kept(&rig, "content-range").await;
    assert_eq!(rig.send("GET", "/bucket/k?tagging", &[("if-match", "\"a\"")], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_values_of_a_parameter_none_counts() {
    let rig = with_object().await;
    for (method, target) in [
        ("DELETE", "/bucket/k?versionId=null&versionId=0"),
        ("GET", "/bucket/k?versionId=0&%76ersionId=null"),
        ("GET", "/bucket?prefix=a&prefix=k"),
    ] {
        let refused = rig.send(method, target, &[], b"").await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "InvalidArgument"), "{method} {target}");
        is_kept(&rig, target).await;
    }
    assert_eq!(rig.send("GET", "/bucket?prefix=a&prefix=a&own=1&own=2", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_condition_are_one_list() {
    let rig = with_object().await;
    for lines in
        [[("if-none-match", "\"a\""), ("if-none-match", "*")], [("if-match", "\"a\""), ("if-match", "\"b\"")]]
    {
        assert_eq!(put(&rig, "/bucket/k", &lines).await.status, 412, "{lines:?}");
        is_kept(&rig, lines[0].0).await;
    }
    let etag = rig.send("HEAD", "/bucket/k", &[], b"").await.header("etag").unwrap().to_owned();
    let read =
        rig.send("GET", "/bucket/k", &[("if-none-match", "\"a\""), ("if-none-match", &etag)], b"").await;
    assert_eq!(read.status, 304);
    let kept = [
        ("cache-control", "no-cache"),
        ("content-encoding", "aws-chunked"),
        ("cache-control", "private"),
        ("content-encoding", "gzip"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ];
    assert_eq!(put(&rig, "/bucket/k", &kept).await.status, 200);
    let head = rig.send("HEAD", "/bucket/k", &[], b"").await;
    assert_eq!(head.header("cache-control"), Some("no-cache,private"));
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    let ranges = [("range", "bytes=0-0"), ("range", "bytes=1-1")];
    assert_eq!(rig.send("GET", "/bucket/k", &ranges, b"").await.code(), "InvalidArgument");
    let sources = [("x-amz-copy-source", "bucket/k"), ("x-amz-copy-source", "bucket/other")];
    assert_eq!(put(&rig, "/bucket/copy", &sources).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_what_is_roots_and_never_operates() {
    let rig = with_object().await;
    assert_eq!(rig.signed(OTHER, "PUT", "/others", &[], b"").await.status, 200);
    assert_eq!(rig.signed(OTHER, "PUT", "/others/k", &[], b"others").await.status, 200);
    // A bucket that was created without a signature is root's, and no other user's.
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/k", &[], b"").await.body, b"kept");
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/k", &[], b"").await.code(), "AccessDenied");
    let listed = rig.send("GET", "/", &[], b"").await.text();
    assert!(listed.contains("<Name>bucket</Name>") && !listed.contains("others"), "{listed}");
    for (method, target) in
        [("GET", "/others/k"), ("DELETE", "/others/k"), ("GET", "/others"), ("PUT", "/others/k")]
    {
        assert_eq!(rig.send(method, target, &[], b"").await.code(), "AccessDenied", "{method} {target}");
    }
    let source = [("x-amz-copy-source", "others/k")];
    assert_eq!(put(&rig, "/bucket/copy", &source).await.code(), "AccessDenied");
    let source = [("x-amz-copy-source", "bucket/k")];
    assert_eq!(rig.signed(OTHER, "PUT", "/others/copy", &source, b"").await.code(), "AccessDenied");
    for (method, target) in [("GET", "/_stratum/v1/status"), ("GET", "/_stratum/v1/backup?credentials=true")]
    {
        assert_eq!(rig.send(method, target, &[], b"").await.status, 403, "{method} {target}");
        assert_eq!(rig.signed(OTHER, method, target, &[], b"").await.status, 403, "{method} {target}");
    }
    assert_eq!(rig.signed(ROOT, "GET", "/_stratum/v1/status", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing_of_what_is_in_a_bucket_nor_of_what_can_be_asked() {
    let rig = Rig::with(Choices { anonymous: false, ..Choices::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket/k", &[], b"kept").await.status, 200);
    for target in ["/", "/bucket", "/bucket/k", "/bucket/none", "/bucket?acl&policy", "/nowhere?acl&policy"] {
        for method in ["GET", "PUT", "DELETE"] {
            let refused = rig.send(method, target, &[], b"").await;
            assert_eq!((refused.status, refused.code().as_str()), (403, "AccessDenied"), "{method} {target}");
        }
    }
    // A stranger can't create a bucket either.
    assert_eq!(rig.send("PUT", "/nowhere", &[], b"").await.code(), "AccessDenied");
    // HeadBucket tells everybody the region of a bucket and whether it exists, as S3 documents.
    let head = rig.send("HEAD", "/bucket", &[], b"").await;
    assert_eq!((head.status, head.header("x-amz-bucket-region")), (403, Some("us-east-1")));
    let absent = rig.send("HEAD", "/nowhere", &[], b"").await;
    assert_eq!((absent.status, absent.header("x-amz-bucket-region")), (404, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_query_is_read_in_either_case_and_says_nothing_of_the_body() {
    let rig = with_object().await;
    let js = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject";
    assert_eq!(presigned(&rig, ROOT, "PUT", "/bucket/js", js, b"body").await.status, 200);
    assert_eq!(rig.send("GET", "/bucket/js", &[], b"").await.body, b"body");
    for (query, status) in [
        ("X-Amz-Server-Side-Encryption=aws%3Akms%3Adsse", 501),
        ("x-amz-server-side-encryption=aws%3Akms%3Adsse", 501),
        ("X-Amz-Expected-Bucket-Owner=other", 403),
        ("X-AMZ-EXPECTED-BUCKET-OWNER=other", 403),
        ("X-Amz-Checksum-Nonsense=1", 501),
        ("annotation", 501),
    ] {
        assert_eq!(
            presigned(&rig, ROOT, "PUT", "/bucket/k", query, b"other").await.status,
            status,
            "{query}"
        );
        is_kept(&rig, query).await;
    }
}

/// Sends a request whose URL is presigned by a user and has this query.
#[allow(clippy::disallowed_methods)] // the server compares with the machine's time
async fn presigned(
    rig: &Rig,
    (access_key, secret): (&str, &str),
    method: &str,
    path: &str,
    query: &str,
    body: &[u8],
) -> Answer {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let identity = Credentials::new(access_key, secret, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .expect("complete parameters")
        .into();
    let host = rig.address.to_string();
    let url = format!("http://{host}{path}?{query}");
    let headers = [("host", host.as_str())];
    let signable = SignableRequest::new(method, url, headers.into_iter(), SignableBody::UnsignedPayload);
    let (instructions, _) = sign(signable.expect("a request"), &params).expect("a signature").into_parts();
    let (_, added) = instructions.into_parts();
    let mut target = format!("{path}?{query}");
    for (name, value) in &added {
        target.push_str(&format!("&{name}={}", value.replace('/', "%2F").replace(';', "%3B")));
    }
    rig.send(method, &target, &headers, body).await
}
