//! ListObjects, ListObjectsV2 and ListObjectVersions.

use crate::client::Client;

async fn with_keys(keys: &[&str]) -> Client {
    let client = Client::with_bucket().await;
    for key in keys {
        client.put(&format!("/bucket/{key}"), "x").await.expect(200);
    }
    client
}

/// Keys, common prefixes, whether there is more, and the next marker of a page of ListObjects.
async fn page(client: &Client, query: &str) -> (Vec<String>, Vec<String>, bool, Option<String>) {
    let answer = client.get(&format!("/bucket?{query}")).await.expect(200);
    let prefixes = answer.elements("CommonPrefixes").into_iter();
    let prefixes = prefixes.map(|prefix| prefix.replace("<Prefix>", "").replace("</Prefix>", "")).collect();
    let more = answer.element("IsTruncated").as_deref() == Some("true");
    (answer.elements("Key"), prefixes, more, answer.element("NextMarker"))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delimiter_rolls_keys_up_page_by_page() {
    let client = with_keys(&["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"]).await;
    let of = |keys: &[&str], prefixes: &[&str], more, next: Option<&str>| {
        (strings(keys), strings(prefixes), more, next.map(str::to_owned))
    };
    let pages = [
        ("delimiter=/&max-keys=1", of(&["asdf"], &[], true, Some("asdf"))),
        ("delimiter=/&max-keys=1&marker=asdf", of(&[], &["boo/"], true, Some("boo/"))),
        ("delimiter=/&max-keys=1&marker=boo/", of(&[], &["cquux/"], false, None)),
        ("delimiter=/&max-keys=2", of(&["asdf"], &["boo/"], true, Some("boo/"))),
        ("delimiter=/&prefix=boo/&max-keys=1", of(&["boo/bar"], &[], true, Some("boo/bar"))),
        ("delimiter=/&prefix=boo/&max-keys=1&marker=boo/bar", of(&[], &["boo/baz/"], false, None)),
        ("max-keys=4", of(&["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla"], &[], true, None)),
        ("max-keys=0", of(&[], &[], false, None)),
        ("delimiter=uu", of(&["asdf", "boo/bar", "boo/baz/xyzzy"], &["cquu"], false, None)),
        ("prefix=none", of(&[], &[], false, None)),
    ];
    for (query, expected) in pages {
        assert_eq!(page(&client, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_echoes_its_parameters_and_tells_owners() {
    let client = with_keys(&["a", "b"]).await;
    let answer = client.get("/bucket?marker=a&prefix=&delimiter=").await.expect(200);
    assert_eq!(answer.elements("Key"), ["b"]);
    assert_eq!(answer.element("Marker").as_deref(), Some("a"));
    assert!(answer.text().contains("<Prefix/>") && !answer.text().contains("Delimiter"));
    assert_eq!(answer.element("MaxKeys").as_deref(), Some("1000"));
    assert_eq!(answer.element("ID").as_deref(), Some("root"));
    assert_eq!(answer.element("ETag").as_deref(), Some("\"9dd4e461268c8034f5c8564e155c67a6\""));
    assert!(answer.element("LastModified").unwrap().ends_with(".000Z"));
    assert_eq!(answer.element("StorageClass").as_deref(), Some("STANDARD"));
    assert_eq!(answer.element("ChecksumAlgorithm").as_deref(), Some("CRC64NVME"));
    for wrong in ["max-keys=-1", "max-keys=blah", "encoding-type=base64"] {
        client.get(&format!("/bucket?{wrong}")).await.refused(400, "InvalidArgument");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_pages_by_token() {
    let client = with_keys(&["a/1", "a/2", "b", "c/1"]).await;
    let first = client.get("/bucket?list-type=2&delimiter=/&max-keys=2&start-after=0").await;
    assert_eq!(first.element("StartAfter").as_deref(), Some("0"));
    assert_eq!(first.element("KeyCount").as_deref(), Some("2"));
    assert!(!first.text().contains("<Owner>"));
    let token = first.element("NextContinuationToken").unwrap();
    let target =
        format!("/bucket?list-type=2&delimiter=/&continuation-token={token}&start-after=0&fetch-owner=true");
    let second = client.get(&target).await.expect(200);
    assert_eq!(second.element("ContinuationToken"), Some(token));
    assert_eq!(second.element("NextContinuationToken"), None);
    assert_eq!(second.elements("Prefix"), ["c/"]);
    assert!(second.elements("Key").is_empty());
    client.get("/bucket?list-type=2&continuation-token=abc").await.refused(400, "InvalidArgument");
    let empty = client.get("/bucket?list-type=2&continuation-token=&fetch-owner=true").await;
    assert_eq!(empty.elements("Key").len(), 4);
    assert!(empty.text().contains("<ContinuationToken/>") && empty.text().contains("<Owner>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_xml_cannot_hold_survive() {
    let client = with_keys(&["a%01%0D%0Ab", "%20", "c+%2525&d"]).await;
    let encoded = client.get("/bucket?encoding-type=url").await;
    assert_eq!(encoded.elements("Key"), ["%20", "a%01%0D%0Ab", "c%2B%2525%26d"]);
    assert_eq!(encoded.element("EncodingType").as_deref(), Some("url"));
    let unasked = client.get("/bucket").await;
    assert_eq!(
        (unasked.elements("Key"), unasked.element("EncodingType")),
        (encoded.elements("Key"), Some("url".into()))
    );
    let plain = client.get("/bucket?prefix=c").await;
    assert_eq!((plain.elements("Key"), plain.element("EncodingType")), (vec!["c+%25&amp;d".into()], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_its_one_version() {
    let client = with_keys(&["a", "b/1", "b/2", "c"]).await;
    let first = client.get("/bucket?versions&max-keys=1").await;
    assert_eq!(first.elements("VersionId"), ["null"]);
    assert_eq!(first.element("IsLatest").as_deref(), Some("true"));
    assert_eq!(first.element("NextKeyMarker").as_deref(), Some("a"));
    assert_eq!(first.element("NextVersionIdMarker").as_deref(), Some("null"));
    let rest =
        client.get("/bucket?versions&key-marker=a&version-id-marker=null&delimiter=/&max-keys=1").await;
    assert_eq!(rest.element("NextKeyMarker").as_deref(), Some("b/"));
    assert_eq!(rest.element("NextVersionIdMarker"), None);
    let last = client.get("/bucket?versions&key-marker=b/&delimiter=/").await;
    assert_eq!(last.elements("Key"), ["c"]);
    assert_eq!(last.element("IsTruncated").as_deref(), Some("false"));
    client.get("/bucket?versions&version-id-marker=null").await.refused(400, "InvalidArgument");
}
