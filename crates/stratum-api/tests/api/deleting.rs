//! DeleteObjects.

use crate::client::{Answered, Client};
use crate::rig::OTHER;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

async fn delete(client: &Client, document: &str) -> Answered {
    let md5 = BASE64.encode(Md5::digest(document));
    client.send("POST", "/bucket?delete", &[("content-md5", &md5)], document).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_deleted_whether_they_were_there_or_not() {
    let client = Client::with_bucket().await;
    for key in ["a", "%20", "kept"] {
        client.put(&format!("/bucket/{key}"), "x").await.expect(200);
    }
    let document = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key>\
        <VersionId>null</VersionId></Object><Object><Key> </Key></Object><Object><Key>absent</Key></Object></Delete>";
    let answer = delete(&client, document).await.expect(200);
    assert_eq!(answer.elements("Key"), ["a", " ", "absent"]);
    assert_eq!(answer.elements("VersionId"), ["null"]);
    assert_eq!(client.get("/bucket").await.elements("Key"), ["kept"]);

    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>kept</Key></Object></Delete>";
    let answer = delete(&client, quiet).await.expect(200);
    assert!(!answer.text().contains("kept"), "{}", answer.text());
    assert!(client.get("/bucket").await.elements("Key").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deleted_is_told_by_key() {
    let client = Client::with_bucket().await;
    client.put("/bucket/a", "xyz").await.expect(200);
    let long = "k".repeat(1025);
    let document = format!(
        "<Delete><Object><Key>a</Key><ETag>other</ETag></Object><Object><Key>a</Key><Size>4</Size></Object>\
         <Object><Key>a</Key><LastModifiedTime>Thu, 01 Jan 2015 00:00:00 GMT</LastModifiedTime></Object>\
         <Object><Key>a</Key><VersionId>1</VersionId></Object><Object><Key>{long}</Key></Object>\
         <Object><Key>absent</Key><ETag>other</ETag></Object></Delete>"
    );
    let answer = delete(&client, &document).await.expect(200);
    let failed = "PreconditionFailed";
    assert_eq!(answer.elements("Code"), [failed, failed, failed, "NoSuchVersion", "KeyTooLongError"]);
    assert_eq!(answer.elements("Deleted"), ["<Key>absent</Key>"]);

    let head = client.send("HEAD", "/bucket/a", &[], "").await.expect(200);
    let modified = head.header("last-modified").unwrap();
    let right = format!(
        "<Delete><Object><Key>a</Key><ETag>\"d16fb36f0911f878998c136191af705e\"</ETag><Size>3</Size>\
         <LastModifiedTime>{modified}</LastModifiedTime></Object></Delete>"
    );
    let answer = delete(&client, &right).await.expect(200);
    assert_eq!(answer.elements("Deleted"), ["<Key>a</Key>"]);
    client.get("/bucket/a").await.refused(404, "NoSuchKey");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_asked_for_by_itself() {
    let client = Client::with_bucket().await;
    client.put("/bucket/a", "x").await.expect(200);
    let document =
        "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>";
    let md5 = BASE64.encode(Md5::digest(document));
    let headers = [("content-md5", md5.as_str())];
    let answer = client.rig.signed(OTHER, "POST", "/bucket?delete=", &headers, document.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text().matches("<Code>AccessDenied</Code>").count(), 2, "{}", answer.text());
    client.get("/bucket/a").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_must_be_whole_and_verified() {
    let client = Client::with_bucket().await;
    client
        .post("/bucket?delete", "<Delete><Object><Key>a</Key></Object></Delete>")
        .await
        .refused(400, "InvalidRequest");
    let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    client.send("POST", "/bucket?delete", &wrong, "<Delete/>").await.refused(400, "BadDigest");
    let checksum = [("x-amz-checksum-crc32", "AAAAAA==")];
    client.send("POST", "/bucket?delete", &checksum, "<Delete/>").await.refused(400, "BadDigest");
    let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
    delete(&client, &many).await.refused(400, "MalformedXML");
    delete(&client, "<!DOCTYPE a [<!ENTITY b \"c\">]><Delete>&b;</Delete>")
        .await
        .refused(400, "MalformedXML");
    delete(&client, "").await.refused(400, "MissingRequestBodyError");
}
