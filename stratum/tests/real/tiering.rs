//! Tiering by use, with a week that takes seconds: objects move to other tiers by how they are used, come back when
//! they are read, and their explanations say why.

use crate::client::{client, client_of};
use crate::rescue::BUCKET;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use crate::tiers::{explain, run, said, tier};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::StorageClass;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A day lasts a second, so that a wait of a week takes seven seconds.
const CONFIGURATION: &str = r#"
[clock]
day = "1s"

[[user]]
id = "ann"
display_name = "Ann"
access_key = "ANN"
secret_key = "secret-of-ann-1"
"#;
const LARGE: usize = 4 << 20;
const LOGS: usize = 6;

fn log(number: usize) -> String {
    format!("logs/2024/{number}.bin")
}

async fn put(client: &Client, key: &str, length: usize, class: Option<StorageClass>) {
    // The bytes don't compress.
    let mut state = key.len() as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let body: Vec<u8> = (0..length).map(|_| next()).collect();
    let put = client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body));
    put.set_storage_class(class).send().await.unwrap();
}

async fn get(client: &Client, key: &str) -> usize {
    let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    got.body.collect().await.unwrap().to_vec().len()
}

async fn upload(client: &Client) {
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    for number in 0..LOGS {
        put(client, &log(number), LARGE, None).await;
    }
    put(client, "site/index.html", LARGE, None).await;
    put(client, "notes/small.txt", 1_000, None).await;
    put(client, "pinned.bin", LARGE, None).await;
    put(client, "archive.bin", LARGE, Some(StorageClass::Glacier)).await;
}

/// Recomputes a decision from the figures in its explanation alone, and checks that it comes out the same.
fn check(why: &Value) {
    let number =
        |path: &str| why.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {why}"));
    let close = |shown: f64, again: f64| {
        assert!((shown - again).abs() <= 1e-9 * again.abs().max(1e-9), "{shown} for {again} in {why}");
    };
    for tier in ["hot", "warm", "cold"] {
        let at = |what: &str| number(&format!("/terms/{what}/{tier}"));
        close(at("read"), at("get") + number("/terms/share") * at("retrieval"));
        close(at("monthly_cost"), at("storage_month") + number("/terms/monthly_reads") * at("read"));
        close(why["costs"][tier].as_f64().unwrap(), at("monthly_cost"));
    }
    let first =
        why["rules"].as_array().unwrap().iter().find_map(|rule| Some((&rule[0], rule[1].get("wants")?)));
    let (rule, wants) = first.unwrap();
    assert_eq!((rule, &wants["tier"]), (&why["decision"]["by"], &why["decision"]["tier"]), "{why}");
    assert_eq!(wants["until"], why["next_review"], "{why}");
    if why.pointer("/terms/course/descend").is_none() {
        return;
    }
    let at = |field: &str| number(&format!("/terms/course/descend/{field}"));
    let of = |what: &str, tier: &str| number(&format!("/terms/{what}/{tier}"));
    let (from, to) =
        (why["terms"]["tier"].as_str().unwrap(), why["terms"]["course"]["descend"]["to"].as_str().unwrap());
    let saved = (of("storage_month", from) - of("storage_month", to)) / 30.4375;
    let back = if from == "hot" { of("put", "hot") } else { 0.0 };
    let toll = of("read", to) - of("read", from) + of("put", to) + of("get", from) + back;
    close(at("break_even_days"), toll.max(0.0) / saved);
    let after = |time: &str, wait: &str| number(time) + at(wait) * number("/terms/day");
    let due = after("/terms/group_last", "group_wait_days").max(after("/terms/last", "own_wait_days"));
    let due = due.min(after("/terms/last", "longest_wait_days"));
    assert!(due > 1e15 || (at("due") - due).abs() < 10.0, "{} for {due} in {why}", at("due"));
}

