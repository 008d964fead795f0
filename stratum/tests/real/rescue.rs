//! `stratum rescue` on the data of a server that was killed, with every kind of damage that keeps a server from
//! starting.

use crate::client::client;
use crate::fsck::index_moves;
use crate::server::Server;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

pub const BUCKET: &str = "photos";

/// Objects whose keys can't be paths as they are, and whose bodies lie in the journal, in extents, or nowhere.
pub fn objects() -> BTreeMap<String, Vec<u8>> {
    let keys = ["a", "a/b", "a//c", "../../etc/passwd", "dir/", "100%", "ä/ö", "empty"];
    let lengths = [10, 40_000, 5_000, 300_000, 1, 32_769, 1_500_000, 0];
    let body = |length: usize, seed: usize| (0..length).map(|at| (at * 31 + at / 251 + seed) as u8).collect();
    let named = keys.into_iter().zip(lengths).map(|(key, length)| (key.to_owned(), body(length, length)));
    named.chain([("x".repeat(900), body(70_000, 7))]).collect()
}

/// A server that was killed after it had stored all objects.
pub fn killed(objects: &BTreeMap<String, Vec<u8>>) -> Server {
    let mut server = Server::start();
    store(&server, objects);
    // The index is written to disk about a second after the journal.
    std::thread::sleep(std::time::Duration::from_secs(3));
    server.kill();
    server
}

/// Stores objects, and makes their bucket if it isn't there.
pub fn store(server: &Server, objects: &BTreeMap<String, Vec<u8>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client(server);
        // The bucket may be there from an earlier call.
        let _ = client.create_bucket().bucket(BUCKET).send().await;
        for (key, body) in objects {
            let body = ByteStream::from(body.clone());
            let put = client.put_object().bucket(BUCKET).key(key).body(body);
            put.content_type("text/x").metadata("n", "1").send().await.unwrap();
        }
    });
}

/// The body of the current object of a key, if it can be read.
pub fn fetch(server: &Server, key: &str) -> Option<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let got = client(server).get_object().bucket(BUCKET).key(key).send().await.ok()?;
        Some(got.body.collect().await.ok()?.to_vec())
    })
}

fn rescue(data: &Path, to: &Path) -> Output {
    rescue_with(data, to, None)
}

pub fn rescue_with(data: &Path, to: &Path, backup: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["rescue", "--data"]).arg(data).arg("--to").arg(to);
    if let Some(file) = backup {
        command.arg("--backup").arg(file);
    }
    command.output().unwrap()
}

/// The manifest's lines by key.
pub fn manifest(to: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(to.join("manifest.jsonl")).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["key"].as_str().unwrap().to_owned(), line)
    };
    text.lines().map(line).collect()
}

/// How many objects the manifest calls whole. All their bytes are compared.
pub fn whole(to: &Path, objects: &BTreeMap<String, Vec<u8>>) -> usize {
    let lines = manifest(to);
    assert!(lines.keys().all(|key| objects.contains_key(key)), "only what was stored is there");
    let whole = lines.iter().filter(|(_, line)| line["status"] == "whole");
    whole
        .inspect(|(key, line)| {
            let path = to.join(line["path"].as_str().unwrap());
            assert!(std::fs::read(path).unwrap() == objects[*key], "{key}");
            assert_eq!(
                (&line["metadata"]["n"], &line["headers"]["content-type"]),
                (&"1".into(), &"text/x".into())
            );
        })
        .count()
}

pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

pub fn each_drive(data: &Path, damage: impl Fn(&Path)) {
    (0..6).for_each(|drive| damage(&data.join(format!("hot/{drive}"))));
}

