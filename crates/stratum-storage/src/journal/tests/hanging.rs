//! Drives that hang while others answer: what is written goes on without them.

use super::*;
use crate::ambient::System;
use crate::drive::OpenHow;

const NAME: &str = "identity";

/// The drives of all disks with threads of their own. A look at one opens a file.
fn drives(world: &World) -> Vec<Arc<Drive>> {
    let drive = |(place, disk): (usize, &Arc<SimulatedDrive>)| {
        let (id, place) = (DriveId(100 + place as u128), place as u16);
        let drive = Drive::new(id, Tier::Hot, place, disk.attach(), Threads::Own, Arc::new(System));
        drive.io().open(NAME, OpenHow::CreateNew).expect("it is blank");
        drive.expect_file(&[NAME], |_| true);
        Arc::new(drive)
    };
    world.disks.iter().enumerate().map(drive).collect()
}

fn open(world: &World, drives: &[Arc<Drive>]) -> Journal {
    let set = JournalSet { drives: drives.to_vec(), m: world.m, begun: false };
    // Longer than a busy machine keeps a thread waiting.
    let options = Options { member_timeout: Duration::from_secs(5), ..world.options() };
    Journal::open(set, options, world.ambient.clone(), world.ambient.clone()).expect("it opens")
}

fn append(journal: &Journal) {
    let entry = NewEntry { command: b"put".to_vec(), body: Bytes::from(vec![7; 4096]) };
    journal.append(vec![entry], Class::Ordinary).expect("it goes on with others");
}

#[test]
fn a_member_that_hangs_when_it_is_looked_at_is_gone_on_without() {
    let world = World::new(3, 1, 8);
    let drives = drives(&world);
    let journal = open(&world, &drives);
    append(&journal);
    let hanging = drives.iter().position(|drive| drive.id() == journal.members()[0]).expect("it is known");
    world.disks[hanging].stall_opens(true);
    // More than a segment takes: before the next one all members are looked at.
    (0..2 * SEGMENT / 4096).for_each(|_| append(&journal));
    assert!(!journal.members().contains(&drives[hanging].id()));
    let healthy: Vec<bool> = drives.iter().map(|drive| drive.is_healthy()).collect();
    assert_eq!(healthy, [0, 1, 2].map(|place| place != hanging));
    world.disks[hanging].stall_opens(false);
}

#[test]
fn a_drive_that_hangs_while_it_joins_holds_up_no_append_and_joins_later() {
    let world = World::new(4, 1, 9);
    let drives = drives(&world);
    let journal = open(&world, &drives[..3]);
    append(&journal);
    world.disks[3].stall_opens(true);
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| journal.join(&drives));
        while world.disks[3].waiting_opens() == 0 {
            std::thread::yield_now();
        }
        append(&journal);
        assert_eq!(joining.join().expect("no panic").expect("the others are well"), 0);
    });
    world.disks[3].stall_opens(false);
    while journal.join(&drives).expect("all is well") == 0 {
        std::thread::yield_now();
    }
    assert!(journal.counts_on(drives[3].id()));
}
