//! `stratum fsck` of a running server: it gives no false alarm while the store changes, and it finds, names and repairs
//! damage.

use crate::client::client;
use crate::rescue::{fetch, objects, store};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn run(server: &Server, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["fsck", "--json", "--endpoint", &server.endpoint()]).args(more);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// Runs `stratum fsck`; gives its exit code, the findings that are more than notes, and the whole report.
fn fsck(server: &Server, more: &[&str]) -> (i32, Vec<String>, Value) {
    let output = run(server, more);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap().iter();
    let told = findings.filter(|found| found["severity"] != "note");
    let told = told
        .map(|found| format!("{}: {}", found["severity"].as_str().unwrap(), found["text"].as_str().unwrap()));
    (output.status.code().unwrap(), told.collect(), report)
}

/// The shard files of a drive, sorted by name.
fn shard_files(drive: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(drive.join("volumes")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[test]
fn damage_under_a_running_server_is_found_and_repaired() {
    let objects = objects();
    let server = Server::start();
    store(&server, &objects);
    let (code, told, report) = fsck(&server, &[]);
    assert_eq!((code, told.as_slice()), (0, [].as_slice()), "a whole store has findings");
    assert_eq!(report["objects"], objects.len());
    assert!(report["stripes"].as_u64() > Some(0) && report["bytes"].as_u64() > Some(0), "{report}");

    flip(&shard_files(&server.data().join("hot/2"))[0], 6_000);
    flip(&shard_files(&server.data().join("hot/4"))[0], 20);
    let (code, told, _) = fsck(&server, &["--quick"]);
    let is_header = |text: &String| text.contains("has a damaged header");
    assert!(code == 1 && told.iter().all(is_header), "quick looks at files, and at no stripe: {told:?}");
    let (code, told, _) = fsck(&server, &[]);
    assert_eq!(code, 1, "{told:?}");
    assert!(told.iter().all(|text| text.starts_with("weak: ")), "{told:?}");
    for expected in ["the stripe at 4096 of", "has a damaged header"] {
        assert!(told.iter().any(|text| text.contains(expected)), "{expected}: {told:?}");
    }
    let (code, told, report) = fsck(&server, &["--repair"]);
    assert_eq!((code, told.as_slice()), (0, [].as_slice()), "{report}");
    assert!(!report["mended"].as_array().unwrap().is_empty(), "{report}");
    for (key, body) in &objects {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}

#[test]
fn bytes_lost_under_a_running_server_are_told_with_their_object() {
    let objects = objects();
    let server = Server::start();
    store(&server, &objects);
    for drive in 0..3 {
        shard_files(&server.data().join(format!("hot/{drive}"))).iter().for_each(|file| flip(file, 6_000));
    }
    let (code, told, _) = fsck(&server, &[]);
    assert_eq!(code, 1);
    let named = told.iter().filter(|text| text.starts_with("loss: bytes of the object")).count();
    assert_eq!(named, 1, "the first extent of the first volume is one object's: {told:?}");
    let (code, told, _) = fsck(&server, &["--repair"]);
    assert!(code == 1 && told.iter().any(|text| text.starts_with("loss: ")), "{told:?}");
}

#[test]
fn a_check_with_a_wrong_secret_ends_with_2() {
    let server = Server::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["fsck", "--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", "not-the-secret");
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

/// Clients write, overwrite and delete objects and the server packs them, while one check after the other is run. None
/// of the checks finds anything.
#[test]
fn a_store_that_changes_under_the_check_gives_no_false_alarm() {
    const WRITERS: u64 = 6;
    const CHECKS: std::ops::Range<usize> = 4..12;
    let server = Arc::new(Server::start());
    store(&server, &objects());
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (stop, written, client) = (stop.clone(), written.clone(), client(&server));
            runtime.spawn(async move {
                let mut round = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    // There are few keys, so that most writes free the bytes of an earlier one, and lengths for every
                    // place: none, the journal, and volumes.
                    let key = format!("busy/{writer}/{}", round * 7 % 60);
                    let length = [30_000, 32_000, 400_000, 9_000, 31_000, 0, 2_500_000][(round % 7) as usize];
                    let body = ByteStream::from(vec![round as u8; length]);
                    client.put_object().bucket("photos").key(&key).body(body).send().await.unwrap();
                    written.fetch_add(length as u64, Ordering::Relaxed);
                    if round.is_multiple_of(5) {
                        let gone = format!("busy/{writer}/{}", round * 3 % 60);
                        client.delete_object().bucket("photos").key(gone).send().await.unwrap();
                    }
                    round += 1;
                }
            })
        })
        .collect();
    let mut checks = 0;
    // Checks go on until so much was written that the journal was packed and its segments recycled, but not for ever.
    while checks < CHECKS.start || checks < CHECKS.end && written.load(Ordering::Relaxed) < 1 << 30 {
        let (code, told, report) = fsck(&server, &[]);
        assert_eq!((code, told.as_slice()), (0, [].as_slice()), "check {checks}: {report}");
        checks += 1;
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for writer in writers {
            writer.await.unwrap();
        }
    });
    let (code, told, _) = fsck(&server, &[]);
    assert_eq!((code, told.as_slice()), (0, [].as_slice()));
}
