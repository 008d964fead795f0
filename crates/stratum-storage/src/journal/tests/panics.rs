//! Panics in the midst of it: nobody waits for ever, and nothing that was acknowledged is lost.

use super::failures::members;
use super::*;
use crate::drive::simulated::Op;
use crate::panics::caught;

#[test]
fn a_panic_while_a_drive_is_written_costs_that_drive_and_nothing_else() {
    for op in [Op::Write, Op::Sync] {
        for n in 1..40 {
            let mut world = World::new(4, 1, n);
            let victim = world.roll(4) as usize;
            world.disks[victim].panic_nth(op, n);
            let journal = world.open(&[]);
            for _ in 0..40 {
                world.append(&journal).expect("one drive may fail");
            }
            // A segment may have been in the making when the drive panicked; another is made ready.
            for member in members(&journal) {
                let places = journal.core.places();
                assert!(places[member].slots.as_ref().is_some_and(|slots| slots.has_free()), "{op:?} {n}");
            }
            world.check(&journal);
            drop(journal);
            world.crash();
            world.disks[victim].panic_nth(op, u64::MAX);
            world.open(&[(victim + 1) % 4]);
        }
    }
}

/// Whoever had the writer may have opened an epoch that nobody here knows of.
#[test]
fn after_a_panic_with_the_writer_nothing_is_appended_before_the_next_start() {
    let mut world = World::new(4, 1, 7);
    let journal = world.open(&[]);
    for _ in 0..5 {
        world.append(&journal).expect("all is well");
    }
    let lost = caught(|| {
        let mut writer = journal.writer();
        let sets = writer.sets.clone();
        writer.reopen(&journal.core, sets).expect("an epoch is open");
        panic!("by plan");
    });
    assert_eq!(lost.map(drop), Err("by plan".into()));
    let epoch = journal.epoch();
    for _ in 0..3 {
        let refused = world.append(&journal).expect_err("nobody knows what the drives hold").to_string();
        assert!(refused.contains("restart"), "{refused}");
        assert!(journal.heal().expect_err("nor does heal").to_string().contains("restart"));
        assert!(journal.forget_lost().is_ok_and(|left| left == 0));
    }
    assert_eq!(journal.epoch(), epoch);
    assert!(journal.why_stopped().is_some_and(|why| why.contains("restart")));
    world.in_flight.clear();
    world.check(&journal);
    drop(journal);
    world.crash();
    let journal = world.open(&[]);
    world.append(&journal).expect("the next start knows");
}
