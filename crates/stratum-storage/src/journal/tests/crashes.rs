//! Power fails at every write and sync, again and again, while drives come and go.

use super::World;

/// What a run does until the power fails: starts, appends, lets go of the older part, appends on.
fn run(world: &mut World, absent: &[usize], groups: usize) {
    let Ok(journal) = world.try_open(absent) else {
        assert!(world.power.is_off(), "only a power failure may keep the journal from opening");
        return;
    };
    world.check(&journal);
    for round in 0..groups {
        if world.append(&journal).is_err() {
            assert!(world.power.is_off(), "only a power failure may keep a group from being appended");
            return;
        }
        if round % 7 == 6 {
            world.release(&journal, 5);
        }
    }
    world.check(&journal);
}

fn steps_of(run: impl Fn(&mut World), mut world: World) -> u64 {
    let before = world.power.steps();
    run(&mut world);
    world.power.steps() - before
}

fn crash_everywhere(disks: usize, m: usize) {
    let former = |world: &mut World| run(world, &[], 5);
    let workload = |world: &mut World| run(world, &[], 30);
    let steps = {
        let mut world = World::new(disks, m, 7);
        former(&mut world);
        steps_of(workload, world)
    };
    assert!(steps > 50, "the workload is one worth crashing");
    for step in 1..=steps {
        let mut world = World::new(disks, m, 7 + step);
        former(&mut world);
        world.power.fail_at(step);
        workload(&mut world);
        world.crash();
        let absent = world.some_absent();
        run(&mut world, &absent, 3);
        world.crash();
        let absent = world.some_absent();
        run(&mut world, &absent, 3);
    }
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_fails() {
    crash_everywhere(3, 1);
}

#[test]
fn nothing_acknowledged_is_lost_with_two_of_five_away() {
    crash_everywhere(5, 2);
}

#[test]
fn nothing_acknowledged_is_lost_on_a_single_drive() {
    crash_everywhere(1, 0);
}

/// Many short lives: each ends in a power failure at a random step, often while the epoch is being opened, and each
/// begins without some of the drives.
#[test]
fn drives_that_come_and_go_change_nothing_that_was_served() {
    for seed in 0..150 {
        let (disks, m) = [(3, 1), (4, 1), (5, 2), (6, 2)][seed as usize % 4];
        let mut world = World::new(disks, m, seed);
        for _ in 0..12 {
            let absent = world.some_absent();
            let until = 1 + world.roll(60);
            world.power.fail_at(until);
            run(&mut world, &absent, 8);
            world.crash();
        }
        let absent = world.some_absent();
        run(&mut world, &absent, 3);
    }
}
