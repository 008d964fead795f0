//! Requests that are malformed, cut off, too large, or never end.

use crate::rig::{Choices, OTHER, ROOT, Rig, answer, noise, request};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn lengths_are_demanded_and_bounded() {
    let rig = Rig::with_bucket().await;
    let put = "PUT /bucket/k HTTP/1.1\r\nhost: localhost\r\n";
    let none = rig.raw(format!("{put}\r\n").as_bytes(), false).await;
    assert_eq!((none.status, none.code().as_str()), (411, "MissingContentLength"));
    let huge = rig.raw(format!("{put}content-length: 5368709121\r\n\r\n").as_bytes(), false).await;
    assert_eq!((huge.status, huge.code().as_str()), (400, "EntityTooLarge"));
    for nonsense in ["-1", "x", ""] {
        let refused = rig.raw(format!("{put}content-length: {nonsense}\r\n\r\n").as_bytes(), false).await;
        assert_eq!(refused.status, 400, "{nonsense:?}");
    }
    let chunked = format!("{put}transfer-encoding: chunked\r\n\r\n3\r\nbar\r\n0\r\n\r\n");
    assert_eq!(rig.raw(chunked.as_bytes(), false).await.status, 200);
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.body, b"bar");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_its_metadata_have_limits() {
    let rig = Rig::with_bucket().await;
    let long = format!("/bucket/{}", "k".repeat(1025));
    assert_eq!(rig.send("PUT", &long, &[], b"").await.code(), "KeyTooLongError");
    assert_eq!(rig.send("PUT", &long[..long.len() - 1], &[], b"").await.status, 200);
    assert_eq!(rig.send("PUT", "/bucket/%ff%fe", &[], b"").await.code(), "InvalidURI");
    let large = "v".repeat(2048);
    let put = rig.send("PUT", "/bucket/k", &[("x-amz-meta-a", &large)], b"").await;
    assert_eq!(put.code(), "MetadataTooLarge");
    let class = rig.send("PUT", "/bucket/k", &[("x-amz-storage-class", "OUTPOSTS")], b"").await;
    assert_eq!(class.code(), "InvalidStorageClass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_cut() {
    let rig = Rig::start().await;
    let many: String = (0..2000).map(|at| format!("x-h{at}: v\r\n")).collect();
    let refused = rig.raw(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes(), false).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "RequestHeaderSectionTooLarge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_its_own_request_alone() {
    let rig = Rig::with_bucket().await;
    let mut connection = TcpStream::connect(rig.address).await.unwrap();
    for (trips, status) in [(true, 500), (false, 200), (true, 500)] {
        if trips {
            rig.trip();
        }
        connection.write_all(&request("GET", "/bucket", &[], b"")).await.unwrap();
        let told = answer(&mut connection, false).await.expect("an answer");
        assert_eq!(told.status, status, "{}", told.text());
        assert_eq!(trips, told.text().contains("<Code>InternalError</Code>"), "{}", told.text());
    }
    let told = rig.signed(ROOT, "GET", "/_stratum/v1/panics", &[], b"").await;
    assert!(told.status == 500 && told.text().contains("panicked over it: by plan"), "{}", told.text());
    assert_eq!(rig.signed(ROOT, "GET", "/_stratum/v1/status", &[], b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let rig = Rig::with_bucket().await;
    for declared in [1000, 2 << 20] {
        let mut connection = TcpStream::connect(rig.address).await.unwrap();
        let length = declared.to_string();
        let whole = request("PUT", "/bucket/k", &[("content-length", &length)], &noise(1, declared / 2));
        connection.write_all(&whole).await.unwrap();
        drop(connection);
    }
    let freed = async {
        while rig.store.admission.used() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("the bytes are freed");
    assert_eq!(rig.send("GET", "/bucket/k", &[], b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_bound_of_memory_clients_slow_down() {
    let rig = Rig::with(Choices { admission: 1 << 20, ..Choices::default() }).await;
    assert_eq!(rig.send("PUT", "/bucket", &[], b"").await.status, 200);
    let refused = rig.send("PUT", "/bucket/k", &[], &noise(1, 1 << 20)).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "SlowDown"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(rig.send("PUT", "/bucket/k", &[], b"small").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_comes_only_to_those_who_may() {
    let rig = Rig::with(Choices { anonymous: false, ..Choices::default() }).await;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    let head = request("PUT", "/bucket/k", &[("expect", "100-continue"), ("content-length", "3")], b"");
    let mut stranger = TcpStream::connect(rig.address).await.unwrap();
    stranger.write_all(&head).await.unwrap();
    assert_eq!(answer(&mut stranger, false).await.unwrap().status, 403);

    let rig = Rig::with_bucket().await;
    let mut allowed = TcpStream::connect(rig.address).await.unwrap();
    allowed.write_all(&head).await.unwrap();
    assert_eq!(answer(&mut allowed, true).await.unwrap().status, 100);
    allowed.write_all(b"abc").await.unwrap();
    assert_eq!(answer(&mut allowed, false).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_instead_of_continue_closes_the_connection() {
    let rig = Rig::with_bucket().await;
    let expect = ("expect", "100-continue");
    for (path, length, status) in [("/bucket/empty", "0", 200), ("/nowhere/k", "3", 404)] {
        let mut connection = TcpStream::connect(rig.address).await.unwrap();
        connection
            .write_all(&request("PUT", path, &[expect, ("content-length", length)], b""))
            .await
            .unwrap();
        let answered = answer(&mut connection, false).await.unwrap();
        assert_eq!((answered.status, answered.header("connection")), (status, Some("close")), "{path}");
        assert_eq!(connection.read(&mut [0]).await.unwrap(), 0, "{path}: the connection ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_the_connection_is_usable() {
    let rig = Rig::with_bucket().await;
    let mut connection = TcpStream::connect(rig.address).await.unwrap();
    let refused = request("PUT", "/nowhere/k", &[], &noise(1, 100_000));
    connection.write_all(&refused).await.unwrap();
    assert_eq!(answer(&mut connection, false).await.unwrap().code(), "NoSuchBucket");
    connection.write_all(&request("PUT", "/bucket/k", &[], b"x")).await.unwrap();
    assert_eq!(answer(&mut connection, false).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_are_decoded_and_their_trailers_checked() {
    let rig = Rig::with_bucket().await;
    let put = async |checksum: &str, length: &str, body: &str| {
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", length),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let body = format!("{body}0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n");
        rig.send("PUT", "/bucket/k", &headers, body.as_bytes()).await
    };
    let body = "9\r\n123456789\r\n";
    let stored = put("y/Q5Jg==", "9", body).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let get = rig.send("GET", "/bucket/k", &[], b"").await;
    assert_eq!((get.body.as_slice(), get.header("content-encoding")), (&b"123456789"[..], None));
    assert_eq!(put("AAAAAA==", "9", body).await.code(), "BadDigest");
    assert_eq!(put("y/Q5Jg==", "10", body).await.code(), "IncompleteBody");
    assert_eq!(put("y/Q5Jg==", "8", body).await.code(), "IncompleteBody");
    assert_eq!(put("y/Q5Jg==", "9", "zz\r\n").await.code(), "IncompleteBody");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_root_operates() {
    let rig = Rig::with(Choices { anonymous: false, ..Choices::default() }).await;
    let asked = "/_stratum/v1/status";
    let stranger = rig.send("GET", asked, &[], b"").await;
    assert_eq!((stranger.status, stranger.text().contains("\"error\"")), (403, true), "{}", stranger.text());
    assert_eq!(rig.signed(OTHER, "GET", asked, &[], b"").await.status, 403);
    assert_eq!(rig.signed((ROOT.0, "wrong"), "GET", asked, &[], b"").await.status, 403);
    let root = rig.signed(ROOT, "GET", asked, &[], b"").await;
    assert_eq!((root.status, root.text().as_str()), (200, "{}"));
    assert_eq!(rig.signed(ROOT, "GET", "/_stratum/v1/nothing", &[], b"").await.status, 404);
}
