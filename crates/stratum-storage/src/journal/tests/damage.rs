//! Bits that rot, and files that are not what they were.

use super::*;
use crate::journal::cursor::Cursor;
use crate::journal::slots::SegmentSlot;

fn filled(disks: usize, m: usize, groups: usize) -> (World, Journal) {
    let mut world = World::new(disks, m, 11);
    let journal = world.open(&[]);
    for _ in 0..groups {
        world.append(&journal).expect("all is well");
    }
    (world, journal)
}

#[test]
fn one_sound_copy_of_each_group_is_enough() {
    for seed in 0..60 {
        let (mut world, journal) = filled(3, 2, 40);
        drop(journal);
        world.crash();
        // Every disk loses bits, but no place is hit on all three.
        for _ in 0..10 {
            let bit = world.roll(SEGMENT * 8);
            for place in [seed % 3, (seed + 1) % 3] {
                let disk = &world.disks[place];
                let files = disk.files();
                disk.flip_bit(&files[0], bit).expect("the file is there");
            }
        }
        world.open(&[]);
    }
}

#[test]
fn a_scrambled_drive_is_one_that_has_nothing() {
    let (mut world, journal) = filled(4, 1, 40);
    drop(journal);
    world.crash();
    for place in 0..4 {
        world.disks[place].scramble(place as u64);
        let journal = world.open(&[]);
        journal.heal().expect("enough drives are there");
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
    }
}

#[test]
fn a_body_damaged_in_all_copies_is_refused_and_only_it() {
    let mut world = World::new(1, 0, 4);
    let journal = world.open(&[]);
    let body = Bytes::from_static(b"a body that can be found");
    let entry = NewEntry { command: b"put".to_vec(), body: body.clone() };
    journal.append(vec![entry.clone(), entry], Class::Ordinary).expect("all is well");
    let rows: Vec<_> = journal.replay(1, Verify::Bodies).collect::<Result<_, _>>().expect("all is readable");
    let read = |row: &Replayed| journal.read_body(row.index, row.body_len, row.body_crc32c);
    assert_eq!(read(&rows[0]), Ok(body.clone()));
    assert_eq!(journal.read_body_cached(2, rows[1].body_len, rows[1].body_crc32c), Ok(body.clone()));
    world.disks[0].set_cold_cache(true);
    assert_eq!(journal.read_body_cached(2, rows[1].body_len, rows[1].body_crc32c), Err(BodyError::NotCached));
    let at = {
        let table = journal.core.table.read();
        table.find(1).expect("it is there").1
    };
    let files = world.disks[0].files();
    let active = files.iter().find(|path| path.contains("segment")).expect("a segment");
    world.disks[0].flip_bit(active, at * 8 + 3).expect("the file is there");
    assert!(journal.lost_bodies().is_empty(), "nobody asked for it");
    assert_eq!(read(&rows[0]), Err(BodyError::Damaged { index: 1 }));
    assert_eq!(read(&rows[1]), Ok(body.clone()));
    assert_eq!([1, 2].map(|entry| journal.lost_bodies().has(entry)), [true, false]);
    assert!(journal.replay(1, Verify::Bodies).next().is_some_and(|row| row.is_err()));
    assert_eq!(journal.replay(1, Verify::Commands).count(), 2, "the commands are sound");
    world.disks[0].flip_bit(active, at * 8 + 3).expect("the file is there");
    assert_eq!(read(&rows[0]), Ok(body));
    assert!(journal.lost_bodies().is_empty(), "it was read after all");
    world.in_flight.clear();
}

#[test]
fn what_only_drives_have_that_are_gone_is_lost_until_one_is_back() {
    let (world, journal) = filled(6, 2, 3);
    let (last, _) = journal.last();
    let places = journal.core.places();
    let members = journal.members();
    assert_eq!(members.len(), 3);
    for member in members {
        assert!(journal.lost_bodies().is_empty(), "another one has it");
        places
            .iter()
            .find(|place| place.drive.id() == member)
            .expect("it is there")
            .drive
            .fail("for this test");
    }
    let lost = journal.lost_bodies();
    assert!((1..=last).all(|entry| lost.has(entry)) && !lost.has(last + 1));
    drop((journal, world));
}

