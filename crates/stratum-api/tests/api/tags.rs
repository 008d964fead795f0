//! Tags of objects, of their versions, and of buckets.

use crate::client::{Answered, Client};
use crate::rig::{Age, Choices};
use crate::uploads::upload;

const VERSIONING: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

fn document(tags: &[(&str, &str)]) -> String {
    let tag = |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.iter().map(tag).collect::<String>())
}

/// The tags in an answer's document, in its order.
fn told(answer: &Answered) -> Vec<(String, String)> {
    let text = answer.text();
    let between = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    let tags = text.split("<Tag>").skip(1);
    tags.map(|tag| (between(tag, "Key").unwrap(), between(tag, "Value").unwrap_or_default())).collect()
}

async fn tags(client: &Client, target: &str) -> Vec<(String, String)> {
    told(&client.get(target).await.expect(200))
}

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_tagged_and_keeps_its_bytes() {
    let client = with_bucket().await;
    let stored = client.put("/bucket/a", "bytes").await.expect(200);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[]));
    assert_eq!(client.get("/bucket/a").await.header("x-amz-tagging-count"), None);
    client.put("/bucket/a?tagging", document(&[("k", "v"), ("a", " x ")])).await.expect(200);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[("a", " x "), ("k", "v")]));
    for answer in [client.get("/bucket/a").await, client.send("HEAD", "/bucket/a", &[], "").await] {
        let answer = answer.expect(200);
        assert_eq!(answer.header("x-amz-tagging-count"), Some("2"));
        assert_eq!(answer.header("etag"), stored.header("etag"));
    }
    client.put("/bucket/a?tagging", document(&[("other", "")])).await.expect(200);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[("other", "")]));
    client.delete("/bucket/a?tagging").await.expect(204);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[]));
    assert_eq!(client.get("/bucket/a").await.expect(200).text(), "bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_a_tag_changes_nothing() {
    let client = with_bucket().await;
    client.put("/bucket/a", "bytes").await.expect(200);
    client.put("/bucket/a?tagging", document(&[("k", "v")])).await.expect(200);
    let many: Vec<String> = (0..11).map(|at| at.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
    let long = ("k".repeat(129), "v".repeat(257));
    for wrong in [
        document(&many),
        document(&[(&long.0, "")]),
        document(&[("k", &long.1)]),
        document(&[("aws:k", "v")]),
        document(&[("k", "v"), ("k", "w")]),
    ] {
        client.put("/bucket/a?tagging", wrong).await.refused(400, "InvalidTag");
    }
    client.put("/bucket/a?tagging", "").await.refused(400, "MissingRequestBodyError");
    for wrong in ["<Tagging/>", "<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>"] {
        client.put("/bucket/a?tagging", wrong).await.refused(400, "MalformedXML");
    }
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[("k", "v")]));
    client.get("/bucket/none?tagging").await.refused(404, "NoSuchKey");
    client.put("/bucket/none?tagging", document(&[])).await.refused(404, "NoSuchKey");
    client.delete("/bucket/none?tagging").await.refused(404, "NoSuchKey");
    for wrong in ["a=1&a=2", "a=%ff", "a=%zz", "=1"] {
        let header = [("x-amz-tagging", wrong)];
        client.send("PUT", "/bucket/b", &header, "x").await.refused(400, "InvalidArgument");
    }
    client.send("PUT", "/bucket/b", &[("x-amz-tagging", "aws:a=1")], "x").await.refused(400, "InvalidTag");
    client.get("/bucket/b").await.refused(404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_with_a_write_and_follow_a_copy() {
    let client = with_bucket().await;
    let header = [("x-amz-tagging", "a=1&b=x%20y")];
    let written = pairs(&[("a", "1"), ("b", "x y")]);
    client.send("PUT", "/bucket/a", &header, "x").await.expect(200);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, written);

    let source = ("x-amz-copy-source", "bucket/a");
    client.send("PUT", "/bucket/copied", &[source], "").await.expect(200);
    assert_eq!(tags(&client, "/bucket/copied?tagging").await, written);
    let replaced = [source, ("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "c=")];
    client.send("PUT", "/bucket/replaced", &replaced, "").await.expect(200);
    assert_eq!(tags(&client, "/bucket/replaced?tagging").await, pairs(&[("c", "")]));
    let without = [source, ("x-amz-tagging-directive", "REPLACE")];
    client.send("PUT", "/bucket/without", &without, "").await.expect(200);
    assert_eq!(tags(&client, "/bucket/without?tagging").await, pairs(&[]));
    let wrong = [source, ("x-amz-tagging-directive", "MOVE")];
    client.send("PUT", "/bucket/wrong", &wrong, "").await.refused(400, "InvalidArgument");

    upload(&client, "/bucket/parts", &header, "x").await;
    assert_eq!(tags(&client, "/bucket/parts?tagging").await, written);
    client.put("/bucket/a", "anew").await.expect(200);
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_has_its_own() {
    let client = with_bucket().await;
    client.put("/bucket?versioning", VERSIONING).await.expect(200);
    let id = |answer: Answered| answer.expect(200).header("x-amz-version-id").unwrap().to_owned();
    let [one, two] = [id(client.put("/bucket/a", "1").await), id(client.put("/bucket/a", "2").await)];
    for (version, value) in [(&one, "one"), (&two, "two")] {
        let target = format!("/bucket/a?tagging&versionId={version}");
        let answer = client.put(&target, document(&[("v", value)])).await.expect(200);
        assert_eq!(answer.header("x-amz-version-id"), Some(version.as_str()));
    }
    assert_eq!(tags(&client, "/bucket/a?tagging").await, pairs(&[("v", "two")]));
    assert_eq!(tags(&client, &format!("/bucket/a?tagging&versionId={one}")).await, pairs(&[("v", "one")]));
    client.delete("/bucket/a").await.expect(204);
    client.get("/bucket/a?tagging").await.refused(404, "NoSuchKey");
    client.delete(&format!("/bucket/a?tagging&versionId={two}")).await.expect(204);
    assert_eq!(tags(&client, &format!("/bucket/a?tagging&versionId={two}")).await, pairs(&[]));
    let gone = "8c4e6e8000000000000000ff";
    client.get(&format!("/bucket/a?tagging&versionId={gone}")).await.refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_tagged() {
    let client = with_bucket().await;
    client.get("/bucket?tagging").await.refused(404, "NoSuchTagSet");
    client.put("/bucket?tagging", document(&[("team", "a"), ("cost", "1")])).await.expect(204);
    assert_eq!(tags(&client, "/bucket?tagging").await, pairs(&[("cost", "1"), ("team", "a")]));
    client.put("/bucket?tagging", document(&[("aws:x", "")])).await.refused(400, "InvalidTag");
    client.delete("/bucket?tagging").await.expect(204);
    client.get("/bucket?tagging").await.refused(404, "NoSuchTagSet");
    let create = "<CreateBucketConfiguration><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags>\
        </CreateBucketConfiguration>";
    client.put("/tagged", create).await.expect(200);
    assert_eq!(tags(&client, "/tagged?tagging").await, pairs(&[("k", "v")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_before_says_what_tags_take() {
    let client = Client::with(Choices { age: Age::Old, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket/a", "x").await.expect(200);
    for refused in [
        client.put("/bucket/a?tagging", document(&[("k", "v")])).await,
        client.put("/bucket?tagging", document(&[("k", "v")])).await,
        client.send("PUT", "/bucket/b", &[("x-amz-tagging", "k=v")], "x").await,
    ] {
        let refused = refused.expect(501);
        assert!(refused.text().contains("stratum level raise"), "{}", refused.text());
    }
    client.get("/bucket/b").await.refused(404, "NoSuchKey");
}
