mod closing;

use super::real::RealDrive;
use super::simulated::{Op, SimulatedDrive};
use super::*;
use crate::ambient::Simulated;
use std::io::ErrorKind;
use tracing_mutex::parkinglot::Mutex;

fn of(io: Arc<dyn DriveIo>) -> Drive {
    let threads = Threads::Own;
    Drive::new(DriveId(1), Tier::Hot, 0, io, threads, Arc::new(Simulated::new(0, 0)))
}

fn simulated() -> (Arc<SimulatedDrive>, Drive) {
    let disk = SimulatedDrive::new("bay", 0, &Arc::default());
    let drive = of(disk.attach());
    (disk, drive)
}

fn real() -> (tempfile::TempDir, Drive) {
    let folder = tempfile::tempdir().unwrap();
    let drive = of(Arc::new(RealDrive::open(folder.path()).unwrap()));
    (folder, drive)
}

fn create(drive: &Drive, path: &str) -> Arc<dyn FileIo> {
    drive.io().open(path, OpenHow::CreateNew).unwrap()
}

#[test]
fn a_failed_sync_ends_the_drive_and_everybody_hears_once() {
    let (disk, drive) = simulated();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = |heard: &Arc<Mutex<Vec<String>>>| {
        let heard = heard.clone();
        move |reason: &str| heard.lock().push(reason.to_owned())
    };
    drive.on_fail(listener(&heard));
    let file = create(&drive, "f");
    file.write_at(&[b"x"], 0).unwrap();
    disk.fail_nth(Op::Sync, 1);
    assert!(file.sync().is_err());
    assert!(matches!(drive.health(), Health::Failed { reason } if reason.starts_with("a sync failed")));
    // The disk would do it now. It isn't asked.
    assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(file.write_at(&[b"y"], 0).is_err() && drive.io().rename("f", "g").is_err());
    assert!(drive.io().open("h", OpenHow::CreateNew).is_err());
    drive.fail("again");
    drive.on_fail(listener(&heard));
    let heard = heard.lock();
    assert!(heard.len() == 2 && heard[0] == heard[1], "{heard:?}");
    let mut byte = [0];
    file.read_at(&mut byte, 0).unwrap();
    assert_eq!(&byte, b"x", "what can be read still is");
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_drive_only_if_it_was_to_be_written() {
    let (disk, drive) = simulated();
    create(&drive, "f");
    disk.fail_nth(Op::Read, 1);
    assert!(drive.io().open("f", OpenHow::Read).is_err());
    assert!(drive.is_healthy());
    disk.fail_nth(Op::Read, 1);
    assert!(drive.io().open("f", OpenHow::Write).is_err());
    let words = "the opening of a file to write failed: ";
    assert!(matches!(drive.health(), Health::Failed { reason } if reason.starts_with(words)));
}

#[test]
fn a_full_disk_and_a_failed_read_do_not_end_the_drive() {
    let (disk, drive) = simulated();
    let file = create(&drive, "f");
    disk.set_capacity(Some(0));
    assert_eq!(file.write_at(&[b"x"], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.fail_nth(Op::Read, 1);
    assert!(file.read_at(&mut [0], 0).is_err());
    assert_eq!(drive.io().remove("g").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(drive.is_healthy());
    disk.set_capacity(None);
    file.write_at(&[b"x"], 0).unwrap();
    disk.fail_nth(Op::Name, 1);
    assert!(drive.io().rename("f", "g").is_err() && !drive.is_healthy());
}

#[test]
fn what_we_remove_and_replace_ourselves_is_not_a_loss() {
    let (_folder, drive) = real();
    let files = ["a", "b", "c"].map(|path| create(&drive, path));
    drive.io().remove("a").unwrap();
    drive.io().rename("b", "c").unwrap();
    assert!(files.iter().map(|file| file.is_linked()).eq([false, true, false]));
    assert!(drive.check());
    drive.io().remove("c").unwrap();
    assert!(drive.check(), "a file is known by the name it was given last");
}

#[test]
fn a_file_that_somebody_deletes_is_noticed_while_it_is_open() {
    let (folder, drive) = real();
    drop(create(&drive, "closed"));
    let file = create(&drive, "open");
    std::fs::remove_file(folder.path().join("closed")).unwrap();
    assert!(drive.check());
    std::fs::remove_file(folder.path().join("open")).unwrap();
    assert!(!drive.check());
    assert!(matches!(drive.health(), Health::Failed { reason } if reason.starts_with("open on ")));
    drop(file);
}

#[test]
fn the_file_that_proves_the_drive_is_read_by_its_path() {
    let (folder, drive) = real();
    let [path, copy] = ["who", "too"].map(|name| folder.path().join(name));
    std::fs::write(&path, "me").unwrap();
    drive.expect_file(&["who", "too"], |bytes| bytes == b"me");
    assert!(drive.check());
    std::fs::rename(&path, &copy).unwrap();
    assert!(drive.check(), "either will do");
    std::fs::write(&path, "you").unwrap();
    assert!(drive.check());
    std::fs::remove_file(&copy).unwrap();
    assert!(!drive.check());
    assert!(matches!(drive.health(), Health::Failed { reason } if reason.contains("is not what it was")));
}

#[test]
fn a_missing_drive_refuses_everything_and_says_why() {
    let drive = Drive::missing(DriveId(1), Tier::Cold, 3, "blank");
    assert_eq!((drive.label().as_str(), drive.is_healthy(), drive.check()), ("cold/3", false, false));
    assert_eq!(drive.io().list("").unwrap_err().to_string(), "drive cold/3 is missing");
    let heard = Arc::new(Mutex::new(String::new()));
    let listener = heard.clone();
    drive.on_fail(move |reason| reason.clone_into(&mut listener.lock()));
    assert_eq!(*heard.lock(), "blank");
}

#[tokio::test]
async fn reads_run_on_the_drives_threads_and_are_timed() {
    let (_folder, drive) = real();
    let file = create(&drive, "f");
    file.write_at(&[b"0123456789"], 0).unwrap();
    let read = |at: u64| {
        let file = file.clone();
        drive.reading(move || {
            let mut byte = [0];
            file.read_at(&mut byte, at)?;
            Ok((byte[0], std::thread::current().name().map(str::to_owned)))
        })
    };
    let many: Vec<_> = (0..200).map(|at| read(at % 10)).collect();
    for (at, read) in many.into_iter().enumerate() {
        let (byte, thread) = read.await.unwrap();
        assert_eq!((byte, thread.as_deref()), (b'0' + (at % 10) as u8, Some("hot/0 read")));
    }
    assert!(drive.pulse().p99().is_some());
    let failed: io::Result<()> = drive.reading(|| Err(ErrorKind::Other.into())).await;
    assert!(failed.is_err() && drive.is_healthy());
    let gone: io::Result<()> = drive.reading(|| panic!("for this test")).await;
    assert!(gone.is_err());
    assert_eq!(read(3).await.unwrap().0, b'3');
}
