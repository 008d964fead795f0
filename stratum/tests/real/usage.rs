//! Which requests count as use of an object, and that what was counted outlives a crash.

use crate::client::client;
use crate::rescue::BUCKET;
use crate::server::Server;
use crate::tiers::explain;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use std::time::Duration;

/// What is lost in a crash: the counts of the last few seconds.
const SAVED_WITHIN: Duration = Duration::from_secs(7);

fn signals(server: &Server, key: &str) -> Value {
    explain(server, key)["signals"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_bytes_count_and_outlive_a_crash() {
    let mut server = Server::start();
    let s3 = client(&server);
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    for key in ["read", "looked-at", "overwritten", "deleted"] {
        let body = ByteStream::from(vec![7; 100_000]);
        s3.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
    }
    let get = |key: &str| s3.get_object().bucket(BUCKET).key(key);
    for key in ["read", "overwritten", "deleted"] {
        get(key).send().await.unwrap().body.collect().await.unwrap();
    }

    // A range and a copy's source count.
    get("read").range("bytes=50000-74999").send().await.unwrap().body.collect().await.unwrap();
    let copy = s3.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/read"));
    copy.send().await.unwrap();
    let seen = signals(&server, "read");
    assert_eq!(seen["reads"], 3, "{seen}");
    let (share, ranged) = (seen["share"].as_f64().unwrap(), seen["ranged"].as_f64().unwrap());
    assert!((share - 0.75).abs() < 0.01 && (ranged - 1.0 / 3.0).abs() < 0.01, "{seen}");

    // What answers no bytes of it doesn't.
    let tag = s3.head_object().bucket(BUCKET).key("looked-at").send().await.unwrap().e_tag.unwrap();
    s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert!(get("looked-at").if_none_match(tag).send().await.is_err(), "it is as it was: 304");
    assert!(get("looked-at").range("bytes=100000-").send().await.is_err(), "there are no such bytes: 416");
    assert!(get("nothing").send().await.is_err());
    let seen = signals(&server, "looked-at");
    assert!(seen.is_null(), "{seen}");

    // A key that is written again is the same to its readers; one that was deleted is forgotten.
    let put = |key: &str| s3.put_object().bucket(BUCKET).key(key).body(ByteStream::from(vec![8; 10]));
    put("overwritten").send().await.unwrap();
    s3.delete_object().bucket(BUCKET).key("deleted").send().await.unwrap();
    put("deleted").send().await.unwrap();
    assert_eq!(signals(&server, "overwritten")["reads"], 1);
    assert!(signals(&server, "deleted").is_null());

    let before = signals(&server, "read");
    tokio::time::sleep(SAVED_WITHIN).await;
    server.restart();
    let after = signals(&server, "read");
    for what in ["reads", "last", "share", "ranged", "hours"] {
        assert_eq!(after[what], before[what], "{what}: {after} after {before}");
    }
    assert!(signals(&server, "deleted").is_null());
}
