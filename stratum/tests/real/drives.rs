//! `stratum drive` on a running server, and starts with blank, foreign or replaced drives: such a drive is not used,
//! the status says why, and repeating a command does no harm.

use crate::rescue::{fetch, objects, store};
use crate::server::{ACCESS_KEY, SECRET_KEY, Server};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub fn stratum(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    command.args(words).env("STRATUM_ROOT_ACCESS_KEY", ACCESS_KEY).env("STRATUM_ROOT_SECRET_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// Runs `stratum drive`; gives its exit code and its output.
fn drive(server: &Server, words: &[&str], folder: &Path) -> (i32, String) {
    let endpoint = server.endpoint();
    let words = [&["drive"], words, &[folder.to_str().unwrap(), "--endpoint", &endpoint]].concat();
    let output = stratum(&words);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn status(server: &Server) -> Value {
    let output = stratum(&["status", "--json", "--endpoint", &server.endpoint()]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The state of the drive in a folder, as the status shows it.
fn state(server: &Server, folder: &Path) -> String {
    let status = status(server);
    let drives = status["drives"].as_array().unwrap();
    let found = drives.iter().find(|drive| drive["path"] == folder.to_str().unwrap());
    found.map_or("none".to_owned(), |drive| drive["state"].as_str().unwrap().to_owned())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}: not within two minutes");
}

fn is_whole(server: &Server) -> bool {
    let status = status(server);
    let is_healthy = |drive: &Value| drive["state"] == "healthy";
    status["redundancy"]["missing_fragments"] == 0
        && status["drives"].as_array().unwrap().iter().all(is_healthy)
}

fn all_is_there(server: &Server) {
    for (key, body) in objects() {
        assert!(fetch(server, &key) == Some(body), "{key}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_blank_folder_is_not_written_to_and_a_drive_that_was_replaced_is_not_used_again() {
    let mut server = Server::start();
    store(&server, &objects());
    let place = server.data().join("hot/1");
    let [old, new] = ["old", "new"].map(|name| server.data().with_file_name(name));
    server.kill();
    std::fs::rename(&place, &old).unwrap();
    std::fs::create_dir(&place).unwrap();
    server.restart();
    assert_eq!((state(&server, &place).as_str(), files(&place).len()), ("blank", 0));
    all_is_there(&server);
    let (code, said) = drive(&server, &["replace"], &place);
    assert!(code == 0 && said.contains("is in the set"), "{code}: {said}");
    let (code, said) = drive(&server, &["replace"], &place);
    assert!(code == 0 && said.contains("already"), "{code}: {said}");
    wait_until("heal", || is_whole(&server));

    // The drive that was replaced is put back in place of the new one.
    server.kill();
    std::fs::rename(&place, &new).unwrap();
    std::fs::rename(&old, &place).unwrap();
    let before = std::fs::read(place.join("identity")).unwrap();
    server.restart();
    assert_eq!(state(&server, &place), "stale");
    all_is_there(&server);
    let (code, said) = drive(&server, &["replace"], &place);
    assert!(code == 2 && said.contains("--wipe"), "{code}: {said}");
    assert!(std::fs::read(place.join("identity")).unwrap() == before, "the stale drive was written to");
    let (code, said) = drive(&server, &["replace", "--wipe"], &place);
    assert!(code == 0 && said.contains("is in the set"), "{code}: {said}");
    wait_until("heal", || is_whole(&server));
    all_is_there(&server);
}

#[test]
fn a_drive_of_another_store_counts_as_missing_and_is_not_written_to() {
    let (mut server, mut other) = (Server::start(), Server::start());
    server.kill();
    other.kill();
    let place = server.data().join("hot/3");
    std::fs::rename(&place, server.data().with_file_name("own")).unwrap();
    std::fs::rename(other.data().join("hot/3"), &place).unwrap();
    let listed =
        || Command::new("find").arg(&place).args(["-printf", "%p %s %T@\n"]).output().unwrap().stdout;
    let before = listed();
    server.restart();
    assert_eq!(state(&server, &place), "foreign");
    let notes = status(&server)["notes"].to_string();
    assert!(notes.contains("hot/3 is foreign") && notes.contains("another store"), "{notes}");
    let (code, said) = drive(&server, &["replace", "--wipe"], &place);
    assert!(code == 2 && said.contains("belongs to another store"), "{code}: {said}");
    store(&server, &objects());
    all_is_there(&server);
    server.kill();
    assert!(listed() == before, "the foreign drive was written to");
}

/// Makes a drive fail: its folder is moved away for a moment, as when a disk is unplugged.
fn fail_once(server: &Server, place: &Path) {
    let away = server.data().with_file_name("away");
    std::fs::rename(place, &away).unwrap();
    wait_until("the drive fails", || state(server, place) == "failed");
    wait_until("all files of the failed drive are closed", || server.open_under(&away) == 0);
    std::fs::rename(&away, place).unwrap();
}

#[test]
fn files_of_a_drive_that_is_out_are_closed_and_its_path_can_be_used_again_without_a_restart() {
    let server = Server::start();
    store(&server, &objects());
    let place = server.data().join("hot/1");
    assert!(server.open_under(&place) > 0);
    fail_once(&server, &place);
    all_is_there(&server);
    assert_eq!(server.open_under(&place), 0, "a read has opened a file of the failed drive");
    let (code, said) = drive(&server, &["replace"], &place);
    assert!(code == 0 && said.contains("is used again, with the data that it holds"), "{code}: {said}");
    wait_until("heal", || is_whole(&server));

    fail_once(&server, &place);
    let (code, said) = drive(&server, &["replace", "--wipe"], &place);
    assert!(code == 0 && said.contains("is in the set"), "{code}: {said}");
    wait_until("heal", || is_whole(&server));
    all_is_there(&server);

    let (code, said) = drive(&server, &["add"], &server.data().join("elsewhere/6"));
    assert!(code == 2 && said.contains("elsewhere/6 is in no tier's folder"), "{code}: {said}");
    assert!(said.contains(server.data().join("hot").to_str().unwrap()), "{said}");
    let (code, said) = drive(&server, &["add"], &server.data().join("hot/6"));
    assert_eq!(code, 0, "{said}");
    let (code, said) = drive(&server, &["drain"], &place);
    assert_eq!(code, 0, "{said}");
    wait_until("a drain", || state(&server, &place) == "drained");
    let (code, said) = drive(&server, &["remove"], &place);
    assert_eq!(code, 0, "{said}");
    wait_until("all files of the removed drive are closed", || server.open_under(&place) == 0);
    all_is_there(&server);
}

/// The drives have their identities and no journal. If the server took them for an empty store, the quarantine would
/// take every shard file for one that no record names.
#[test]
fn a_store_without_a_journal_on_any_drive_does_not_start_as_an_empty_store() {
    let mut server = Server::start();
    store(&server, &objects());
    server.kill();
    let places = (0..6).map(|drive| server.data().join(format!("hot/{drive}")));
    let members: Vec<PathBuf> = places.filter(|place| place.join("journal").exists()).collect();
    assert!(members.len() >= 3);
    for place in &members {
        std::fs::rename(place.join("journal"), place.with_extension("journal")).unwrap();
    }
    let output = stratum(&["server", "--address", "127.0.0.1:0", "--data", server.data().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is on none of its drives"), "{said}");
    for place in &members {
        std::fs::rename(place.with_extension("journal"), place.join("journal")).unwrap();
    }
    server.restart();
    all_is_there(&server);
}

#[test]
fn the_status_counts_the_objects_that_cannot_be_read() {
    let mut server = Server::start();
    store(&server, &objects());
    assert_eq!(status(&server)["redundancy"]["unreadable_objects"], 0);
    let in_volumes = objects().iter().filter(|(_, body)| body.len() > 32 << 10).count();
    assert!(in_volumes > 0);
    server.kill();
    for drive in 0..3 {
        let volumes = server.data().join(format!("hot/{drive}/volumes"));
        std::fs::rename(&volumes, volumes.with_extension("aside")).unwrap();
    }
    server.restart();
    let now = status(&server);
    let told = (&now["state"], &now["redundancy"]["unreadable_objects"]);
    assert_eq!(told, (&"damaged".into(), &in_volumes.into()), "{now:#}");
}

#[test]
fn repeating_a_command_does_no_harm() {
    let server = Server::start();
    store(&server, &objects());
    let (one, more) = (server.data().join("hot/2"), server.data().join("hot/6"));
    let twice = |words: &[&str], folder: &Path, expected: [&str; 2]| {
        for text in expected {
            let (code, said) = drive(&server, words, folder);
            assert!(code == 0 && said.contains(text), "{words:?} {folder:?}: {code}: {said}");
        }
    };
    twice(&["drain"], &one, ["is being drained", "already"]);
    twice(&["keep"], &one, ["stays in the set", "stays in the set"]);
    twice(&["add"], &more, ["is in the hot tier", "is a drive of the set already"]);
    twice(&["drain"], &more, ["is being drained", "already"]);
    wait_until("a drain", || state(&server, &more) == "drained");
    twice(&["remove"], &more, ["is not in the set any more", "is not in the set any more"]);
    assert_eq!(state(&server, &more), "none");
    let (code, said) = drive(&server, &["remove"], &server.data().join("hot/9"));
    assert_eq!(code, 2, "removing a drive that never existed: {said}");
    wait_until("heal", || is_whole(&server));
    all_is_there(&server);
}

/// Each drain alone could be borne.
#[test]
fn drains_that_are_given_at_once_leave_as_many_drives_as_writes_need() {
    let server = Server::start();
    let (endpoint, data) = (server.endpoint(), server.data());
    let drain = &|number: usize| {
        let folder = data.join(format!("hot/{number}"));
        stratum(&["drive", "drain", folder.to_str().unwrap(), "--endpoint", &endpoint])
    };
    let answers: Vec<Output> = std::thread::scope(|scope| {
        let given: Vec<_> = (0..5).map(|number| scope.spawn(move || drain(number))).collect();
        given.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let refused = answers.iter().filter(|answer| !answer.status.success());
    let refused: Vec<String> =
        refused.map(|answer| String::from_utf8_lossy(&answer.stderr).into_owned()).collect();
    // Six drives that survive the loss of two: three must stay.
    assert_eq!(refused.len(), 2, "{answers:?}");
    assert!(refused.iter().all(|said| said.contains("2 healthy drives left")), "{refused:?}");
    store(&server, &objects());
    all_is_there(&server);
}

#[test]
fn a_removal_that_is_refused_changes_nothing() {
    let server = Server::start();
    store(&server, &objects());
    let place = server.data().join("hot/1");
    fail_once(&server, &place);
    let (code, said) = drive(&server, &["remove"], &place);
    assert!(code == 2 && said.contains("`stratum drive drain` it first"), "{code}: {said}");
    let (code, said) = drive(&server, &["replace"], &place);
    assert!(code == 0 && said.contains("is used again"), "{code}: {said}");
    assert_eq!(state(&server, &place), "healthy", "it is on its way out");
}

/// The next start couldn't be made with any configuration.
#[test]
fn a_folder_in_or_around_or_of_another_drive_is_not_taken_in() {
    let server = Server::start();
    store(&server, &objects());
    let (data, link) = (server.data(), server.data().join("hot/6"));
    for (leads_to, told) in [
        ("warm/3/inside", "lies in another one"),
        ("warm", "lies in another one"),
        ("warm/3", "two drives are one folder"),
    ] {
        let folder = data.join(leads_to);
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let (code, said) = drive(&server, &["add"], &link);
        assert!(
            code == 2 && said.contains(told) && said.contains("next start"),
            "{leads_to}: {code}: {said}"
        );
        assert_eq!(state(&server, &link), "none");
        std::fs::remove_file(&link).unwrap();
    }
    let lost = data.join("hot/1");
    fail_once(&server, &lost);
    std::fs::remove_dir_all(&lost).unwrap();
    std::os::unix::fs::symlink(data.join("warm/3/inside"), &lost).unwrap();
    let (code, said) = drive(&server, &["replace"], &lost);
    assert!(code == 2 && said.contains("lies in another one"), "{code}: {said}");
    all_is_there(&server);
}