/// Two segments hold the last group of an epoch: its own, and the first of the next one, which counts. The bodies in
/// the one rot; commands and hashes stay as they are.
#[test]
fn of_segments_that_hold_the_same_entry_the_sound_one_counts() {
    for rotten in [0, 1] {
        let mut world = World::new(4, 1, 12);
        let mut places = Vec::new();
        for _ in 0..2 {
            let journal = world.open(&[]);
            if places.is_empty() {
                // What only the first segment will have, so that it stays.
                world.append(&journal).expect("all is well");
                let alone = world.known.len();
                while world.known.len() == alone || world.known.last().is_none_or(|last| last.body.is_empty())
                {
                    world.append(&journal).expect("all is well");
                }
            }
            let index = world.known.iter().rposition(|known| !known.body.is_empty()).expect("there is one");
            let (copies, at) = {
                let table = journal.core.table.read();
                let (copies, at) = table.find(index as u64 + 1).expect("it is there");
                (copies.clone(), at)
            };
            places.push((copies, at));
            if places.len() == 2 {
                journal.append(vec![NewEntry::default()], Class::Ordinary).expect("all is well");
                let known = Known { hash: journal.last().1, command: Vec::new(), body: Bytes::new() };
                world.known.push(known);
            }
            drop(journal);
            world.crash();
        }
        // The epoch that a start finds is a later one.
        let journal = world.open(&[]);
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
        let (copies, at) = &places[rotten];
        for copy in copies.iter() {
            let path = SegmentSlot::path_of(copy.slot.number);
            world.disks[copy.drive].flip_bit(&path, at * 8 + 3).expect("the file is there");
        }
        drop(world.open(&[]));
        world.crash();
        let drives = world.drives(&[]);
        let history = History::read(&drives).expect("it can be read");
        assert_eq!(history.audit(&drives), [], "{rotten}");
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let (world, journal) = filled(1, 0, 1);
    drop(journal);
    let disk = &world.disks[0];
    let drive = &world.drives(&[])[0];
    let path = disk.files().into_iter().find(|path| path.contains("segment")).expect("a segment");
    let file = drive.io().open(&path, crate::drive::OpenHow::Write).expect("it opens");
    let mut page = b"STRATJNL".to_vec();
    page.extend_from_slice(&7u32.to_le_bytes());
    page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
    file.write_at(&[&page], 0).expect("it is written");
    let error = world.try_open(&[]).expect_err("a newer version").to_string();
    assert!(error.contains("version 7") && error.contains("version 1"), "{error}");
}

/// One pass over all closed segments: what was found.
fn check_all(journal: &Journal) -> Vec<crate::set::Finding> {
    let (mut findings, mut after) = (Vec::new(), 0);
    while let Some(checked) = journal.check_after(after) {
        assert!(checked.sequence > after);
        after = checked.sequence;
        findings.extend(checked.findings);
    }
    findings
}

#[test]
fn rot_that_nobody_reads_is_found_and_written_anew() {
    let (mut world, journal) = filled(3, 2, 60);
    assert!(journal.spans().len() > 3, "some segments are closed");
    assert_eq!(check_all(&journal), []);
    let segments: Vec<(usize, String, u64)> = {
        let table = journal.core.table.read();
        let closed = table.segments().take(table.segments().len() - 1);
        let place = |copy: &table::SegmentCopy, end| {
            (copy.drive, format!("journal/segment-{:04x}", copy.slot.number), end)
        };
        closed
            .flat_map(|segment| {
                segment.copies.iter().map(|copy| place(copy, segment.end)).collect::<Vec<_>>()
            })
            .collect()
    };
    // In every copy of every segment, each time in another part: the header, the opened page, groups.
    for (number, (drive, path, end)) in segments.iter().enumerate() {
        let at = [20, 4100, 8200, end / 2, end - 9][(number + drive) % 5];
        world.disks[*drive].flip_bit(path, at * 8).expect("the file is there");
    }
    let findings = check_all(&journal);
    assert!(findings.len() > segments.len() / 2, "{} of {}", findings.len(), segments.len());
    assert!(findings.iter().all(|finding| finding.repaired), "{findings:?}");
    assert_eq!(check_all(&journal), []);
    world.check(&journal);
    drop(journal);
    world.crash();
    for away in [[0, 1], [0, 2], [1, 2]] {
        let Err(error) = world.try_open(&away).map(drop) else { panic!("two of three are away") };
        assert!(matches!(error, JournalError::TooFew(_)));
    }
    // A single sound copy of everything is left on any one drive.
    world.disks[0].scramble(1);
    world.disks[1].scramble(2);
    world.open(&[]);
}

/// The last group of an epoch is on one of its drives only, or on none any more: the next epoch begins with a copy, and
/// what comes before the group is healed without it.
#[test]
fn a_group_that_the_next_segment_begins_with_keeps_nothing_from_being_healed() {
    let (mut world, journal) = filled(4, 1, 5);
    drop(journal);
    world.crash();
    let journal = world.open(&[]);
    let (segment, last) = {
        let table = journal.core.table.read();
        (table.segments().next().cloned().expect("the first epoch's"), table.last_of(0))
    };
    let files = segment.copies.iter().map(|copy| copy.slot.file.clone()).collect();
    let mut cursor = Cursor::new(segment.key, files, segment.before);
    while cursor.head().index < last {
        cursor.next(Verify::Bodies).expect("it is sound");
    }
    assert!(cursor.at() < segment.end, "the last group is there, and doesn't count");
    for copy in segment.copies.iter() {
        let path = SegmentSlot::path_of(copy.slot.number);
        world.disks[copy.drive].flip_bit(&path, cursor.at() * 8 + 3).expect("the file is there");
    }
    journal.core.places()[segment.copies[0].drive].drive.fail("it is lost");
    assert_eq!(journal.heal().expect("three drives are left").short, 0);
    world.append(&journal).expect("it goes on");
    world.check(&journal);
    drop(journal);
    world.crash();
    world.open(&[segment.copies[0].drive]);
}
