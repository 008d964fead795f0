//! Members that are slow or have no space for a segment: the journal goes on without them, and doesn't wander.

use super::failures::members;
use super::*;
use crate::drive::simulated::Op;
use crate::drive::{SLOWNESS_WINDOW, judge};

/// Has a drive write slowly for as long as it takes to be judged slow.
fn make_slow(journal: &Journal, slow: usize) {
    let drives: Vec<Arc<Drive>> = journal.core.places().iter().map(|place| place.drive.clone()).collect();
    // What was written before is another window's.
    judge(&drives);
    for _ in 0..3 {
        for (place, drive) in drives.iter().enumerate() {
            let pulse = drive.journal_lane().pulse();
            pulse.asked();
            pulse.answered(Duration::from_millis(if place == slow { 200 } else { 2 }));
        }
        judge(&drives);
    }
    assert!(drives[slow].writes_slowly());
}

#[test]
fn the_journal_goes_on_without_a_slow_member_and_does_not_wander() {
    for seed in 0..20 {
        let mut world = World::new(5, 1, seed);
        let journal = world.open(&[]);
        for _ in 0..20 {
            world.append(&journal).expect("all is well");
        }
        let (slow, epoch) = (members(&journal)[0], journal.epoch());
        journal.leave_slow().expect("all are there");
        assert_eq!(journal.epoch(), epoch, "nobody is slow");
        make_slow(&journal, slow);
        journal.leave_slow().expect("there are others");
        let healed = journal.heal().expect("all are there");
        assert_eq!((healed.short, journal.epoch()), (0, epoch + 1));
        assert!(!members(&journal).contains(&slow));
        world.append(&journal).expect("all is well");
        // Another is slow right after: the journal stays with it for as long as a judgement takes, as the first one
        // may have been wrong.
        let next = members(&journal)[0];
        make_slow(&journal, next);
        journal.leave_slow().expect("all are there");
        assert!(members(&journal).contains(&next));
        world.ambient.advance(SLOWNESS_WINDOW * 3);
        journal.leave_slow().expect("there are others");
        assert!(!members(&journal).contains(&next) && !members(&journal).contains(&slow));
        world.append(&journal).expect("all is well");
        world.check(&journal);
        drop(journal);
        world.crash();
        world.open(&[members_of(seed)]);
    }
}

fn members_of(seed: u64) -> usize {
    (seed % 5) as usize
}

#[test]
fn where_nobody_can_take_its_place_a_slow_member_stays() {
    let mut world = World::new(2, 1, 3);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let epoch = journal.epoch();
    make_slow(&journal, 0);
    for _ in 0..3 {
        world.ambient.advance(Duration::from_secs(1000));
        journal.leave_slow().expect("all are there");
    }
    assert_eq!(journal.epoch(), epoch);
    world.append(&journal).expect("all is well");
}

#[test]
fn a_member_without_space_for_a_segment_is_left_for_one_that_has_some() {
    for seed in 0..20 {
        let mut world = World::new(4, 1, seed);
        let journal = world.open(&[]);
        world.append(&journal).expect("all is well");
        let full = members(&journal)[0];
        world.disks[full].set_capacity(Some(world.disks[full].used()));
        for _ in 0..80 {
            world.append(&journal).expect("three have space");
        }
        assert!(!members(&journal).contains(&full), "{seed}");
        assert!(journal.core.places()[full].drive.is_healthy(), "lack of space is no failure");
        world.check(&journal);
        drop(journal);
        world.disks[full].set_capacity(None);
        world.crash();
        world.open(&[]);
    }
}

#[test]
fn where_too_few_have_space_nothing_is_used_up_by_trying() {
    let mut world = World::new(4, 1, 9);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    let roomy = members(&journal)[0];
    for (place, disk) in world.disks.iter().enumerate().filter(|(place, _)| *place != roomy) {
        disk.set_capacity(Some(world.disks[place].used()));
    }
    // A short group may still fit where a longer one didn't.
    let mut refused = 0;
    let mut used = 0;
    for _ in 0..500 {
        match world.append(&journal) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, NotWritten::NoSpace.into());
                refused += 1;
            }
        }
        if refused == 1 {
            used = world.disks[roomy].used();
        }
    }
    assert!(refused > 100, "{refused}");
    assert!(world.disks[roomy].used() <= used + SEGMENT, "{} of {used}", world.disks[roomy].used());
    world.in_flight.clear();
    world.disks.iter().for_each(|disk| disk.set_capacity(None));
    world.append(&journal).expect("there is space again");
    world.check(&journal);
}

