//! The journal read without being opened: it is what a start would recover, and what no start would dare to use.

use super::*;
use crate::drive::read_only::ReadOnly;
use crate::journal::format::{GROUPS_AT, Header, HeaderPage, PAGE};

impl World {
    /// The journal as a tool finds it that may change nothing.
    pub(super) fn history(&self, absent: &[usize]) -> History {
        let present = self.disks.iter().enumerate().filter(|(place, _)| !absent.contains(place));
        let drive = |(place, disk): (usize, &Arc<SimulatedDrive>)| {
            let io = ReadOnly::new(disk.attach());
            let (id, clock) = (DriveId(100 + place as u128), self.ambient.clone());
            Arc::new(Drive::new(id, Tier::Hot, place as u16, io, Threads::Caller, clock))
        };
        let drives: Vec<Arc<Drive>> = present.map(drive).collect();
        History::read(&drives).expect("no newer version is there")
    }
}

/// Every entry with its body, from `from` to the end of its run.
fn entries(history: &History, from: Index) -> Vec<Known> {
    let rows = history.replay(from).into_iter().flatten().map(|row| row.expect("the run has no hole"));
    let entry = |row: Replayed| {
        let body = history.body(row.index, row.body_len, row.body_crc32c).expect("the body is sound");
        Known { hash: row.hash, command: row.command.to_vec(), body }
    };
    rows.map(entry).collect()
}

#[test]
fn the_history_is_what_a_start_recovers() {
    for seed in 0..120 {
        let (disks, m) = [(3, 1), (4, 1), (5, 2), (6, 2), (1, 0)][seed as usize % 5];
        let mut world = World::new(disks, m, 9_000 + seed);
        for _ in 0..6 {
            let absent = world.some_absent();
            let until = 1 + world.roll(60);
            world.power.fail_at(until);
            if let Ok(journal) = world.try_open(&absent) {
                world.check(&journal);
                for round in 0..8 {
                    if world.append(&journal).is_err() {
                        break;
                    }
                    if round % 3 == 2 {
                        world.release(&journal, 5);
                    }
                }
            }
            world.crash();
            let absent = world.some_absent();
            let history = world.history(&absent);
            let journal = world.open(&absent);
            let (last, hash) = journal.last();
            if last == 0 {
                continue;
            }
            assert_eq!(history.doubts(), [], "seed {seed}");
            assert_eq!(history.hash_at(last), Some(hash), "seed {seed}");
            assert_eq!(history.runs().last().map(|run| run.last), Some(last));
            assert_eq!(entries(&history, world.floor), world.known[world.floor as usize - 1..]);
        }
    }
}

#[test]
fn with_too_many_drives_away_what_is_there_is_given_and_doubted() {
    let mut world = World::new(6, 2, 5);
    let journal = world.open(&[]);
    (0..30).for_each(|_| world.append(&journal).expect("all is well"));
    drop(journal);
    world.crash();
    let holds = |place: &usize| world.disks[*place].files().iter().any(|path| path.contains("segment"));
    let member = (0..6).find(holds).expect("somebody holds the journal");
    let absent: Vec<usize> = (0..6).filter(|place| *place != member).collect();
    assert!(matches!(world.try_open(&absent), Err(JournalError::TooFew(_))));
    world.crash();
    let history = world.history(&absent);
    assert_eq!(history.doubts(), [Doubt::Away { away: 5, drives: 6, m: 2 }]);
    assert_eq!(entries(&history, 1), world.known);
    let nobody: Vec<usize> = (0..6).collect();
    assert_eq!(world.history(&nobody).doubts(), [Doubt::NoJournal]);
}

#[test]
fn a_hole_is_named_and_both_of_its_sides_are_read() {
    let mut world = World::new(1, 0, 3);
    let journal = world.open(&[]);
    while journal.spans().len() < 4 {
        world.append(&journal).expect("all is well");
    }
    let spans = journal.spans();
    drop(journal);
    world.crash();
    // A bit of the second segment's first group: nothing from there to the segment's end can be followed.
    let disk = &world.disks[0];
    let path = {
        let io = disk.attach();
        let holds = |path: &&String| {
            let file = io.open(path, crate::drive::OpenHow::Read).expect("it opens");
            let page = crate::journal::reader::read_some(file.as_ref(), 0, PAGE);
            matches!(Header::decode(&page), HeaderPage::Header(header)
                if header.before.index + 1 == spans[1].first)
        };
        disk.files().iter().filter(|path| path.contains("segment")).find(holds).expect("it is there").clone()
    };
    disk.flip_bit(&path, 8 * (GROUPS_AT + 20)).expect("the file is there");
    assert!(matches!(world.try_open(&[]), Err(JournalError::Hole { .. })));
    world.crash();
    let history = world.history(&[]);
    let hole = Doubt::Hole { first: spans[1].first, last: spans[1].last };
    assert_eq!(history.doubts(), [hole]);
    let (before, after) = (spans[0].last as usize, spans[2].first as usize - 1);
    assert_eq!(entries(&history, 1), world.known[..before]);
    assert_eq!(entries(&history, spans[2].first), world.known[after..]);
    assert!(history.replay(spans[1].first).is_none());
}
