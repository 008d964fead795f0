//! A block of the index that is bad in every copy, in the real binary: it is shown, and giving it up loses nothing
//! else.

use crate::client::client;
use crate::remote::{Pair, blocking};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use aws_sdk_s3::primitives::ByteStream;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The number of objects. Their records fill several blocks of the index.
const OBJECTS: usize = 1200;

fn stratum(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// The exit code and the output of a command.
fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// All copies of the longest range file, which is that of the base and has all records.
fn copies(data: &Path) -> Vec<PathBuf> {
    let drives = std::fs::read_dir(data.join("hot")).unwrap().map(|entry| entry.unwrap().path());
    let files = drives.filter_map(|drive| std::fs::read_dir(drive.join("checkpoint")).ok()).flatten();
    let ranges = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
    let ranges: Vec<PathBuf> = ranges.collect();
    let longest = ranges.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let name = longest.file_name().unwrap().to_owned();
    ranges.into_iter().filter(|path| path.file_name() == Some(&name)).collect()
}

/// All keys of the bucket; nothing if a page of the list fails.
async fn listed(server: &Server) -> Option<BTreeSet<String>> {
    let mut pages = client(server).list_objects_v2().bucket("many").into_paginator().send();
    let mut keys = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let objects = page.ok()?.contents.unwrap_or_default();
        keys.extend(objects.into_iter().filter_map(|object| object.key));
    }
    Some(keys)
}

/// Fills a bucket; gives the keys, of which each fiftieth has a larger body.
async fn fill(server: &Server) -> Vec<String> {
    let s3 = client(server);
    s3.create_bucket().bucket("many").send().await.unwrap();
    let keys: Vec<String> = (0..OBJECTS).map(|number| format!("a/key/{number:06}")).collect();
    for (number, some) in keys.chunks(50).enumerate() {
        // One object of each chunk is large, so that it is written to a volume at once.
        let large = ByteStream::from(vec![number as u8; 40_000]);
        let puts = some[1..].iter().map(|key| {
            s3.put_object().bucket("many").key(key).body(ByteStream::from_static(b"small")).send()
        });
        futures_util::future::try_join_all(puts).await.unwrap();
        s3.put_object().bucket("many").key(&some[0]).body(large).send().await.unwrap();
    }
    keys
}

