//! Multipart uploads: from CreateMultipartUpload to the completed object, with copies of parts, conditions and
//! checksums.

use crate::client::{Answered, Client};
use crate::rig::noise;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

const MIB: usize = 1024 * 1024;

async fn create(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = client.send("POST", &format!("/bucket/{key}?uploads"), headers, "").await;
    answer.expect(200).element("UploadId").unwrap()
}

async fn upload(client: &Client, upload: &str, number: u16, body: Vec<u8>) -> String {
    let answer = client.put(&format!("/bucket/key?uploadId={upload}&partNumber={number}"), body).await;
    answer.expect(200).header("etag").unwrap().to_owned()
}

fn complete_document(parts: &[(u16, &str)]) -> String {
    let part = |(number, etag): &(u16, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

async fn complete(
    client: &Client,
    upload: &str,
    parts: &[(u16, &str)],
    headers: &[(&str, &str)],
) -> Answered {
    let target = format!("/bucket/key?uploadId={upload}");
    client.send("POST", &target, headers, complete_document(parts)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_an_object() {
    let client = Client::with_bucket().await;
    let headers =
        [("content-type", "text/bla"), ("x-amz-meta-foo", "bar"), ("x-amz-storage-class", "STANDARD_IA")];
    let id = create(&client, "key", &headers).await;
    let (first, spare, last) = (noise(1, 5 * MIB), noise(2, 6 * MIB), noise(3, 100));
    upload(&client, &id, 1, noise(9, 40_000)).await;
    let etag1 = upload(&client, &id, 1, first.clone()).await;
    upload(&client, &id, 2, spare).await;
    let etag3 = upload(&client, &id, 3, last.clone()).await;
    client.get("/bucket/key").await.refused(404, "NoSuchKey");

    let parts = client.get(&format!("/bucket/key?uploadId={id}&max-parts=2")).await.expect(200);
    assert_eq!(parts.elements("PartNumber"), ["1", "2"]);
    assert_eq!(parts.elements("Size"), [(5 * MIB).to_string(), (6 * MIB).to_string()]);
    assert_eq!(parts.element("NextPartNumberMarker").as_deref(), Some("2"));
    assert_eq!(parts.element("StorageClass").as_deref(), Some("STANDARD_IA"));
    let rest = client.get(&format!("/bucket/key?uploadId={id}&part-number-marker=2")).await;
    assert_eq!(
        (rest.elements("PartNumber"), rest.element("IsTruncated")),
        (vec!["3".into()], Some("false".into()))
    );

    let named = [(1, etag1.as_str()), (3, etag3.trim_matches('"'))];
    let done = complete(&client, &id, &named, &[("x-amz-mp-object-size", "5242980")]).await.expect(200);
    let etag = done.element("ETag").unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    assert_eq!(done.element("ChecksumType").as_deref(), Some("FULL_OBJECT"));
    let again = complete(&client, &id, &named, &[]).await.expect(200);
    assert_eq!(again.body, done.body);

    let whole = [first, last].concat();
    let read = client.get("/bucket/key").await.expect(200);
    assert!(read.body == whole);
    assert_eq!(read.header("etag"), Some(etag.as_str()));
    assert_eq!(read.header("content-type"), Some("text/bla"));
    assert_eq!(read.header("x-amz-meta-foo"), Some("bar"));
    assert_eq!(read.header("x-amz-storage-class"), Some("STANDARD_IA"));
    let range = client.send("GET", "/bucket/key", &[("range", "bytes=5242870-5242890")], "").await;
    assert!(range.expect(206).body == whole[5_242_870..=5_242_890]);
    let part = client.get("/bucket/key?partNumber=3").await.expect(206);
    assert_eq!((part.body.len(), part.header("x-amz-mp-parts-count")), (100, Some("2")));
    assert!(client.get("/bucket?uploads").await.elements("Upload").is_empty());
    client.get(&format!("/bucket/key?uploadId={id}")).await.refused(404, "NoSuchUpload");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_tell_the_parts() {
    let client = Client::with_bucket().await;
    let id = create(&client, "key", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let body = noise(1, 10);
    let sha256 = BASE64.encode(Sha256::digest(&body));
    let target = format!("/bucket/key?uploadId={id}&partNumber=7");
    let put = client.send("PUT", &target, &[("x-amz-checksum-sha256", &sha256)], body).await.expect(200);
    let etag = put.header("etag").unwrap().to_owned();
    let named = complete_document(&[(7, &etag)])
        .replace("</Part>", &format!("<ChecksumSHA256>{sha256}</ChecksumSHA256></Part>"));
    client.post(&format!("/bucket/key?uploadId={id}"), named).await.expect(200);
    let wanted = [("x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")];
    let told = client.send("GET", "/bucket/key?attributes", &wanted, "").await.expect(200);
    assert!(told.element("ETag").unwrap().ends_with("-1"));
    assert_eq!(told.elements("PartNumber"), ["7"]);
    assert_eq!(told.element("PartsCount").as_deref(), Some("1"));
    assert_eq!(told.element("ChecksumType").as_deref(), Some("COMPOSITE"));
    assert_eq!(told.element("ObjectSize").as_deref(), Some("10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_complete_names_must_be_there() {
    let client = Client::with_bucket().await;
    let id = create(&client, "key", &[]).await;
    let small = upload(&client, &id, 1, noise(1, 10)).await;
    let last = upload(&client, &id, 2, noise(2, 10)).await;
    complete(&client, &id, &[], &[]).await.refused(400, "MalformedXML");
    complete(&client, &id, &[(1, &small), (2, &last)], &[]).await.refused(400, "EntityTooSmall");
    complete(&client, &id, &[(2, &last), (1, &small)], &[]).await.refused(400, "InvalidPartOrder");
    complete(&client, &id, &[(9999, &last)], &[]).await.refused(400, "InvalidPart");
    complete(&client, &id, &[(1, "ffffffffffffffffffffffffffffffff")], &[]).await.refused(400, "InvalidPart");
    complete(&client, "abc1234def", &[(1, &small)], &[]).await.refused(404, "NoSuchUpload");
    let sized = [("x-amz-mp-object-size", "11")];
    complete(&client, &id, &[(1, &small)], &sized).await.refused(400, "InvalidRequest");
    let other_key = format!("/bucket/other?uploadId={id}");
    client.post(&other_key, complete_document(&[(1, &small)])).await.refused(404, "NoSuchUpload");
    complete(&client, &id, &[(1, &small)], &[]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_refused_where_they_do_not_belong() {
    let client = Client::with_bucket().await;
    let id = create(&client, "key", &[("x-amz-checksum-algorithm", "CRC32")]).await;
    for number in ["0", "10001", "x"] {
        let target = format!("/bucket/key?uploadId={id}&partNumber={number}");
        client.put(&target, "x").await.refused(400, "InvalidArgument");
    }
    client.put("/bucket/key?uploadId=56788&partNumber=1", "x").await.refused(404, "NoSuchUpload");
    let target = format!("/bucket/key?uploadId={id}&partNumber=1");
    let sha1 = [("x-amz-checksum-sha1", "EfatjsUqKYSrqv18O1FlA3hcIHI=")];
    client.send("PUT", &target, &sha1, "x").await.refused(400, "InvalidRequest");
    let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
    client.send("PUT", &target, &wrong, "x").await.refused(400, "BadDigest");
    let right = [("x-amz-checksum-crc32", "jNwWgw==")];
    let stored = client.send("PUT", &target, &right, "x").await.expect(200);
    assert_eq!(stored.header("x-amz-checksum-crc32"), Some("jNwWgw=="));
    client.delete(&format!("/bucket/key?uploadId={id}")).await.expect(204);
    client.put(&target, "x").await.refused(404, "NoSuchUpload");
    client.delete(&format!("/bucket/key?uploadId={id}")).await.refused(404, "NoSuchUpload");
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_of_the_whole() {
    let client = Client::with_bucket().await;
    let sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let id = create(&client, "key", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let part = format!("/bucket/key?uploadId={id}&partNumber=1");
    let put = client.send("PUT", &part, &[("x-amz-checksum-sha256", sha256)], "").await.expect(200);
    let etag = put.header("etag").unwrap().to_owned();
    let bad = [("x-amz-checksum-sha256", "bad")];
    complete(&client, &id, &[(1, &etag)], &bad).await.refused(400, "BadDigest");
    let kind = [("x-amz-checksum-type", "FULL_OBJECT")];
    complete(&client, &id, &[(1, &etag)], &kind).await.refused(400, "InvalidRequest");
    let target = format!("/bucket/key?uploadId={id}");
    let with_checksum = |value: &str| {
        complete_document(&[(1, &etag)])
            .replace("</Part>", &format!("<ChecksumSHA256>{value}</ChecksumSHA256></Part>"))
    };
    client.post(&target, with_checksum("AAAA")).await.refused(400, "InvalidPart");
    let done = client.post(&target, with_checksum(sha256)).await.expect(200);
    assert_eq!(done.element("ChecksumType").as_deref(), Some("COMPOSITE"));
    // The checksum of an object in parts is that of the parts' checksums: here the SHA-256 of one SHA-256, that of an
    // empty part.
    assert_eq!(
        done.element("ChecksumSHA256").as_deref(),
        Some("Xfbg4nYTWdMKgnUFjimfzAOBU0VF9Vz0PkGYP11MlFY=-1")
    );
    let head = client.send("HEAD", "/bucket/key", &[("x-amz-checksum-mode", "ENABLED")], "").await;
    assert_eq!(head.header("x-amz-checksum-sha256"), Some("Xfbg4nYTWdMKgnUFjimfzAOBU0VF9Vz0PkGYP11MlFY=-1"));
    assert_eq!(head.header("x-amz-checksum-type"), Some("COMPOSITE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_for_complete() {
    let client = Client::with_bucket().await;
    let one = |condition: (&'static str, &'static str)| {
        let client = &client;
        async move {
            let id = create(client, "key", &[]).await;
            let etag = upload(client, &id, 1, noise(1, 10)).await;
            complete(client, &id, &[(1, &etag)], &[condition]).await
        }
    };
    one(("if-match", "*")).await.refused(404, "NoSuchKey");
    one(("if-none-match", "*")).await.expect(200);
    one(("if-none-match", "*")).await.refused(412, "PreconditionFailed");
    one(("if-match", "\"other\"")).await.refused(412, "PreconditionFailed");
    one(("if-match", "*")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_complete_is_what_its_md5_says() {
    let client = Client::with_bucket().await;
    let id = create(&client, "key", &[]).await;
    let etag = upload(&client, &id, 1, noise(1, 10)).await;
    let named = [(1, etag.as_str())];
    let md5 = |text: &str| BASE64.encode(md5::Md5::digest(text));
    let other = md5("another document");
    complete(&client, &id, &named, &[("content-md5", &other)]).await.refused(400, "BadDigest");
    let own = md5(&complete_document(&named));
    complete(&client, &id, &named, &[("content-md5", &own)]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_copied_from_objects() {
    let client = Client::with_bucket().await;
    let source = noise(5, 200_000);
    client.put("/bucket/a%20source", source.clone()).await.expect(200);
    let id = create(&client, "key", &[]).await;
    let target = format!("/bucket/key?uploadId={id}&partNumber=1");
    let copy = |range: Option<&'static str>, more: Option<(&'static str, &'static str)>| {
        let (client, target) = (&client, &target);
        async move {
            let mut headers = vec![("x-amz-copy-source", "/bucket/a%20source")];
            headers.extend(range.map(|range| ("x-amz-copy-source-range", range)));
            headers.extend(more);
            client.send("PUT", target, &headers, "").await
        }
    };
    for wrong in ["0-2", "bytes=0", "bytes=hello-", "bytes=0-2,3-5"] {
        copy(Some(wrong), None).await.refused(400, "InvalidArgument");
    }
    copy(Some("bytes=0-200000"), None).await.refused(416, "InvalidRange");
    copy(None, Some(("x-amz-copy-source-if-match", "\"other\""))).await.refused(412, "PreconditionFailed");
    copy(None, None).await.expect(200);
    let etag = copy(Some("bytes=100-150000"), None).await.expect(200).element("ETag").unwrap();
    complete(&client, &id, &[(1, &etag)], &[]).await.expect(200);
    assert!(client.get("/bucket/key").await.body == source[100..=150_000]);
    let missing = [("x-amz-copy-source", "bucket/none")];
    let id = create(&client, "key", &[]).await;
    let target = format!("/bucket/key?uploadId={id}&partNumber=1");
    client.send("PUT", &target, &missing, "").await.refused(404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_by_key_and_age() {
    let client = Client::with_bucket().await;
    let mut ids = Vec::new();
    for key in ["a", "b/1", "b/2", "c"] {
        ids.push(create(&client, key, &[]).await);
    }
    let again = create(&client, "a", &[("x-amz-checksum-algorithm", "CRC32C")]).await;
    let all = client.get("/bucket?uploads").await.expect(200);
    assert_eq!(all.elements("Key"), ["a", "a", "b/1", "b/2", "c"]);
    assert_eq!(all.element("IsTruncated").as_deref(), Some("false"));
    assert_eq!(all.elements("ChecksumAlgorithm"), ["CRC32C"]);
    assert!(all.text().contains("<Initiator><ID>root</ID>"));

    let mut found = Vec::new();
    let mut query = "uploads&delimiter=/&max-uploads=1".to_owned();
    loop {
        let page = client.get(&format!("/bucket?{query}")).await.expect(200);
        found.extend(page.elements("UploadId"));
        found.extend(page.elements("CommonPrefixes"));
        let Some(key) = page.element("NextKeyMarker") else { break };
        let id = page.element("NextUploadIdMarker").unwrap_or_default();
        query = format!("uploads&delimiter=/&max-uploads=1&key-marker={key}&upload-id-marker={id}");
    }
    let mut of_a = [ids[0].clone(), again];
    of_a.sort();
    assert_eq!(found, [&of_a[..], &["<Prefix>b/</Prefix>".into(), ids[3].clone()]].concat());
    assert_eq!(client.get("/bucket?uploads&prefix=b/").await.elements("UploadId"), ids[1..3]);
    client.get("/bucket?uploads&key-marker=a&upload-id-marker=x").await.refused(400, "InvalidArgument");
}
