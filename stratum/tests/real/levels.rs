//! This server serves a store that an earlier version has left, bit for bit. `fixtures/README.md` says what is in that
//! store.

use crate::client::client;
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::Client;
use sha2::{Digest, Sha256};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const FOLDERS: [&str; 4] = ["d0", "d1", "d2", "d3"];
const STORE: &[u8] = include_bytes!("../fixtures/level-1.store");
const MANIFEST: &str = include_str!("../fixtures/level-1.manifest");

/// Removes and gives the first bytes.
fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

/// Removes and gives a little-endian number of `width` bytes.
fn number(bytes: &mut &[u8], width: usize) -> usize {
    take(bytes, width).iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Writes the files of a packed store into a folder.
fn unpack(mut store: &[u8], folder: &Path) {
    let mut files = Vec::new();
    for _ in 0..number(&mut store, 4) {
        let length = number(&mut store, 2);
        let path = folder.join(std::str::from_utf8(take(&mut store, length)).unwrap());
        let (length, runs) = (number(&mut store, 8), number(&mut store, 4));
        let run = |_| (number(&mut store, 8), number(&mut store, 4), number(&mut store, 2));
        files.push((path, length, (0..runs).map(run).collect::<Vec<_>>()));
    }
    for (path, length, runs) in files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(path).unwrap();
        file.set_len(length as u64).unwrap();
        for (offset, place, length) in runs {
            file.seek(SeekFrom::Start(offset as u64)).unwrap();
            file.write_all(&store[place..place + length]).unwrap();
        }
    }
}

/// A server on the packed store, which is of level 1.
fn on_level_1() -> Server {
    let folder = tempfile::tempdir().unwrap();
    unpack(STORE, folder.path());
    Server::start_on(folder, &FOLDERS)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn unquoted(etag: Option<&str>) -> &str {
    etag.unwrap().trim_matches('"')
}

/// Checks that everything reads back that the manifest names, and that there is nothing else.
async fn everything_reads_back(client: &Client) {
    let mut upload = ("", "", "");
    let mut parts = Vec::new();
    let mut buckets = Vec::new();
    let mut keys = Vec::new();
    for line in MANIFEST.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        let fields: Vec<&str> = rest.splitn(5, ' ').collect();
        match (kind, fields.as_slice()) {
            ("object", [bucket, size, etag, sha, key]) => {
                let got = client.get_object().bucket(*bucket).key(*key).send().await.unwrap();
                assert_eq!(unquoted(got.e_tag()), *etag, "{key}");
                assert_eq!(got.content_length().unwrap().to_string(), *size, "{key}");
                let body = got.body.collect().await.unwrap().to_vec();
                assert_eq!(sha256(&body), *sha, "{key}");
                keys.push(format!("{bucket}/{key}"));
            }
            ("upload", [bucket, id, key]) => upload = (bucket, id, key),
            ("part", [number, size, etag, _]) => parts.push(format!("{number} {size} {etag}")),
            ("bucket", [bucket]) => buckets.push(*bucket),
            _ => panic!("{line}"),
        }
    }
    let listed = client.list_buckets().send().await.unwrap();
    assert_eq!(listed.buckets().iter().filter_map(|bucket| bucket.name()).collect::<Vec<_>>(), buckets);
    let mut found = Vec::new();
    for bucket in &buckets {
        let page = client.list_objects_v2().bucket(*bucket).send().await.unwrap();
        found.extend(page.contents().iter().filter_map(|object| Some(format!("{bucket}/{}", object.key()?))));
    }
    keys.sort();
    assert_eq!(found, keys);
    let (bucket, id, key) = upload;
    let listed = client.list_parts().bucket(bucket).key(key).upload_id(id).send().await.unwrap();
    let of_part = |part: &aws_sdk_s3::types::Part| {
        format!("{} {} {}", part.part_number().unwrap(), part.size().unwrap(), unquoted(part.e_tag()))
    };
    assert_eq!(listed.parts().iter().map(of_part).collect::<Vec<_>>(), parts);
}

