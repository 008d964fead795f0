//! Disks that are not mounted: the folder of an empty mount point is not taken for the disk, and no index and no drive
//! are made in it.
//!
//! Symbolic links to folders on another filesystem stand for mounted disks.

use crate::drives::stratum;
use crate::listening::{self, ANY_PORT};
use crate::server::command;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const DRIVES: usize = 4;

pub struct Running {
    process: Child,
    address: SocketAddr,
}

impl Running {
    /// A server on the folders `d0`, `d1`, ... in `home`. What it logs goes to the file `log` there.
    pub fn start(home: &Path, drives: usize) -> Running {
        let mut command = command(&home.join("d0"), ANY_PORT);
        command.args((1..drives).flat_map(|drive| [PathBuf::from("--data"), home.join(format!("d{drive}"))]));
        let log = std::fs::File::options().create(true).append(true).open(home.join("log")).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let address = listening::address(&mut process);
        Running { process, address }
    }

    pub fn ask(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = stratum(&[words, &["--endpoint", &format!("http://{}", self.address)]].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"]).1).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder on another filesystem than `home`, if the system has one.
fn elsewhere(home: &Path) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir_in("/dev/shm").ok()?;
    (folder.path().metadata().ok()?.dev() != home.metadata().ok()?.dev()).then_some(folder)
}

#[test]
fn an_unmounted_disk_gets_no_index_and_no_drive_unless_an_operator_insists() {
    let home = tempfile::tempdir().unwrap();
    let Some(disks) = elsewhere(home.path()) else { return };
    let mounts: Vec<PathBuf> = (0..DRIVES).map(|drive| home.path().join(format!("d{drive}"))).collect();
    for (drive, mount) in mounts.iter().enumerate() {
        let disk = disks.path().join(drive.to_string());
        std::fs::create_dir(&disk).unwrap();
        std::os::unix::fs::symlink(&disk, mount).unwrap();
    }
    drop(Running::start(home.path(), DRIVES));
    assert!(mounts[0].join("meta/sled").is_dir());
    std::fs::remove_file(&mounts[0]).unwrap();
    std::fs::create_dir(&mounts[0]).unwrap();

    let server = Running::start(home.path(), DRIVES);
    let status = server.status();
    let index = Path::new(status["index"]["place"].as_str().unwrap());
    assert!(index.starts_with(&mounts[1]), "{}", index.display());
    assert_eq!(
        std::fs::read_dir(&mounts[0]).unwrap().count(),
        0,
        "something was made in the empty mount point"
    );
    let place = mounts[0].to_str().unwrap();
    let (code, said) = server.ask(&["drive", "replace", place]);
    assert!(code == Some(2) && said.contains("--unmounted"), "{code:?}: {said}");
    assert_eq!(std::fs::read_dir(&mounts[0]).unwrap().count(), 0);
    let (code, said) = server.ask(&["drive", "replace", place, "--unmounted"]);
    assert!(code == Some(0) && said.contains("is in the set"), "{code:?}: {said}");
    drop(server);

    // The disk is mounted again. Its drives, which were replaced, are recognised as stale.
    std::fs::rename(&mounts[0], home.path().join("aside")).unwrap();
    std::os::unix::fs::symlink(disks.path().join("0"), &mounts[0]).unwrap();
    let server = Running::start(home.path(), DRIVES);
    assert!(server.status()["notes"].to_string().contains("is stale"), "{}", server.status()["notes"]);
}
