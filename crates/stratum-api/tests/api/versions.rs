//! Versions and delete markers: how writes and deletes create them, and how they are read, listed, copied and told of.

use crate::client::{Answered, Client};
use crate::rig::{Age, Choices, OTHER, ROOT};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

const ENABLED: &str = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <Status>Enabled</Status></VersioningConfiguration>";
const SUSPENDED: &str = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";

/// A bucket in a store that can keep versions.
async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

async fn versioned() -> Client {
    let client = with_bucket().await;
    client.put("/bucket?versioning", ENABLED).await.expect(200);
    client
}

fn id(answer: &Answered) -> String {
    answer.header("x-amz-version-id").expect("an id").to_owned()
}

/// Puts an object and gives the id of its version.
async fn put(client: &Client, key: &str, body: &str) -> String {
    id(&client.put(&format!("/bucket/{key}"), body).await.expect(200))
}

/// Deletes a key without naming a version, and gives the id of the delete marker that this creates.
async fn mark(client: &Client, key: &str) -> String {
    let answer = client.delete(&format!("/bucket/{key}")).await.expect(204);
    assert_eq!(answer.header("x-amz-delete-marker"), Some("true"));
    id(&answer)
}

async fn body(client: &Client, target: &str) -> String {
    client.get(target).await.expect(200).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn versioning_is_enabled_and_suspended_and_said() {
    let client = with_bucket().await;
    let told = client.get("/bucket?versioning").await.expect(200);
    assert_eq!(told.element("Status"), None);
    for (document, status) in [(SUSPENDED, "Suspended"), (ENABLED, "Enabled"), (SUSPENDED, "Suspended")] {
        client.put("/bucket?versioning", document).await.expect(200);
        assert_eq!(client.get("/bucket?versioning").await.element("Status").as_deref(), Some(status));
    }
    for (inside, status, code) in [
        ("", 400, "IllegalVersioningConfigurationException"),
        ("<Status>On</Status>", 400, "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", 501, "NotImplemented"),
        ("<Status>Enabled</Status><MfaDelete>maybe</MfaDelete>", 400, "MalformedXML"),
    ] {
        let document = format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
        client.put("/bucket?versioning", document).await.refused(status, code);
    }
    client.put("/bucket?versioning", "").await.refused(400, "MissingRequestBodyError");
    let mfa = [("x-amz-mfa", "1 2")];
    client.send("PUT", "/bucket?versioning", &mfa, ENABLED).await.refused(501, "NotImplemented");
    let disabled = ENABLED.replace("</Status>", "</Status><MfaDelete>Disabled</MfaDelete>");
    client.put("/bucket?versioning", disabled).await.expect(200);
    client.put("/nowhere?versioning", ENABLED).await.refused(404, "NoSuchBucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_before_says_what_it_takes() {
    let client = Client::with(Choices { age: Age::Old, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let refused = client.put("/bucket?versioning", ENABLED).await.expect(501);
    assert!(refused.text().contains("stratum level raise"), "{}", refused.text());
    client.put("/bucket/a", "x").await.expect(200);
    client.delete("/bucket/a?versionId=null").await.expect(204);
    client.get("/bucket/a").await.refused(404, "NoSuchKey");
    client.delete("/bucket/a?versionId=93c4e6e80000000000000007").await.refused(400, "InvalidArgument");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_is_a_version_that_stays() {
    let client = versioned().await;
    let [one, two] = [put(&client, "a", "one").await, put(&client, "a", "two!").await];
    assert_ne!(one, two);
    let current = client.get("/bucket/a").await.expect(200);
    assert_eq!((current.text().as_str(), id(&current)), ("two!", two.clone()));
    let first = client.get(&format!("/bucket/a?versionId={one}")).await.expect(200);
    assert_eq!((first.text().as_str(), id(&first)), ("one", one.clone()));
    let head = client.send("HEAD", &format!("/bucket/a?versionId={one}"), &[], "").await.expect(200);
    assert_eq!(
        (head.header("content-length"), head.header("x-amz-version-id")),
        (Some("3"), Some(one.as_str()))
    );
    let part = client.get(&format!("/bucket/a?versionId={one}&partNumber=1")).await.expect(206);
    assert_eq!(part.text(), "one");
    let asked = [("x-amz-object-attributes", "ObjectSize")];
    let attributes = client.send("GET", &format!("/bucket/a?attributes&versionId={one}"), &asked, "").await;
    assert_eq!((attributes.element("ObjectSize").as_deref(), id(&attributes)), (Some("3"), one.clone()));
    client.get(&format!("/bucket/a?acl&versionId={one}")).await.expect(200);
    client.get(&format!("/bucket/b?versionId={one}")).await.refused(404, "NoSuchVersion");
    client.get("/bucket/a?versionId=").await.refused(400, "InvalidArgument");
    client.get("/bucket/a?versionId=made-up").await.refused(400, "InvalidArgument");
    client.get("/bucket/a?versionId=null").await.refused(404, "NoSuchVersion");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_the_null_version() {
    let client = with_bucket().await;
    let plain = client.put("/bucket/a", "zero").await.expect(200);
    assert_eq!(plain.header("x-amz-version-id"), None);
    assert_eq!(client.get("/bucket/a").await.header("x-amz-version-id"), None);
    client.put("/bucket?versioning", ENABLED).await.expect(200);
    assert_eq!(id(&client.get("/bucket/a").await), "null");
    put(&client, "a", "one").await;
    assert_eq!(body(&client, "/bucket/a?versionId=null").await, "zero");
    client.put("/bucket?versioning", SUSPENDED).await.expect(200);
    let suspended = client.put("/bucket/a", "two").await.expect(200);
    assert_eq!(suspended.header("x-amz-version-id"), None);
    assert_eq!(body(&client, "/bucket/a?versionId=null").await, "two");
    assert_eq!(client.get("/bucket?versions").await.elements("VersionId").len(), 2);
    assert_eq!(mark(&client, "a").await, "null");
    client.get("/bucket/a?versionId=null").await.refused(405, "MethodNotAllowed");
    assert_eq!(client.get("/bucket?versions").await.elements("VersionId").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_marker_hides_and_is_told() {
    let client = versioned().await;
    let one = put(&client, "a", "one").await;
    let marker = mark(&client, "a").await;
    for method in ["GET", "HEAD"] {
        let hidden = client.send(method, "/bucket/a", &[], "").await.expect(404);
        assert_eq!(hidden.header("x-amz-delete-marker"), Some("true"), "{method}");
        assert_eq!(id(&hidden), marker);
        let named = client.send(method, &format!("/bucket/a?versionId={marker}"), &[], "").await.expect(405);
        assert_eq!(named.header("x-amz-delete-marker"), Some("true"));
        assert_eq!((id(&named), named.header("allow")), (marker.clone(), Some("DELETE")));
        assert!(named.header("last-modified").is_some());
    }
    client.get("/bucket/a").await.refused(404, "NoSuchKey");
    client.get(&format!("/bucket/a?versionId={marker}")).await.refused(405, "MethodNotAllowed");
    assert!(client.get("/bucket").await.elements("Key").is_empty());
    assert_eq!(body(&client, &format!("/bucket/a?versionId={one}")).await, "one");
    client.delete("/bucket").await.refused(409, "BucketNotEmpty");

    let gone = client.delete(&format!("/bucket/a?versionId={marker}")).await.expect(204);
    assert_eq!((gone.header("x-amz-delete-marker"), id(&gone)), (Some("true"), marker.clone()));
    assert_eq!(body(&client, "/bucket/a").await, "one");
    let again = client.delete(&format!("/bucket/a?versionId={marker}")).await.expect(204);
    assert_eq!((again.header("x-amz-delete-marker"), id(&again)), (None, marker));
    let gone = client.delete(&format!("/bucket/a?versionId={one}")).await.expect(204);
    assert_eq!((gone.header("x-amz-delete-marker"), id(&gone)), (None, one));
    let absent = client.get("/bucket/a").await.expect(404);
    assert_eq!(absent.header("x-amz-delete-marker"), Some("false"));
    client.delete("/bucket").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_copied_and_becomes_current_again() {
    let client = versioned().await;
    let [one, two] = [put(&client, "a", "one").await, put(&client, "a", "two").await];
    let copy =
        async |source: &str, to: &str| client.send("PUT", to, &[("x-amz-copy-source", source)], "").await;
    let restored = copy(&format!("bucket/a?versionId={one}"), "/bucket/a").await.expect(200);
    assert_eq!(restored.header("x-amz-copy-source-version-id"), Some(one.as_str()));
    assert!(![one.clone(), two].contains(&id(&restored)));
    assert_eq!(body(&client, "/bucket/a").await, "one");
    let marker = mark(&client, "a").await;
    copy("bucket/a", "/bucket/b").await.refused(404, "NoSuchKey");
    copy(&format!("bucket/a?versionId={marker}"), "/bucket/b").await.refused(400, "InvalidRequest");
    copy("bucket/a?versionId=nonsense", "/bucket/b").await.refused(400, "InvalidArgument");
    copy("bucket/a?versionId=null", "/bucket/b").await.refused(404, "NoSuchVersion");
    let upload = client.post("/bucket/b?uploads", "").await.element("UploadId").unwrap();
    let part = format!("/bucket/b?uploadId={upload}&partNumber=1");
    let copied = copy(&format!("bucket/a?versionId={one}"), &part).await.expect(200);
    assert_eq!(copied.header("x-amz-copy-source-version-id"), Some(one.as_str()));
    let etag = copied.element("ETag").unwrap();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let target = format!("/bucket/b?uploadId={upload}");
    let completed = client.post(&target, &document).await.expect(200);
    assert_eq!(body(&client, &format!("/bucket/b?versionId={}", id(&completed))).await, "one");
    assert_eq!(id(&client.post(&target, &document).await.expect(200)), id(&completed));
}

async fn delete_many(client: &Client, inside: &str) -> Answered {
    let document = format!("<Delete>{inside}</Delete>");
    let md5 = BASE64.encode(Md5::digest(&document));
    client.send("POST", "/bucket?delete", &[("content-md5", &md5)], document).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_versions_are_deleted_at_once() {
    let client = versioned().await;
    let one = put(&client, "a", "one").await;
    let marked = delete_many(&client, "<Object><Key>a</Key></Object>").await;
    let marker = marked.element("DeleteMarkerVersionId").unwrap();
    assert_eq!(
        (marked.element("DeleteMarker").as_deref(), marked.element("VersionId")),
        (Some("true"), None)
    );
    let each = |id: &str| format!("<Object><Key>a</Key><VersionId>{id}</VersionId></Object>");
    let gone = delete_many(&client, &[&one, &marker].map(|id| each(id)).concat()).await;
    assert_eq!(gone.elements("VersionId"), [one.clone(), marker.clone()]);
    assert_eq!(gone.elements("DeleteMarkerVersionId"), [marker]);
    assert!(client.get("/bucket?versions").await.elements("VersionId").is_empty());
    let again = delete_many(&client, &(each(&one) + &each("nonsense"))).await;
    assert_eq!(
        (again.elements("Deleted").len(), again.elements("Code")),
        (1, vec!["NoSuchVersion".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_by_key_and_from_the_newest() {
    let client = versioned().await;
    let a = [put(&client, "a", "1").await, put(&client, "a", "22").await];
    let b = put(&client, "b/1", "x").await;
    let marker = mark(&client, "b/1").await;
    let all = client.get("/bucket?versions").await.expect(200);
    assert_eq!(all.elements("VersionId"), [a[1].clone(), a[0].clone(), marker.clone(), b.clone()]);
    assert_eq!(all.elements("IsLatest"), ["true", "false", "true", "false"]);
    assert_eq!((all.elements("Version").len(), all.elements("DeleteMarker").len()), (3, 1));
    let text = all.text();
    assert!(text.find("<DeleteMarker>").unwrap() < text.rfind("<Version>").unwrap(), "{text}");
    assert_eq!(all.elements("Size"), ["2", "1", "1"]);

    let first = client.get("/bucket?versions&max-keys=1").await;
    let (key, id) = (first.element("NextKeyMarker").unwrap(), first.element("NextVersionIdMarker").unwrap());
    assert_eq!((key.as_str(), &id), ("a", &a[1]));
    let target = format!("/bucket?versions&max-keys=1&key-marker={key}&version-id-marker={id}&delimiter=/");
    let second = client.get(&target).await.expect(200);
    assert_eq!(
        (second.elements("VersionId"), second.elements("IsLatest")),
        (vec![a[0].clone()], vec!["false".into()])
    );
    let target = format!("/bucket?versions&key-marker=a&version-id-marker={}&delimiter=/", a[0]);
    let third = client.get(&target).await.expect(200);
    assert_eq!(third.elements("CommonPrefixes"), ["<Prefix>b/</Prefix>"]);
    assert_eq!(client.get("/bucket?versions&key-marker=a").await.elements("Key"), ["b/1", "b/1"]);
    assert_eq!(client.get("/bucket?versions&prefix=b").await.elements("Key"), ["b/1", "b/1"]);
    for wrong in ["version-id-marker=null", "key-marker=a&version-id-marker=nonsense"] {
        client.get(&format!("/bucket?versions&{wrong}")).await.refused(400, "InvalidArgument");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold_of_what_is_current() {
    let client = versioned().await;
    let put_if = async |header, value| client.send("PUT", "/bucket/a", &[(header, value)], "x").await;
    put_if("if-none-match", "*").await.expect(200);
    put_if("if-none-match", "*").await.refused(412, "PreconditionFailed");
    mark(&client, "a").await;
    put_if("if-match", "*").await.refused(404, "NoSuchKey");
    put_if("if-none-match", "*").await.expect(200);
    let version = id(&client.get("/bucket/a").await);
    let target = format!("/bucket/a?versionId={version}");
    let wrong = [("if-match", "\"other\"")];
    client.send("DELETE", &target, &wrong, "").await.refused(412, "PreconditionFailed");
    client.send("DELETE", "/bucket/a", &wrong, "").await.refused(412, "PreconditionFailed");
    client.send("DELETE", &target, &[("if-match", "*")], "").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_writes_over_a_delete_marker_one_wins() {
    let client = versioned().await;
    for round in 0..5 {
        put(&client, "a", "x").await;
        mark(&client, "a").await;
        let put = |_| client.send("PUT", "/bucket/a", &[("if-none-match", "*")], "x");
        let answers = futures_util::future::join_all((0..12).map(put)).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "round {round}");
        assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status)));
        mark(&client, "a").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_their_owner_s() {
    let client = versioned().await;
    let one = put(&client, "a", "one").await;
    let target = format!("/bucket/a?versionId={one}");
    for method in ["GET", "HEAD", "DELETE"] {
        assert_eq!(client.rig.signed(OTHER, method, &target, &[], b"").await.status, 403, "{method}");
    }
    assert_eq!(
        client.rig.signed(OTHER, "PUT", "/bucket?versioning=", &[], ENABLED.as_bytes()).await.status,
        403
    );
    assert_eq!(client.rig.signed(OTHER, "GET", "/bucket?versions=", &[], b"").await.status, 403);
    assert_eq!(client.rig.signed(ROOT, "GET", &target, &[], b"").await.status, 200);
}
