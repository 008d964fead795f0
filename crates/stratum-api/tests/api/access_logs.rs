//! Logs of requests to a bucket, as S3's tools read them.

use crate::client::Client;
use crate::rig::{Age, Answer, Choices, ROOT};
use std::time::Duration;
use stratum_api::log_delivery::AccessLogTask;
use stratum_storage::task::Task;

const LOGGING: &str = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>\
    <TargetPrefix>of-site/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>";

const POLICY: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/of-site/*",
    "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::site"}, "StringEquals": {"aws:SourceAccount": "root"}}}]}"#;

async fn root(client: &Client, method: &str, target: &str, body: &str) -> Answer {
    client.rig.signed(ROOT, method, target, &[("user-agent", "a tool/1.0")], body.as_bytes()).await
}

async fn client() -> Client {
    let client = Client::with(Choices { age: Age::New, anonymous: false, ..Choices::default() }).await;
    for bucket in ["/site", "/logs"] {
        assert_eq!(root(&client, "PUT", bucket, "").await.status, 200);
    }
    client
}

/// Has what waits be delivered.
async fn deliver(client: &Client) {
    AccessLogTask::new(client.rig.store.clone()).ended().await;
}

/// All lines of all objects of the log.
async fn lines(client: &Client) -> Vec<String> {
    let mut lines = Vec::new();
    let listed = root(client, "GET", "/logs?list-type=2", "").await.text();
    for key in listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>")) {
        let object = root(client, "GET", &format!("/logs/{}", key.0), "").await;
        assert_eq!(object.status, 200);
        lines.extend(object.text().lines().map(str::to_owned));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_is_turned_on_where_the_target_lets_logs_in() {
    let client = client().await;
    let status = async |body: &str| {
        let answer = root(&client, "PUT", "/site?logging", body).await;
        (answer.status, answer.code())
    };
    assert_eq!(status(LOGGING).await, (403, "AccessDenied".into()));
    assert_eq!(root(&client, "PUT", "/logs?policy", POLICY).await.status, 204);
    let elsewhere = LOGGING.replace("of-site/", "other/");
    assert_eq!(status(&elsewhere).await.0, 403, "the policy is about another prefix");
    let gone = LOGGING.replace("<TargetBucket>logs", "<TargetBucket>gone");
    assert_eq!(status(&gone).await, (400, "InvalidTargetBucketForLogging".into()));
    assert_eq!(status(LOGGING).await.0, 200);
    let told = root(&client, "GET", "/site?logging", "").await;
    assert_eq!(told.element("TargetBucket").as_deref(), Some("logs"));
    assert!(told.text().contains("<SimplePrefix/>"), "{}", told.text());
    assert_eq!(status("<BucketLoggingStatus/>").await.0, 200);
    assert!(!root(&client, "GET", "/site?logging", "").await.text().contains("LoggingEnabled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_become_lines_of_objects_in_the_target() {
    let client = client().await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    assert_eq!(root(&client, "PUT", "/site/unlogged", "x").await.status, 200);
    assert_eq!(root(&client, "PUT", "/site?logging", LOGGING).await.status, 200);
    let put = root(&client, "PUT", "/site/a%20key", "12345").await;
    root(&client, "GET", "/site/a%20key", "").await;
    client.rig.send("GET", "/site/a%20key?X-Amz-Signature=hush", &[], b"").await;
    deliver(&client).await;
    let lines = lines(&client).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let request = put.header("x-amz-request-id").unwrap();
    let line = &lines[0];
    assert!(line.starts_with("root site ["), "{line}");
    let after = line.split_once("] ").unwrap().1;
    let expected =
        format!("127.0.0.1 root {request} REST.PUT.OBJECT a%20key \"PUT /site/a%20key HTTP/1.1\" 200 - - 5 ");
    assert!(after.starts_with(&expected), "{after}\n{expected}");
    assert!(line.contains("\"a tool/1.0\" - ") && line.contains(" SigV4 - AuthHeader "), "{line}");
    assert!(lines[1].contains(" REST.GET.OBJECT ") && lines[1].contains("\" 200 - 5 5 "), "{}", lines[1]);
    assert!(
        lines[2].contains(" AuthorizationQueryParametersError ") && !lines[2].contains("hush"),
        "{}",
        lines[2]
    );
    assert!(lines.iter().all(|line| !line.contains("unlogged")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_lets_logs_in_no_more_gets_none() {
    let client = client().await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    root(&client, "PUT", "/site?logging", LOGGING).await;
    root(&client, "PUT", "/site/a", "x").await;
    root(&client, "DELETE", "/logs?policy", "").await;
    deliver(&client).await;
    assert_eq!(lines(&client).await, [] as [String; 0]);
    assert!(client.rig.store.access_logs.due(Duration::MAX, true).is_empty(), "nor is it kept for ever");
}
