//! A history that was made to count does: with drives that would be too few, when the power fails on the way, and when
//! the other drives come back.

use super::*;
use crate::drive::OpenHow;
use crate::drive::read_only::ReadOnly;
use crate::journal::table::Segment;
use crate::journal::verify::Front;

/// A world of six disks of which three are away, two of the journal's members among them.
fn bereft(seed: u64) -> (World, Vec<usize>) {
    let mut world = World::new(6, 2, seed);
    let journal = world.open(&[]);
    (0..30).for_each(|_| world.append(&journal).expect("all is well"));
    drop(journal);
    world.crash();
    let holds = |place: &usize| world.disks[*place].files().iter().any(|path| path.contains("segment"));
    let (members, others): (Vec<usize>, Vec<usize>) = (0..6).partition(holds);
    let absent = vec![members[0], members[1], others[0]];
    assert!(matches!(world.try_open(&absent), Err(JournalError::TooFew(_))));
    world.crash();
    (world, absent)
}

fn refound_world(world: &World, absent: &[usize]) -> Result<(), RefoundError> {
    let history = world.history(absent);
    let index = world.known.len() as u64;
    let hash = history.hash_at(index).expect("the last entry is known");
    let what = Refounding { last: (index, hash), floor: 1, m: 2 };
    refound(&history, what, &world.drives(absent), world.ambient.as_ref())
}

#[test]
fn a_refounded_journal_opens_without_the_others_and_wins_when_they_return() {
    let (mut world, absent) = bereft(8);
    refound_world(&world, &absent).expect("three drives are enough");
    world.crash();
    let journal = world.open(&absent);
    (0..5).for_each(|_| world.append(&journal).expect("all is well"));
    drop(journal);
    world.crash();
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    drop(journal);
    world.crash();
    world.open(&absent[..2]);
}

#[test]
fn a_power_failure_on_the_way_leaves_what_was_or_what_was_meant() {
    let (world, absent) = bereft(9);
    let before = world.power.steps();
    refound_world(&world, &absent).expect("all is well");
    let steps = world.power.steps() - before;
    assert!(steps > 10, "there is something to fail");
    for step in 1..=steps {
        let (mut world, absent) = bereft(9);
        world.power.fail_at(step);
        let outcome = refound_world(&world, &absent);
        world.crash();
        if outcome.is_err() {
            refound_world(&world, &absent).expect("it can be done again");
            world.crash();
        }
        let journal = world.open(&absent);
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
        world.open(&[]);
    }
}

/// The journal as a backup has it, on a disk of its own.
fn backup(journal: &Journal) -> Arc<SimulatedDrive> {
    let disk = SimulatedDrive::new("backup", 99, &Arc::new(Power::default()));
    let io = disk.attach();
    io.create_dir("journal").expect("a blank disk");
    let (mut file, mut at) = (None, 0);
    for piece in journal.export() {
        match piece.expect("the journal is sound") {
            Exported::Segment(name) => {
                file = Some(io.open(&format!("journal/{name}"), OpenHow::CreateNew).expect("a new file"));
                at = 0;
            }
            Exported::Bytes(bytes) => {
                file.as_ref().expect("a file").write_at(&[&bytes], at).expect("there is room");
                at += bytes.len() as u64;
            }
        }
    }
    disk
}

#[test]
fn a_body_that_no_copy_has_keeps_nothing_else_from_being_copied_out() {
    let mut world = World::new(3, 2, 12);
    let journal = world.open(&[]);
    let bodies = [b"one that rots".as_slice(), b"and another"].map(Bytes::from_static);
    let entry = |body: &Bytes| NewEntry { command: b"put".to_vec(), body: body.clone() };
    journal.append(bodies.iter().map(entry).collect(), Class::Ordinary).expect("all is well");
    journal.append(vec![entry(&bodies[1])], Class::Ordinary).expect("the last group must be whole");
    let (at, copies) = {
        let table = journal.core.table.read();
        let (copies, at) = table.find(1).expect("it is there");
        (at, copies.clone())
    };
    for copy in copies.iter() {
        let path = crate::journal::slots::SegmentSlot::path_of(copy.slot.number);
        world.disks[copy.drive].flip_bit(&path, at * 8 + 3).expect("the file is there");
    }
    let io = ReadOnly::new(backup(&journal).attach());
    let drive = Drive::new(DriveId(1), Tier::Hot, 9, io, Threads::Caller, world.ambient.clone());
    let history = History::read(&[Arc::new(drive)]).expect("no newer version is there");
    let read = |index: Index, body: &Bytes| history.body(index, body.len() as u32, crc32c::crc32c(body));
    assert_eq!(read(1, &bodies[0]), Err(BodyError::Damaged { index: 1 }));
    assert_eq!((read(2, &bodies[1]), read(3, &bodies[1])), (Ok(bodies[1].clone()), Ok(bodies[1].clone())));
    world.in_flight.clear();
}

