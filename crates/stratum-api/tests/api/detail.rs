//! Details of S3 that clients rely on.

use crate::client::Client;
use crate::rig::{Age, Choices, ROOT, Rig, noise};

async fn upload(client: &Client) -> String {
    client.post("/bucket/key?uploads", "").await.expect(200).element("UploadId").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_xml_forbids_is_neither_read_nor_written() {
    let client = Client::with_bucket().await;
    for key in ["a&#x10;", "a&#16;", "a\u{1}", "&#xFFFE;", "\u{ffff}", "&#xD800;"] {
        let document = format!("<Delete><Object><Key>{key}</Key></Object></Delete>");
        let md5 = {
            use base64::Engine as _;
            use md5::Digest as _;
            base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&document))
        };
        let declared = [("content-md5", md5.as_str())];
        client.send("POST", "/bucket?delete", &declared, document).await.refused(400, "MalformedXML");
    }
    for key in ["plain%20one", "bell%07", "last%EF%BF%BF"] {
        client.put(&format!("/bucket/{key}"), "x").await.expect(200);
        client.post(&format!("/bucket/{key}?uploads"), "").await.expect(200);
    }
    let encoded = ["bell%07", "last%EF%BF%BF", "plain%20one"];
    for listing in ["", "list-type=2", "versions", "uploads"] {
        let all = client.get(&format!("/bucket?{listing}")).await.expect(200);
        assert_eq!(all.element("EncodingType").as_deref(), Some("url"), "{listing}");
        assert_eq!(all.elements("Key"), encoded, "{listing}");
        let harmless = client.get(&format!("/bucket?prefix=plain&{listing}")).await.expect(200);
        assert_eq!(
            (harmless.element("EncodingType"), harmless.elements("Key")),
            (None, vec!["plain one".into()])
        );
    }
    // An answer that only repeats the key of the request may replace characters that XML forbids. It must be
    // well-formed.
    let started = client.post("/bucket/bell%07?uploads", "").await.expect(200);
    assert_eq!(started.element("Key").as_deref(), Some("bell\u{fffd}"));
    let id = started.element("UploadId").unwrap();
    let parts = client.get(&format!("/bucket/bell%07?uploadId={id}")).await.expect(200);
    assert_eq!(
        (parts.element("Key").as_deref(), parts.element("EncodingType").as_deref()),
        (Some("bell%07"), Some("url"))
    );
    let missing = client.get("/bucket/none%01").await;
    assert_eq!(missing.element("Key").as_deref(), Some("none\u{fffd}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_fails_is_named() {
    let client = Client::with_bucket().await;
    let etag = client.put("/bucket/k", "x").await.expect(200).header("etag").unwrap().to_owned();
    let failed = async |method: &str, target: &str, headers: &[(&str, &str)]| {
        let answer = client.send(method, target, headers, "").await.expect(412);
        answer.element("Condition").unwrap()
    };
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(failed("PUT", "/bucket/k", &[("if-none-match", "*")]).await, "If-None-Match");
    assert_eq!(failed("PUT", "/bucket/k", &[("if-match", "\"other\"")]).await, "If-Match");
    assert_eq!(failed("DELETE", "/bucket/k", &[("if-match", "\"other\"")]).await, "If-Match");
    assert_eq!(failed("DELETE", "/bucket/k", &[("x-amz-if-match-size", "7")]).await, "x-amz-if-match-size");
    assert_eq!(failed("GET", "/bucket/k", &[("if-match", "\"other\"")]).await, "If-Match");
    assert_eq!(failed("GET", "/bucket/k", &[("if-unmodified-since", old)]).await, "If-Unmodified-Since");
    let copy = [("x-amz-copy-source", "bucket/k"), ("x-amz-copy-source-if-none-match", etag.as_str())];
    assert_eq!(failed("PUT", "/bucket/copy", &copy).await, "x-amz-copy-source-If-None-Match");
    let id = upload(&client).await;
    let part = client.put(&format!("/bucket/key?uploadId={id}&partNumber=1"), "x").await.expect(200);
    client.put("/bucket/key", "x").await.expect(200);
    let etag = part.header("etag").unwrap();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let target = format!("/bucket/key?uploadId={id}");
    let refused = client.send("POST", &target, &[("if-none-match", "*")], document).await.expect(412);
    assert_eq!(refused.element("Condition").as_deref(), Some("If-None-Match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_classes_are_kept_and_readable_at_once() {
    let client = Client::with_bucket().await;
    for class in ["REDUCED_REDUNDANCY", "ONEZONE_IA", "GLACIER", "DEEP_ARCHIVE", "STANDARD_IA"] {
        let declared = [("x-amz-storage-class", class)];
        client.send("PUT", "/bucket/k", &declared, "cold").await.expect(200);
        let got = client.get("/bucket/k").await.expect(200);
        assert_eq!((got.header("x-amz-storage-class"), got.text().as_str()), (Some(class), "cold"));
        assert_eq!(
            client.get("/bucket?list-type=2&prefix=k").await.element("StorageClass").as_deref(),
            Some(class)
        );
        let copy = [("x-amz-copy-source", "bucket/k"), ("x-amz-storage-class", class)];
        client.send("PUT", "/bucket/copy", &copy, "").await.expect(200);
        let created = client.send("POST", "/bucket/key?uploads", &declared, "").await.expect(200);
        let id = created.element("UploadId").unwrap();
        let parts = client.get(&format!("/bucket/key?uploadId={id}")).await.expect(200);
        assert_eq!(parts.element("StorageClass").as_deref(), Some(class));
    }
    for class in
        ["OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "FSX_ONTAP", "AWS_BACKUP_WARM", "glacier"]
    {
        let declared = [("x-amz-storage-class", class)];
        client.send("PUT", "/bucket/k", &declared, "").await.refused(400, "InvalidStorageClass");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_object_keeps_of_headers_is_bounded() {
    let client = Client::with_bucket().await;
    let (fits, over) = ("v".repeat(7000), "v".repeat(9000));
    client.send("PUT", "/bucket/k", &[("content-language", &fits)], "").await.expect(200);
    for target in ["/bucket/other", "/bucket/k"] {
        let put = client.send("PUT", target, &[("content-language", &over)], "").await;
        put.refused(400, "MetadataTooLarge");
    }
    let two = [("cache-control", fits.as_str()), ("content-disposition", fits.as_str())];
    client.send("PUT", "/bucket/k", &two, "").await.refused(400, "MetadataTooLarge");
    client.send("POST", "/bucket/k?uploads", &two, "").await.refused(400, "MetadataTooLarge");
    let user = "v".repeat(2048);
    client.send("PUT", "/bucket/k", &[("x-amz-meta-a", &user)], "").await.refused(400, "MetadataTooLarge");
    let redirect = format!("/{}", "v".repeat(2000));
    let copy = [("x-amz-copy-source", "bucket/k"), ("x-amz-website-redirect-location", redirect.as_str())];
    client.send("PUT", "/bucket/copy", &copy, "").await.refused(400, "MetadataTooLarge");
    client.send("PUT", "/bucket/copy", &copy[..1], "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_leads_somewhere() {
    let client = Client::with_bucket().await;
    let to = |to| [("x-amz-website-redirect-location", to), ("x-amz-copy-source", "bucket/k")];
    client.send("PUT", "/bucket/k", &to("/other")[..1], "x").await.expect(200);
    client.send("PUT", "/bucket/k", &to("foo")[..1], "x").await.refused(400, "InvalidRedirectLocation");
    client
        .send("POST", "/bucket/k?uploads", &to("foo")[..1], "")
        .await
        .refused(400, "InvalidRedirectLocation");
    client.send("PUT", "/bucket/copy", &to("foo"), "").await.refused(400, "InvalidRedirectLocation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_source_that_names_nothing_is_an_invalid_argument() {
    let client = Client::with_bucket().await;
    client.put("/bucket/a,b", "x").await.expect(200);
    let copy =
        async |source: &str| client.send("PUT", "/bucket/copy", &[("x-amz-copy-source", source)], "").await;
    for wrong in ["bucket/%ZZ", "bucket/a%2", "Bucket_/k", "b/k", "bucket", "bucket/%ff"] {
        copy(wrong).await.refused(400, "InvalidArgument");
    }
    copy("bucket/a,b").await.expect(200);
    copy("bucket/a%2Cb").await.expect(200);
    copy("bucket/none").await.refused(404, "NoSuchKey");
    let signed =
        client.rig.signed(ROOT, "PUT", "/bucket/copy", &[("x-amz-copy-source", "bucket/a,b")], b"").await;
    assert_eq!(signed.status, 200, "{}", signed.text());
    let two = [("x-amz-copy-source", "bucket/a,b"), ("x-amz-copy-source", "bucket/none")];
    client.send("PUT", "/bucket/copy", &two, "").await.refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_digits() {
    let client = Client::with_bucket().await;
    client.put("/bucket/k", "123456").await.expect(200);
    for list in
        ["max-keys=%2B5", "list-type=2&max-keys=%2B5", "uploads&max-uploads=%2B5", "versions&max-keys=-1"]
    {
        client.get(&format!("/bucket?{list}")).await.refused(400, "InvalidArgument");
    }
    client.get("/?max-buckets=%2B5").await.refused(400, "InvalidArgument");
    client.get("/bucket/k?partNumber=%2B1").await.refused(400, "InvalidArgument");
    let id = upload(&client).await;
    client
        .put(&format!("/bucket/key?uploadId={id}&partNumber=%2B1"), "x")
        .await
        .refused(400, "InvalidArgument");
    let marker = format!("/bucket/key?uploadId={id}&part-number-marker=%2B1");
    client.get(&marker).await.refused(400, "InvalidArgument");
    let size = [("x-amz-if-match-size", "+6")];
    client.send("DELETE", "/bucket/k", &size, "").await.refused(400, "InvalidArgument");
    let asked = [("x-amz-object-attributes", "ObjectParts"), ("x-amz-max-parts", "+1")];
    client.send("GET", "/bucket/k?attributes", &asked, "").await.refused(400, "InvalidArgument");

    let part = client.put(&format!("/bucket/key?uploadId={id}&partNumber=1"), "x").await.expect(200);
    let etag = part.header("etag").unwrap().to_owned();
    let complete = async |number: &str, size: &str| {
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        client
            .send("POST", &format!("/bucket/key?uploadId={id}"), &[("x-amz-mp-object-size", size)], document)
            .await
    };
    complete("+1", "1").await.refused(400, "MalformedXML");
    complete("-1", "1").await.refused(400, "InvalidArgument");
    complete("0", "1").await.refused(400, "InvalidArgument");
    complete("1", "+1").await.refused(400, "InvalidRequest");
    complete("1", "1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_name_bytes_or_are_refused_before_anything_is_looked_up() {
    let client = Client::with_bucket().await;
    client.put("/bucket/k", "123456").await.expect(200);
    for ignored in ["bytes= -1", "bytes=1 -2", "bytes=+1-2"] {
        let got = client.send("GET", "/bucket/k", &[("range", ignored)], "").await.expect(200);
        assert_eq!(got.text(), "123456", "{ignored}");
    }
    for number in ["0", "x", "10001", "-1"] {
        client.get(&format!("/bucket/none?partNumber={number}")).await.refused(400, "InvalidArgument");
        client.send("HEAD", &format!("/bucket/none?partNumber={number}"), &[], "").await.expect(400);
    }
    client.get("/bucket/none?partNumber=1").await.refused(404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_answered_before_it_could_have_signed() {
    let client = Client { rig: Rig::with(Choices { anonymous: false, ..Choices::default() }).await };
    let asks = [("origin", "http://example.com"), ("access-control-request-method", "PUT")];
    for target in ["/", "/bucket", "/bucket/k"] {
        client.send("OPTIONS", target, &asks, "").await.refused(403, "AccessForbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_met_is_not_expected() {
    let client = Client::with_bucket().await;
    let put = async |expect: &str| client.send("PUT", "/bucket/k", &[("expect", expect)], "").await;
    put("banana").await.expect(417);
    put("100-continue, banana").await.expect(417);
    put("200").await.expect(200);
    put("").await.expect(200);
    client.get("/bucket/k").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_classic_region_may_be_named() {
    let client = Client::new().await;
    let document = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    client.put("/bucket", document("us-east-1")).await.expect(200);
    client.put("/other", document("eu-west-1")).await.refused(400, "IllegalLocationConstraintException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_names_its_bucket_to_the_last_dot() {
    let domains = vec!["example.com".to_owned(), "s3.example.com".to_owned()];
    let client = Client::with(Choices { domains, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let body = noise(1, 100);
    client.send("PUT", "/k", &[("host", "bucket.s3.example.com.")], &body).await.expect(200);
    for host in ["bucket.s3.example.com", "bucket.example.com:9000", "bucket.example.com.:9000"] {
        assert!(client.send("GET", "/k", &[("host", host)], "").await.expect(200).body == body, "{host}");
    }
    assert!(
        client.send("GET", "/bucket/k", &[("host", "s3.example.com.")], "").await.expect(200).body == body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_may_have_any() {
    let client = Client::with_bucket().await;
    for size in [0, 100, 32 << 10, (32 << 10) + 1, 3 << 20, (20 << 20) + 12_345] {
        let body = noise(size as u64, size);
        let mut framed = Vec::with_capacity(size + size / 1000);
        for piece in body.chunks(60_000) {
            framed.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        let chunked = [("transfer-encoding", "chunked")];
        let put = client.send("PUT", "/bucket/k", &chunked, &framed).await.expect(200);
        let got = client.get("/bucket/k").await.expect(200);
        assert!(got.body == body, "{size} bytes came back different");
        assert_eq!(put.header("etag"), got.header("etag"));
        let whole = client.put("/bucket/other", &body).await.expect(200);
        assert_eq!(whole.header("etag"), put.header("etag"), "{size}");
        if size > 0 {
            let range = format!("bytes={}-{}", size / 2, size - 1);
            let part = client.send("GET", "/bucket/k", &[("range", &range)], "").await.expect(206);
            assert!(part.body == body[size / 2..], "{range}");
        }
        let wrong = [("transfer-encoding", "chunked"), ("x-amz-checksum-crc32", "AAAAAQ==")];
        client.send("PUT", "/bucket/k", &wrong, framed).await.refused(400, "BadDigest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_without_a_length_is_no_longer_than_others() {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let long = format!("{document}{}", " ".repeat(5000));
    let framed = |text: &str| format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let put = async |text: &str| {
        client.send("PUT", "/bucket?versioning", &[("transfer-encoding", "chunked")], framed(text)).await
    };
    put(&long).await.refused(400, "EntityTooLarge");
    client.put("/bucket?versioning", &long).await.refused(400, "EntityTooLarge");
    put(document).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_what_every_header_says_of_it() {
    let client = Client::with_bucket().await;
    let chunked = ("transfer-encoding", "chunked");
    let trailers = "3\r\nabc\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n";
    client.send("PUT", "/bucket/k", &[chunked], trailers).await.refused(400, "MalformedTrailerError");
    let (length, whole) = (|said| ("x-amz-decoded-content-length", said), "3\r\nabc\r\n0\r\n\r\n");
    client.send("PUT", "/bucket/k", &[length("2")], "abc").await.refused(400, "InvalidArgument");
    client.send("PUT", "/bucket/k", &[length("x")], "abc").await.refused(400, "InvalidArgument");
    client.send("PUT", "/bucket/k", &[chunked, length("2")], whole).await.refused(400, "IncompleteBody");
    client.get("/bucket/k").await.refused(404, "NoSuchKey");
    client.send("PUT", "/bucket/k", &[length("3")], "abc").await.expect(200);
    client.send("PUT", "/bucket/k", &[chunked, length("3")], whole).await.expect(200);
}
