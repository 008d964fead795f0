//! A binary that doesn't know the level of a store refuses the store, wherever it meets the level first, and names the
//! store's level and its own highest. This binary plays the older one: `STRATUM_KNOWN_LEVEL` limits the levels that it
//! knows.

use crate::backup::backup;
use crate::levels::{ended, level};
use crate::rescue::{each_drive, fetch, objects, store};
use crate::server::{SECRET_KEY, Server, command};
use std::path::Path;
use std::process::{Command, Output};

/// This binary as one that knows only level 1.
fn older(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(args).env("STRATUM_KNOWN_LEVEL", "1");
    command
}

/// Starts a server of the older binary on a data folder; gives its output.
fn older_server(data: &Path) -> Output {
    ended(command(data, "127.0.0.1:0").env("STRATUM_KNOWN_LEVEL", "1"))
}

fn names_both(output: &Output) {
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{said}");
    assert!(said.contains("level 2; this binary knows levels up to 1"), "{said}");
}

fn without_checkpoints(data: &Path) {
    each_drive(data, |drive| drop(std::fs::remove_dir_all(drive.join("checkpoint"))));
}

#[test]
fn an_older_binary_refuses_a_store_by_its_index_and_by_its_journal() {
    let mut server = Server::start();
    store(&server, &objects());
    assert_eq!(server.stop(), Some(0));
    let data = server.data();
    let to = server.folder().join("out");
    let path = data.to_str().unwrap();
    names_both(&older_server(&data));
    names_both(&ended(&mut older(&["fsck", "--data", path])));
    names_both(&ended(&mut older(&["rescue", "--data", path, "--to", to.to_str().unwrap()])));
    // None of them changed anything. Without the index the level is met in the journal, and refused as well.
    std::fs::remove_dir_all(data.join("meta/sled")).unwrap();
    without_checkpoints(&data);
    names_both(&older_server(&data));
    server.restart();
    for (key, body) in &objects() {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}

#[test]
fn a_store_of_an_older_binary_keeps_its_level_until_it_is_raised() {
    let mut server = Server::start_older();
    assert_eq!(level(&server, "show").trim(), "the store is of level 1; the server knows levels up to 1");
    store(&server, &objects());
    server.restart();
    assert_eq!(level(&server, "show").trim(), "the store is of level 1; the server knows levels up to 2");
    level(&server, "raise");
    // The server is killed at once, so that the new level may be in the journal alone.
    server.kill();
    names_both(&older_server(&server.data()));
    server.restart();
    for (key, body) in &objects() {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}

#[test]
fn a_backup_is_restored_at_its_level_and_refused_by_an_older_binary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let mut server = Server::start();
    store(&server, &objects());
    assert!(backup(&server, &file, SECRET_KEY).status.success());
    server.kill();
    let data = server.data();
    each_drive(&data, |drive| drop(std::fs::remove_dir_all(drive.join("journal"))));
    without_checkpoints(&data);
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    let args = ["restore", "--data", data.to_str().unwrap(), "--accept", "--from", file.to_str().unwrap()];
    names_both(&ended(&mut older(&args)));
    let restored = ended(Command::new(env!("CARGO_BIN_EXE_stratum")).args(args));
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    server.restart();
    assert!(level(&server, "show").starts_with("the store is of level 2;"));
    for (key, body) in &objects() {
        assert!(fetch(&server, key).as_ref() == Some(body), "{key}");
    }
}