/// Changes a bit of a block in the middle of the index, on every drive.
fn damage(server: &Server) {
    let copies = copies(&server.data());
    assert!(copies.len() > 1, "{copies:?}");
    for path in copies {
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let (mut byte, at) = ([0], file.metadata().unwrap().len() * 2 / 5);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_the_index_comes_back_from_a_backup() {
    let mut server = Server::start();
    let keys = fill(&server).await;
    assert_eq!(said(&stratum(&server, &["fsck"])).0, Some(0));
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup");
    let back_up = ["backup", "--to", to.to_str().unwrap()];
    assert_eq!(said(&stratum(&server, &back_up)).0, Some(0));
    let s3 = client(&server);
    s3.put_object()
        .bucket("many")
        .key("a/later")
        .body(ByteStream::from_static(b"later"))
        .send()
        .await
        .unwrap();
    server.restart();
    damage(&server);
    assert_eq!(listed(&server).await, None, "a list that crosses it is an error");

    let data = server.data();
    let restore = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
        command.args(["lost", "restore", "--from"]).arg(&to).arg("--data").arg(&data).output().unwrap()
    };
    let (code, problem) = said(&restore());
    assert_eq!(code, Some(2), "a server runs: {problem}");
    assert_eq!(server.stop(), Some(0));
    let (code, told) = said(&restore());
    assert!(code == Some(0) && told.contains("1 blocks are what they were"), "{told}");
    let (code, told) = said(&restore());
    assert!(code == Some(0) && told.starts_with("Nothing of the index is lost."), "{told}");
    server.restart();
    let expected: BTreeSet<String> = keys.into_iter().chain(["a/later".into()]).collect();
    assert_eq!(listed(&server).await, Some(expected));
    let (code, report) = said(&stratum(&server, &["fsck"]));
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn what_is_lost_of_the_index_comes_back_from_the_remote_store_by_itself() {
    let mut pair = Pair::start();
    let keys = blocking(fill(&pair.server));
    let fsck = |pair: &Pair| said(&stratum(&pair.server, &["fsck"]));
    // It takes a checkpoint. Those that are kept share the base, so that none of them has what another lost.
    for number in 0..2 {
        assert_eq!(fsck(&pair).0, Some(0));
        let (s3, key) = (client(&pair.server), format!("a/later{number}"));
        let put = s3.put_object().bucket("many").key(key).body(ByteStream::from_static(b"later"));
        blocking(put.send()).unwrap();
    }
    assert_eq!(fsck(&pair).0, Some(0));
    pair.bring();
    let tier_status = |pair: &Pair| said(&stratum(&pair.server, &["tier", "status"])).1;
    pair.wait("a copy of the state lies there", |pair| {
        tier_status(pair).contains("a copy of the state as of entry")
    });
    pair.server.restart();
    damage(&pair.server);
    pair.wait("the list is whole", |pair| {
        blocking(listed(&pair.server)).is_some_and(|listed| listed.len() == keys.len() + 2)
    });
    let told = tier_status(&pair);
    assert!(told.contains("1 blocks of the index that no drive gave were put back"), "{told}");
    let (code, report) = fsck(&pair);
    assert_eq!(code, Some(0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_the_index_is_given_up_alone() {
    let mut server = Server::start();
    let keys = fill(&server).await;
    assert_eq!(said(&stratum(&server, &["lost", "show"])).0, Some(0), "nothing is");
    // Its checkpoint holds all of them, and the restarted server has none of it in memory.
    assert_eq!(said(&stratum(&server, &["fsck"])).0, Some(0));
    server.restart();
    damage(&server);
    assert_eq!(listed(&server).await, None, "a list that crosses it is an error");
    let (code, shown) = said(&stratum(&server, &["lost", "show"]));
    assert!(code == Some(1) && shown.contains("in 1 block, of the buckets many"), "{shown}");
    let token =
        shown.lines().find_map(|line| line.trim().strip_prefix("stratum lost give-up --token ")).unwrap();
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup");
    let back_up = ["backup", "--to", to.to_str().unwrap()];
    let (code, problem) = said(&stratum(&server, &back_up));
    assert!(code == Some(2) && problem.contains("stratum lost show"), "{problem}");

    let (code, refused) = said(&stratum(&server, &["lost", "give-up", "--token", "0123"]));
    assert!(code == Some(2) && refused.contains("something else by now"), "{refused}");
    let (code, done) = said(&stratum(&server, &["lost", "give-up", "--token", token]));
    assert!(code == Some(0) && done.starts_with("Given up: "), "{done}");
    let left = listed(&server).await.unwrap();
    let gone: Vec<&String> = keys.iter().filter(|key| !left.contains(*key)).collect();
    assert!((2..OBJECTS / 2).contains(&gone.len()), "{} are gone", gone.len());
    let s3 = client(&server);
    for key in [gone[0], gone[gone.len() - 1]] {
        assert!(
            s3.get_object()
                .bucket("many")
                .key(key)
                .send()
                .await
                .unwrap_err()
                .into_service_error()
                .is_no_such_key()
        );
    }
    let first = left.first().unwrap();
    assert!(s3.get_object().bucket("many").key(first).send().await.is_ok());
    assert_eq!(said(&stratum(&server, &back_up)).0, Some(0), "backups are made again");
    // Who checks the drives now is told what the lost records named, and nothing of the block.
    assert_eq!(server.stop(), Some(0));
    let mut check = Command::new(env!("CARGO_BIN_EXE_stratum"));
    let (_, report) = said(&check.args(["fsck", "--data"]).arg(server.data()).output().unwrap());
    let is_of_the_state = |line: &str| !line.starts_with("weak: ") && !line.starts_with("LOST: ");
    assert!(report.contains(" were checked.") && report.lines().all(is_of_the_state), "{report}");
    server.restart();
    let s3 = client(&server);
    let large = gone.iter().filter(|key| keys.iter().step_by(50).any(|large| large == **key)).count();
    let (code, report) = said(&stratum(&server, &["fsck"]));
    assert!(
        (code == Some(1)) == (large > 0) && (large == 0 || report.contains("stratum lost reclaim")),
        "{report}"
    );
    let (code, back) = said(&stratum(&server, &["lost", "reclaim"]));
    assert!(code == Some(0) && back.starts_with(&format!("Given back: {large} extents")), "{back}");
    let (code, report) = said(&stratum(&server, &["fsck"]));
    assert_eq!(code, Some(0), "{report}");
    s3.put_object().bucket("many").key(gone[0]).body(ByteStream::from_static(b"again")).send().await.unwrap();
    server.restart();
    assert_eq!(listed(&server).await.unwrap().len(), left.len() + 1);
}
