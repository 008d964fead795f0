//! How a start reads what the drives hold: seldom, side by side, and twice where it matters.

use super::*;
use crate::ambient::{Clock, System};
use crate::drive::simulated::Op;
use crate::journal::recovery::Beginning;
use crate::journal::slots;

/// A store that was started and killed so many times, and wrote a group each time.
fn started(starts: usize, disks: usize, m: usize) -> World {
    let mut world = World::new(disks, m, 5);
    for _ in 0..starts {
        let journal = world.try_open(&[]).expect("it opens");
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
    }
    world
}

fn reads(world: &World) -> u64 {
    world.disks.iter().map(|disk| disk.reads()).sum()
}

/// The segments that a start reads. What was still being made when the power went isn't read but removed.
fn segments(disk: &SimulatedDrive) -> u64 {
    let is_segment = |path: &&String| path.contains("segment") && !path.ends_with(slots::UNFINISHED);
    disk.files().iter().filter(is_segment).count() as u64
}

#[test]
fn a_start_reads_each_short_segment_once_on_each_drive() {
    for starts in [8, 40] {
        let world = started(starts, 3, 1);
        let segments: u64 = world.disks.iter().map(|disk| segments(disk)).sum();
        let before = reads(&world);
        drop(world.try_open(&[]).expect("it opens"));
        let read = reads(&world) - before;
        assert!(segments as usize >= starts && read <= segments, "{read} reads of {segments} segments");
    }
}

#[test]
fn a_start_reads_a_long_segment_in_large_pieces() {
    const LONG: u64 = 4 << 20;
    let world = World::new(2, 1, 5);
    let options = Options { segment_bytes: LONG, cap: 16 * LONG, ..world.options() };
    let open = || {
        let set = JournalSet { drives: world.drives(&[]), m: world.m, begun: false };
        Journal::open(set, options, world.ambient.clone(), world.ambient.clone()).expect("it opens")
    };
    let journal = open();
    let entry = NewEntry { command: vec![1; 100], body: vec![2; 4000].into() };
    while journal.spans().len() < 3 {
        journal.append(vec![entry.clone(); 4], Class::Ordinary).expect("all is well");
    }
    let last = journal.last();
    drop(journal);
    world.crash();
    let before = reads(&world);
    assert_eq!(open().last(), last);
    let read = reads(&world) - before;
    assert!(read <= 40, "{read} reads of some 8 MiB on each of two drives");
}

/// A drive whose reads hang holds up the start, which can't know what it holds, and no other drive's reads.
#[test]
fn drives_are_read_side_by_side() {
    let mut world = started(12, 4, 1);
    for slow in 0..4 {
        let drives = world.disks.iter().enumerate().map(|(place, disk)| {
            let (id, place) = (DriveId(100 + place as u128), place as u16);
            Arc::new(Drive::new(id, Tier::Hot, place, disk.attach(), Threads::Own, Arc::new(System)))
        });
        let set = JournalSet { drives: drives.collect(), m: world.m, begun: true };
        let others: Vec<(&Arc<SimulatedDrive>, u64)> = {
            let others = world.disks.iter().enumerate().filter(|(place, _)| *place != slow);
            others.map(|(_, disk)| (disk, disk.reads() + segments(disk))).collect()
        };
        world.disks[slow].stall_reads(true);
        // Longer than a busy machine keeps a thread waiting.
        let options = Options { member_timeout: Duration::from_secs(60), ..world.options() };
        let ambient = world.ambient.clone();
        let opening = std::thread::spawn(move || Journal::open(set, options, ambient.clone(), ambient));
        let began = System.monotonic();
        while others.iter().any(|(disk, read)| disk.reads() < *read) {
            let waited = System.monotonic().saturating_sub(began);
            assert!(waited < Duration::from_secs(60), "the others' reads wait for a drive that hangs");
            std::thread::yield_now();
        }
        assert!(!opening.is_finished(), "it begins without a drive that may hold the newest epoch");
        world.disks[slow].stall_reads(false);
        let journal = opening.join().expect("no panic").expect("it opens");
        world.check(&journal);
        drop(journal);
        world.crash();
    }
}

/// A member whose reads hang holds up none of a body that others hold, too.
#[test]
fn a_body_is_read_from_another_member_while_one_hangs() {
    let world = World::new(2, 1, 5);
    let drives = world.disks.iter().enumerate().map(|(place, disk)| {
        let (id, place) = (DriveId(100 + place as u128), place as u16);
        Arc::new(Drive::new(id, Tier::Hot, place, disk.attach(), Threads::Own, Arc::new(System)))
    });
    let set = JournalSet { drives: drives.collect(), m: world.m, begun: false };
    let ambient = world.ambient.clone();
    let journal = Journal::open(set, world.options(), ambient.clone(), ambient).expect("it opens");
    let body = Bytes::from(vec![7; 4096]);
    let entry = NewEntry { command: b"put".to_vec(), body: body.clone() };
    let index = journal.append(vec![entry], Class::Ordinary).expect("all is well").first;
    for hanging in 0..2 {
        world.disks[hanging].stall_reads(true);
        let began = System.monotonic();
        assert_eq!(journal.read_body(index, 4096, crc32c::crc32c(&body)), Ok(body.clone()));
        let waited = System.monotonic().saturating_sub(began);
        assert!(waited < Duration::from_secs(15), "it waited {waited:?}");
        world.disks[hanging].stall_reads(false);
    }
}

/// What is taken for no segment is written over, so nothing is taken for that which was only read wrong.
#[test]
fn a_beginning_that_was_read_wrong_is_read_again() {
    let world = World::new(1, 0, 5);
    for _ in 0..4 {
        let journal = world.try_open(&[]).expect("it opens");
        if journal.last().0 == 0 {
            // So short that the bit turned over, in the middle of what is read, is one of the opened page's check.
            journal.append(vec![NewEntry::default()], Class::Ordinary).expect("all is well");
        }
        drop(journal);
        world.crash();
    }
    // The last of them isn't trimmed yet.
    drop(world.try_open(&[]).expect("it opens"));
    let [drive] = &world.drives(&[])[..] else { panic!("a drive") };
    let mut segments = 0;
    for every in 2..10 {
        world.disks[0].rot_reads(Some(every));
        for slot in slots::found(drive) {
            let is_blank =
                slot.file.len().expect("a length") == SEGMENT && !Beginning::read(slot.clone()).opened;
            assert!(is_blank || Beginning::read(slot).opened, "a rotten read hid what a segment is");
            segments += usize::from(!is_blank);
        }
    }
    assert!(segments >= 8);
}

#[test]
fn a_read_that_fails_once_costs_no_copy() {
    let mut world = started(6, 2, 1);
    for n in 1..=60 {
        world.disks[0].fail_nth(Op::Read, n);
        match world.try_open(&[]) {
            Ok(journal) => assert!(journal.core.short_segments().is_empty(), "{n}"),
            Err(JournalError::TooFew(_)) => {}
            Err(other) => panic!("{n}: {other}"),
        }
        world.disks[0].fail_nth(Op::Read, u64::MAX);
        world.crash();
        let journal = world.open(&[]);
        assert!(journal.core.short_segments().is_empty(), "{n}");
        drop(journal);
        world.crash();
    }
}
