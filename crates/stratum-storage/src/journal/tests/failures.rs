//! Members that fail, stall and die while the journal runs.

use super::*;
use crate::drive::simulated::Op;

#[test]
fn a_member_that_fails_at_any_moment_loses_nothing() {
    for op in [Op::Write, Op::Sync] {
        for n in 1..40 {
            let mut world = World::new(4, 1, n);
            let journal = world.open(&[]);
            let victim = world.roll(4) as usize;
            world.disks[victim].fail_nth(op, n);
            for _ in 0..20 {
                world.append(&journal).expect("one drive may fail");
            }
            world.check(&journal);
            drop(journal);
            world.crash();
            world.disks[victim].fail_nth(op, u64::MAX);
            // It comes back, stale; another one is away.
            world.open(&[(victim + 1) % 4]);
        }
    }
}

#[test]
fn a_group_that_a_member_missed_is_durable_without_it() {
    let mut world = World::new(3, 1, 5);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let members = members(&journal);
    world.disks[members[0]].freeze(true);
    world.append(&journal).expect("the group goes on in the next epoch");
    drop(journal);
    world.disks[members[0]].freeze(false);
    world.crash();
    for absent in 0..3 {
        world.open(&[absent]);
        world.crash();
    }
}

/// Drives that are there and hold nothing of it, say because somebody deleted `journal/` on each.
#[test]
fn a_journal_that_is_on_none_of_its_drives_is_not_begun_anew() {
    let mut world = World::new(4, 1, 5);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let member = members(&journal)[0];
    drop(journal);
    let kept = world.disks[member].snapshot();
    world.disks.iter().for_each(|disk| disk.erase());
    assert!(matches!(world.try_open(&[]), Err(JournalError::Gone)));
    assert!(matches!(world.try_open(&[2]), Err(JournalError::Gone)));
    assert!(world.disks.iter().all(|disk| disk.files().is_empty()), "and nothing was written");
    world.disks[member].rollback(&kept);
    let journal = world.try_open(&[]).expect("what is left of it counts");
    assert_eq!(journal.last().0, world.known.len() as u64);
}

#[test]
fn with_more_than_m_lost_nothing_is_written() {
    let mut world = World::new(5, 2, 6);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let drives: Vec<_> = journal.core.places().iter().map(|place| place.drive.clone()).collect();
    let outsiders: Vec<usize> = (0..5).filter(|place| !members(&journal).contains(place)).collect();
    outsiders.iter().for_each(|&place| drives[place].fail("for this test"));
    world.append(&journal).expect("two may be lost");
    drives[members(&journal)[0]].fail("for this test");
    assert!(matches!(world.append(&journal), Err(AppendError::NotWritten(NotWritten::Unavailable { .. }))));
    world.in_flight.clear();
    world.check(&journal);
}

/// A member fails while no drive has space for another segment: the group can't be saved. When there is space again the
/// journal goes on without it, whatever becomes of the power meanwhile.
#[test]
fn a_journal_that_stopped_for_want_of_space_goes_on_when_there_is_some() {
    for seed in 0..20 {
        let mut world = World::new(4, 1, seed);
        let journal = world.open(&[]);
        for _ in 0..3 {
            world.append(&journal).expect("all is well");
        }
        let victim = members(&journal)[0];
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(disk.used())));
        world.disks[victim].fail_nth(Op::Sync, 1);
        assert!(matches!(world.append(&journal), Err(AppendError::Unknown(_))));
        let unknown = world.in_flight.clone();
        assert!(journal.heal().is_err() && world.append(&journal).is_err(), "nothing has changed yet");
        world.disks.iter().for_each(|disk| disk.set_capacity(None));
        // A drive that had no space a moment ago isn't asked again at once.
        world.ambient.advance(Duration::from_secs(11));
        if seed % 2 == 0 {
            // Or the next start decides.
            world.power.fail_at(seed / 2 + 1);
            let _ = journal.heal();
            world.in_flight = unknown;
            drop(journal);
            world.crash();
            world.open(&[]);
            continue;
        }
        journal.heal().expect("three drives are left");
        for _ in 0..3 {
            world.append(&journal).expect("it goes on");
        }
        world.check(&journal);
        drop(journal);
        world.crash();
        world.open(&[(victim + 1) % 4]);
    }
}

#[test]
fn a_group_that_could_not_be_saved_stops_the_journal() {
    let mut world = World::new(2, 1, 9);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    world.disks[1].fail_nth(Op::Sync, 1);
    assert!(matches!(world.append(&journal), Err(AppendError::Unknown(_))));
    let group = world.in_flight.clone();
    assert!(matches!(world.append(&journal), Err(AppendError::NotWritten(NotWritten::Unavailable { .. }))));
    world.in_flight = group;
    drop(journal);
    world.crash();
    world.open(&[]);
}

#[test]
fn after_healing_another_drive_may_go() {
    for seed in 0..12 {
        let mut world = World::new(5, 1, seed);
        let journal = world.open(&[]);
        for _ in 0..20 {
            world.append(&journal).expect("all is well");
        }
        let mut dead = Vec::new();
        for _ in 0..2 {
            let next = members(&journal).into_iter().find(|place| !dead.contains(place)).expect("a member");
            world.disks[next].erase();
            dead.push(next);
            assert!(!journal.core.places()[next].drive.check());
            let healed = journal.heal().expect("enough drives are left");
            assert_eq!(healed.short, 0, "everything is on two healthy drives");
            assert_eq!(journal.forget_lost().expect("enough drives are left"), 1);
            assert_eq!(journal.forget_lost().expect("nothing is left to do"), 0);
            world.append(&journal).expect("one drive fewer");
        }
        drop(journal);
        world.crash();
        let other = (0..5).find(|place| !dead.contains(place)).expect("three are left");
        let mut absent = dead.clone();
        absent.push(other);
        world.open(&absent);
    }
}

#[test]
fn without_healing_a_second_loss_is_a_hole_and_not_a_shorter_history() {
    let mut world = World::new(4, 1, 3);
    let journal = world.open(&[]);
    for _ in 0..30 {
        world.append(&journal).expect("all is well");
    }
    let first = members(&journal);
    journal.core.places()[first[0]].drive.fail("for this test");
    world.append(&journal).expect("one drive may fail");
    drop(journal);
    world.crash();
    world.disks[first[0]].erase();
    assert!(world.try_open(&[first[0]]).is_ok());
    world.crash();
    world.disks[first[1]].erase();
    match world.try_open(&[first[0]]) {
        Err(JournalError::Hole { .. }) => {}
        other => panic!("{other:?} instead of a hole"),
    }
}

/// The places of the members of the epoch that is open.
pub(super) fn members(journal: &Journal) -> Vec<usize> {
    journal.writer.lock().active.members.iter().map(|member| member.place).collect()
}
