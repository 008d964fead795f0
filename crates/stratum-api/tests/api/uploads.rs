//! Multipart uploads for tests of what comes with one.

use crate::client::Client;

/// Uploads an object of one part, which begins with these headers.
pub async fn upload(client: &Client, target: &str, headers: &[(&str, &str)], body: &str) {
    let begun = client.send("POST", &format!("{target}?uploads"), headers, "").await.expect(200);
    let upload = begun.element("UploadId").unwrap();
    let part = client.put(&format!("{target}?partNumber=1&uploadId={upload}"), body).await.expect(200);
    let etag = part.header("etag").unwrap();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let complete = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    client.post(&format!("{target}?uploadId={upload}"), complete).await.expect(200);
}