/// Runs `stratum fsck` on the server's data. The server must be stopped.
fn fsck(server: &Server) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.arg("fsck");
    for name in FOLDERS {
        command.arg("--data").arg(server.folder().join(name));
    }
    command.output().unwrap()
}

fn is_sound(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_store_of_level_1_is_served_without_being_raised() {
    let mut server = on_level_1();
    everything_reads_back(&client(&server)).await;
    assert_eq!(server.stop(), Some(0));
    is_sound(&fsck(&server));
}

#[tokio::test]
async fn a_store_of_level_1_without_its_index_is_served_without_being_raised() {
    let folder = tempfile::tempdir().unwrap();
    unpack(STORE, folder.path());
    std::fs::remove_dir_all(folder.path().join("d0/meta/sled")).unwrap();
    let server = Server::start_on(folder, &FOLDERS);
    everything_reads_back(&client(&server)).await;
}

/// Runs `stratum level` against a server; gives its output.
pub fn level(server: &Server, action: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["level", action, "--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_store_of_level_1_is_raised_while_it_serves() {
    let mut server = on_level_1();
    assert!(level(&server, "show").starts_with("the store is of level 1;"));
    assert!(level(&server, "raise").starts_with("the store is of level 2;"));
    let client = client(&server);
    everything_reads_back(&client).await;
    // New records are written at the new level, beside the older ones, which stay as they are.
    let put = client.put_object().bucket("logs").key("new").body(vec![7u8; 50_000].into());
    put.send().await.unwrap();
    client.delete_object().bucket("logs").key("new").send().await.unwrap();
    client.create_bucket().bucket("another").send().await.unwrap();
    client.delete_bucket().bucket("another").send().await.unwrap();
    everything_reads_back(&client).await;
    assert_eq!(server.stop(), Some(0));
    is_sound(&fsck(&server));
    server.restart();
    assert!(level(&server, "show").starts_with("the store is of level 2;"));
    everything_reads_back(&self::client(&server)).await;
    server.kill();
    std::fs::remove_dir_all(server.data().join("meta/sled")).unwrap();
    server.restart();
    everything_reads_back(&self::client(&server)).await;
}

/// Starts a server that must refuse to start, on the folders of the packed store, with the configuration that lies
/// beside them; gives its error.
fn refused(folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["server", "--address", "127.0.0.1:0", "--config"]).arg(folder.join("stratum.toml"));
    for name in FOLDERS {
        command.arg("--data").arg(folder.join(name));
    }
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    let output = ended(&mut command);
    assert_eq!(output.status.code(), Some(2), "it serves");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a command that should end within a minute, and kills it if it doesn't; gives its output.
pub fn ended(command: &mut Command) -> Output {
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..600 {
        if process.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = process.kill();
    process.wait_with_output().unwrap()
}

/// An older binary can't read coded bodies, and as long as a store is of level 1, an operator may go back to such a
/// binary.
#[tokio::test]
async fn a_codec_for_hot_is_refused_until_the_store_was_raised() {
    let folder = tempfile::tempdir().unwrap();
    unpack(STORE, folder.path());
    let configuration = folder.path().join("stratum.toml");
    let codec = "[tiers.hot]\ncodec = \"zstd\"\n";
    std::fs::write(&configuration, codec).unwrap();
    let said = refused(folder.path());
    assert!(said.contains("takes a store of level 2, and this one is of level 1"), "{said}");
    assert!(said.contains("`stratum level raise`"), "{said}");
    std::fs::remove_file(&configuration).unwrap();
    let mut server = Server::start_on(folder, &FOLDERS);
    level(&server, "raise");
    std::fs::write(&configuration, codec).unwrap();
    server.restart();
    everything_reads_back(&client(&server)).await;
    let body = vec![7u8; 2_000_000];
    let client = client(&server);
    client.put_object().bucket("logs").key("new").body(body.clone().into()).send().await.unwrap();
    let got = client.get_object().bucket("logs").key("new").send().await.unwrap();
    assert!(got.body.collect().await.unwrap().to_vec() == body);
}

#[test]
fn a_new_store_begins_at_the_newest_level() {
    assert!(level(&Server::start(), "show").starts_with("the store is of level 2;"));
}
