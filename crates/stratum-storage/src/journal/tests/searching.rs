//! A body is given up only when every drive that may have it was asked.

use super::failures::members;
use super::*;
use crate::drive::simulated::Op;
use crate::journal::slots::SegmentSlot;

/// A body in the journal, and what its record says of it.
struct Kept {
    index: Index,
    body: Bytes,
}

impl Kept {
    fn search(&self, journal: &Journal) -> Search {
        journal.search(self.index, self.body.len() as u32, crc32c::crc32c(&self.body))
    }

    /// Has it rot in all copies on these drives.
    fn rot(&self, world: &World, journal: &Journal, on: &[usize]) {
        for (segment, at) in journal.core.table.read().all_with(self.index) {
            for copy in segment.copies.iter().filter(|copy| on.contains(&copy.drive)) {
                let path = SegmentSlot::path_of(copy.slot.number);
                world.disks[copy.drive].flip_bit(&path, at * 8 + 3).expect("the file is there");
            }
        }
    }
}

/// Five drives of which two may be lost, and a body on three of them.
fn with_a_body() -> (World, Journal, Kept) {
    let mut world = World::new(5, 2, 9);
    let journal = world.open(&[]);
    let body = Bytes::from(vec![7; 900]);
    let entry = NewEntry { command: b"put".to_vec(), body: body.clone() };
    let index = journal.append(vec![entry.clone()], Class::Ordinary).expect("all is well").first;
    world.known.push(Known { hash: journal.last().1, command: entry.command, body: body.clone() });
    for _ in 0..40 {
        world.append(&journal).expect("all is well");
    }
    (world, journal, Kept { index, body })
}

fn awaits(labels: &[String]) -> Search {
    Search::Awaited(labels.iter().cloned().collect())
}

#[test]
fn one_sound_copy_is_found_and_none_is_a_loss() {
    let (mut world, journal, kept) = with_a_body();
    let all = members(&journal);
    kept.rot(&world, &journal, &all[1..]);
    assert_eq!(kept.search(&journal), Search::Found(kept.body.clone()));
    kept.rot(&world, &journal, &all[..1]);
    assert_eq!(kept.search(&journal), Search::Lost);
    assert!(journal.lost_bodies().has(kept.index), "and it is counted");
    world.release(&journal, 1);
    for _ in 0..200 {
        world.append(&journal).expect("all is well");
        world.release(&journal, 1);
    }
    assert_eq!(kept.search(&journal), Search::Gone);
    assert!(journal.lost_bodies().has(kept.index), "it stays known");
}

#[test]
fn a_drive_that_is_out_is_waited_for_until_somebody_says_that_it_is_lost() {
    let (world, journal, kept) = with_a_body();
    let all = members(&journal);
    kept.rot(&world, &journal, &all);
    let drive = journal.core.places()[all[0]].drive.clone();
    drive.fail("for this test");
    assert_eq!(kept.search(&journal), awaits(&[drive.label()]));
    drive.set_draining(true);
    assert_eq!(kept.search(&journal), Search::Lost);
}

/// Even a drive that, as far as this process knows, holds no copy: what it holds is known when it is there.
#[test]
fn a_drive_that_was_away_at_the_start_is_asked_when_it_is_back() {
    let (mut world, journal, kept) = with_a_body();
    let all = members(&journal);
    kept.rot(&world, &journal, &all[1..]);
    drop(journal);
    world.crash();
    let journal = world.try_open(&all[..1]).expect("it opens without one");
    let label = journal.core.places()[all[0]].drive.label();
    assert_eq!(kept.search(&journal), awaits(&[label]));
    let back = world.drives(&[])[all[0]].clone();
    journal.join(&[back]).expect("it is taken");
    assert_eq!(kept.search(&journal), Search::Found(kept.body.clone()), "what it brought is looked at");
    world.known.clear();
}

/// A bad sector is a loss, and a disk that gives nothing at all may yet answer.
#[test]
fn a_drive_that_answers_nothing_is_waited_for() {
    let (world, journal, kept) = with_a_body();
    let all = members(&journal);
    kept.rot(&world, &journal, &all[1..]);
    let disk = &world.disks[all[0]];
    disk.fail_nth(Op::Read, 1);
    assert_eq!(kept.search(&journal), Search::Lost);
    disk.freeze(true);
    assert_eq!(kept.search(&journal), awaits(&[journal.core.places()[all[0]].drive.label()]));
    disk.freeze(false);
    assert_eq!(kept.search(&journal), Search::Found(kept.body.clone()));
}
