use super::*;
use std::collections::BTreeSet;

fn drive() -> (Arc<SimulatedDrive>, Arc<dyn DriveIo>) {
    let drive = SimulatedDrive::new("sim", 1, &Arc::default());
    let io = drive.attach();
    (drive, io)
}

fn put(io: &dyn DriveIo, path: &str, bytes: &[u8]) -> Arc<dyn FileIo> {
    let file = io.open(path, OpenHow::CreateNew).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file
}

fn get(io: &dyn DriveIo, path: &str) -> io::Result<Vec<u8>> {
    let file = io.open(path, OpenHow::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    let got = file.read_at(&mut bytes, 0)?;
    assert_eq!(got, bytes.len());
    Ok(bytes)
}

#[test]
fn synced_bytes_under_a_synced_name_survive_every_crash() {
    for seed in 0..50 {
        let (drive, io) = drive();
        io.create_dir("a/b").unwrap();
        put(io.as_ref(), "a/b/t", &[7; 3000]).sync().unwrap();
        io.rename("a/b/t", "a/b/f").unwrap();
        for dir in ["a/b", "a", ""] {
            io.sync_dir(dir).unwrap();
        }
        drive.crash(seed);
        let io = drive.attach();
        assert_eq!(get(io.as_ref(), "a/b/f").unwrap(), [7; 3000]);
        assert_eq!(drive.files(), ["a/b/f"]);
    }
}

#[test]
fn what_was_not_synced_is_kept_lost_or_torn() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let (drive, io) = drive();
        let file = put(io.as_ref(), "f", &[1; 2048]);
        file.sync().unwrap();
        io.sync_dir("").unwrap();
        file.write_at(&[&[2; 1024], &[2; 1024]], 0).unwrap();
        drive.crash(seed);
        let bytes = get(drive.attach().as_ref(), "f").unwrap();
        assert!(bytes.chunks(512).all(|sector| sector == [1; 512] || sector == [2; 512]));
        seen.insert(bytes.iter().step_by(512).copied().collect::<Vec<_>>());
    }
    assert!(
        seen.contains([1; 4].as_slice()) && seen.contains([2; 4].as_slice()) && seen.len() == 16,
        "{seen:?}"
    );
}

#[test]
fn names_are_kept_or_lost_but_a_rename_is_never_half_done() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let (drive, io) = drive();
        put(io.as_ref(), "old", b"old").sync().unwrap();
        io.sync_dir("").unwrap();
        put(io.as_ref(), "new", b"new").sync().unwrap();
        io.rename("new", "old").unwrap();
        drive.crash(seed);
        let io = drive.attach();
        let names = drive.files();
        let old = String::from_utf8(get(io.as_ref(), "old").unwrap()).unwrap();
        seen.insert((names.len(), old));
    }
    let of = |count, text: &str| (count, text.to_owned());
    assert_eq!(seen, BTreeSet::from([of(1, "old"), of(1, "new"), of(2, "old")]));
}

#[test]
fn a_synced_directory_takes_the_history_of_its_names_along() {
    for seed in 0..50 {
        let (drive, io) = drive();
        for dir in ["a", "b"] {
            io.create_dir(dir).unwrap();
        }
        io.sync_dir("").unwrap();
        put(io.as_ref(), "a/f", b"x").sync().unwrap();
        io.rename("a/f", "b/f").unwrap();
        io.sync_dir("b").unwrap();
        drive.crash(seed);
        assert_eq!(drive.files(), ["b/f"], "one file, one name");
    }
}

#[test]
fn a_directory_that_is_lost_takes_its_files_along() {
    let lost = (0..50).filter(|seed| {
        let (drive, io) = drive();
        io.create_dir("a").unwrap();
        put(io.as_ref(), "a/f", b"x").sync().unwrap();
        io.sync_dir("a").unwrap();
        drive.crash(*seed);
        drive.files().is_empty()
    });
    assert!((10..40).contains(&lost.count()));
}

