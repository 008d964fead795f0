//! Segments: filled, closed, let go and used again.

use super::*;

#[test]
fn what_is_released_is_used_again() {
    let mut world = World::new(4, 1, 21);
    let journal = world.open(&[]);
    for round in 0..400 {
        world.append(&journal).expect("all is well");
        if round % 10 == 9 {
            world.release(&journal, 12);
        }
    }
    world.check(&journal);
    assert!(journal.first() > world.known.len() as u64 / 2, "the older part is gone");
    assert_eq!(journal.read_body(1, 1, 1), Err(BodyError::Gone { index: 1 }));
    drop(journal);
    for disk in &world.disks {
        assert!(disk.files().len() <= 12, "{:?}", disk.files());
    }
    world.crash();
    world.open(&[2]);
}

#[test]
fn a_fresh_journal_is_small() {
    let mut world = World::new(6, 2, 1);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let used: u64 = world.disks.iter().map(|disk| disk.used()).sum();
    assert!(used <= 2 * 3 * SEGMENT, "a segment and a spare on each of three members, not {used} bytes");
}

#[test]
fn restarts_alone_cost_little() {
    let mut world = World::new(4, 1, 2);
    for _ in 0..40 {
        let journal = world.open(&[]);
        world.append(&journal).expect("all is well");
        drop(journal);
        world.crash();
    }
    let used: u64 = world.disks.iter().map(|disk| disk.used()).sum();
    assert!(used < 2 * 2 * SEGMENT + 40 * 2 * SEGMENT / 2, "closed segments are trimmed: {used} bytes");
}

#[test]
fn the_reads_of_a_start_grow_with_the_journal_and_not_with_its_square() {
    let mut world = World::new(3, 1, 5);
    let mut read_by_start = |starts: u64| {
        for _ in 0..starts {
            let journal = world.try_open(&[]).expect("it opens");
            world.append(&journal).expect("all is well");
            drop(journal);
            world.crash();
        }
        let read = |world: &World| world.disks.iter().map(|disk| disk.reads()).sum::<u64>();
        let before = read(&world);
        drop(world.try_open(&[]).expect("it opens"));
        world.crash();
        read(&world) - before
    };
    let (few, many) = (read_by_start(8), read_by_start(32));
    assert!(many <= 8 * few, "{few} reads after 8 starts, {many} after 40");
}

#[test]
fn the_last_of_the_cap_is_for_what_makes_room() {
    let mut world = World::new(1, 0, 8);
    let journal = open_with(&world, Options { cap: 8 * SEGMENT, ..world.options() });
    fill(&mut world, &journal);
    let usage = journal.usage();
    assert!(usage.bytes <= usage.cap / 20 * 19 && usage.bytes > usage.cap / 2);
    let delete = NewEntry { command: b"delete".to_vec(), body: Bytes::new() };
    let hash = journal.append(vec![delete.clone()], Class::MakesRoom).expect("deletes go on").hashes[0];
    world.known.push(Known { hash, command: delete.command, body: Bytes::new() });
    world.release(&journal, 3);
    for _ in 0..20 {
        world.append(&journal).expect("there is room again");
    }
    assert!(journal.usage().bytes < 3 * SEGMENT);
    world.check(&journal);
}

#[test]
fn what_makes_room_in_the_journal_passes_the_cap() {
    let mut world = World::new(1, 0, 9);
    let journal = open_with(&world, Options { cap: 8 * SEGMENT, ..world.options() });
    fill(&mut world, &journal);
    while append_entry(&mut world, &journal, Class::MakesRoom).is_ok() {}
    assert!(!journal.has_room(4000, Class::MakesRoom) && journal.has_room(4000, Class::Packing));
    assert_eq!(append_entry(&mut world, &journal, Class::MakesRoom), Err(NotWritten::Full.into()));
    for _ in 0..10 {
        append_entry(&mut world, &journal, Class::Packing).expect("nothing else will make room");
    }
    let usage = journal.usage();
    assert!(usage.bytes > usage.cap);
    world.release(&journal, 0);
    world.append(&journal).expect("there is room again");
    world.check(&journal);
}

