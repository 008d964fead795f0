//! Limits on what a peer without a secret can make the server do, and on what a chunked body may claim about itself.

use crate::rig::{Answer, ROOT, Rig};

/// An `Authorization` header that names root's access key and has a false signature.
fn forged(names: &str) -> String {
    let (access_key, _) = ROOT;
    let day = today();
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{day}/us-east-1/s3/aws4_request, SignedHeaders={names}, \
         Signature={}",
        "0".repeat(64)
    )
}

/// The current date as it is written in the scope of a signature: YYYYMMDD.
#[allow(clippy::disallowed_methods)] // the server compares with the machine's time
fn today() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = time::OffsetDateTime::from_unix_timestamp(now as i64).unwrap();
    format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day())
}

async fn stranger(rig: &Rig, target: &str, names: &str, value: &str) -> Answer {
    let (authorization, date) = (forged(names), format!("{}T000000Z", today()));
    let headers = [
        ("authorization", authorization.as_str()),
        ("date", &date),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("user-agent", value),
    ];
    rig.send("GET", target, &headers, b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_signed_twice_multiplies_nothing() {
    let rig = Rig::start().await;
    let names = format!("host{}", ";user-agent".repeat(2000));
    let refused = stranger(&rig, "/bucket/k", &names, &"v".repeat(20_000)).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "AuthorizationHeaderMalformed"));
    assert!(refused.body.len() < 4096, "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_quotes_little_of_a_long_request() {
    let rig = Rig::start().await;
    let target = format!("/bucket/k?prefix={}", "%01".repeat(5000));
    let refused = stranger(&rig, &target, "host;user-agent", &"v".repeat(20_000)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.body.len() < 32 << 10, "{} bytes came back", refused.body.len());
    let beyond = stranger(&rig, "/bucket/k", "host", &"v".repeat(65 << 10)).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (400, "RequestHeaderSectionTooLarge"));
}

async fn chunked(rig: &Rig, announced: Option<&str>, length: usize, body: String) -> Answer {
    let length = length.to_string();
    let mut headers = vec![
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", length.as_str()),
    ];
    headers.extend(announced.map(|name| ("x-amz-trailer", name)));
    rig.send("PUT", "/bucket/k", &headers, body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailer_comes_only_as_announced() {
    let rig = Rig::with_bucket().await;
    let body = |trailer: &str| format!("9\r\n123456789\r\n0\r\n{trailer}\r\n");
    let right = body("x-amz-checksum-crc32:y/Q5Jg==\r\n");
    assert_eq!(chunked(&rig, Some("x-amz-checksum-crc32"), 9, right.clone()).await.status, 200);
    for (announced, sent) in [
        (None, right.clone()),
        (Some("x-amz-checksum-crc32c"), right.clone()),
        (Some("x-amz-checksum-crc32"), body("x-amz-checksum-crc32:y/Q5Jg==\r\nx-amz-checksum-sha1:AA==\r\n")),
        (Some("x-amz-checksum-crc32"), body("")),
    ] {
        let refused = chunked(&rig, announced, 9, sent).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "MalformedTrailerError"),
            "{announced:?}"
        );
    }
    assert_eq!(chunked(&rig, None, 9, body("")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_byte_are_refused() {
    let rig = Rig::with_bucket().await;
    let refused = chunked(&rig, None, 2, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n".into()).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "InvalidChunkSizeError"));
    assert_eq!(refused.element("Chunk").as_deref(), Some("2"));
    assert_eq!(refused.element("BadChunkSize").as_deref(), Some("1"));
}
