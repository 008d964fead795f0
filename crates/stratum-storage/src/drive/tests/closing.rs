//! Nothing of a drive that is out stays open, and what it still holds can be read.

use super::*;
use crate::drive::faulty::{Fault, FaultPlan, Operation, under};
use std::path::Path;
use std::time::Duration;

/// How many descriptors of this process lie in a folder.
pub fn open_under(folder: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to.starts_with(folder))).count()
}

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: not within ten seconds");
}

#[test]
fn a_drive_that_failed_is_closed_and_read_all_the_same() {
    let (folder, drive) = real();
    drive.io().lock().unwrap();
    drive.io().create_dir("d").unwrap();
    let (kept, gone, renamed) = (create(&drive, "d/kept"), create(&drive, "gone"), create(&drive, "x"));
    kept.write_at(&[b"kept"], 0).unwrap();
    renamed.write_at(&[b"name"], 0).unwrap();
    drive.io().remove("gone").unwrap();
    drive.io().rename("x", "y").unwrap();
    assert!(open_under(folder.path()) >= 4);
    drive.fail("for this test");
    wait_until("all is closed", || open_under(folder.path()) == 0);
    assert_eq!(drive.still_open(), 0);
    // Another may have it now.
    RealDrive::open(folder.path()).unwrap().lock().unwrap();

    let read = |file: &Arc<dyn FileIo>| {
        let mut bytes = [0; 4];
        file.read_at(&mut bytes, 0).map(|_| bytes)
    };
    assert_eq!((read(&kept).unwrap(), read(&renamed).unwrap(), kept.len().unwrap()), (*b"kept", *b"name", 4));
    assert_eq!(read(&drive.io().open("d/kept", OpenHow::Write).unwrap()).unwrap(), *b"kept");
    assert!(read(&gone).is_err() && drive.io().open("gone", OpenHow::Read).is_err());
    assert_eq!(drive.io().list("d").unwrap().len(), 1);
    assert!(kept.write_at(&[b"x"], 0).is_err() && kept.sync().is_err());
    assert_eq!(open_under(folder.path()), 0, "each read closes what it opened");

    // Another folder under its name is not taken for it.
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away).unwrap();
    std::fs::create_dir_all(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/kept"), "else").unwrap();
    assert!(read(&kept).is_err());
    std::fs::remove_dir_all(&away).unwrap();
}

#[test]
fn a_drive_that_left_is_closed_and_nobody_calls_it_failed() {
    let (folder, drive) = real();
    let file = create(&drive, "f");
    drive.leave();
    assert_eq!((open_under(folder.path()), drive.is_healthy()), (0, false));
    assert!(matches!(drive.health(), Health::Missing { .. }));
    assert!(file.read_at(&mut [0], 0).is_err() && drive.io().list("").is_err() && !drive.check());
    let own: Arc<dyn DriveIo> = Arc::new(RealDrive::open(folder.path()).unwrap());
    own.lock().unwrap();
}

#[test]
fn a_thread_that_hangs_in_a_drive_holds_up_nobody_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Fault {
        drive: "*".into(),
        operation: Operation::Read,
        serving: false,
        after: 0,
        every: 1,
        times: None,
        error: None,
        delay_ms: 1500,
        device: None,
        bytes: None,
    };
    let io =
        under(&FaultPlan { faults: vec![slow] }, "hot/0", Arc::new(RealDrive::open(folder.path()).unwrap()));
    let drive = of(io);
    let (hangs, other) = (create(&drive, "hangs"), create(&drive, "other"));
    assert!(!drive.is_in_use(), "what is open is not in use");
    let reading = std::thread::spawn(move || hangs.read_at(&mut [0], 0));
    wait_until("it reads", || drive.still_open() == 0 && !reading.is_finished());
    std::thread::sleep(Duration::from_millis(200));
    assert!(drive.is_in_use());
    drive.fail("for this test");
    wait_until("the others are closed", || drive.still_open() == 1);
    assert_eq!(open_under(folder.path()), 1);
    assert!(drive.is_in_use());
    drop(other);
    reading.join().unwrap().unwrap();
    assert_eq!((drive.still_open(), open_under(folder.path())), (0, 0));
    assert!(!drive.is_in_use());
}
