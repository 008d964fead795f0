//! The records of the audit: who did or wanted what, and which rule decided about it.

use crate::client::Client;
use crate::rig::{Age, Choices, OTHER, ROOT};
use aws_sigv4::http_request::SignableBody;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn client() -> Client {
    let client = Client::with(Choices { age: Age::New, anonymous: false, ..Choices::default() }).await;
    assert_eq!(client.rig.signed(ROOT, "PUT", "/bucket", &[], b"").await.status, 200);
    told(&client);
    client
}

/// The records since the last call.
fn told(client: &Client) -> Vec<Value> {
    let lines = client.rig.audit.lock().take(usize::MAX);
    lines.iter().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_refusals_are_told_with_what_decided_them() {
    let client = client().await;
    let rig = &client.rig;
    let put = rig.signed(ROOT, "PUT", "/bucket/a%20key", &[("user-agent", "a client")], b"x").await;
    assert_eq!(put.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/a%20key", &[], b"").await.status, 200);
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/absent", &[], b"").await.status, 404);
    let [line] = told(&client).try_into().expect("a read that was allowed is not told");
    let expected = [
        ("request", put.header("x-amz-request-id").unwrap()),
        ("source", "127.0.0.1"),
        ("user", "root"),
        ("access_key", ROOT.0),
        ("operation", "PutObject"),
        ("method", "PUT"),
        ("bucket", "bucket"),
        ("key", "a key"),
        ("user_agent", "a client"),
    ];
    expected.iter().for_each(|(field, value)| assert_eq!(line[field], *value, "{line}"));
    assert_eq!((line["status"].as_u64(), &line["code"]), (Some(200), &Value::Null));
    assert_eq!(line["decisions"][0]["action"], "s3:PutObject");
    assert_eq!(line["decisions"][0]["by"], "the caller owns it");

    let policy = r#"{"Statement": [{"Sid": "not-him", "Effect": "Deny", "Principal": {"AWS": "*"},
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}]}"#;
    assert_eq!(rig.signed(ROOT, "PUT", "/bucket?policy", &[], policy.as_bytes()).await.status, 204);
    assert_eq!(told(&client)[0]["operation"], "PutBucketPolicy");
    assert_eq!(rig.signed(OTHER, "GET", "/bucket/a%20key", &[], b"").await.status, 403);
    let [line] = told(&client).try_into().expect("a refusal");
    assert_eq!((&line["user"], &line["code"]), (&"other".into(), &"AccessDenied".into()));
    assert_eq!(line["decisions"][0]["allowed"], false);
    let by = line["decisions"][0]["by"].as_str().unwrap();
    assert!(by.starts_with("the policy denies it by") && by.contains("not-him"), "{by}");

    // A request with a wrong signature has a record, too, which has no user and no secret.
    assert_eq!(rig.signed((OTHER.0, "guessed-secret"), "GET", "/bucket", &[], b"").await.status, 403);
    let [line] = told(&client).try_into().expect("a refusal");
    assert_eq!((&line["user"], &line["code"]), (&Value::Null, &"SignatureDoesNotMatch".into()));
    assert!(!line.to_string().contains("Signature="), "{line}");
}

/// Sends bytes on a new connection that is closed without waiting for an answer.
async fn send_and_leave(client: &Client, bytes: &[u8]) {
    let mut connection = TcpStream::connect(client.rig.address).await.unwrap();
    connection.write_all(bytes).await.unwrap();
}

/// The audit's first `count` records, once they are there.
async fn told_in_time(client: &Client, count: usize) -> Vec<Value> {
    let mut lines = Vec::new();
    for _ in 0..6_000 {
        lines.append(&mut told(client));
        if lines.len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_though_its_client_leaves_before_the_answer() {
    const CHANGES: usize = 20;
    let client = client().await;
    let rig = &client.rig;
    for number in 0..CHANGES {
        rig.signed(ROOT, "PUT", &format!("/bucket/{number}"), &[], b"x").await;
    }
    told_in_time(&client, CHANGES).await;
    for number in 0..CHANGES {
        let delete = rig.sign(ROOT, "DELETE", &format!("/bucket/{number}"), &[], SignableBody::Bytes(b""));
        send_and_leave(&client, &delete).await;
    }
    let lines = told_in_time(&client, CHANGES).await;
    let keys: HashSet<_> = lines.iter().map(|line| line["key"].to_string()).collect();
    assert_eq!((lines.len(), keys.len()), (CHANGES, CHANGES));
    assert!(lines.iter().all(|line| line["status"] == 204), "{lines:?}");

    // A body that never comes whole ends its request, which is told as well.
    let put = rig.sign(ROOT, "PUT", "/bucket/cut", &[], SignableBody::Bytes(b"the whole body"));
    send_and_leave(&client, &[&put[..], b"the who"].concat()).await;
    let [line] = told_in_time(&client, 1).await.try_into().expect("one line");
    assert_eq!((&line["key"], &line["code"]), (&"cut".into(), &"IncompleteBody".into()), "{line}");
    assert_eq!(rig.signed(ROOT, "GET", "/bucket/cut", &[], b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_that_a_request_deletes_is_told() {
    let client = client().await;
    client.rig.signed(ROOT, "PUT", "/bucket/a", &[], b"x").await;
    told(&client);
    let body = b"<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><ETag>no</ETag></Object>\
        <Object><Key>c</Key><VersionId>gone</VersionId></Object></Delete>";
    let md5 = {
        use base64::Engine;
        use md5::Digest;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body))
    };
    let deleted = client.rig.signed(ROOT, "POST", "/bucket?delete", &[("content-md5", &md5)], body).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    let [line] = told(&client).try_into().expect("one line");
    let mut objects = line["objects"].as_array().unwrap().clone();
    objects.sort_by_key(|object| object["key"].to_string());
    assert_eq!(objects[0], serde_json::json!({"key": "a"}));
    assert_eq!(objects[2], serde_json::json!({"key": "c", "version": "gone", "code": "NoSuchVersion"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_and_others_may_not_is_told() {
    let client = client().await;
    let rig = &client.rig;
    assert_eq!(rig.signed(ROOT, "GET", "/_stratum/v1/status", &[], b"").await.status, 200);
    assert_eq!(rig.signed(OTHER, "GET", "/_stratum/v1/status?a=b", &[], b"").await.status, 403);
    let [line] = told(&client).try_into().expect("the refusal alone");
    assert_eq!((&line["operation"], &line["target"]), (&"Operate".into(), &"/_stratum/v1/status?a=b".into()));
    assert_eq!((&line["user"], &line["access_key"]), (&"other".into(), &OTHER.0.into()));
    assert_eq!(line["status"].as_u64(), Some(403));
    rig.send("POST", "/_stratum/v1/status", &[], b"").await;
    let [line] = told(&client).try_into().expect("the refusal of whom nobody knows");
    assert_eq!((&line["user"], &line["access_key"]), (&Value::Null, &Value::Null));
    for beside in ["/_stratum/health/live", "/_stratum/x"] {
        rig.send("POST", beside, &[], b"").await;
        assert_eq!(told(&client), Vec::<Value>::new(), "{beside} changes nothing");
    }
    rig.signed(ROOT, "POST", "/_stratum/v1/status", &[], b"").await;
    let [line] = told(&client).try_into().expect("what may change something");
    assert_eq!((&line["user"], &line["method"]), (&"root".into(), &"POST".into()));
}
