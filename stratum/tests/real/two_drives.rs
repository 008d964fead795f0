//! A store on two drives, of which one may be lost: a new disk takes its place, while the server runs and at its start.

use crate::drives::stratum;
use crate::unmounted::Running;
use std::path::Path;
use std::time::Duration;

const DRIVES: usize = 2;

fn wait_until_whole(server: &Running) {
    for _ in 0..1200 {
        let status = server.status();
        let drives = status["drives"].as_array().unwrap();
        if status["redundancy"]["missing_fragments"] == 0
            && drives.iter().all(|drive| drive["state"] == "healthy")
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not whole within two minutes: {}", server.status());
}

/// Until then the journal counts on the lost drive, too.
fn wait_until_the_journal_has_left_one(home: &Path) {
    for _ in 0..1200 {
        if std::fs::read_to_string(home.join("log")).unwrap().contains("left=1") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no drive left the journal within two minutes");
}

/// Everything on a disk is gone: a new one is mounted where it was.
fn exchange(disk: &Path) {
    std::fs::rename(disk, disk.with_extension("old")).unwrap();
    std::fs::create_dir(disk).unwrap();
}

fn put(server: &Running, home: &Path, key: &str) {
    let file = home.join(key);
    std::fs::write(&file, key.repeat(1000)).unwrap();
    let (code, said) = server.ask(&["cp", file.to_str().unwrap(), &format!("s3://things/{key}")]);
    assert_eq!(code, Some(0), "{said}");
}

fn check(server: &Running, key: &str) {
    let (code, said) = server.ask(&["cat", &format!("s3://things/{key}")]);
    assert!(code == Some(0) && said == key.repeat(1000), "{key}: {code:?}");
}

#[test]
fn two_drives_go_on_with_a_new_disk_after_either_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let disks = ["d0", "d1"].map(|name| home.path().join(name));
    let server = Running::start(home.path(), DRIVES);
    assert_eq!(server.ask(&["mb", "s3://things"]).0, Some(0));
    put(&server, home.path(), "first");
    exchange(&disks[1]);
    let (code, said) = server.ask(&["drive", "replace", disks[1].to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("is in the set"), "{code:?}: {said}");
    put(&server, home.path(), "second");
    wait_until_whole(&server);
    wait_until_the_journal_has_left_one(home.path());
    drop(server);

    // The other one is lost, and the next start would wait for it.
    exchange(&disks[0]);
    let paths = disks.each_ref().map(|disk| disk.to_str().unwrap());
    let replace =
        |what: &str| stratum(&["drive", "replace-stopped", what, "--data", paths[0], "--data", paths[1]]);
    let refused = replace(home.path().join("d7").to_str().unwrap());
    assert_eq!(refused.status.code(), Some(2));
    for expected in ["is in the set", "is a healthy drive of the set already"] {
        let output = replace(paths[0]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{output:?}");
    }
    let server = Running::start(home.path(), DRIVES);
    put(&server, home.path(), "third");
    wait_until_whole(&server);
    ["first", "second", "third"].iter().for_each(|key| check(&server, key));
}
