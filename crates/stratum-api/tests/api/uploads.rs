//! A multipart upload in one call, for the tests of headers that come with the create request.

use crate::client::Client;

/// Uploads an object of one part; the request that creates the upload has these headers.
pub async fn upload(client: &Client, target: &str, headers: &[(&str, &str)], body: &str) {
    let begun = client.send("POST", &format!("{target}?uploads"), headers, "").await.expect(200);
    let upload = begun.element("UploadId").unwrap();
    let part = client.put(&format!("{target}?partNumber=1&uploadId={upload}"), body).await.expect(200);
    let etag = part.header("etag").unwrap();
    let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let complete = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
    client.post(&format!("{target}?uploadId={upload}"), complete).await.expect(200);
}
