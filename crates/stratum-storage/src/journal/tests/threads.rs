//! On real drives, with threads.

use super::*;
use crate::ambient::System;
use crate::drive::real::RealDrive;

fn open(root: &std::path::Path, absent: Option<usize>) -> Journal {
    let drive = |place: usize| {
        let (id, path) = (DriveId(place as u128), root.join(place.to_string()));
        Arc::new(match absent == Some(place) {
            true => Drive::missing(id, Tier::Hot, place as u16, "absent in this test"),
            false => {
                std::fs::create_dir_all(&path).expect("a directory");
                let io = Arc::new(RealDrive::open(&path).expect("a drive"));
                Drive::new(id, Tier::Hot, place as u16, io, Threads::Own, Arc::new(System))
            }
        })
    };
    let set = JournalSet { drives: (0..4).map(drive).collect(), m: 1, begun: false };
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    Journal::open(set, options, Arc::new(System), Arc::new(System)).expect("the journal opens")
}

#[test]
fn appends_and_reads_on_real_drives_go_on_together() {
    let root = tempfile::tempdir().expect("a directory");
    let journal = open(root.path(), None);
    let body = |index: u64| Bytes::from(vec![index as u8; 4096]);
    let append = |journal: &Journal, index: u64| {
        let entry = NewEntry { command: index.to_le_bytes().to_vec(), body: body(index) };
        let appended = journal.append(vec![entry], Class::Ordinary).expect("all is well");
        assert_eq!(appended.first, index);
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while journal.last().0 < 600 {
                let index = journal.last().0.max(1);
                let expected = body(index);
                match journal.read_body(index, 4096, crc32c::crc32c(&expected)) {
                    Ok(read) => assert_eq!(read, expected),
                    Err(error) => assert_eq!(error, BodyError::Gone { index }),
                }
            }
        });
        for index in 1..=600 {
            append(&journal, index);
            if index % 100 == 0 {
                journal.release(index - 50, index - 50);
            }
        }
        reader.join().expect("the reader is content");
    });
    drop(journal);
    let journal = open(root.path(), Some(2));
    append(&journal, 601);
    for (place, row) in journal.replay(560, Verify::Bodies).enumerate() {
        let row = row.expect("no hole");
        assert_eq!(row.command, (560 + place as u64).to_le_bytes().as_slice());
    }
    assert_eq!(journal.last().0, 601);
}

/// Nothing of a drive that failed stays open; it may be the only one that can still give a body.
#[test]
fn a_body_is_read_from_a_drive_that_is_out_where_the_other_copy_is_damaged() {
    let root = tempfile::tempdir().expect("a directory");
    let folder = |place: usize| root.path().join(place.to_string());
    let drive = |place: usize| {
        std::fs::create_dir_all(folder(place)).expect("a directory");
        let io = Arc::new(RealDrive::open(&folder(place)).expect("a drive"));
        Arc::new(Drive::new(
            DriveId(place as u128),
            Tier::Hot,
            place as u16,
            io,
            Threads::Own,
            Arc::new(System),
        ))
    };
    let drives: Vec<Arc<Drive>> = (0..2).map(drive).collect();
    let set = JournalSet { drives: drives.clone(), m: 1, begun: false };
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let journal = Journal::open(set, options, Arc::new(System), Arc::new(System)).expect("it opens");
    let body = Bytes::from_static(&[0xa7; 4096]);
    let entry = NewEntry { command: b"put".to_vec(), body: body.clone() };
    let index = journal.append(vec![entry], Class::Ordinary).expect("all is well").first;
    let read = || journal.read_body(index, 4096, crc32c::crc32c(&body));
    assert_eq!(read(), Ok(body.clone()));
    for file in std::fs::read_dir(folder(1).join("journal")).expect("segments").flatten() {
        // A segment that is still being made may get its name at this moment.
        let Ok(mut bytes) = std::fs::read(file.path()) else { continue };
        let Some(at) = bytes.windows(4096).position(|window| window == body) else { continue };
        bytes[at] ^= 1;
        std::fs::write(file.path(), bytes).expect("it is damaged");
    }
    drives[0].fail("for this test");
    let cached = || journal.read_body_cached(index, 4096, crc32c::crc32c(&body));
    // Until its files are closed.
    while cached().is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(cached(), Err(BodyError::NotCached));
    assert_eq!(read(), Ok(body.clone()));
    assert!(drives[0].bad_pieces() == 0 && drives[1].bad_pieces() > 0);
}

#[test]
#[ignore = "a measurement: run it by name with --nocapture"]
fn how_long_an_append_takes() {
    let root = tempfile::tempdir_in(".").expect("a directory");
    let journal = open(root.path(), None);
    let clock: &dyn Clock = &System;
    for group in [1, 8, 32] {
        let mut times: Vec<Duration> = (0..2000)
            .map(|_| {
                let entry = NewEntry { command: vec![7; 250], body: Bytes::from_static(&[5; 4096]) };
                let began = clock.monotonic();
                let appended = journal.append(vec![entry; group], Class::Ordinary).expect("all is well");
                journal.release(appended.first, appended.first);
                clock.monotonic() - began
            })
            .collect();
        times.sort_unstable();
        println!("{group} x 4 KiB: median {:?}, p99 {:?}, max {:?}", times[1000], times[1980], times[1999]);
    }
}