#[test]
fn a_member_that_finds_no_space_in_a_segment_that_it_holds_has_not_failed() {
    for seed in 0..20 {
        for op in [Op::Write, Op::Sync] {
            let mut world = World::new(4, 1, seed);
            let journal = world.open(&[]);
            world.append(&journal).expect("all is well");
            let full = members(&journal)[0];
            world.disks[full].refuse_nth(op, 1);
            for _ in 0..5 {
                world.append(&journal).expect("others have space");
            }
            assert!(!members(&journal).contains(&full) && all_are_healthy(&journal));
            world.check(&journal);
            drop(journal);
            world.crash();
            world.open(&[(full + 1) % 4]);
        }
    }
}

#[test]
fn a_lack_of_space_at_any_moment_costs_nothing_that_was_acknowledged() {
    for n in 1..60 {
        for op in [Op::Write, Op::Sync] {
            let mut world = World::new(4, 1, n);
            let journal = world.open(&[]);
            world.append(&journal).expect("all is well");
            world.disks[members(&journal)[0]].refuse_nth(op, n);
            for _ in 0..60 {
                world.append(&journal).expect("others have space");
            }
            assert!(all_are_healthy(&journal));
            world.check(&journal);
            drop(journal);
            for absent in 0..4 {
                world.crash();
                world.open(&[absent]);
            }
        }
    }
}

/// Where nobody can take its place the group's outcome is unknown, and the journal goes on by itself when there is
/// space again: without a restart, without a drive that failed, and without the group.
#[test]
fn where_nobody_has_space_in_its_place_the_journal_goes_on_when_there_is_some() {
    for op in [Op::Write, Op::Sync] {
        let mut world = World::new(2, 1, 4);
        let journal = world.open(&[]);
        let second = Duration::from_secs(1);
        world.append(&journal).expect("all is well");
        world.disks.iter().for_each(|disk| disk.set_capacity(Some(disk.used())));
        let refused = loop {
            // Until what was made ready is used up.
            world.disks[0].refuse_nth(op, 1);
            if let Err(refused) = world.append(&journal) {
                break refused;
            }
        };
        assert!(matches!(refused, AppendError::Unknown(_)), "{refused}");
        let used: Vec<u64> = world.disks.iter().map(|disk| disk.used()).collect();
        for _ in 0..100 {
            world.ambient.advance(second);
            assert_eq!(journal.heal(), Err(NotWritten::NoSpace));
            let refused = journal.append(world.group(), Class::Ordinary);
            assert!(matches!(refused, Err(AppendError::NotWritten(NotWritten::Unavailable { .. }))));
        }
        assert_eq!(
            used,
            world.disks.iter().map(|disk| disk.used()).collect::<Vec<_>>(),
            "trying takes nothing"
        );
        assert!(all_are_healthy(&journal) && journal.why_stopped().is_some_and(|why| why.contains("space")));
        world.disks.iter().for_each(|disk| disk.set_capacity(None));
        world.ambient.advance(11 * second);
        journal.heal().expect("there is space");
        assert_eq!(journal.why_stopped(), None);
        world.in_flight.clear();
        world.check(&journal);
        for _ in 0..20 {
            world.append(&journal).expect("there is space");
        }
        drop(journal);
        world.crash();
        world.open(&[]);
    }
}

fn all_are_healthy(journal: &Journal) -> bool {
    journal.core.places().iter().all(|place| place.drive.is_healthy())
}

#[test]
fn what_is_healed_goes_to_a_quick_drive() {
    let mut world = World::new(4, 1, 5);
    let journal = world.open(&[]);
    (0..5).for_each(|_| world.append(&journal).expect("all is well"));
    let is_member = |place: &usize| members(&journal).contains(place);
    let (lost, slow) = (members(&journal)[0], (0..4).find(|place| !is_member(place)).expect("a spare drive"));
    make_slow(&journal, slow);
    journal.core.places()[lost].drive.fail("it is lost");
    assert_eq!(journal.heal().expect("there are others"), Healed { copied: 1, short: 0 });
    let table = journal.core.table.read();
    let mut copies = table.segments().flat_map(|segment| segment.copies.iter());
    assert!(copies.all(|copy| copy.drive != slow), "nothing waits for the slow one");
}
