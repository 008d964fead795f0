//! A history that was made to count does: with drives that would be too few, when the power fails on the way, and when
//! the other drives come back.

use super::*;

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
fn it_opens_without_the_others_and_wins_when_they_return() {
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

#[test]
fn too_few_drives_are_refused() {
    let (world, _) = bereft(10);
    let absent = [0, 1, 2, 3];
    let history = world.history(&[]);
    let what = Refounding { last: (1, EntryHash(1)), floor: 1, m: 2 };
    let refused = refound(&history, what, &world.drives(&absent), world.ambient.as_ref());
    assert!(matches!(refused, Err(RefoundError::TooFew { there: 2, needed: 3 })));
}
