//! `stratum fsck` on the data of a server that was killed: a whole store gives no findings, every kind of damage is
//! found and named, and what can be repaired is repaired.

use crate::rescue::{BUCKET, copy, each_drive, killed, objects};
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `stratum fsck`; gives its exit code, and the findings that are more than notes.
fn fsck(data: &Path, more: &[&str]) -> (i32, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratum"));
    let output = command.args(["fsck", "--json", "--data"]).arg(data).args(more).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().unwrap().iter();
    let told = findings.filter(|found| found["severity"] != "note");
    let told = told
        .map(|found| format!("{}: {}", found["severity"].as_str().unwrap(), found["text"].as_str().unwrap()));
    (output.status.code().unwrap(), told.collect())
}

/// The first file of a folder, by name.
fn file_in(dir: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.remove(0)
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// A drive that is a member of the journal.
fn member(data: &Path) -> PathBuf {
    let holds = |drive: &PathBuf| drive.join("journal").is_dir();
    (0..6).map(|drive| data.join(format!("hot/{drive}"))).find(holds).unwrap()
}

/// Moves the index onto a drive, where a server puts it after the folder `meta` has failed.
pub fn index_moves(data: &Path, drive: &str) {
    let place = data.join(drive).join("index");
    std::fs::create_dir(&place).unwrap();
    let current = std::fs::read_to_string(data.join("meta/sled/current")).unwrap();
    std::fs::rename(data.join("meta/sled").join(current), place.join("7")).unwrap();
    std::fs::remove_dir_all(data.join("meta/sled")).unwrap();
    std::fs::write(place.join("current"), "7").unwrap();
}

#[test]
fn damage_is_found_named_and_repaired() {
    let server = killed(&objects());
    type Damage = fn(&Path);
    let damages: [(&str, &str, Damage); 9] = [
        ("a bit of a shard", "weak: the stripe at", |data| {
            flip(&file_in(&data.join("hot/2/volumes")), 6_000);
        }),
        ("a shard that is gone", "has no file", |data| {
            std::fs::remove_file(file_in(&data.join("hot/3/volumes"))).unwrap();
        }),
        ("a shard that is cut off", "weak: the stripe at", |data| {
            let file = std::fs::File::options().write(true).open(file_in(&data.join("hot/1/volumes")));
            file.unwrap().set_len(5_000).unwrap();
        }),
        ("a shard's header", "has a damaged header", |data| {
            flip(&file_in(&data.join("hot/1/volumes")), 20);
        }),
        ("a bit of the journal", "damaged on hot/", |data| {
            flip(&file_in(&member(data).join("journal")), 8_300);
        }),
        ("an identity that is gone", "some of the copies of the identity", |data| {
            std::fs::remove_file(data.join("hot/4/identity")).unwrap();
        }),
        ("half of an identity", "some of the copies of the identity", |data| {
            flip(&data.join("hot/5/identity"), 100);
        }),
        ("the server's index", "the server's index can't be used", |data| {
            flip(&data.join("meta/sled/1/conf"), 10);
        }),
        ("the server's index, on a drive", "the server's index can't be used", |data| {
            index_moves(data, "hot/2");
            flip(&data.join("hot/2/index/7/conf"), 10);
        }),
    ];
    for (what, expected, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy(&server.data(), &data);
        let (code, told) = fsck(&data, &[]);
        assert_eq!((code, told.as_slice()), (0, [].as_slice()), "before {what}");
        damage(&data);
        let (code, told) = fsck(&data, &[]);
        assert!(code == 1 && told.iter().any(|text| text.contains(expected)), "{what}: {told:?}");
        assert!(told.iter().all(|text| text.starts_with("weak: ")), "{what}: {told:?}");
        if ["a shard that is gone", "a shard's header"].contains(&what) {
            let (_, told) = fsck(&data, &["--quick"]);
            assert!(told.iter().any(|text| text.contains(expected)), "quickly, {what}: {told:?}");
        }
        if what == "a bit of the journal" {
            continue; // not repaired: the copies on the other members suffice until the segment is recycled
        }
        let (code, told) = fsck(&data, &["--repair"]);
        assert_eq!((code, told.as_slice()), (0, [].as_slice()), "after {what}");
    }
}

#[test]
fn an_unfinished_file_is_a_note_and_a_repair_removes_it() {
    let server = killed(&objects());
    let data = server.data();
    let volumes = data.join("hot/3/volumes");
    let name = file_in(&volumes).file_name().unwrap().to_str().unwrap().replace(".g0", ".g1.tmp");
    std::fs::write(volumes.join(&name), "begun").unwrap();
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stratum"))
            .args(["fsck", "--data"])
            .arg(&data)
            .args(more)
            .output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run(&["--quick"]);
    assert!(
        code == Some(0) && said.contains(&format!("note: volumes/{name} on hot/3 is what an interrupted")),
        "{said}"
    );
    let (code, said) = run(&["--quick", "--repair"]);
    assert!(
        code == Some(0) && said.contains("mended: 1 files that were never finished were removed"),
        "{said}"
    );
    assert!(!said.contains("note: volumes/") && !volumes.join(&name).exists(), "{said}");
}

#[test]
fn lost_bytes_are_told_with_the_object_that_they_belong_to() {
    let objects = objects();
    let server = killed(&objects);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    copy(&server.data(), &data);
    each_drive(&data, |drive| {
        if !drive.ends_with("hot/0") && !drive.ends_with("hot/1") && !drive.ends_with("hot/2") {
            std::fs::remove_dir_all(drive.join("volumes")).unwrap();
        }
    });
    let (code, told) = fsck(&data, &[]);
    assert_eq!(code, 1);
    for (key, body) in &objects {
        let text = format!("loss: bytes of the object {key:?} in {BUCKET} ");
        let is_told = told.iter().any(|told| told.starts_with(&text));
        assert_eq!(is_told, body.len() > 32_768, "{key}: {told:?}");
    }
    // A repair can't bring the bytes back, and doesn't claim that it has.
    let (code, told) = fsck(&data, &["--repair"]);
    assert!(code == 1 && told.iter().any(|text| text.starts_with("loss: ")), "{told:?}");
}

#[test]
fn rotten_copies_of_the_master_key_are_told_of_and_mended() {
    let server = killed(&objects());
    let data = server.data();
    let copies: Vec<PathBuf> = (0..6).map(|drive| data.join(format!("hot/{drive}/master-keys"))).collect();
    let sound = std::fs::read(&copies[0]).unwrap();
    // As many as may be lost, and all but one, which a start mends as well.
    for rotten in [2, 5] {
        copies.iter().skip(1).take(rotten).for_each(|copy| flip(copy, sound.len() as u64 / 2));
        let (code, found) = fsck(&data, &[]);
        let told =
            found.iter().filter(|told| told.contains("master-keys on hot/") && told.contains("is damaged"));
        assert_eq!((code, told.count()), (1, rotten), "{found:?}");
        let (code, found) = fsck(&data, &["--repair"]);
        assert_eq!((code, found.len()), (0, 0), "{found:?}");
        assert!(copies.iter().all(|copy| std::fs::read(copy).unwrap() == sound), "{rotten}");
    }
    // Where no sound copy is left, that is a loss.
    copies.iter().for_each(|copy| flip(copy, sound.len() as u64 / 2));
    let (code, found) = fsck(&data, &[]);
    assert!(
        code == 1 && found.iter().any(|told| told.contains("master-keys is damaged on every hot drive")),
        "{found:?}"
    );
}
