//! A journal near its cap: a write for which it has no room is refused before the body is read.

use crate::client::Client;
use crate::rig::{Choices, answer, noise, request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A server whose journal is too full for ordinary writes, and the id of an upload that is under way to the key
/// `parts`.
async fn full() -> (Client, String) {
    let client = Client::with(Choices { journal_cap: 1 << 20, ..Choices::default() }).await;
    client.put("/bucket", "").await.expect(200);
    let upload = client.post("/bucket/parts?uploads", "").await.expect(200).element("UploadId").unwrap();
    for (size, prefix) in [(30_000, "long"), (4_000, "short"), (1, "tiny")] {
        for number in 0.. {
            if client.put(&format!("/bucket/{prefix}-{number}"), noise(number, size)).await.status != 200 {
                break;
            }
        }
    }
    (client, upload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_journal_refuses_a_body_before_it_is_read() {
    let (client, upload) = full().await;
    for target in ["/bucket/key".to_owned(), format!("/bucket/parts?uploadId={upload}&partNumber=1")] {
        let length = (300 << 20).to_string();
        let headers = [("content-length", length.as_str()), ("expect", "100-continue")];
        let mut connection = TcpStream::connect(client.rig.address).await.unwrap();
        connection.write_all(&request("PUT", &target, &headers, b"")).await.unwrap();
        let refused = answer(&mut connection, false).await.expect("an answer, without the body");
        assert_eq!((refused.status, refused.code().as_str()), (503, "SlowDown"), "{target}");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(refused.element("Message").unwrap().contains("Nothing was written"));
    }
    let copied = [("x-amz-copy-source", "/bucket/long-0")];
    client.send("PUT", "/bucket/copy", &copied, "").await.refused(503, "SlowDown");
    client.delete("/bucket/long-0").await.expect(204);
}
