//! What a look at all copies calls damaged is damaged, on the drive that it names, and what is written anew is right.

use super::failures::members;
use super::*;
use crate::set::Finding;

/// One pass over all closed segments: what was found.
fn check_all(journal: &Journal) -> Vec<Finding> {
    let (mut findings, mut after) = (Vec::new(), 0);
    while let Some(checked) = journal.check_after(after) {
        after = checked.sequence;
        findings.extend(checked.findings);
    }
    findings
}

/// A crash leaves a footer, an opened page or the last group on some of the members, or in pieces on all: nobody
/// counted on any of it.
#[test]
fn what_a_crash_left_unfinished_is_not_called_damaged() {
    for n in 1..300 {
        let mut world = World::new(3, 2, n);
        let journal = world.open(&[]);
        world.power.fail_at(n % 150 + 1);
        while world.append(&journal).is_ok() {}
        drop(journal);
        world.crash();
        for start in 0..3 {
            let journal = world.open(&[]);
            assert_eq!(check_all(&journal), [], "power failed at {n}, start {start}");
            world.append(&journal).expect("all is well");
            drop(journal);
            world.crash();
        }
    }
}

/// One drive's reads come back wrong now and then; all platters hold what was written.
#[test]
fn a_drive_that_reads_wrong_is_the_only_one_blamed_and_spoils_no_copy() {
    for seed in 0..60 {
        let mut world = World::new(4, 2, seed);
        // Each epoch begins with an opened page, which is read by itself.
        let mut journal = world.open(&[]);
        for _ in 0..8 {
            for _ in 0..6 {
                world.append(&journal).expect("all is well");
            }
            drop(journal);
            world.crash();
            journal = world.open(&[]);
        }
        let rotten = members(&journal)[(seed % 3) as usize];
        world.disks[rotten].rot_reads(Some(1 + seed % 5));
        let label = journal.core.places()[rotten].drive.label();
        for _ in 0..3 {
            let findings = check_all(&journal);
            assert!(findings.iter().all(|finding| finding.drive == label), "{seed}: {findings:?}");
        }
        let bad: Vec<bool> = journal.core.places().iter().map(|place| place.drive.bad_pieces() > 0).collect();
        assert!(bad.iter().enumerate().all(|(place, bad)| place == rotten || !bad), "{seed}: {bad:?}");
        // A member is lost, and the segments go to another drive, from whichever copies are right.
        let lost = members(&journal).into_iter().find(|place| *place != rotten).expect("there are three");
        journal.core.places()[lost].drive.fail("for this test");
        journal.heal().expect("three are left");
        world.disks[rotten].rot_reads(None);
        assert_eq!(check_all(&journal), [], "{seed}: something wrong was written");
        world.check(&journal);
    }
}

/// A body that is damaged in all copies can't be written anew, and nobody says that it was.
#[test]
fn what_no_copy_has_is_not_called_repaired() {
    let mut world = World::new(3, 2, 3);
    let journal = world.open(&[]);
    for _ in 0..60 {
        world.append(&journal).expect("all is well");
    }
    let (copies, at) = {
        let table = journal.core.table.read();
        let known = |index: &Index| !world.known[*index as usize - 1].body.is_empty();
        let index = (1..=table.last_of(0)).find(known).expect("an entry with a body");
        let (copies, at) = table.find(index).expect("it is there");
        (copies.clone(), at)
    };
    for copy in copies.iter() {
        let path = crate::journal::slots::SegmentSlot::path_of(copy.slot.number);
        world.disks[copy.drive].flip_bit(&path, at * 8).expect("the file is there");
    }
    for _ in 0..2 {
        let findings = check_all(&journal);
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings.iter().all(|finding| !finding.repaired), "{findings:?}");
    }
}