#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let lost = (0..50).filter(|seed| {
        let (drive, io) = drive();
        let file = put(io.as_ref(), "f", b"x");
        io.sync_dir("").unwrap();
        drive.fail_nth(Op::Sync, 1);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        drive.crash(*seed);
        get(drive.attach().as_ref(), "f").unwrap().is_empty()
    });
    assert!(lost.count() > 5);
}

#[test]
fn a_kill_loses_nothing_and_a_crash_ends_what_was_open() {
    let (drive, io) = drive();
    let file = put(io.as_ref(), "f", b"x");
    io.lock().unwrap();
    assert_eq!(drive.attach().lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    drive.kill();
    assert!(file.read_at(&mut [0], 0).is_err());
    let io = drive.attach();
    io.lock().unwrap();
    assert_eq!(get(io.as_ref(), "f").unwrap(), b"x");
}

#[test]
fn the_power_fails_for_all_its_drives_at_once() {
    let power = Arc::new(Power::default());
    let drives = [0, 1].map(|device| SimulatedDrive::new("sim", device, &power));
    let [first, second] = drives.each_ref().map(|drive| drive.attach());
    power.fail_at(3);
    let file = put(first.as_ref(), "f", b"x");
    assert!(second.open("f", OpenHow::CreateNew).is_err(), "the third step");
    assert!(file.sync().is_err() && first.list("").is_err() && power.is_off());
    drives.iter().for_each(|drive| drive.crash(1));
    power.restore();
    drives[1].attach().list("").unwrap();
}

#[test]
fn a_full_drive_says_so_and_takes_more_after_a_punch() {
    let (drive, io) = drive();
    drive.set_capacity(Some(4 * PAGE));
    let file = put(io.as_ref(), "f", &[1; 3 * PAGE as usize]);
    file.allocate(3 * PAGE, PAGE).unwrap();
    assert_eq!(io.space().unwrap(), Space { total: 4 * PAGE, free: 0 });
    assert_eq!(file.write_at(&[&[1]], 4 * PAGE).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(&[&[2]], 3 * PAGE).unwrap();
    file.punch(0, PAGE).unwrap();
    assert_eq!(io.space().unwrap().free, PAGE);
    let mut byte = [9];
    file.read_at(&mut byte, 0).unwrap();
    assert_eq!((byte, file.len().unwrap()), ([0], 4 * PAGE));
}

#[test]
fn a_cut_file_reads_as_zeros_when_it_grows_again() {
    let (_, io) = drive();
    let file = put(io.as_ref(), "f", &[1; 10_000]);
    file.set_len(5000).unwrap();
    file.set_len(10_000).unwrap();
    let bytes = get(io.as_ref(), "f").unwrap();
    assert!(bytes[..5000].iter().all(|byte| *byte == 1) && bytes[5000..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_drive_comes_back_stale_blank_or_damaged() {
    let (drive, io) = drive();
    let file = put(io.as_ref(), "f", &[0; 8]);
    file.sync().unwrap();
    io.sync_dir("").unwrap();
    let before = drive.snapshot();
    file.write_at(&[&[1]], 0).unwrap();
    file.sync().unwrap();
    drive.flip_bit("f", 9).unwrap();
    assert_eq!(get(io.as_ref(), "f").unwrap()[..2], [1, 2]);
    drive.rollback(&before);
    assert_eq!(get(drive.attach().as_ref(), "f").unwrap(), [0; 8]);
    drive.scramble(3);
    assert_ne!(get(drive.attach().as_ref(), "f").unwrap(), [0; 8]);
    let io = drive.attach();
    let open = io.open("f", OpenHow::Read).unwrap();
    drive.erase();
    assert!(!open.is_linked() && io.list("").unwrap().is_empty());
}

#[test]
fn a_frozen_drive_answers_nothing() {
    let (drive, io) = drive();
    drive.freeze(true);
    assert_eq!(io.list("").unwrap_err().kind(), ErrorKind::TimedOut);
    drive.freeze(false);
    io.list("").unwrap();
}