#[test]
fn segments_are_a_small_part_of_any_cap() {
    for (seed, cap) in [1, LEAST_CAP_BYTES, 2 * LEAST_CAP_BYTES].into_iter().enumerate() {
        let mut world = World::new(2, 1, seed as u64);
        let journal = open_with(&world, Options { segment_bytes: 32 << 20, cap, ..world.options() });
        for round in 0..30 {
            fill(&mut world, &journal);
            let usage = journal.usage();
            assert!(usage.cap == cap.max(LEAST_CAP_BYTES) && usage.bytes <= usage.cap, "{usage:?}");
            let closed: u64 = journal.spans().iter().filter(|span| !span.active).map(|span| span.bytes).sum();
            assert!(closed > usage.cap / 2, "round {round}: most of it can be packed and let go");
            world.release(&journal, 0);
        }
        world.check(&journal);
    }
}

fn open_with(world: &World, options: Options) -> Journal {
    let set = JournalSet { drives: world.drives(&[]), m: world.m, begun: !world.known.is_empty() };
    Journal::open(set, options, world.ambient.clone(), world.ambient.clone()).expect("the journal opens")
}

/// Appends until the journal is full.
fn fill(world: &mut World, journal: &Journal) {
    let outcome = loop {
        if let Err(error) = append_entry(world, journal, Class::Ordinary) {
            break error;
        }
    };
    assert_eq!(outcome, NotWritten::Full.into());
}

/// An entry of 4,000 bytes, which is remembered.
fn append_entry(world: &mut World, journal: &Journal, class: Class) -> Result<(), AppendError> {
    let body = vec![world.known.len() as u8; 3000].into();
    let entry = NewEntry { command: vec![1; 1000], body };
    let hash = journal.append(vec![entry.clone()], class)?.hashes[0];
    world.known.push(Known { hash, command: entry.command, body: entry.body });
    Ok(())
}

#[test]
fn a_reader_under_a_pin_still_reads_what_is_let_go() {
    let mut world = World::new(1, 0, 13);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let row = journal.replay(1, Verify::Commands).next().expect("an entry").expect("it is sound");
    let pin = journal.core.pins.pin();
    let (copies, at) = {
        let table = journal.core.table.read();
        let (copies, at) = table.find(row.index).expect("it is there");
        (copies.clone(), at)
    };
    for _ in 0..100 {
        world.append(&journal).expect("all is well");
        world.release(&journal, 2);
    }
    assert!(journal.first() > row.index);
    let mut bytes = vec![0; row.body_len as usize];
    copies[0].slot.file.read_at(&mut bytes, at).expect("it reads");
    assert_eq!(crc32c::crc32c(&bytes), row.body_crc32c);
    drop(pin);
}

#[test]
fn groups_have_bounds() {
    let mut world = World::new(1, 0, 14);
    let journal = world.open(&[]);
    let entry = |len: usize| NewEntry { command: Vec::new(), body: vec![1; len].into() };
    let too_large = vec![entry(journal.core.max_group())];
    assert!(matches!(
        journal.append(too_large, Class::Ordinary),
        Err(AppendError::NotWritten(NotWritten::TooLarge { max, .. })) if max == journal.core.max_group()
    ));
    assert_eq!(journal.append(Vec::new(), Class::Ordinary).map(|appended| appended.first), Ok(1));
    world.append(&journal).expect("all is well");
}

#[test]
fn hashes_are_found_by_index() {
    let mut world = World::new(2, 1, 15);
    let journal = world.open(&[]);
    for _ in 0..60 {
        world.append(&journal).expect("all is well");
    }
    for (place, known) in world.known.iter().enumerate() {
        assert_eq!(journal.hash_at(place as u64 + 1), Some(known.hash));
    }
    assert_eq!(journal.hash_at(world.known.len() as u64 + 1), None);
    let spans = journal.spans();
    assert!(spans.len() > 2 && spans.last().is_some_and(|span| span.active));
    assert!(spans.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
}
