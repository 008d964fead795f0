//! Which requests count as use of an object, and that counts, and what tiering has saved and spent, survive a crash.

use crate::client::client;
use crate::rescue::BUCKET;
use crate::server::Server;
use crate::tiers::{explain, run, said};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
use serde_json::Value;
use std::time::Duration;

/// Within this time counts are saved to disk. A crash loses only what was counted since.
const SAVED_WITHIN: Duration = Duration::from_secs(7);

/// A day of 40 seconds: all objects are walked over every five seconds, and a month takes twenty minutes.
const SHORT_DAYS: &str = "[clock]\nday = \"40s\"\n";

fn signals(server: &Server, key: &str) -> Value {
    explain(server, key)["signals"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_bytes_are_counted_and_the_counts_survive_a_crash() {
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

    // Reading a range counts, and so does being the source of a copy.
    get("read").range("bytes=50000-74999").send().await.unwrap().body.collect().await.unwrap();
    let copy = s3.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/read"));
    copy.send().await.unwrap();
    let seen = signals(&server, "read");
    assert_eq!(seen["reads"], 3, "{seen}");
    let (share, ranged) = (seen["share"].as_f64().unwrap(), seen["ranged"].as_f64().unwrap());
    assert!((share - 0.75).abs() < 0.01 && (ranged - 1.0 / 3.0).abs() < 0.01, "{seen}");

    // Requests that are answered without bytes of the object don't count.
    let tag = s3.head_object().bucket(BUCKET).key("looked-at").send().await.unwrap().e_tag.unwrap();
    s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert!(get("looked-at").if_none_match(tag).send().await.is_err(), "not answered with 304");
    assert!(get("looked-at").range("bytes=100000-").send().await.is_err(), "not answered with 416");
    assert!(get("nothing").send().await.is_err());
    let seen = signals(&server, "looked-at");
    assert!(seen.is_null(), "{seen}");

    // Overwriting an object keeps what is known of its use; deleting it forgets that.
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

/// What tiering has saved and spent this month, once a walk has entered enough.
async fn month(server: &Server, is_enough: impl Fn(&Value) -> bool) -> Value {
    let mut seen = Value::Null;
    for _ in 0..600 {
        let told = run(server, &["tier", "report", &format!("s3://{BUCKET}"), "--json"]);
        assert!(told.status.success(), "{}", said(&told));
        let report: Value = serde_json::from_slice(&told.stdout).unwrap();
        if is_enough(&report["month"]) {
            return report["month"].clone();
        }
        seen = report;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no walk has entered enough: {seen}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tiering_has_saved_and_spent_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), SHORT_DAYS).unwrap();
    let mut server = Server::start_on(folder, &["data"]);
    let s3 = client(&server);
    s3.create_bucket().bucket(BUCKET).send().await.unwrap();
    let put = s3.put_object().bucket(BUCKET).key("archive").storage_class(StorageClass::Glacier);
    put.body(ByteStream::from(vec![7; 4 << 20])).send().await.unwrap();
    // A read from cold costs more than one from hot, which is entered as spent.
    s3.get_object().bucket(BUCKET).key("archive").send().await.unwrap().body.collect().await.unwrap();
    let of = |month: &Value, what: &str| month[what].as_f64().unwrap_or_default();
    let before = month(&server, |month| of(month, "saved") > 0.0 && of(month, "spent") > 0.0).await;
    tokio::time::sleep(SAVED_WITHIN).await;
    server.restart();
    let after = month(&server, Value::is_object).await;
    // If a new month has begun meanwhile, the figures can't be compared.
    if after["begins"] == before["begins"] {
        assert!(of(&after, "saved") >= of(&before, "saved"), "{after} after {before}");
        assert!(of(&after, "spent") >= of(&before, "spent"), "{after} after {before}");
    }
}