#[test]
fn everything_readable_is_copied_out_of_a_store_that_cannot_start() {
    let objects = objects();
    let server = killed(&objects);
    let small = objects.values().filter(|body| body.len() <= 32_768).count();
    let remove = |path: &Path| {
        let _ = std::fs::remove_dir_all(path);
    };
    type Damage<'a> = Box<dyn Fn(&Path) + 'a>;
    let damages: [(&str, usize, i32, Damage); 7] = [
        ("nothing", objects.len(), 0, Box::new(|_| ())),
        (
            "no meta and two drives less",
            objects.len(),
            0,
            Box::new(|data| {
                ["meta", "hot/1", "hot/4"].into_iter().for_each(|name| remove(&data.join(name)));
            }),
        ),
        (
            "no identity anywhere",
            objects.len(),
            0,
            Box::new(|data| {
                for file in ["identity", "identity.copy"] {
                    each_drive(data, |drive| std::fs::write(drive.join(file), b"rot").unwrap());
                }
            }),
        ),
        (
            "drives in each other's places",
            objects.len(),
            0,
            Box::new(|data| {
                std::fs::rename(data.join("hot/0"), data.join("away")).unwrap();
                std::fs::rename(data.join("hot/3"), data.join("hot/0")).unwrap();
                std::fs::rename(data.join("away"), data.join("hot/3")).unwrap();
            }),
        ),
        // The index still knows all objects, but the bodies of the small ones were in the journal.
        (
            "no journal",
            objects.len() - small + 1,
            1,
            Box::new(|data| {
                each_drive(data, |drive| remove(&drive.join("journal")));
            }),
        ),
        (
            "no journal, and the index on a drive",
            objects.len() - small + 1,
            1,
            Box::new(|data| {
                each_drive(data, |drive| remove(&drive.join("journal")));
                index_moves(data, "hot/3");
            }),
        ),
        (
            "no volumes",
            small,
            1,
            Box::new(|data| {
                each_drive(data, |drive| remove(&drive.join("volumes")));
            }),
        ),
    ];
    for (what, expected, code, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let (data, to) = (folder.path().join("data"), folder.path().join("out"));
        copy(&server.data(), &data);
        damage(&data);
        let output = rescue(&data, &to);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{what}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(whole(&to, &objects), expected, "{what}: {said}");
        let totals = said.lines().last().unwrap_or_default();
        let told = format!("In all: {} objects, {expected} whole, ", objects.len());
        assert!(
            totals.starts_with(&told) || what == "no volumes" && totals.starts_with("In all: "),
            "{what}: {said}"
        );
    }
}

#[test]
fn a_second_rescue_copies_only_what_the_first_could_not_and_missing_ranges_are_told() {
    let objects = objects();
    let server = killed(&objects);
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (folder.path().join("data"), folder.path().join("out"));
    copy(&server.data(), &data);
    // Three of six drives are gone, so large objects lose the data that lay on them.
    for drive in [0, 2, 5] {
        std::fs::rename(data.join(format!("hot/{drive}")), folder.path().join(drive.to_string())).unwrap();
    }
    assert_eq!(rescue(&data, &to).status.code(), Some(1));
    let before = whole(&to, &objects);
    assert!(before < objects.len());
    for (key, line) in manifest(&to).iter().filter(|(_, line)| line["status"] == "damaged") {
        let path = to.join(line["path"].as_str().unwrap());
        let (found, expected) = (std::fs::read(path).unwrap(), &objects[key]);
        let mut at = 0;
        for range in line["unreadable"].as_array().unwrap() {
            let (from, end) = (range[0].as_u64().unwrap() as usize, range[1].as_u64().unwrap() as usize);
            assert!(found[at..from] == expected[at..from], "{key}: bytes that are called readable are wrong");
            at = end;
        }
        assert!(found[at..] == expected[at..], "{key}");
    }
    // The drives come back. A line of the manifest that was cut off by an interruption does no harm.
    for drive in [0, 2, 5] {
        std::fs::rename(folder.path().join(drive.to_string()), data.join(format!("hot/{drive}"))).unwrap();
    }
    use std::io::Write;
    let mut torn = std::fs::File::options().append(true).open(to.join("manifest.jsonl")).unwrap();
    torn.write_all(b"{\"bucket\":\"pho").unwrap();
    let output = rescue(&data, &to);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(whole(&to, &objects), objects.len());
    assert!(said.contains(&format!("{before} of them since an earlier run")), "{said}");
}

#[test]
fn a_rescue_of_a_running_server_or_of_an_empty_folder_is_refused() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let output = rescue(&server.data(), &folder.path().join("out"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another server"));
    let output = rescue(&folder.path().join("nothing"), &folder.path().join("out"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no drive of a store"));
}
