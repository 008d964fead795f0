//! Objects: they are read as they were written, in whole and in ranges, and a body that isn't what its request declares
//! is refused. Also conditions, copies, owners, and hosts that name the bucket.

use crate::rig::{Choices, OTHER, ROOT, Rig, noise};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_got_bit_for_bit() {
    let rig = Rig::with_bucket().await;
    for size in [0, 1, 4096, 32 << 10, (32 << 10) + 1, 1 << 20, (5 << 20) + 777] {
        let body = noise(size as u64, size);
        let target = format!("/bucket/object-{size}");
        let put =
            rig.send("PUT", &target, &[("content-type", "image/png"), ("x-amz-meta-a", "b")], &body).await;
        assert_eq!(put.status, 200, "{size}: {}", put.text());
        assert!(put.header("x-amz-checksum-crc64nvme").is_some(), "{}", put.head);
        let get = rig.send("GET", &target, &[], b"").await;
        assert_eq!(get.status, 200, "{size}: {}", get.text());
        assert!(get.body == body, "{size} bytes came back different");
        assert_eq!(get.header("etag"), put.header("etag"));
        assert_eq!(get.header("content-type"), Some("image/png"));
        assert_eq!(get.header("x-amz-meta-a"), Some("b"));
        assert_eq!(get.header("accept-ranges"), Some("bytes"));
        assert_eq!(get.header("x-amz-checksum-crc64nvme"), None);
        let head = rig.send("HEAD", &target, &[("x-amz-checksum-mode", "ENABLED")], b"").await;
        assert_eq!((head.status, head.header("content-length")), (200, Some(size.to_string().as_str())));
        assert_eq!(head.header("x-amz-checksum-crc64nvme"), put.header("x-amz-checksum-crc64nvme"));
        assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges() {
    let rig = Rig::with_bucket().await;
    for size in [10_000, 3 << 20] {
        let body = noise(7, size);
        assert_eq!(rig.send("PUT", "/bucket/k", &[], &body).await.status, 200);
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            (format!("bytes=100-{}", size - 100), 100, size - 99),
            ("bytes=-5".to_owned(), size - 5, size),
            (format!("bytes={}-", size / 2), size / 2, size),
        ] {
            let get = rig.send("GET", "/bucket/k", &[("range", &range)], b"").await;
            assert_eq!(get.status, 206, "{range}");
            assert!(get.body == body[from..to], "{range}");
            let content_range = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(get.header("content-range"), Some(content_range.as_str()));
        }
        let beyond = rig.send("GET", "/bucket/k", &[("range", &format!("bytes={size}-"))], b"").await;
        assert_eq!((beyond.status, beyond.code().as_str()), (416, "InvalidRange"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_replaced_and_deleted() {
    let rig = Rig::with_bucket().await;
    rig.send("PUT", "/bucket/k", &[], b"one").await;
    rig.send("PUT", "/bucket/k", &[], &noise(1, 100_000)).await;
    rig.send("PUT", "/bucket/k", &[], b"three").await;
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"three");
    assert_eq!(rig.send("DELETE", "/bucket/k?versionId=null", &[], b"").await.status, 204);
    let gone = rig.send("GET", "/bucket/k", &[], b"").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "NoSuchKey"));
    assert_eq!(gone.element("RequestId").as_deref(), gone.header("x-amz-request-id"));
    assert_eq!(rig.send("DELETE", "/bucket/k", &[], b"").await.status, 204);
    assert_eq!(rig.send("HEAD", "/bucket/k", &[], b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_opaque() {
    let rig = Rig::with_bucket().await;
    let keys = ["a", "a/", "a//b", "/a", "..", "a/../b", "a+b", "a%20b", "a%2Fb", "%E4%BD%A0", "a%01"];
    for key in keys {
        let put = rig.send("PUT", &format!("/bucket/{key}"), &[], key.as_bytes()).await;
        assert_eq!(put.status, 200, "{key}: {}", put.text());
    }
    for key in keys {
        let get = rig.send("GET", &format!("/bucket/{key}"), &[], b"").await;
        assert_eq!(String::from_utf8_lossy(&get.body), key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_writes() {
    let rig = Rig::with_bucket().await;
    let put = async |headers: &[(&str, &str)]| rig.send("PUT", "/bucket/k", headers, b"x").await;
    assert_eq!(put(&[("if-match", "*")]).await.code(), "NoSuchKey");
    assert_eq!(put(&[("if-none-match", "*")]).await.status, 200);
    assert_eq!(put(&[("if-none-match", "*")]).await.code(), "PreconditionFailed");
    assert_eq!(put(&[("if-match", "\"no\"")]).await.status, 412);
    let etag = put(&[]).await.header("etag").unwrap().to_owned();
    assert_eq!(put(&[("if-match", &etag)]).await.status, 200);
    let delete = async |etag: &str| rig.send("DELETE", "/bucket/k", &[("if-match", etag)], b"").await.status;
    assert_eq!(delete("\"no\"").await, 412);
    assert_eq!(delete(&etag).await, 204);
    assert_eq!(delete(&etag).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_on_reads() {
    let rig = Rig::with_bucket().await;
    let etag = rig.send("PUT", "/bucket/k", &[], b"x").await.header("etag").unwrap().to_owned();
    let get = async |name: &str, value: &str| rig.send("GET", "/bucket/k", &[(name, value)], b"").await;
    let unmodified = get("if-none-match", &etag).await;
    assert_eq!((unmodified.status, unmodified.body.len()), (304, 0));
    assert_eq!(unmodified.header("etag"), Some(etag.as_str()));
    assert_eq!(get("if-match", "\"no\"").await.code(), "PreconditionFailed");
    assert_eq!(get("if-match", &etag).await.body, b"x");
}

/// RFC 9110, 13.1.1 and 13.1.5: `If-Match` and `If-Range` compare strongly, `If-None-Match` weakly.
#[tokio::test(flavor = "multi_thread")]
async fn a_weak_etag_changes_nothing_and_keeps_what_is_unchanged() {
    let rig = Rig::with_bucket().await;
    let etag = rig.send("PUT", "/bucket/k", &[], b"bytes").await.header("etag").unwrap().to_owned();
    let weak = format!("W/{etag}");
    let weakly =
        async |method, header| rig.send(method, "/bucket/k", &[(header, weak.as_str())], b"new").await;
    for (method, header, status) in [
        ("GET", "if-match", 412),
        ("HEAD", "if-match", 412),
        ("GET", "if-none-match", 304),
        ("PUT", "if-match", 412),
        ("PUT", "if-none-match", 412),
    ] {
        assert_eq!(weakly(method, header).await.status, status, "{method} {header}");
    }
    assert_eq!(rig.send("DELETE", "/bucket/k", &[("if-match", &weak)], b"").await.status, 412);
    for (header, status) in [("x-amz-copy-source-if-match", 412), ("x-amz-copy-source-if-none-match", 412)] {
        let headers = [("x-amz-copy-source", "/bucket/k"), (header, weak.as_str())];
        assert_eq!(rig.send("PUT", "/bucket/copy", &headers, b"").await.status, status, "{header}");
    }
    for (validator, status) in [(&weak, 200), (&etag, 206)] {
        let headers = [("range", "bytes=1-2"), ("if-range", validator.as_str())];
        assert_eq!(rig.send("GET", "/bucket/k", &headers, b"").await.status, status, "{validator}");
    }
    let one = format!("<Delete><Object><Key>k</Key><ETag>{weak}</ETag></Object></Delete>");
    let md5 = BASE64.encode(Md5::digest(&one));
    let deleted = rig.send("POST", "/bucket?delete", &[("content-md5", &md5)], one.as_bytes()).await;
    assert!(deleted.text().contains("PreconditionFailed"), "{}", deleted.text());
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_must_be_what_it_is_declared_to_be() {
    let rig = Rig::with_bucket().await;
    for size in [9, 200_000] {
        let body = noise(3, size);
        for (name, value, code) in [
            ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
            ("content-md5", "nonsense", "InvalidDigest"),
            ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
            ("x-amz-checksum-sha256", "bad", "InvalidRequest"),
            ("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest"),
        ] {
            let put = rig.send("PUT", "/bucket/k", &[(name, value)], &body).await;
            assert_eq!(put.code(), code, "{name}: {value}");
        }
    }
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.status, 404, "nothing was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_an_object_of_its_own() {
    let rig = Rig::with_bucket().await;
    for size in [0, 100, 2 << 20] {
        let body = noise(size as u64, size);
        let kept = [("content-type", "text/x"), ("x-amz-meta-a", "b")];
        rig.send("PUT", "/bucket/from", &kept, &body).await;
        let source = ("x-amz-copy-source", "/bucket/from");
        let copy = rig.send("PUT", "/bucket/to", &[source], b"").await;
        assert_eq!(copy.status, 200, "{}", copy.text());
        rig.send("DELETE", "/bucket/from", &[], b"").await;
        let get = rig.send("GET", "/bucket/to", &[], b"").await;
        assert!(get.body == body, "{size}");
        assert_eq!((get.header("content-type"), get.header("x-amz-meta-a")), (Some("text/x"), Some("b")));
    }
    let source = ("x-amz-copy-source", "bucket/to");
    let to_itself = rig.send("PUT", "/bucket/to", &[source], b"").await;
    assert_eq!((to_itself.status, to_itself.code().as_str()), (400, "InvalidRequest"));
    let replace = [source, ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-c", "d")];
    assert_eq!(rig.send("PUT", "/bucket/to", &replace, b"").await.status, 200);
    let head = rig.send("HEAD", "/bucket/to", &[], b"").await;
    assert_eq!((head.header("x-amz-meta-a"), head.header("x-amz-meta-c")), (None, Some("d")));
    let missing = rig.send("PUT", "/bucket/x", &[("x-amz-copy-source", "bucket/none")], b"").await;
    assert_eq!(missing.code(), "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_may() {
    let rig = Rig::with(Choices { anonymous: false, ..Choices::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    let put = rig.signed(ROOT, "PUT", "/bucket/a%20b%2Bc", &[("x-amz-meta-k", "v")], b"mine").await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/a%20b%2Bc", &[], b"").await.body, b"mine");
    let foreign = rig.signed(OTHER, "GET", "/bucket/a%20b%2Bc", &[], b"").await;
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "AccessDenied"));
    assert_eq!(rig.send("GET", "/bucket/a%20b%2Bc", &[], b"").await.code(), "AccessDenied");
    let wrong = rig.signed((ROOT.0, "wrong"), "GET", "/bucket/a", &[], b"").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (403, "SignatureDoesNotMatch"));
    assert!(wrong.element("StringToSign").is_some());
    let unknown = rig.signed(("AKIANOBODY", "x"), "GET", "/bucket/a", &[], b"").await;
    assert_eq!(unknown.code(), "InvalidAccessKeyId");
    let owner = ("x-amz-expected-bucket-owner", "somebody");
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/a%20b%2Bc", &[owner], b"").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_host_is_a_bucket() {
    let rig = Rig::with(Choices { domains: vec!["s3.test".into()], ..Choices::default() }).await;
    let host = ("host", "bucket.s3.test:9000");
    assert_eq!(rig.send("PUT", "/", &[host], b"").await.status, 200);
    assert_eq!(rig.send("PUT", "/_stratum/metrics", &[host], b"a key").await.status, 200);
    assert_eq!(rig.send("GET", "/_stratum/metrics", &[host], b"").await.body, b"a key");
    assert_eq!(rig.send("GET", "/_stratum/metrics", &[("host", "s3.test")], b"").await.body, b"up 1\n");
    assert_eq!(rig.send("GET", "/bucket/_stratum/metrics", &[], b"").await.body, b"a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_says_so() {
    let rig = Rig::with_bucket().await;
    for (method, target, header) in [
        ("GET", "/bucket?abac", ("x-a", "b")),
        ("PUT", "/bucket?replication", ("x-a", "b")),
        ("PUT", "/bucket/k", ("x-amz-server-side-encryption", "aws:kms:dsse")),
        ("PUT", "/bucket/k?annotation", ("x-a", "b")),
        ("POST", "/bucket/k?select&select-type=2", ("x-a", "b")),
    ] {
        let answer = rig.send(method, target, &[header], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (501, "NotImplemented"), "{method} {target}");
    }
}
