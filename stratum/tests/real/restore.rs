//! `stratum restore` of a store whose journal is gone: nothing on the drives is freed until the restored state is
//! accepted, and drives that come back later never undo it.

use crate::backup::{backup, later};
use crate::client::client;
use crate::rescue::{copy, each_drive, fetch, objects, rescue_with, store, whole};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

fn restore(data: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["restore", "--data"]).arg(data).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_store_whose_journal_is_gone_starts_again_from_a_backup() {
    let objects = objects();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let from = ["--from", file.to_str().unwrap()];
    let mut server = Server::start();
    store(&server, &objects);
    assert!(backup(&server, &file, SECRET_KEY).status.success());
    store(&server, &later());
    assert_eq!(restore(&server.data(), &from).status.code(), Some(2), "not while a server runs");
    server.kill();
    let output = restore(&server.data(), &from);
    assert_eq!(output.status.code(), Some(0), "the drives know everything: {}", said(&output));

    // The journal is removed from all drives; one of its copies is kept aside.
    let data = server.data();
    let away = folder.path().join("away");
    each_drive(&data, |drive| {
        let _ = std::fs::rename(drive.join("journal"), &away)
            .or_else(|_| std::fs::remove_dir_all(drive.join("journal")));
    });
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    let output = restore(&data, &[from.as_slice(), &["--dry-run"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("Nothing was changed"), "{}", said(&output));
    assert!(
        said(&output).contains("In all: ") && said(&output).contains("The backup is "),
        "{}",
        said(&output)
    );
    each_drive(&data, |drive| assert!(!drive.join("journal").exists()));
    let output = restore(&data, &[from.as_slice(), &["--accept"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    server.restart();
    for (key, body) in &objects {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
    assert_eq!(fetch(&server, "later/small"), None, "it came after the backup");
    let new = [("new".to_owned(), vec![3; 50_000])].into();
    store(&server, &new);
    server.kill();

    // The copy of the old journal comes back. Its epoch is lower, so it doesn't count, although it knows more.
    let drive =
        (0..6).map(|drive| data.join(format!("hot/{drive}/journal"))).find(|path| path.is_dir()).unwrap();
    for (number, entry) in std::fs::read_dir(&away).unwrap().enumerate() {
        std::fs::copy(entry.unwrap().path(), drive.join(format!("segment-{:04x}", 0x1000 + number))).unwrap();
    }
    server.restart();
    assert_eq!(fetch(&server, "new"), Some(vec![3; 50_000]));
    for (key, body) in &objects {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}

/// The end of the journal is lost, while the checkpoint goes further than what is left of it.
#[test]
fn a_restore_is_refused_when_the_journal_ends_before_the_checkpoint() {
    let objects = objects();
    let folder = tempfile::tempdir().unwrap();
    let journal = |data: &Path, number: usize| data.join(format!("hot/{number}/journal"));
    let mut server = Server::start();
    let data = server.data();
    store(&server, &objects);
    server.stop();
    let members: Vec<usize> = (0..6).filter(|number| journal(&data, *number).is_dir()).collect();
    members.iter().for_each(|number| copy(&journal(&data, *number), &folder.path().join(number.to_string())));
    server.restart();
    store(&server, &later());
    let checked = ask(&server, &["fsck"]);
    assert!(checked.status.success(), "it takes a checkpoint: {}", said(&checked));
    server.stop();
    each_drive(&data, |drive| {
        let _ = std::fs::remove_dir_all(drive.join("journal"));
    });
    members.iter().for_each(|number| copy(&folder.path().join(number.to_string()), &journal(&data, *number)));

    // A restored history would begin after the checkpoint, and the bodies in the journal would be lost with it.
    let output = restore(&data, &["--accept"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let told = said(&output);
    assert!(told.contains("the journal ends at entry ") && told.contains("use `stratum rescue`"), "{told}");
    let (out, mut known) = (folder.path().join("out"), objects.clone());
    known.extend(later());
    let rescued = rescue_with(&data, &out, None);
    assert_eq!(
        whole(&out, &known),
        objects.len() + 1,
        "all but what lay at the journal's end: {}",
        said(&rescued)
    );
}

/// Runs a command against the running server.
fn ask(server: &Server, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).args(["--endpoint", &server.endpoint()]);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// All shard files of the hot tier, by path, with their bytes.
fn shard_files(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for drive in 0..6 {
        for entry in std::fs::read_dir(data.join(format!("hot/{drive}/volumes"))).unwrap() {
            let path = entry.unwrap().path();
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

/// How many bytes these files take on disk.
fn disk<'a>(files: impl Iterator<Item = &'a PathBuf>) -> u64 {
    files.filter_map(|path| Some(std::fs::metadata(path).ok()?.blocks() * 512)).sum()
}

fn delete(server: &Server, key: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        client(server).delete_object().bucket("photos").key(key).send().await.unwrap();
    });
}

/// A stopped server that has lost journal, checkpoints and index, and to which objects were added after a backup was
/// made; gives the server and the file of the backup.
fn with_an_older_backup(folder: &Path) -> (Server, PathBuf) {
    let (mut server, file) = (Server::start(), folder.join("backup"));
    store(&server, &objects());
    assert!(backup(&server, &file, SECRET_KEY).status.success());
    store(&server, &[("newer".to_owned(), vec![5; 3_000_000])].into());
    server.restart();
    store(&server, &[("newest".to_owned(), vec![6; 3_000_000])].into());
    server.kill();
    each_drive(&server.data(), |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    std::fs::remove_dir_all(server.data().join("meta")).unwrap();
    (server, file)
}

#[test]
fn nothing_on_the_drives_changes_until_a_restored_state_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, file) = with_an_older_backup(folder.path());
    let data = server.data();
    let before = shard_files(&data);
    let output = restore(&data, &["--from", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("Restored. Start the server"), "{}", said(&output));
    let output = restore(&data, &[]);
    assert_eq!(output.status.code(), Some(1), "it waits: {}", said(&output));

    // The server serves, and accepts writes and deletes, also after a restart. The old files stay as they were.
    server.restart();
    let status = ask(&server, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    assert!(said(&status).contains("waits to be accepted"), "{}", said(&status));
    let refused = ask(&server, &["drive", "drain", data.join("hot/1").to_str().unwrap()]);
    assert!(said(&refused).contains("not accepted yet"), "{}", said(&refused));
    for (key, body) in &objects() {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
    assert_eq!(fetch(&server, "newer"), None);
    delete(&server, "dir/");
    delete(&server, "ä/ö");
    store(&server, &[("new".to_owned(), vec![3; 700_000])].into());
    ask(&server, &["scrub", "start"]);
    std::thread::sleep(Duration::from_secs(4));
    server.restart();
    std::thread::sleep(Duration::from_secs(3));
    let fsck = ask(&server, &["fsck"]);
    assert_eq!(fsck.status.code(), Some(0), "{}", said(&fsck));
    let now = shard_files(&data);
    for (path, bytes) in &before {
        assert!(now.get(path) == Some(bytes), "{}", path.display());
    }

    // Once the state is accepted, the server frees space, and after a restart there is nothing left to accept.
    let held = disk(before.keys());
    let output = ask(&server, &["restore", "--accept"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for _ in 0..100 {
        if disk(before.keys()) < held {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(disk(before.keys()) < held, "nothing was freed");
    server.restart();
    let status = ask(&server, &["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", said(&status));
    for (key, body) in objects().iter().filter(|(key, _)| *key != "dir/" && *key != "ä/ö") {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
    assert_eq!(fetch(&server, "new"), Some(vec![3; 700_000]));
}

#[test]
fn a_restored_state_can_be_accepted_while_the_server_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, file) = with_an_older_backup(folder.path());
    let data = server.data();
    assert_eq!(restore(&data, &["--from", file.to_str().unwrap()]).status.code(), Some(1));
    let output = restore(&data, &["--accept"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = restore(&data, &[]);
    assert!(said(&output).contains("nothing is to be restored"), "{}", said(&output));
    server.restart();
    assert_eq!(ask(&server, &["status"]).status.code(), Some(0));
}

/// Removes what names the objects from all drives of a stopped server.
fn lose_metadata(data: &Path) {
    each_drive(data, |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    std::fs::remove_dir_all(data.join("meta")).unwrap();
}

#[test]
fn a_backup_of_another_store_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (right, foreign) = (folder.path().join("right"), folder.path().join("foreign"));
    let (mut server, mut other) = (Server::start(), Server::start());
    store(&server, &objects());
    store(&other, &later());
    assert!(backup(&server, &right, SECRET_KEY).status.success());
    assert!(backup(&other, &foreign, SECRET_KEY).status.success());
    other.kill();
    server.kill();
    let data = server.data();
    lose_metadata(&data);
    let output = restore(&data, &["--from", foreign.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("of another store"), "{}", said(&output));
    let rescued = rescue_with(&data, &folder.path().join("out"), Some(&foreign));
    assert_eq!(rescued.status.code(), Some(2), "{}", said(&rescued));
    let output = restore(&data, &["--from", right.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    server.restart();
    for (key, body) in &objects() {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}

#[test]
fn a_restore_begins_anew_from_a_backup_that_has_more_than_the_restored_state() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let mut server = Server::start();
    let data = server.data();
    store(&server, &objects());
    assert!(backup(&server, &old, SECRET_KEY).status.success());
    store(&server, &later());
    assert!(ask(&server, &["fsck"]).status.success(), "it takes a checkpoint");
    assert!(backup(&server, &new, SECRET_KEY).status.success());
    server.kill();
    lose_metadata(&data);
    assert_eq!(restore(&data, &["--from", old.to_str().unwrap()]).status.code(), Some(1));
    server.restart();
    assert_eq!(fetch(&server, "later/small"), None, "it came after the older backup");
    assert!(ask(&server, &["fsck"]).status.success(), "it takes a checkpoint");
    server.stop();

    let (out, mut known) = (folder.path().join("out"), objects());
    known.extend(later());
    let rescued = rescue_with(&data, &out, Some(&new));
    assert_eq!(rescued.status.code(), Some(0), "{}", said(&rescued));
    assert_eq!(whole(&out, &known), known.len(), "{}", said(&rescued));
    let again = restore(&data, &["--from", old.to_str().unwrap()]);
    assert!(said(&again).contains("the drives know all of it"), "{}", said(&again));

    // Something is written. It would be lost with the newer backup, so that has to be said.
    server.restart();
    store(&server, &[("since".to_owned(), vec![3; 700])].into());
    server.stop();
    let refused = restore(&data, &["--from", new.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--give-up-writes"), "{}", said(&refused));
    let rescued = rescue_with(&data, &folder.path().join("out2"), Some(&new));
    assert_eq!(rescued.status.code(), Some(1), "something is left out: {}", said(&rescued));
    let output = restore(&data, &["--give-up-writes", "--from", new.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("Restored. Start the server"), "{}", said(&output));
    server.restart();
    for (key, body) in &known {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
    assert_eq!(fetch(&server, "since"), None);
    assert!(ask(&server, &["restore", "--accept"]).status.success());
    server.restart();
    for (key, body) in &known {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}
