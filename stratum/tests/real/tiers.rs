//! `stratum tier`: objects that an operator moves lie on their new tier, read back from there, are explained, and
//! survive the loss of drives.

use crate::client::client;
use crate::metrics::scrape;
use crate::rescue::{BUCKET, fetch, objects, store};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::Duration;

pub fn run(server: &Server, args: &[&str]) -> Output {
    run_as(server, args, ACCESS_KEY, SECRET_KEY)
}

/// Runs a command with these credentials.
pub fn run_as(server: &Server, args: &[&str], access_key: &str, secret_key: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", access_key).env("STRATUM_ROOT_SECRET_KEY", secret_key);
    command.output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

pub fn explain(server: &Server, key: &str) -> Value {
    let output = run(server, &["explain", &format!("s3://{BUCKET}/{key}"), "--json"]);
    assert!(output.status.success(), "{key}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn tier(server: &Server, action: &str, key: &str, more: &[&str]) {
    let location = format!("s3://{BUCKET}/{key}");
    let output = run(server, &[&["tier", action, &location], more].concat());
    assert!(output.status.success(), "{}", said(&output));
}

/// Waits until all of an object lies on a tier; gives its explanation.
fn comes_to(server: &Server, key: &str, tier: &str) -> Value {
    // This waits long, since the machine may be busy with other tests, and the codec of the cold tier is slow.
    for _ in 0..2_400 {
        let why = explain(server, key);
        if why["tier"] == tier && why["moving_to"].is_null() && why["move_due"].is_null() {
            return why;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{key} doesn't come to {tier}: {}", explain(server, key));
}

/// Stores objects of many sizes, one that compresses well, and one of two parts; gives all of them.
fn stored(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let mut objects = objects();
    objects.insert("log".into(), "GET /index.html HTTP/1.1 200\n".repeat(40_000).into_bytes());
    store(server, &objects);
    objects.insert("parts".into(), multipart(server));
    objects
}

/// Stores an object of two parts; gives its body.
fn multipart(server: &Server) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let parts = [vec![7; 5 << 20], b"the end".to_vec()];
    runtime.block_on(async {
        let client = client(server);
        let created = client.create_multipart_upload().bucket(BUCKET).key("parts").send().await.unwrap();
        let upload = created.upload_id().unwrap();
        let mut completed = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(&parts) {
            let put = client.upload_part().bucket(BUCKET).key("parts").upload_id(upload).part_number(number);
            let put = put.body(ByteStream::from(part.clone())).send().await.unwrap();
            let part = CompletedPart::builder().part_number(number).e_tag(put.e_tag().unwrap());
            completed = completed.parts(part.build());
        }
        let complete = client.complete_multipart_upload().bucket(BUCKET).key("parts").upload_id(upload);
        complete.multipart_upload(completed.build()).send().await.unwrap();
    });
    parts.concat()
}

fn all_read_back(server: &Server, objects: &BTreeMap<String, Vec<u8>>) {
    for (key, body) in objects {
        assert!(fetch(server, key).as_ref() == Some(body), "{key}");
    }
}

/// The value of a metric.
fn told(server: &Server, name: &str) -> u64 {
    let page = scrape(server);
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
}

/// How many bytes the volumes on a tier's drives take on disk.
fn on_drives(server: &Server, tier: &str) -> u64 {
    let volumes = |drive: u32| server.data().join(tier).join(drive.to_string()).join("volumes");
    let files = (0..6).flat_map(|drive| std::fs::read_dir(volumes(drive)).into_iter().flatten().flatten());
    files.map(|file| std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512).sum()
}

#[test]
fn objects_moved_to_cold_read_back_after_a_restart_with_two_drives_lost() {
    let mut server = Server::start();
    let objects = stored(&server);
    assert_eq!(explain(&server, "log")["tier"], "hot");
    tier(&server, "move", "", &["cold", "--recursive"]);
    // Objects without bytes count as moved, too.
    for key in objects.keys() {
        let why = comes_to(&server, key, "cold");
        let sentence = why["sentence"].as_str().unwrap();
        assert!(
            sentence.starts_with("It lies in the cold tier, because an operator moved it."),
            "{sentence}"
        );
        assert_eq!(why["history"].as_array().unwrap().len(), 1);
    }
    assert!(on_drives(&server, "cold") > 0);
    all_read_back(&server, &objects);
    server.kill();
    for drive in ["cold/1", "cold/4", "hot/0", "hot/5"] {
        std::fs::remove_dir_all(server.data().join(drive)).unwrap();
    }
    server.restart();
    all_read_back(&server, &objects);
    assert_eq!(explain(&server, "parts")["tier"], "cold");
}

#[test]
fn a_body_is_compressed_with_the_codec_of_its_tier_and_reads_back() {
    let server = Server::start();
    let objects = stored(&server);
    tier(&server, "pin", "log", &["cold"]);
    let why = comes_to(&server, "log", "cold");
    assert_eq!((&why["pin"]["tier"], &why["pin"]["by"]), (&"cold".into(), &"root".into()));
    // The body repeats one line over more than a MiB, so it compresses to a few KiB and takes one stripe.
    let written = told(&server, "stratum_moved_written_bytes_total{task=\"transition\"}");
    assert!((1..256 << 10).contains(&written), "{written}");
    assert_eq!(told(&server, "stratum_transition_bytes_total{to=\"cold\"}"), objects["log"].len() as u64);
    tier(&server, "move", "parts", &["warm"]);
    comes_to(&server, "parts", "warm");
    all_read_back(&server, &objects);
    tier(&server, "unpin", "log", &[]);
    assert!(explain(&server, "log")["pin"].is_null());
    tier(&server, "move", "log", &["hot"]);
    let why = comes_to(&server, "log", "hot");
    let went =
        why["history"].as_array().unwrap().iter().map(|moved| moved["tier"].clone()).collect::<Vec<_>>();
    assert_eq!(went, ["cold", "hot"]);
    all_read_back(&server, &objects);
    let output = run(&server, &["fsck"]);
    assert!(output.status.success(), "{}", said(&output));
    let output = run(&server, &["tier", "status"]);
    assert!(
        said(&output).starts_with("since the start 3 objects came where they belong"),
        "{}",
        said(&output)
    );
}

#[test]
fn commands_for_tiers_or_objects_that_do_not_exist_are_refused() {
    let server = Server::start();
    stored(&server);
    for (args, told) in [
        (["tier", "move", "s3://photos/log", "tepid"].as_slice(), "\"tepid\" is not one of hot, warm, cold"),
        (&["tier", "move", "s3://photos/nothing", "cold"], "no object \"nothing\" in the bucket \"photos\""),
        (&["tier", "move", "s3://nobody/log", "cold"], "there is no bucket \"nobody\""),
        (&["tier", "move", "photos/log", "cold"], "it must be s3://BUCKET/KEY"),
        (&["explain", "s3://photos/nothing"], "no object \"nothing\""),
    ] {
        let output = run(&server, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(said(&output).contains(told), "{args:?}: {}", said(&output));
    }
}

#[test]
fn a_move_does_not_undo_an_overwrite_or_a_delete_that_happens_meanwhile() {
    let server = Server::start();
    let mut objects = stored(&server);
    tier(&server, "move", "", &["cold", "--recursive"]);
    // The objects are changed at once, while some of them are being moved.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    objects.remove("a//c");
    runtime
        .block_on(async { client(&server).delete_object().bucket(BUCKET).key("a//c").send().await.unwrap() });
    let new = BTreeMap::from([("log".to_owned(), b"new".to_vec()), ("parts".to_owned(), vec![9; 100_000])]);
    store(&server, &new);
    objects.extend(new);
    comes_to(&server, "ä/ö", "cold");
    comes_to(&server, "log", "hot");
    all_read_back(&server, &objects);
    assert!(fetch(&server, "a//c").is_none());
    assert_eq!(explain(&server, "parts")["tier"], "hot");
    let output = run(&server, &["fsck"]);
    assert!(output.status.success(), "{}", said(&output));
}
