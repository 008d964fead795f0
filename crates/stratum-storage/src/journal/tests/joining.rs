//! Drives that join and leave while the journal is open.

use super::*;

/// The victim dies, a new disk joins in its place, the journal is healed, and the victim leaves the set: until the
/// power fails, at whatever step.
fn replace(world: &mut World, journal: &Journal, new: &Arc<Drive>, victim: usize) -> Result<(), ()> {
    let places = journal.core.places();
    places[victim].drive.fail("for this test");
    world.append(journal).map_err(drop)?;
    journal.join(std::slice::from_ref(new)).map_err(drop)?;
    world.append(journal).map_err(drop)?;
    let healed = journal.heal().map_err(drop)?;
    if healed.short > 0 {
        return Err(());
    }
    journal.forget_lost().map_err(drop)?;
    world.append(journal).map_err(drop)
}

/// A world of `disks` with one more, not yet in the journal, and the journal open on the others.
fn with_a_spare(disks: usize, m: usize, seed: u64) -> (World, Journal, Arc<Drive>) {
    let mut world = World::new(disks, m, seed);
    let journal = world.open(&[]);
    for _ in 0..12 {
        world.append(&journal).expect("all is well");
    }
    world.disks.push(SimulatedDrive::new("the new disk", 99, &world.power));
    let new = world.drives(&[])[disks].clone();
    (world, journal, new)
}

const DISKS: usize = 5;
const M: usize = 2;

#[test]
fn a_replacement_takes_the_place_of_a_lost_drive() {
    for victim in 0..DISKS {
        let (mut world, journal, new) = with_a_spare(DISKS, M, victim as u64);
        replace(&mut world, &journal, &new, victim).expect("all is well");
        assert_eq!(journal.join(&[new]).expect("it is known"), 0);
        let sets = journal.writer.lock().sets.clone();
        assert!(sets.is_settled() && sets.set.len() == DISKS);
        assert!(!sets.set.contains(&DriveId(100 + victim as u128)));
        assert!(sets.set.contains(&DriveId(100 + DISKS as u128)));
        drop(journal);
        world.crash();
        // The victim is gone for good, and so as many others may be away as before.
        let others: Vec<usize> = (0..=DISKS).filter(|place| *place != victim).collect();
        for pair in others.windows(M) {
            world.open(&[&[victim], pair].concat());
            world.crash();
        }
    }
}

#[test]
fn nothing_is_lost_wherever_the_power_fails_while_a_drive_is_replaced() {
    let steps = {
        let (mut world, journal, new) = with_a_spare(DISKS, M, 3);
        let before = world.power.steps();
        replace(&mut world, &journal, &new, 1).expect("all is well");
        world.power.steps() - before
    };
    assert!(steps > 40, "{steps}");
    for step in 1..=steps {
        let (mut world, journal, new) = with_a_spare(DISKS, M, 3);
        world.power.fail_at(step);
        let _ = replace(&mut world, &journal, &new, 1);
        drop(journal);
        world.crash();
        // The victim never comes back; one more is away, which is all that may be.
        let away = [0, 2, 3, 4][step as usize % 4];
        let journal = world.open(&[1, away]);
        world.append(&journal).expect("two may be lost");
        drop(journal);
        world.crash();
        world.open(&[1]);
    }
}

#[test]
fn a_drive_on_its_way_out_hands_everything_over_and_leaves() {
    let (mut world, journal, _) = with_a_spare(DISKS, 1, 8);
    let places = journal.core.places();
    for leaving in 0..2 {
        places[leaving].drive.set_draining(true);
        world.append(&journal).expect("it goes on without a member that leaves");
        let members = journal.writer.lock().active.members.clone();
        assert!(members.iter().all(|member| member.place != leaving));
        assert_eq!(journal.heal().expect("enough drives stay").short, 0);
        assert_eq!(journal.forget_lost().expect("enough drives stay"), 1);
        assert_eq!(journal.join(&[places[leaving].drive.clone()]).expect("it is passed over"), 0);
    }
    world.append(&journal).expect("three are left");
    drop(journal);
    world.crash();
    for away in 2..DISKS {
        world.open(&[0, 1, away]);
        world.crash();
    }
}

#[test]
fn drives_on_their_way_out_serve_while_too_few_others_are_there() {
    let (mut world, journal, _) = with_a_spare(3, 1, 8);
    let places = journal.core.places();
    places[0].drive.set_draining(true);
    world.append(&journal).expect("two stay");
    places[1].drive.fail("for this test");
    world.append(&journal).expect("the one that leaves is still there");
    assert_eq!(journal.forget_lost().expect("nothing is done"), 0);
    drop(journal);
    world.crash();
    world.open(&[1]);
}

/// A world of `2m` disks with a journal, and as many new disks as may be lost.
fn with_as_many_spares(m: usize, seed: u64) -> (World, Vec<usize>) {
    let mut world = World::new(2 * m, m, seed);
    let journal = world.open(&[]);
    for _ in 0..6 {
        world.append(&journal).expect("all is well");
    }
    for place in 0..m {
        let new = SimulatedDrive::new(&format!("new disk {place}"), 90 + place as u64, &world.power);
        world.disks.push(new);
    }
    (world, (m..2 * m).collect())
}

/// The victims are lost for good, new disks join one by one, and the victims leave: until the power fails.
fn replace_all(
    world: &mut World,
    journal: &Journal,
    victims: &[usize],
    drives: &[Arc<Drive>],
) -> Result<(), ()> {
    for place in victims {
        journal.core.places()[*place].drive.fail("for this test");
    }
    assert!(world.append(journal).is_err(), "too few are left");
    world.in_flight.clear();
    for (place, new) in victims.iter().zip(&drives[2 * world.m..]) {
        journal.core.places()[*place].drive.strike();
        journal.join(std::slice::from_ref(new)).map_err(drop)?;
    }
    world.append(journal).map_err(drop)?;
    if journal.heal().map_err(drop)?.short > 0 {
        return Err(());
    }
    journal.forget_lost().map_err(drop)?;
    world.append(journal).map_err(drop)
}

#[test]
fn a_set_that_has_lost_as_many_as_it_may_goes_on_with_new_drives() {
    for m in [1, 2] {
        let steps = {
            let (mut world, victims) = with_as_many_spares(m, 5);
            let journal = world.open(&(2 * m..3 * m).collect::<Vec<_>>());
            let before = world.power.steps();
            let drives = world.drives(&[]);
            replace_all(&mut world, &journal, &victims, &drives).expect("all is well");
            let sets = journal.writer.lock().sets.clone();
            assert!(sets.is_settled() && sets.set.len() == 2 * m, "{sets:?}");
            assert!(victims.iter().all(|place| !sets.set.contains(&DriveId(100 + *place as u128))));
            world.power.steps() - before
        };
        for step in 1..=steps {
            let (mut world, victims) = with_as_many_spares(m, 5);
            let journal = world.open(&(2 * m..3 * m).collect::<Vec<_>>());
            let drives = world.drives(&[]);
            world.power.fail_at(step);
            let _ = replace_all(&mut world, &journal, &victims, &drives);
            drop(journal);
            world.crash();
            for _ in 0..2 {
                // The set of drives names the new ones now, and the victims no more.
                let mut drives = world.drives(&[]);
                drives.drain(m..2 * m);
                let set = JournalSet { drives, m, begun: true };
                let journal =
                    Journal::open(set, world.options(), world.ambient.clone(), world.ambient.clone());
                let journal = journal.expect("m+1 are there");
                world.check(&journal);
                world.append(&journal).expect("m+1 are there");
                drop(journal);
                world.crash();
            }
        }
    }
}
