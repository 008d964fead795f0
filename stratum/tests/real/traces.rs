//! The access logs of a running server, used as a trace for `stratum tier simulate`.

use crate::client::client;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLoggingStatus, LoggingEnabled};
use serde_json::Value;
use std::process::{Command, Output};

const POLICY: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/of-site/*"}]}"#;

fn stratum(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).env("AWS_ENDPOINT_URL", server.endpoint());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// Turns on the access logs of a bucket.
async fn log_to(client: &Client, bucket: &str, target: &str) {
    let enabled = LoggingEnabled::builder().target_bucket(target).target_prefix("of-site/").build().unwrap();
    let status = BucketLoggingStatus::builder().logging_enabled(enabled).build();
    client.put_bucket_policy().bucket(target).policy(POLICY).send().await.unwrap();
    client.put_bucket_logging().bucket(bucket).bucket_logging_status(status).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_logs_of_a_server_can_be_simulated() {
    let mut server = Server::start();
    let s3 = client(&server);
    for bucket in ["site", "logs"] {
        s3.create_bucket().bucket(bucket).send().await.unwrap();
    }
    log_to(&s3, "site", "logs").await;
    for (key, length) in [("a page.html", 70_000), ("video.bin", 300_000), ("never-read", 5)] {
        let body = ByteStream::from(vec![7; length]);
        s3.put_object().bucket("site").key(key).body(body).send().await.unwrap();
    }
    let get = |key: &str| s3.get_object().bucket("site").key(key);
    for _ in 0..3 {
        get("a page.html").send().await.unwrap().body.collect().await.unwrap();
    }
    get("video.bin").range("bytes=100000-149999").send().await.unwrap().body.collect().await.unwrap();
    s3.head_object().bucket("site").key("never-read").send().await.unwrap();
    s3.list_objects_v2().bucket("site").send().await.unwrap();
    assert!(get("nothing").send().await.is_err());
    // Lines of the access log that wait are delivered when the server stops.
    assert_eq!(server.stop(), Some(0));
    server.restart();

    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().to_str().unwrap();
    let synced = stratum(&server, &["sync", "s3://logs/of-site", logs]);
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    let trace = format!("access-log:{logs}");
    let priced = stratum(&server, &["tier", "simulate", "--trace", &trace, "--json"]);
    let told = String::from_utf8_lossy(&priced.stderr);
    assert!(priced.status.success(), "{told}");
    assert!(told.contains("4 of ") && told.contains(" lines tell of reads"), "{told}");
    let priced: Value = serde_json::from_slice(&priced.stdout).unwrap();
    let trace = &priced["trace"];
    assert_eq!(
        (&trace["reads"], &trace["objects"], &trace["bytes"]),
        (&4.into(), &2.into(), &370_000.into())
    );
    assert!(priced["policies"]["cost"]["total"].as_f64().unwrap() > 0.0, "{priced}");
}
