//! Logs of requests to a bucket, as S3's tools read them.

use crate::client::Client;
use crate::rig::{Age, Answer, Choices, OTHER, ROOT};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_api::log_delivery::AccessLogTask;
use stratum_metadata::record::ObjectOwnership;
use stratum_storage::task::Task;
use tokio::runtime::Handle;

const LOGGING: &str = "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>\
    <TargetPrefix>of-site/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>";

const POLICY: &str = r#"{"Statement": [{"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/of-site/*",
    "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::site"}, "StringEquals": {"aws:SourceAccount": "root"}}}]}"#;

async fn root(client: &Client, method: &str, target: &str, body: &str) -> Answer {
    client.rig.signed(ROOT, method, target, &[("user-agent", "a tool/1.0")], body.as_bytes()).await
}

async fn client() -> Client {
    client_where(Choices::default().object_ownership).await
}

async fn client_where(object_ownership: ObjectOwnership) -> Client {
    let choices = Choices { age: Age::New, anonymous: false, object_ownership, ..Choices::default() };
    let client = Client::with(choices).await;
    for bucket in ["/site", "/logs"] {
        assert_eq!(root(&client, "PUT", bucket, "").await.status, 200);
    }
    client
}

/// Has all lines be delivered that wait.
async fn deliver(client: &Client) {
    AccessLogTask::new(client.rig.store.clone()).ended().await;
}

/// All lines of all log objects in the target bucket.
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

/// The lines that are logged about a bucket of root's while `done` runs.
pub async fn of_bucket(client: &Client, bucket: &str, done: impl AsyncFnOnce()) -> Vec<String> {
    assert_eq!(root(client, "PUT", "/logs", "").await.status, 200);
    let of_it = |document: &str| document.replace(":::site", &format!(":::{bucket}"));
    assert_eq!(root(client, "PUT", "/logs?policy", &of_it(POLICY)).await.status, 204);
    assert_eq!(root(client, "PUT", &format!("/{bucket}?logging"), LOGGING).await.status, 200);
    done().await;
    deliver(client).await;
    lines(client).await
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
    assert!(!told.text().contains("TargetObjectKeyFormat"), "nobody put it: {}", told.text());
    let simple = "<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat></LoggingEnabled>";
    assert_eq!(status(&LOGGING.replace("</LoggingEnabled>", simple)).await.0, 200);
    assert!(root(&client, "GET", "/site?logging", "").await.text().contains("<SimplePrefix/>"));
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
    root(&client, "GET", "/site/a%20key?acl", "").await;
    client.rig.raw(b"GET /site/a%20key HTTP/1.0\r\nhost: localhost\r\n\r\n", false).await;
    deliver(&client).await;
    let lines = lines(&client).await;
    assert_eq!(lines.len(), 5, "{lines:?}");
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
    let (_, of_acl) = lines[3].split_once("?acl HTTP/1.1\" 200 - ").unwrap();
    let sizes: Vec<_> = of_acl.split(' ').take(2).collect();
    assert!(sizes[0] != "-" && sizes[1] == "-", "a document's length is no object's size: {}", lines[3]);
    assert!(lines[4].contains("\"GET /site/a%20key HTTP/1.0\" 403 "), "{}", lines[4]);
    assert!(lines.iter().all(|line| !line.contains("unlogged")));
}

/// Counts what is told of dropped lines.
#[derive(Default)]
struct Dropped(Arc<AtomicU64>);

