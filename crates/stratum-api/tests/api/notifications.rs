//! Notifications: which webhook is told which events of a bucket, and that an event is recorded in the same write as
//! the change that it tells of.

use crate::client::Client;
use crate::rig::{Age, Choices};
use stratum_events::messages;
use stratum_metadata::record::{EventKind, EventRecord};

async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

fn rule(webhook: &str, event: &str, filter: &str) -> String {
    format!(
        "<QueueConfiguration><Id>{webhook}-{event}</Id><Queue>arn:aws:sqs:us-east-1:1:{webhook}</Queue><Event>{event}</Event>\
         <Filter><S3Key>{filter}</S3Key></Filter></QueueConfiguration>"
    )
}

fn configuration(rules: &[String]) -> String {
    format!("<NotificationConfiguration>{}</NotificationConfiguration>", rules.concat())
}

async fn waiting(client: &Client, webhook: &str) -> Vec<EventRecord> {
    client.rig.store.metadata.local().events(webhook, 100, 100).await.expect("events")
}

/// The kind and the key of each event that waits for a webhook, in their order.
async fn told(client: &Client, webhook: &str) -> Vec<(EventKind, String)> {
    let key = |event: EventRecord| (event.kind, String::from_utf8(event.about.key).unwrap());
    waiting(client, webhook).await.into_iter().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_kept_tested_and_refused_where_it_can_not_be_done() {
    let client = with_bucket().await;
    let target = "/bucket?notification";
    assert!(!client.get(target).await.expect(200).text().contains("QueueConfiguration"));
    let created =
        rule("hook", "s3:ObjectCreated:*", "<FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule>");
    client.put(target, configuration(std::slice::from_ref(&created))).await.expect(200);
    let kept = client.get(target).await.expect(200);
    assert_eq!(kept.element("Queue").as_deref(), Some("arn:aws:sqs:us-east-1:1:hook"));
    assert_eq!(kept.elements("Value"), ["in/"]);
    assert_eq!(told(&client, "hook").await, [(EventKind::TestEvent, String::new())]);
    let skip = [("x-amz-skip-destination-validation", "true")];
    client.send("PUT", target, &skip, configuration(std::slice::from_ref(&created))).await.expect(200);
    assert_eq!(told(&client, "hook").await.len(), 1, "nobody was to be told");
    for (rules, status, code) in [
        (vec![rule("unknown", "s3:ObjectCreated:*", "")], 400, "InvalidArgument"),
        (vec![rule("hook", "s3:Nothing:*", "")], 400, "InvalidArgument"),
        (vec![rule("hook", "s3:Replication:*", "")], 501, "NotImplemented"),
        (vec![created.clone(), rule("other", "s3:ObjectCreated:Put", "")], 400, "InvalidArgument"),
        (vec!["<EventBridgeConfiguration/>".into()], 501, "NotImplemented"),
        (vec!["<Nothing/>".into()], 400, "MalformedXML"),
    ] {
        client.put(target, configuration(&rules)).await.refused(status, code);
    }
    assert_eq!(client.get(target).await.elements("Event"), ["s3:ObjectCreated:*"], "nothing was half kept");
    client.put(target, configuration(&[])).await.expect(200);
    assert!(!client.get(target).await.text().contains("QueueConfiguration"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_to_whom_it_concerns() {
    use EventKind::{
        ObjectAclPut, ObjectCreatedCompleteMultipartUpload, ObjectCreatedCopy, ObjectCreatedPut,
        ObjectRemovedDelete, ObjectRemovedDeleteMarkerCreated, ObjectTaggingDelete, ObjectTaggingPut,
    };
    let client = with_bucket().await;
    let suffix = "<FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule>";
    let rules = [
        rule("hook", "s3:ObjectCreated:*", suffix),
        rule("hook", "s3:ObjectRemoved:*", ""),
        rule("other", "s3:ObjectTagging:*", ""),
    ];
    let skip = [("x-amz-skip-destination-validation", "true")];
    client.send("PUT", "/bucket?notification", &skip, configuration(&rules)).await.expect(200);
    client.put("/bucket/a.jpg", "12345").await.expect(200);
    client.put("/bucket/a.png", "12345").await.expect(200);
    client.send("PUT", "/bucket/b.jpg", &[("x-amz-copy-source", "/bucket/a.jpg")], "").await.expect(200);
    client
        .send("PUT", "/bucket/a.jpg", &[("if-none-match", "*")], "x")
        .await
        .refused(412, "PreconditionFailed");
    let begun = client.post("/bucket/c.jpg?uploads", "").await.expect(200);
    let upload = begun.element("UploadId").unwrap();
    let part = client.put(&format!("/bucket/c.jpg?partNumber=1&uploadId={upload}"), "x").await.expect(200);
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        part.header("etag").unwrap()
    );
    client.post(&format!("/bucket/c.jpg?uploadId={upload}"), complete).await.expect(200);
    let tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    client.put("/bucket/a.png?tagging", tags).await.expect(200);
    client.delete("/bucket/a.png?tagging").await.expect(204);
    client.delete("/bucket/a.png").await.expect(204);
    client.delete("/bucket/absent").await.expect(204);
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    client.put("/bucket?versioning", versioned).await.expect(200);
    let marked = client.delete("/bucket/a.jpg").await.expect(204);
    let name = |(kind, key): (EventKind, &str)| (kind, key.to_owned());
    let expected = [
        (ObjectCreatedPut, "a.jpg"),
        (ObjectCreatedCopy, "b.jpg"),
        (ObjectCreatedCompleteMultipartUpload, "c.jpg"),
        (ObjectRemovedDelete, "a.png"),
        (ObjectRemovedDeleteMarkerCreated, "a.jpg"),
    ];
    assert_eq!(told(&client, "hook").await, expected.map(name));
    assert_eq!(
        told(&client, "other").await,
        [(ObjectTaggingPut, "a.png"), (ObjectTaggingDelete, "a.png")].map(name)
    );
    assert!(!told(&client, "hook").await.contains(&(ObjectAclPut, "a.png".into())));

    let events = waiting(&client, "hook").await;
    let message: serde_json::Value = serde_json::from_str(&messages(&events)[0].json).unwrap();
    let records = message["Records"].as_array().unwrap();
    assert_eq!(records[0]["s3"]["object"]["size"], 5);
    assert_eq!(records[0]["s3"]["configurationId"], "hook-s3:ObjectCreated:*");
    assert_eq!(records[0]["userIdentity"]["principalId"], "root");
    assert_eq!(records[0]["requestParameters"]["sourceIPAddress"], "127.0.0.1");
    assert_eq!(records[4]["s3"]["object"]["versionId"], marked.header("x-amz-version-id").unwrap());
    let order: Vec<_> =
        records.iter().map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap()).collect();
    assert!(order.is_sorted_by(|one, next| one < next), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_told_as_one() {
    let client = with_bucket().await;
    let rules = [rule("hook", "s3:ObjectCreated:Post", "")];
    let skip = [("x-amz-skip-destination-validation", "true")];
    client.send("PUT", "/bucket?notification", &skip, configuration(&rules)).await.expect(200);
    let form = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nposted\r\n--x\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhello\r\n--x--\r\n";
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    client.send("POST", "/bucket", &kind, form).await.expect(204);
    client.put("/bucket/put", "x").await.expect(200);
    assert_eq!(told(&client, "hook").await, [(EventKind::ObjectCreatedPost, "posted".to_owned())]);
}