#[test]
fn a_part_of_a_backup_is_never_taken_for_the_whole() {
    let mut world = World::new(5, 2, 11);
    for _ in 0..3 {
        let journal = world.open(&[]);
        (0..20).for_each(|_| world.append(&journal).expect("all is well"));
        drop(journal);
        world.crash();
    }
    let disk = backup(&world.open(&[]));
    let read = |world: &World| {
        let io = ReadOnly::new(disk.attach());
        let drive = Drive::new(DriveId(1), Tier::Hot, 9, io, Threads::Caller, world.ambient.clone());
        let drives: Vec<Arc<Drive>> = world.drives(&[]).into_iter().chain([Arc::new(drive)]).collect();
        (History::read(&drives).expect("no newer version is there"), drives[..5].to_vec())
    };
    for step in 1.. {
        // The disks are blank, and the backup is all there is.
        let bare = World::new(5, 2, step);
        let (history, drives) = read(&bare);
        let last = history.runs().last().expect("a history").last;
        let hash = history.hash_at(last).expect("the last entry is known");
        bare.power.fail_at(step);
        let what = Refounding { last: (last, hash), floor: 1, m: 2 };
        let outcome = refound(&history, what, &drives, bare.ambient.as_ref());
        bare.crash();
        match bare.try_open(&[]) {
            Ok(journal) => assert!([0, last].contains(&journal.last().0), "cut at {:?}", journal.last()),
            Err(JournalError::Hole { .. }) => assert!(!bare.history(&[]).doubts().is_empty()),
            Err(error) => panic!("{error}"),
        }
        if outcome.is_ok() {
            return;
        }
    }
}

#[test]
fn a_copy_that_is_cut_short_spoils_no_backup() {
    for cut in 0..3 {
        let mut world = World::new(3, 1, 12);
        let journal = world.open(&[]);
        (0..20).for_each(|_| world.append(&journal).expect("all is well"));
        let io = world.disks[cut].attach();
        for path in world.disks[cut].files().iter().filter(|path| path.contains("segment")) {
            // Within the second page: the header and what counts of the opened page are still there.
            let file = io.open(path, OpenHow::Write).expect("it is there");
            file.set_len(6_000).expect("it is cut");
        }
        let io = ReadOnly::new(backup(&journal).attach());
        let drive = Drive::new(DriveId(1), Tier::Hot, 9, io, Threads::Caller, world.ambient.clone());
        let history = History::read(&[Arc::new(drive)]).expect("no newer version is there");
        let runs: Vec<_> = history.runs().iter().map(|run| (run.first, run.last)).collect();
        assert_eq!(runs, [(1, journal.last().0)], "drive {cut}");
    }
}

/// The power fails anywhere in a start, and later a drive is away: then the last group of that time may be kept best in
/// the epoch that was about to be opened.
#[test]
fn a_backup_holds_what_is_in_an_epoch_that_never_began() {
    let mut unopened = 0;
    for (step, absent) in (1..60).flat_map(|step| (0..4).map(move |absent| (step, absent))) {
        let mut world = World::new(4, 1, step);
        let journal = world.open(&[]);
        (0..3).for_each(|_| world.append(&journal).expect("all is well"));
        drop(journal);
        world.power.fail_at(step);
        drop(world.try_open(&[]));
        world.crash();
        let journal = world.open(&[]);
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
        // Begins with a copy of the last group only; the next start looks for what comes before it.
        drop(world.open(&[absent]));
        world.crash();
        let journal = world.open(&[absent]);
        let is_opened = |segment: &Segment| {
            let mut copies = segment.copies.iter();
            copies.any(|copy| Front::read(copy.slot.file.as_ref()).is_opened_of(segment.key))
        };
        unopened += journal.core.table.read().segments().filter(|segment| !is_opened(segment)).count();
        let io = ReadOnly::new(backup(&journal).attach());
        let drive = Drive::new(DriveId(1), Tier::Hot, 9, io, Threads::Caller, world.ambient.clone());
        let history = History::read(&[Arc::new(drive)]).expect("no newer version is there");
        let runs: Vec<_> = history.runs().iter().map(|run| (run.first, run.last)).collect();
        assert_eq!(runs, [(1, journal.last().0)], "step {step}, absent {absent}");
    }
    assert!(unopened > 0, "such an epoch was needed");
}

#[test]
fn too_few_drives_are_refused() {
    let (world, _) = bereft(10);
    let absent = [0, 1, 2, 3];
    let history = world.history(&[]);
    let what = Refounding { last: (1, EntryHash(1)), floor: 1, m: 2 };
    let refused = refound(&history, what, &world.drives(&absent), world.ambient.as_ref());
    assert!(matches!(refused, Err(RefoundError::TooFew { there: 2, needed: 3 })));
}
