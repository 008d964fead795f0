//! The audit of a real server: its files and its webhook.

use crate::client::client;
use crate::hook::{Hook, Told};
use crate::server::Server;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

/// The operations that the records tell of, in their order.
fn operations(text: &str) -> Vec<String> {
    let operation = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["operation"].as_str().unwrap().to_owned()
    };
    text.lines().map(operation).collect()
}

fn bodies(told: &[Told]) -> String {
    told.iter().map(|(_, body)| std::str::from_utf8(body).unwrap()).collect()
}

/// Sends one request of each kind that is audited, and a GET, which isn't.
async fn work(server: &Server) {
    client(server).create_bucket().bucket("bucket").send().await.unwrap();
    let put = client(server).put_object().bucket("bucket").key("a").body(ByteStream::from_static(b"x"));
    put.send().await.unwrap();
    client(server).get_object().bucket("bucket").key("a").send().await.unwrap();
    client(server).delete_object().bucket("bucket").key("a").send().await.unwrap();
}

/// The operations of [`work`] that are audited.
const DONE: [&str; 3] = ["CreateBucket", "PutObject", "DeleteObject"];

#[tokio::test(flavor = "multi_thread")]
async fn audit_records_are_kept_in_a_file_and_reach_a_webhook_that_was_away() {
    let (folder, hook) = (tempfile::tempdir().unwrap(), Hook::start());
    let (file, token) = (folder.path().join("audit.jsonl"), folder.path().join("token"));
    std::fs::write(&token, "a-secret\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[[webhook]]\nname = \"hook\"\nurl = {:?}\ntoken_file = {token:?}\n[audit]\nfile = {file:?}\nwebhook = \"hook\"\n",
        hook.url()
    );
    std::fs::write(folder.path().join("stratum.toml"), config).unwrap();
    hook.refuse(true);
    let mut server = Server::start_on(folder, &["data"]);
    work(&server).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    hook.refuse(false);
    let told = hook.wait(|told| bodies(told).lines().count() >= DONE.len());
    let (head, _) = &told[0];
    assert!(head.starts_with("POST /told?by=stratum HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer a-secret\r\n"), "{head}");
    assert_eq!(operations(&bodies(&told)), DONE);
    // The record of a request that was answered just before the stop is in the file, too.
    client(&server).delete_bucket().bucket("bucket").send().await.unwrap();
    assert_eq!(server.stop(), Some(0));
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(operations(&kept), [DONE.as_slice(), &["DeleteBucket"]].concat());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}
