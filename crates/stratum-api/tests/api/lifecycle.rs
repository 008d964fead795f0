//! The lifecycle rules of a bucket, and what answers about objects tell of them.

use crate::client::Client;
use crate::rig::{Age, Choices};

const RULES: &str = "<LifecycleConfiguration><Rule><ID>a rule</ID><Filter><Prefix>logs/</Prefix></Filter>\
    <Status>Enabled</Status><Expiration><Days>1</Days></Expiration>\
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
    </Rule></LifecycleConfiguration>";

async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_and_half_of_them_never() {
    let client = with_bucket().await;
    client.get("/bucket?lifecycle").await.refused(404, "NoSuchLifecycleConfiguration");
    client.put("/bucket?lifecycle", RULES).await.expect(200);
    let told = client.get("/bucket?lifecycle").await.expect(200);
    assert_eq!((told.element("ID").as_deref(), told.element("Days").as_deref()), (Some("a rule"), Some("1")));
    let second = RULES.replace("</Rule>", "</Rule><Rule><ID>b</ID><Prefix/><Status>Enabled</Status></Rule>");
    client.put("/bucket?lifecycle", second).await.refused(400, "InvalidRequest");
    client.put("/bucket?lifecycle", RULES.replace("Enabled", "On")).await.refused(400, "MalformedXML");
    client
        .put("/bucket?lifecycle", RULES.replace("<Days>1", "<Days>0"))
        .await
        .refused(400, "InvalidArgument");
    assert_eq!(client.get("/bucket?lifecycle").await.elements("ID"), ["a rule"]);
    client.delete("/bucket?lifecycle").await.expect(204);
    client.get("/bucket?lifecycle").await.refused(404, "NoSuchLifecycleConfiguration");
    client.delete("/bucket?lifecycle").await.expect(204);
}

/// What is kept of the rules has to fit into an entry of the journal. What doesn't is the client's mistake.
#[tokio::test(flavor = "multi_thread")]
async fn rules_may_be_long_and_are_refused_where_they_are_too_long() {
    let client = with_bucket().await;
    let document = |rules: usize| {
        let tags: String = (0..10)
            .map(|tag| format!("<Tag><Key>k{tag}</Key><Value>{}</Value></Tag>", "v".repeat(80)))
            .collect();
        let rule = |number: usize| {
            format!(
                "<Rule><ID>{number}</ID><Filter><And><Prefix>logs/</Prefix>{tags}</And></Filter>\
                 <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
            )
        };
        let rules: String = (0..rules).map(rule).collect();
        format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
    };
    client.put("/bucket?lifecycle", document(600)).await.expect(200);
    client.put("/bucket?lifecycle", document(1000)).await.refused(400, "MaxMessageLengthExceeded");
    let told = client.get("/bucket?lifecycle").await.expect(200);
    assert_eq!(told.elements("ID").len(), 600, "the rules before stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_when_and_by_which_rule() {
    let client = with_bucket().await;
    client.put("/bucket?lifecycle", RULES).await.expect(200);
    let stored = client.put("/bucket/logs/a", "x").await.expect(200);
    let told = stored.header("x-amz-expiration").unwrap().to_owned();
    assert!(told.starts_with("expiry-date=\"") && told.ends_with(" GMT\", rule-id=\"a%20rule\""), "{told}");
    for method in ["GET", "HEAD"] {
        let read = client.send(method, "/bucket/logs/a", &[], "").await.expect(200);
        assert_eq!(read.header("x-amz-expiration"), Some(told.as_str()), "{method}");
    }
    assert_eq!(client.put("/bucket/other", "x").await.expect(200).header("x-amz-expiration"), None);
    let begun = client.post("/bucket/logs/parts?uploads", "").await.expect(200);
    assert_eq!(begun.header("x-amz-abort-rule-id"), Some("a%20rule"));
    assert!(begun.header("x-amz-abort-date").is_some_and(|date| date.ends_with("GMT")));
    let upload = begun.element("UploadId").unwrap();
    let parts = client.get(&format!("/bucket/logs/parts?uploadId={upload}")).await.expect(200);
    for name in ["x-amz-abort-date", "x-amz-abort-rule-id"] {
        assert_eq!(parts.header(name), begun.header(name), "{name}");
    }
    let part = client.put(&format!("/bucket/logs/parts?uploadId={upload}&partNumber=1"), "x").await;
    let etag = part.expect(200).header("etag").unwrap().to_owned();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = async || client.post(&format!("/bucket/logs/parts?uploadId={upload}"), &document).await;
    let (first, again) = (complete().await.expect(200), complete().await.expect(200));
    assert!(first.header("x-amz-expiration").is_some_and(|told| told.contains("a%20rule")));
    assert_eq!(again.header("x-amz-expiration"), first.header("x-amz-expiration"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_size_of_a_transition_is_kept_and_told() {
    const MINIMUM: &str = "x-amz-transition-default-minimum-object-size";
    let client = with_bucket().await;
    for name in ["all_storage_classes_128K", "varies_by_storage_class"] {
        let put = client.send("PUT", "/bucket?lifecycle", &[(MINIMUM, name)], RULES).await.expect(200);
        let got = client.get("/bucket?lifecycle").await.expect(200);
        assert_eq!((put.header(MINIMUM), got.header(MINIMUM)), (Some(name), Some(name)));
    }
    let other = client.send("PUT", "/bucket?lifecycle", &[(MINIMUM, "none")], RULES).await;
    other.refused(400, "InvalidRequest");
    client.put("/bucket?lifecycle", RULES).await.expect(200);
    assert_eq!(client.get("/bucket?lifecycle").await.expect(200).header(MINIMUM), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_after_the_year_9999_is_told_as_its_last() {
    let client = with_bucket().await;
    let rules = RULES.replace("<Days>1<", "<Days>2147483647<").replace(">2<", ">2147483647<");
    client.put("/bucket?lifecycle", &rules).await.expect(200);
    let begun = client.post("/bucket/logs/parts?uploads", "").await.expect(200);
    assert_eq!(begun.header("x-amz-abort-date"), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    let upload = begun.element("UploadId").unwrap();
    client.get(&format!("/bucket/logs/parts?uploadId={upload}")).await.expect(200);
    let stored = client.put("/bucket/logs/a", "x").await.expect(200);
    let told = stored.header("x-amz-expiration").unwrap();
    assert!(told.contains("Fri, 31 Dec 9999 23:59:59 GMT"), "{told}");
    // In UTC this is a time of the year 10000.
    let late = RULES.replace("<Days>1</Days>", "<Date>9999-12-31T23:59:59-12:00</Date>");
    client.put("/bucket?lifecycle", late).await.refused(400, "MalformedXML");
}
