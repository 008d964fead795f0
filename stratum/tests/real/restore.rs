//! `stratum restore` of a store whose journal is gone: told first, done when accepted, and never undone by drives that
//! come back.

use crate::backup::{backup, later};
use crate::rescue::{each_drive, fetch, objects, store};
use crate::server::{SECRET_KEY, Server};
use std::path::Path;
use std::process::{Command, Output};

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

    // The journal goes, on all drives; one of them keeps it aside.
    let data = server.data();
    let away = folder.path().join("away");
    each_drive(&data, |drive| {
        let _ = std::fs::rename(drive.join("journal"), &away)
            .or_else(|_| std::fs::remove_dir_all(drive.join("journal")));
    });
    std::fs::remove_dir_all(data.join("meta")).unwrap();
    let output = restore(&data, &from);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("Nothing was changed"), "{}", said(&output));
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

    // What was away comes back: its epoch is lower, whatever it knows.
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
