//! `stratum backup` of a server that serves, and what is had back with it.

use crate::rescue::{copy, each_drive, objects, rescue_with, store, whole};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

pub fn backup(server: &Server, to: &Path, secret: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(["backup", "--endpoint", &server.endpoint(), "--to"]).arg(to);
    command.env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", secret);
    command.output().unwrap()
}

pub fn later() -> BTreeMap<String, Vec<u8>> {
    [("later/small".to_owned(), vec![7; 900]), ("later/large".to_owned(), vec![9; 90_000])].into()
}

#[test]
fn what_the_drives_have_lost_comes_from_the_backup_and_what_is_newer_from_the_drives() {
    let (before, after) = (objects(), later());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let mut server = Server::start();
    store(&server, &before);
    let output = backup(&server, &file, SECRET_KEY);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    store(&server, &after);
    server.kill();

    // All that knew of the objects is gone, and only the volumes' bytes are left.
    let (data, to) = (folder.path().join("data"), folder.path().join("out"));
    copy(&server.data(), &data);
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    each_drive(&data, |drive| {
        ["journal", "checkpoint"].iter().for_each(|name| drop(std::fs::remove_dir_all(drive.join(name))));
    });
    rescue_with(&data, &to, Some(&file));
    assert_eq!(whole(&to, &before), before.len());

    // Beside drives that have everything, nothing newer is lost.
    let to = folder.path().join("all");
    let all: BTreeMap<_, _> = before.into_iter().chain(after).collect();
    let output = rescue_with(&server.data(), &to, Some(&file));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(whole(&to, &all), all.len());

    // Half a backup is refused in words.
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(length - 5).unwrap();
    let output = rescue_with(&data, &folder.path().join("none"), Some(&file));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("never finished"));
}

#[test]
fn only_root_gets_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let output = backup(&server, &folder.path().join("backup"), "not-the-secret");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
