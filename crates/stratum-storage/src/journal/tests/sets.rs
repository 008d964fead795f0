//! Which drives must be there, and how the set changes.

use super::*;
use crate::journal::quorum::{Candidate, Sets, choose};

fn candidates(devices: &[u64]) -> Vec<Candidate> {
    let candidate = |(place, &device): (usize, &u64)| Candidate {
        id: DriveId(place as u128),
        device,
        present: true,
        usable: true,
    };
    devices.iter().enumerate().map(candidate).collect()
}

fn ids(places: impl IntoIterator<Item = u128>) -> Vec<DriveId> {
    places.into_iter().map(DriveId).collect()
}

#[test]
fn members_are_on_different_devices_and_take_turns() {
    let drives = candidates(&[1, 1, 2, 2, 3, 3]);
    let sets = Sets::settled(ids(0..6));
    let mut turns = [0; 6];
    for number in 1..=60 {
        let chosen = choose(&sets, 2, &drives, number).expect("all are there");
        let mut devices: Vec<u64> = chosen.iter().map(|&place| drives[place].device).collect();
        devices.sort_unstable();
        assert_eq!(devices, [1, 2, 3]);
        chosen.iter().for_each(|&place| turns[place] += 1);
    }
    assert!(turns.iter().all(|&turn| turn >= 20), "{turns:?}");
}

#[test]
fn members_lie_in_both_sets() {
    let drives = candidates(&[1, 2, 3, 4]);
    let sets = Sets { set: ids(0..4), previous: ids(0..3) };
    for number in 1..10 {
        assert!(!choose(&sets, 1, &drives, number).expect("all are there").contains(&3));
    }
}

#[test]
fn a_small_set_waits_for_m_plus_one() {
    let mut world = World::new(2, 1, 1);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    drop(journal);
    assert!(matches!(
        world.try_open(&[0]),
        Err(JournalError::TooFew(TooFew::Members { healthy: 1, needed: 2, .. }))
    ));
    world.open(&[]);
}

#[test]
fn more_than_m_missing_is_refused_with_nothing_changed() {
    let mut world = World::new(5, 1, 1);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    drop(journal);
    assert!(matches!(
        world.try_open(&[0, 3]),
        Err(JournalError::TooFew(TooFew::Missing { missing: 2, m: 1, .. }))
    ));
    world.open(&[3]);
}

#[test]
fn a_drive_that_left_the_set_comes_back_into_it() {
    let mut world = World::new(4, 1, 30);
    let journal = world.open(&[]);
    for _ in 0..10 {
        world.append(&journal).expect("all is well");
    }
    journal.core.places[0].drive.fail("for this test");
    journal.heal().expect("three are left");
    assert_eq!(journal.forget_lost().expect("three are left"), 1);
    assert_eq!(journal.writer.lock().sets, Sets::settled(ids([101, 102, 103])));
    world.append(&journal).expect("all is well");
    drop(journal);
    world.crash();
    let journal = world.open(&[0]);
    assert!(journal.writer.lock().sets.set.len() == 3);
    world.append(&journal).expect("all is well");
    drop(journal);
    world.crash();
    let journal = world.open(&[]);
    let sets = journal.writer.lock().sets.clone();
    assert!(sets.is_settled() && sets.set.len() == 4 && sets.set.contains(&DriveId(100)));
}
