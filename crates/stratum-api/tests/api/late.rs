//! Answers that are begun before they are known, as those to long copies are.

use crate::client::{Answered, Client};
use crate::rig::{Choices, noise};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// A server that begins an answer after a millisecond, and an object that takes longer to copy.
async fn impatient() -> Client {
    let late_after = Duration::from_millis(1);
    let client = Client::with(Choices { late_after, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    client.put("/bucket/source", noise(1, 24 * MIB)).await.expect(200);
    client
}

async fn copy(client: &Client, target: &str, more: &[(&str, &str)]) -> Answered {
    client.send("PUT", target, &[&[("x-amz-copy-source", "/bucket/source")], more].concat(), "").await
}

fn is_late(answer: &Answered) -> bool {
    answer.header("transfer-encoding") == Some("chunked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_copy_begins_its_answer_and_tells_the_outcome_in_the_document() {
    let client = impatient().await;
    let copied = copy(&client, "/bucket/k", &[("x-amz-server-side-encryption", "AES256")]).await.expect(200);
    assert!(is_late(&copied), "{}", copied.head);
    assert!(copied.text().starts_with("<?xml") && copied.text().ends_with("</CopyObjectResult>"));
    assert_eq!(copied.header("x-amz-server-side-encryption"), Some("AES256"));
    assert!(copied.header("x-amz-request-id").is_some());
    assert!(client.get("/bucket/k").await.expect(200).body == noise(1, 24 * MIB));
    // What shows only with the write, after the answer was begun, is told in the document. The audit has the status.
    client.rig.audit.lock().take(usize::MAX);
    let refused = copy(&client, "/bucket/k", &[("if-none-match", "*")]).await;
    assert!(is_late(&refused), "{}", refused.head);
    assert_eq!((refused.status, refused.code().as_str()), (200, "PreconditionFailed"));
    assert!(refused.text().contains("<Condition>If-None-Match</Condition>"), "{}", refused.text());
    let lines = client.rig.audit.lock().take(usize::MAX);
    let told = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told: Vec<_> = told.filter_map(|line| line["status"].as_u64()).collect();
    assert_eq!(told, [412]);
    // What shows before anything was copied has its own status.
    let missing = [("x-amz-copy-source", "/bucket/none")];
    client.send("PUT", "/bucket/k", &missing, "").await.refused(404, "NoSuchKey");
    copy(&client, "/bucket/source", &[]).await.refused(400, "InvalidRequest");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_copied_and_an_upload_is_completed_however_late_the_answers_are() {
    let client = impatient().await;
    let begun = client.post("/bucket/k?uploads", "").await.expect(200);
    let target = format!("/bucket/k?uploadId={}", begun.element("UploadId").unwrap());
    let part = copy(&client, &format!("{target}&partNumber=1"), &[]).await.expect(200);
    assert!(is_late(&part) && part.text().ends_with("</CopyPartResult>"), "{}{}", part.head, part.text());
    let etag = part.element("ETag").unwrap();
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let completed = client.post(&target, complete).await.expect(200);
    assert!(completed.text().ends_with("</CompleteMultipartUploadResult>"), "{}", completed.text());
    assert!(client.get("/bucket/k").await.expect(200).body == noise(1, 24 * MIB));
}
