//! Quotas: a write that would exceed one is refused, and before its body is read where the length is declared.

use crate::client::Client;
use crate::rig::{Age, Choices, OTHER};
use bytes::Bytes;
use stratum_metadata::command::{Command, Outcome, QuotaOf};
use stratum_metadata::record::{Counted, Quota};

async fn with_bucket() -> Client {
    let client = Client::with(Choices { age: Age::New, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client
}

async fn commit(client: &Client, command: Command) -> Outcome {
    client.rig.store.metadata.commit(command, Bytes::new()).await.expect("a commit")
}

async fn bound(client: &Client, quota: Quota) {
    let bucket = client.rig.store.metadata.local().bucket("bucket").unwrap().unwrap().id;
    commit(client, Command::SetQuota { of: QuotaOf::Bucket(bucket), quota: Some(quota) }).await;
    while client.rig.store.metadata.local().usage(bucket).unwrap().unwrap().counted != Counted::All {
        commit(client, Command::CountUsage { bucket }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_for_a_bucket_is_refused() {
    let client = with_bucket().await;
    client.put("/bucket/before", vec![1; 100]).await.expect(200);
    bound(&client, Quota { bytes: Some(1000), objects: Some(3) }).await;
    client.put("/bucket/a", vec![1; 900]).await.expect(200);
    client.put("/bucket/b", vec![1; 1]).await.refused(403, "QuotaExceeded");
    client.get("/bucket/b").await.refused(404, "NoSuchKey");
    client.put("/bucket/a", vec![1; 901]).await.refused(403, "QuotaExceeded");
    client.put("/bucket/a", vec![1; 400]).await.expect(200);
    let copy = [("x-amz-copy-source", "/bucket/a")];
    client.send("PUT", "/bucket/copy", &copy, "").await.expect(200);
    let bigger = client.send("PUT", "/bucket/before", &copy, "").await;
    bigger.refused(403, "QuotaExceeded");
    client.put("/bucket/fourth", "").await.refused(403, "QuotaExceeded");
    client.delete("/bucket/copy").await.expect(204);
    client.put("/bucket/fourth", vec![1; 400]).await.expect(200);
}

/// With versioning suspended, a write takes the place of the null version, and of no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_the_place_of_a_version_is_no_growth() {
    let client = with_bucket().await;
    let versioning = async |status: &str| {
        let document =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        client.put("/bucket?versioning", document).await.expect(200);
    };
    versioning("Enabled").await;
    client.put("/bucket/kept", vec![1; 300]).await.expect(200);
    versioning("Suspended").await;
    bound(&client, Quota { bytes: Some(1000), objects: Some(2) }).await;
    client.put("/bucket/a", vec![1; 600]).await.expect(200);
    client.put("/bucket/a", vec![1; 700]).await.expect(200);
    client.put("/bucket/a", vec![1; 701]).await.refused(403, "QuotaExceeded");
    client.put("/bucket/kept", "").await.refused(403, "QuotaExceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_over_a_quota_are_not_awaited() {
    let client = with_bucket().await;
    bound(&client, Quota { bytes: Some(1000), objects: None }).await;
    // Ten million bytes are announced and none is sent, so the answer comes only if the server doesn't wait for them.
    let head = crate::rig::request(
        "PUT",
        "/bucket/a",
        &[("content-length", "10000000"), ("expect", "100-continue")],
        b"",
    );
    let answer = client.rig.raw(&head, false).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "QuotaExceeded"), "{}", answer.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_count_before_they_are_an_object() {
    let client = with_bucket().await;
    bound(&client, Quota { bytes: Some(1000), objects: Some(1) }).await;
    let begun = client.post("/bucket/a?uploads", "").await.expect(200);
    let upload = begun.element("UploadId").unwrap();
    let part = |number: u32| format!("/bucket/a?partNumber={number}&uploadId={upload}");
    client.put(&part(1), vec![1; 600]).await.expect(200);
    client.put(&part(2), vec![1; 600]).await.refused(403, "QuotaExceeded");
    client.put(&part(1), vec![1; 800]).await.expect(200);
    client.put("/bucket/b", vec![1; 300]).await.refused(403, "QuotaExceeded");
    client.delete(&format!("/bucket/a?uploadId={upload}")).await.expect(204);
    client.put("/bucket/b", vec![1; 300]).await.expect(200);
}

/// Whoever uploads parts and completes nothing is bounded by the user's quota as by the bucket's, also where the parts are
/// copied, and in all buckets together.
#[tokio::test(flavor = "multi_thread")]
async fn parts_count_for_the_user_whether_they_are_sent_or_copied() {
    let client = with_bucket().await;
    let quota = Some(Quota { bytes: Some(1000), objects: None });
    commit(&client, Command::SetQuota { of: QuotaOf::User("other".into()), quota }).await;
    let rig = &client.rig;
    let send = async |method: &str, target: &str, source: &str, length: usize| {
        let copy = [("x-amz-copy-source", source)];
        let headers = if source.is_empty() { &[][..] } else { &copy };
        rig.signed(OTHER, method, target, headers, &vec![1; length]).await
    };
    for bucket in ["/one", "/two"] {
        assert_eq!(send("PUT", bucket, "", 0).await.status, 200);
    }
    assert_eq!(send("PUT", "/one/source", "", 300).await.status, 200);
    let mut begun = Vec::new();
    for key in ["/one/a", "/two/a"] {
        let upload = send("POST", &format!("{key}?uploads"), "", 0).await.element("UploadId").unwrap();
        begun.push(format!("{key}?uploadId={upload}"));
    }
    let part = |upload: usize, number: u32| format!("{}&partNumber={number}", begun[upload]);
    assert_eq!(send("PUT", &part(0, 1), "", 300).await.status, 200);
    assert_eq!(send("PUT", &part(1, 1), "/one/source", 0).await.status, 200);
    assert_eq!(send("PUT", &part(1, 2), "/one/source", 0).await.code(), "QuotaExceeded");
    assert_eq!(send("PUT", &part(0, 2), "", 101).await.code(), "QuotaExceeded");
    let named = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    let etag = send("PUT", &part(0, 1), "", 400).await.header("etag").unwrap().to_owned();
    let named = named.replace("</Part>", &format!("<ETag>{etag}</ETag></Part>"));
    let completed = rig.signed(OTHER, "POST", &begun[0], &[], named.as_bytes()).await;
    assert_eq!(completed.status, 200, "{}", completed.text());
    assert_eq!(
        send("PUT", "/one/b", "", 1).await.code(),
        "QuotaExceeded",
        "the object has taken the part's place"
    );
    assert_eq!(send("DELETE", &begun[1], "", 0).await.status, 204);
    assert_eq!(send("PUT", "/one/b", "", 300).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_buckets_of_a_user_count_together_and_nobody_else_s() {
    let client = with_bucket().await;
    let quota = Some(Quota { bytes: Some(1000), objects: None });
    commit(&client, Command::SetQuota { of: QuotaOf::User("other".into()), quota }).await;
    let rig = &client.rig;
    for bucket in ["/one", "/two"] {
        assert_eq!(rig.signed(OTHER, "PUT", bucket, &[], b"").await.status, 200);
    }
    let put = async |target: &str, length: usize| {
        let answer = rig.signed(OTHER, "PUT", target, &[], &vec![1; length]).await;
        (answer.status, answer.code())
    };
    assert_eq!(put("/one/a", 600).await.0, 200);
    assert_eq!(put("/two/a", 600).await, (403, "QuotaExceeded".into()));
    assert_eq!(put("/two/a", 300).await.0, 200);
    assert_eq!(put("/two/b", 300).await, (403, "QuotaExceeded".into()));
    client.put("/bucket/a", vec![1; 5000]).await.expect(200);
    // Of requests at the same time only as many succeed as the quota has room for, whichever bucket they write to: 100
    // bytes are left, so three of 30 bytes.
    let racing = (0..20).map(|number| {
        let target = format!("/{}/racing-{number}", ["one", "two"][number % 2]);
        async move { rig.signed(OTHER, "PUT", &target, &[], &[1; 30]).await.status }
    });
    let statuses = futures_util::future::join_all(racing).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
}