impl Recorder for Dropped {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "stratum_access_log_lines_dropped_total" => Counter::from_arc(self.0.clone()),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_what_is_logged_no_more_are_counted() {
    let client = client().await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    let dropped = Dropped::default();
    let count = || {
        let deliver = || Handle::current().block_on(deliver(&client));
        tokio::task::block_in_place(|| metrics::with_local_recorder(&dropped, deliver));
        dropped.0.swap(0, Ordering::Relaxed)
    };
    root(&client, "PUT", "/site?logging", LOGGING).await;
    root(&client, "PUT", "/site/a", "x").await;
    assert_eq!(count(), 0);
    root(&client, "GET", "/site/a", "").await;
    root(&client, "PUT", "/site?logging", "<BucketLoggingStatus/>").await;
    assert_eq!(count(), 2, "of the read, and of the end of the logging");
    root(&client, "PUT", "/site?logging", LOGGING).await;
    root(&client, "DELETE", "/site/a", "").await;
    root(&client, "DELETE", "/site", "").await;
    assert_eq!(count(), 2, "of both deletions");
}

/// The request has its line, and each object that it names has one with what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_that_are_deleted_has_a_line() {
    let client = client().await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    root(&client, "PUT", "/site/a%20key", "12345").await;
    assert_eq!(root(&client, "PUT", "/site?logging", LOGGING).await.status, 200);
    let document = "<Delete><Object><Key>a key</Key></Object>\
        <Object><Key>b</Key><VersionId>nonsense</VersionId></Object></Delete>";
    let digest = crate::policies::md5(document.as_bytes());
    let headers = [("content-md5", digest.as_str()), ("user-agent", "a tool/1.0")];
    let deleted = client.rig.signed(ROOT, "POST", "/site?delete", &headers, document.as_bytes()).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    deliver(&client).await;
    let lines = lines(&client).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let request = deleted.header("x-amz-request-id").unwrap();
    assert!(
        lines[0].contains(" REST.POST.MULTI_OBJECT_DELETE - \"POST /site?delete HTTP/1.1\" 200 "),
        "{}",
        lines[0]
    );
    // The lines are in the order in which the objects were deleted.
    for came in ["a%20key - 204 - - - - - - - -", "b - 404 NoSuchVersion - - - - - - nonsense"] {
        let expected = format!(" root {request} BATCH.DELETE.OBJECT {came} {request} SigV4 - AuthHeader ");
        let has = |line: &String| line.starts_with("root site [") && line.contains(&expected);
        assert!(lines[1..].iter().any(has), "{lines:?}\n{expected}");
    }
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

/// The document of the logging configuration, with a grantee who may read the delivered logs.
fn granting(grantee: &str) -> String {
    let grant = format!("<Grant><Grantee>{grantee}</Grantee><Permission>READ</Permission></Grant>");
    LOGGING.replace("</LoggingEnabled>", &format!("<TargetGrants>{grant}</TargetGrants></LoggingEnabled>"))
}

#[tokio::test(flavor = "multi_thread")]
async fn others_may_read_a_log_where_its_document_lets_them_and_lists_are_in_use() {
    let client = client_where(ObjectOwnership::ObjectWriter).await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    let put = async |grantee: &str| {
        let answer = root(&client, "PUT", "/site?logging", &granting(grantee)).await;
        (answer.status, answer.code())
    };
    assert_eq!(put("<ID>nobody</ID>").await, (400, "InvalidArgument".into()));
    assert_eq!(put("<ID>other</ID>").await.0, 200);
    let told = root(&client, "GET", "/site?logging", "").await.text();
    assert!(told.contains("<ID>other</ID>") && told.contains("<Permission>READ</Permission>"), "{told}");
    let mut seen = Vec::new();
    // When access control lists are out of use, the log's objects have none.
    for controls in ["", "BucketOwnerEnforced"] {
        if !controls.is_empty() {
            let rule = format!(
                "<OwnershipControls><Rule><ObjectOwnership>{controls}</ObjectOwnership></Rule></OwnershipControls>"
            );
            assert_eq!(root(&client, "PUT", "/logs?ownershipControls", &rule).await.status, 200);
        }
        root(&client, "PUT", "/site/a", "x").await;
        deliver(&client).await;
        let listed = root(&client, "GET", "/logs?list-type=2", "").await.text();
        let keys =
            listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()));
        for key in keys.filter(|key| !seen.contains(key)).collect::<Vec<_>>() {
            let read = client.rig.signed(OTHER, "GET", &format!("/logs/{key}"), &[], b"").await;
            assert_eq!(read.status, if controls.is_empty() { 200 } else { 403 }, "{controls}");
            seen.push(key);
        }
    }
    assert_eq!(seen.len(), 2);
    let refused = root(&client, "PUT", "/site?logging", &granting("<ID>other</ID>")).await;
    assert_eq!((refused.status, refused.code()), (400, "AccessControlListNotSupported".into()));
    assert_eq!(root(&client, "PUT", "/site?logging", LOGGING).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_a_log_only_where_the_public_is_not_blocked() {
    let client = client_where(ObjectOwnership::ObjectWriter).await;
    root(&client, "PUT", "/logs?policy", POLICY).await;
    let everybody = granting("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>");
    assert_eq!(root(&client, "PUT", "/site?logging", &everybody).await.status, 200);
    let block = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    assert_eq!(root(&client, "PUT", "/logs?publicAccessBlock", block).await.status, 200);
    root(&client, "PUT", "/site/a", "x").await;
    deliver(&client).await;
    let lines = lines(&client).await;
    assert_eq!(lines.len(), 1, "it is delivered, to its owner alone");
    let listed = root(&client, "GET", "/logs?list-type=2", "").await;
    let key = listed.element("Key").unwrap();
    assert_eq!(client.rig.send("GET", &format!("/logs/{key}"), &[], b"").await.status, 403);
    assert_eq!(root(&client, "PUT", "/site?logging", &everybody).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lets_others_read_what_lies_in_a_bucket_that_is_not_theirs() {
    let client = client_where(ObjectOwnership::ObjectWriter).await;
    let theirs = async |method: &str, target: &str, body: &str| {
        client.rig.signed(OTHER, method, target, &[], body.as_bytes()).await
    };
    assert_eq!(theirs("PUT", "/theirs", "").await.status, 200);
    let policy = POLICY.replace("logs/of-site", "theirs/of-site");
    assert_eq!(theirs("PUT", "/theirs?policy", &policy).await.status, 204);
    let to_theirs = |document: &str| document.replace("<TargetBucket>logs", "<TargetBucket>theirs");
    let granting = to_theirs(&granting("<ID>root</ID>"));
    let refused = root(&client, "PUT", "/site?logging", &granting).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidTargetBucketForLogging".into()));
    assert_eq!(root(&client, "PUT", "/site?logging", &to_theirs(LOGGING)).await.status, 200);
}