fn lies_in(why: &Value, tier: &str) -> bool {
    why["tier"] == tier && why["moving_to"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_spreads_over_the_tiers_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), CONFIGURATION).unwrap();
    let server = Server::start_on(folder, &["data"]);
    let s3 = client(&server);
    upload(&s3).await;
    tier(&server, "pin", "pinned.bin", &["hot"]);
    let fresh = explain(&server, &log(0));
    assert!(lies_in(&fresh, "hot"), "{fresh}");
    assert_eq!(fresh["decision"]["by"], "warm-up", "{fresh}");
    check(&fresh);

    // The object under `site/` is read all the time, and the logs never.
    let began = Instant::now();
    while !(0..LOGS).all(|number| lies_in(&explain(&server, &log(number)), "cold")) {
        assert!(began.elapsed() < Duration::from_secs(120), "{}", explain(&server, &log(0)));
        assert_eq!(get(&s3, "site/index.html").await, LARGE);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        began.elapsed() > Duration::from_secs(7),
        "the bucket wasn't watched for a week before objects moved"
    );
    let cold = explain(&server, &log(0));
    check(&cold);
    assert_eq!(cold["history"][0]["reason"], "it is expected to cost least there", "{cold}");
    let sentence = cold["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("in hot it had been idle for")
            && sentence.contains("a month of storage were to be saved"),
        "{sentence}"
    );
    for (key, wanted, by) in [
        ("site/index.html", "hot", "model"),
        ("notes/small.txt", "hot", "model"),
        ("pinned.bin", "hot", "pin"),
        ("archive.bin", "cold", "storage-class"),
    ] {
        let why = explain(&server, key);
        check(&why);
        assert!(lies_in(&why, wanted), "{key}: {why}");
        let told = why["decision"]["by"].as_str().unwrap();
        // For an object that is being read at this moment, another rule may decide the same.
        assert!(told == by || (key.starts_with("site") && told == "least-idle"), "{key}: {why}");
    }

    // The report agrees with the explanations.
    let report = said(&run(&server, &["tier", "report", &format!("s3://{BUCKET}")]));
    assert!(report.contains("all in hot it would cost"), "{report}");
    let whole = run(&server, &["tier", "report", &format!("s3://{BUCKET}"), "--json"]);
    let whole: Value = serde_json::from_slice(&whole.stdout).unwrap();
    // A month lasts half a minute here, and one may have begun after the logs were sent.
    let begins = whole["month"]["begins"].as_u64().unwrap();
    let came = (0..LOGS).map(|number| explain(&server, &log(number))["since"].as_u64().unwrap()).max();
    let is_of_the_month = came.is_some_and(|came| came > begins + 15_000);
    assert!(!is_of_the_month || whole["month"]["moved"]["model"][0].as_u64() > Some(0), "{whole}");
    let of_prefix = run(&server, &["tier", "report", &format!("s3://{BUCKET}/logs/"), "--json"]);
    let of_prefix: Value = serde_json::from_slice(&of_prefix.stdout).unwrap();
    assert_eq!(of_prefix["held"]["objects"]["cold"], LOGS, "{of_prefix}");

    // One of the logs is read again. After ten reads it is decided about at once, without waiting for the next walk.
    for _ in 0..10 {
        assert_eq!(get(&s3, &log(3)).await, LARGE);
    }
    let began = Instant::now();
    loop {
        let why = explain(&server, &log(3));
        let last = why["history"].as_array().unwrap().last().unwrap();
        if last["tier"] == "hot" {
            let took = why["since"].as_u64().unwrap();
            assert!(why["since"] == last["since"], "{why} {took}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while !lies_in(&explain(&server, &log(3)), "hot") {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", explain(&server, &log(3)));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let back = explain(&server, &log(3));
    check(&back);
    assert_eq!(back["history"].as_array().unwrap().len(), 2, "{back}");
    assert_eq!(get(&s3, &log(3)).await, LARGE);
    let status = said(&run(&server, &["tier", "status"]));
    assert!(status.contains("the last walk ended") && status.contains("logs/2024/3.bin"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_read_an_object_may_ask_for_its_explanation() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), CONFIGURATION).unwrap();
    let server = Server::start_on(folder, &["data"]);
    let (root, ann) = (client(&server), client_of(&server, "ANN", "secret-of-ann-1"));
    root.create_bucket().bucket("roots").send().await.unwrap();
    root.put_object().bucket("roots").key("a").body(ByteStream::from_static(b"a")).send().await.unwrap();
    ann.create_bucket().bucket("anns").send().await.unwrap();
    ann.put_object().bucket("anns").key("a/b c").body(ByteStream::from_static(b"a")).send().await.unwrap();
    let asks = |args: &[&str]| crate::tiers::run_as(&server, args, "ANN", "secret-of-ann-1");
    let told = asks(&["explain", "s3://anns/a/b c"]);
    assert!(told.status.success(), "{}", said(&told));
    assert!(asks(&["tier", "report", "s3://anns/a"]).status.success());
    // The refusal doesn't tell whether an object exists that the user may not read.
    for args in [["explain", "s3://roots/a"], ["explain", "s3://roots/b"], ["explain", "s3://nobodys/b"]] {
        let told = asks(&args);
        assert!(said(&told).contains("only who may read the object"), "{}", said(&told));
    }
    let told = asks(&["tier", "report", "s3://roots"]);
    assert!(said(&told).contains("only who may list the bucket"), "{}", said(&told));
    for args in [["tier", "status"].as_slice(), &["tier", "move", "s3://anns/a/b c", "cold"], &["status"]] {
        let told = asks(args);
        assert!(
            said(&told).contains("only the root user may operate the store"),
            "{args:?}: {}",
            said(&told)
        );
    }
}

/// Asks a server in the environment's words alone, as one does who exported what the server printed.
fn asks_by_environment(server: &Server, args: &[&str], more: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stratum"));
    for name in ["STRATUM_ROOT_ACCESS_KEY", "STRATUM_ROOT_SECRET_KEY", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("AWS_ENDPOINT_URL", server.endpoint()).envs(more.iter().copied());
    let output = command.args(args).output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn what_a_walk_would_undo_is_not_moved_by_hand_and_what_is_not_decided_says_why() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let s3 = client(&server);
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        put(&s3, "a/class", 1_000, Some(StorageClass::Glacier)).await;
        put(&s3, "a/free", 1_000, None).await;
        put(&s3, "a/pinned", 1_000, None).await;
        put(&s3, "empty", 0, None).await;
    });
    let object = |key: &str| format!("s3://{BUCKET}/{key}");
    tier(&server, "pin", "a/pinned", &["hot"]);
    for (key, told) in [
        (
            "a/class",
            "by its storage class GLACIER, which takes it back there at the next walk: pin it to warm instead",
        ),
        ("a/pinned", "it is pinned to hot, where nothing else moves it: unpin it first, or pin it to warm"),
    ] {
        let refused = run(&server, &["tier", "move", &object(key), "warm"]);
        assert!(refused.status.code() == Some(2) && said(&refused).contains(told), "{}", said(&refused));
    }
    assert_eq!(explain(&server, "a/pinned")["pin"]["tier"], "hot");
    let moved = run(&server, &["tier", "move", &object("a/"), "warm", "--recursive"]);
    let told = said(&moved);
    assert!(moved.status.success() && told.contains("1 object goes to warm"), "{told}");
    assert!(told.contains("1 more object stays where it lies, since it is pinned"), "{told}");
    assert!(told.contains("since it is kept by storage class or metadata"), "{told}");

    let empty = explain(&server, "empty");
    assert!(empty["not_deciding"].as_str().unwrap().contains("it has no bytes"), "{empty}");

    // The endpoint may come from the environment, but not for what root's own credentials sign elsewhere.
    let free = object("a/free");
    let explained = ["explain", free.as_str()];
    let (code, told) = asks_by_environment(&server, &explained, &[]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = asks_by_environment(&server, &explained, &[("AWS_ENDPOINT_URL", "nonsense")]);
    assert!(code == Some(2) && told.contains("AWS_ENDPOINT_URL: it must be http"), "{told}");
    let endpoint = server.endpoint();
    let s3 = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL_S3", endpoint.as_str())];
    assert_eq!(asks_by_environment(&server, &explained, &s3).0, Some(0));
    let roots = [("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY), ("STRATUM_ROOT_SECRET_KEY", SECRET_KEY)];
    assert_eq!(asks_by_environment(&server, &explained, &roots).0, Some(0));
}

#[test]
fn where_tiering_is_off_the_use_of_objects_is_told_and_a_class_takes_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratum.toml"), "[tiering]\npolicy = \"off\"\n").unwrap();
    let server = Server::start_on(folder, &["data"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let s3 = client(&server);
        s3.create_bucket().bucket(BUCKET).send().await.unwrap();
        put(&s3, "class", 1_000, Some(StorageClass::Glacier)).await;
        assert_eq!(get(&s3, "class").await, 1_000);
    });
    let why = explain(&server, "class");
    assert_eq!((&why["signals"]["reads"], why["decision"].is_null()), (&1.into(), true), "{why}");
    assert!(why["not_deciding"].as_str().unwrap().contains("off"), "{why}");
    tier(&server, "move", "class", &["warm"]);
}
