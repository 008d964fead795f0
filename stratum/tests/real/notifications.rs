//! The events of a real server: they are delivered at least once and in their order, although the webhook was away and
//! the server was killed in between.

use crate::client::client;
use crate::hook::{Hook, Told};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// The keys of the events that were received, in their order, each key once.
fn keys(told: &[Told]) -> Vec<String> {
    let mut keys = Vec::new();
    for (_, body) in told {
        let message: Value = serde_json::from_slice(body).unwrap();
        for record in message["Records"].as_array().into_iter().flatten() {
            let key = record["s3"]["object"]["key"].as_str().unwrap().to_owned();
            if keys.last() != Some(&key) && !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

async fn put(server: &Server, keys: std::ops::Range<u32>) {
    for key in keys {
        let put = client(server).put_object().bucket("bucket").key(format!("{key:04}"));
        put.body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
}

fn events(server: &Server, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.arg("events").args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_delivered_although_the_webhook_is_away_and_the_server_is_killed() {
    let (folder, hook) = (tempfile::tempdir().unwrap(), Hook::start());
    // Nothing listens on the discard port. Events that wait for this webhook don't hold up those for the other.
    let config = format!(
        "[[webhook]]\nname = \"hook\"\nurl = {:?}\n[[webhook]]\nname = \"gone\"\nurl = \"http://127.0.0.1:9/\"\n",
        hook.url()
    );
    std::fs::write(folder.path().join("stratum.toml"), config).unwrap();
    let mut server = Server::start_on(folder, &["data"]);
    client(&server).create_bucket().bucket("bucket").send().await.unwrap();
    let rule = |name: &str, event| {
        QueueConfiguration::builder()
            .queue_arn(format!("arn:aws:sqs:::{name}"))
            .events(event)
            .build()
            .unwrap()
    };
    let rules = NotificationConfiguration::builder()
        .queue_configurations(rule("hook", Event::from("s3:ObjectCreated:*")))
        .queue_configurations(rule("gone", Event::from("s3:ObjectRemoved:*")))
        .build();
    let configured = client(&server).put_bucket_notification_configuration().bucket("bucket");
    configured.notification_configuration(rules).send().await.unwrap();
    put(&server, 0..5).await;
    client(&server).delete_object().bucket("bucket").key("0000").send().await.unwrap();
    let told = hook.wait(|told| keys(told).len() == 5);
    let test: Value = serde_json::from_slice(&told[0].1).unwrap();
    assert_eq!((&test["Event"], &test["Bucket"]), (&"s3:TestEvent".into(), &"bucket".into()));
    assert!(told[0].0.to_lowercase().contains("content-type: application/json"), "{}", told[0].0);

    hook.refuse(true);
    put(&server, 5..10).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.restart();
    put(&server, 10..12).await;
    assert!(events(&server, &["show"]).contains("hook: 7 wait"), "{}", events(&server, &["show"]));
    hook.refuse(false);
    let told = hook.wait(|told| keys(told).len() == 12);
    assert_eq!(keys(&told), (0..12).map(|key| format!("{key:04}")).collect::<Vec<_>>(), "in their order");

    // One that is refused by itself holds up none of those beside it and after it.
    hook.forbid("etc/passwd");
    put(&server, 12..14).await;
    let put_object = client(&server).put_object().bucket("bucket").key("../etc/passwd");
    put_object.body(ByteStream::from_static(b"x")).send().await.unwrap();
    put(&server, 14..16).await;
    let told = hook.wait(|told| keys(told).len() == 16);
    assert_eq!(keys(&told), (0..16).map(|key| format!("{key:04}")).collect::<Vec<_>>());
    assert!(events(&server, &["show"]).contains("hook: 1 wait"), "{}", events(&server, &["show"]));

    // The events for the other webhook wait, until an operator drops them.
    assert!(events(&server, &["show"]).contains("gone: 2 wait"), "{}", events(&server, &["show"]));
    assert!(events(&server, &["drop", "gone"]).contains("2 events"));
    assert!(!events(&server, &["show"]).contains("gone: 2"));
}
