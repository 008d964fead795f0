//! Drives that are replaced, added, drained and removed while the set serves, with the power cut anywhere.

use super::*;
use crate::set::{ChangeError, Changed, DriveState};
use std::time::Duration;

/// A hot and a cold tier whose second hot drive is erased under the feet of the server, which serves epoch 7.
fn with_a_lost_drive() -> (Rack, Set) {
    lose_a_drive(Rack::new())
}

fn lose_a_drive(rack: Rack) -> (Rack, Set) {
    let set = rack.open().unwrap();
    set.serve(7).unwrap();
    rack.drives[1].erase();
    set.check();
    assert!(!set.drives(Tier::Hot)[1].is_healthy());
    (rack, set)
}

fn replace(rack: &Rack, set: &Set, slot: usize, wipe: bool) -> Result<Changed, ChangeError> {
    set.replace(Tier::Hot, slot, wipe, rack.ambient.as_ref())
}

fn states(set: &Set) -> Vec<DriveState> {
    set.slots().into_iter().map(|slot| slot.state).collect()
}

fn ids_of(set: &Set) -> Vec<DriveId> {
    set.all_drives().iter().map(|drive| drive.id()).collect()
}

#[test]
fn a_blank_disk_takes_the_place_of_a_lost_one() {
    let (rack, set) = with_a_lost_drive();
    assert!(
        matches!(&states(&set)[1], DriveState::Blank { advice } if advice.contains("drive replace bay 1"))
    );
    let (before, roster) = (ids_of(&set), set.roster(Tier::Hot).unwrap());
    assert_eq!(replace(&rack, &set, 1, false).unwrap(), Changed::Done);
    assert!(roster.now()[1].is_healthy(), "whoever holds the roster sees it");
    assert_eq!(replace(&rack, &set, 1, false).unwrap(), Changed::Already);
    assert!(states(&set).iter().all(|state| *state == DriveState::Healthy));
    let after = ids_of(&set);
    let changed: Vec<usize> = (0..6).filter(|place| before[*place] != after[*place]).collect();
    assert_eq!(changed, [1], "one drive, with an id of its own");
    set.check();
    assert!(set.all_drives().iter().all(|drive| drive.is_healthy()));
    drop((set, roster));
    rack.crash(1);
    let set = rack.open().unwrap();
    assert_eq!((ids_of(&set), missing(&set)), (after, vec![]));
}

/// The power fails at every step of a replacement; whatever is left, the command given again finishes it.
#[test]
fn a_replacement_that_is_cut_anywhere_is_finished_by_the_same_command() {
    let two_may_be_lost = || lose_a_drive(Rack::of(Geometry { k: 3, m: 2 }));
    let steps = {
        let (rack, set) = two_may_be_lost();
        let before = rack.power.steps();
        replace(&rack, &set, 1, false).unwrap();
        rack.power.steps() - before
    };
    assert!(steps > 30, "{steps}");
    let (mut undone, mut finished) = (0, 0);
    for step in 1..=steps {
        for absent in [0, 2, 6] {
            let (rack, set) = two_may_be_lost();
            let lost = set.drives(Tier::Hot)[1].id();
            rack.power.fail_at(step);
            let _ = replace(&rack, &set, 1, false);
            drop(set);
            rack.crash(step);
            // A start without one of the drives that the change may have reached, or not.
            let away = rack.drives[absent].snapshot();
            rack.drives[absent].erase();
            let set = rack.open().unwrap();
            set.serve(8).unwrap();
            let now = set.drives(Tier::Hot)[1].clone();
            match now.id() == lost {
                true => undone += 1,
                false => finished += 1,
            }
            assert_eq!(now.is_healthy(), now.id() != lost, "step {step}");
            assert_eq!(
                replace(&rack, &set, 1, false).unwrap(),
                if now.is_healthy() { Changed::Already } else { Changed::Done }
            );
            let ids = ids_of(&set);
            drop(set);
            rack.crash(step);
            // It comes back as it was then, and is told what came of it.
            rack.drives[absent].rollback(&away);
            let set = rack.open().unwrap();
            assert_eq!((ids_of(&set), missing(&set)), (ids, vec![]), "step {step}, absent {absent}");
        }
    }
    assert!(undone > 10 && finished > 10, "{undone} {finished}");
}

#[test]
fn a_drive_that_was_replaced_is_recognised_when_it_comes_back() {
    let mut rack = Rack::new();
    let set = rack.open().unwrap();
    let old = rack.drives[1].clone();
    drop(set);
    rack.drives[1] = SimulatedDrive::new("new disk", 9, &rack.power);
    let set = rack.open().unwrap();
    set.serve(3).unwrap();
    replace(&rack, &set, 1, false).unwrap();
    let ids = ids_of(&set);
    drop(set);
    rack.crash(2);
    // The old one is put back where the new one was: neither is used, and both can be told.
    let new = std::mem::replace(&mut rack.drives[1], old);
    let set = rack.open().unwrap();
    assert_eq!((ids_of(&set), missing(&set)), (ids.clone(), vec!["hot/1".to_owned()]));
    assert!(matches!(&states(&set)[1], DriveState::Stale { advice } if advice.contains("--wipe bay 1")));
    set.serve(4).unwrap();
    assert!(matches!(replace(&rack, &set, 1, false), Err(ChangeError::Stale { .. })));
    put(
        &Drive::new(DriveId(1), Tier::Hot, 1, rack.drives[1].attach(), Threads::Caller, rack.ambient.clone()),
        "f",
    );
    assert_eq!(replace(&rack, &set, 1, true).unwrap(), Changed::Done);
    assert_eq!(rack.drives[1].files(), ["identity", "identity.copy"], "what lay on it is gone");
    assert_ne!(ids_of(&set), ids);
    drop(set);
    rack.crash(3);
    assert!(missing(&rack.open().unwrap()).is_empty());
    // And now the other one is stale.
    rack.crash(4);
    rack.drives[1] = new;
    assert_eq!(missing(&rack.open().unwrap()), ["hot/1"]);
}

/// The power fails at every step of a wipe. The drive with its old name must have what it held: one that was emptied
/// and still counted as present would be taken for a witness of what was acknowledged.
#[test]
fn a_wipe_that_is_cut_anywhere_leaves_no_emptied_drive_under_its_old_name() {
    let failed_with_a_file = || {
        let rack = Rack::of(Geometry { k: 3, m: 2 });
        let set = rack.open().unwrap();
        set.serve(7).unwrap();
        put(&set.drives(Tier::Hot)[1], "f");
        rack.drives[1].attach().sync_dir("").unwrap();
        set.drives(Tier::Hot)[1].fail("for this test");
        (rack, set)
    };
    let steps = {
        let (rack, set) = failed_with_a_file();
        let before = rack.power.steps();
        assert_eq!(replace(&rack, &set, 1, true).unwrap(), Changed::Done);
        rack.power.steps() - before
    };
    let (mut kept, mut emptied) = (0, 0);
    for step in 1..=steps {
        let (rack, set) = failed_with_a_file();
        let old = set.drives(Tier::Hot)[1].id();
        rack.power.fail_at(step);
        let _ = replace(&rack, &set, 1, true);
        drop(set);
        rack.crash(step);
        let set = rack.open().unwrap();
        let now = set.drives(Tier::Hot)[1].clone();
        match now.id() == old && now.is_healthy() {
            true => kept += 1,
            false => emptied += 1,
        }
        let is_whole = rack.drives[1].files().contains(&"f".to_owned());
        assert!(is_whole || now.id() != old || !now.is_healthy(), "step {step}");
        set.serve(8).unwrap();
        set.drives(Tier::Hot)[1].fail("for this test");
        replace(&rack, &set, 1, true).unwrap();
        assert_eq!(rack.drives[1].files(), ["identity", "identity.copy"], "step {step}");
    }
    assert!(kept > 5 && emptied > 5, "{kept} {emptied}");
}

#[test]
fn a_later_change_beats_one_that_was_cut_on_a_drive_that_was_away() {
    let steps_of_an_identity = 2 * 6;
    let (mut rack, set) = with_a_lost_drive();
    // The new drive is forming and the first other one knows of it when the power goes.
    rack.power.fail_at(2 * steps_of_an_identity + 1);
    replace(&rack, &set, 1, false).unwrap_err();
    drop(set);
    rack.crash(5);
    let (knows, forming) = (rack.drives[0].snapshot(), rack.drives[1].snapshot());
    rack.drives[0].erase();
    rack.drives[1].erase();
    rack.drives[1] = SimulatedDrive::new("another disk", 9, &rack.power);
    // Both that know of it are away; another disk takes the place.
    let set = rack.open().unwrap();
    set.serve(8).unwrap_err();
    drop(set);
    rack.crash(6);
    rack.drives[0].rollback(&knows);
    let set = rack.open().unwrap();
    set.serve(9).unwrap();
    replace(&rack, &set, 1, false).unwrap();
    let ids = ids_of(&set);
    drop(set);
    rack.crash(7);
    let other = SimulatedDrive::new("the first disk", 10, &rack.power);
    other.rollback(&forming);
    rack.drives[1] = other;
    let set = rack.open().unwrap();
    assert_eq!((ids_of(&set), missing(&set)), (ids, vec!["hot/1".to_owned()]));
}

#[test]
fn what_must_not_be_taken_is_refused() {
    let (mut rack, other) = (Rack::new(), Rack::new());
    other.ambient.next_u64();
    drop(other.open().unwrap());
    let set = rack.open().unwrap();
    assert!(matches!(replace(&rack, &set, 0, false), Ok(Changed::Already)));
    drop(set);
    let own = rack.drives[1].clone();
    rack.drives[1] = SimulatedDrive::new("blank", 9, &rack.power);
    let set = rack.open().unwrap();
    assert!(matches!(replace(&rack, &set, 1, false), Err(ChangeError::NotServing)));
    drop(set);
    rack.drives[1] = SimulatedDrive::new("in use", 9, &rack.power);
    rack.drives[1].attach().open("holiday.jpg", OpenHow::CreateNew).unwrap();
    let set = rack.open().unwrap();
    set.serve(1).unwrap();
    assert!(matches!(replace(&rack, &set, 1, true), Err(ChangeError::Occupied { .. })));
    assert_eq!(rack.drives[1].files(), ["holiday.jpg"]);
    drop(set);
    rack.drives[1] = own;
    let set = rack.open().unwrap();
    set.serve(2).unwrap();
    set.drives(Tier::Hot)[1].fail("for this test");
    assert_eq!(replace(&rack, &set, 1, false).unwrap(), Changed::Revived);
    assert!(set.drives(Tier::Hot)[1].is_healthy());
    rack.drives[1].fail_nth(Op::Sync, 1);
    set.drives(Tier::Hot)[1].fail("for this test");
    assert!(matches!(replace(&rack, &set, 1, false), Err(ChangeError::Own { .. })), "not while it is broken");
    // A foreign one is refused at the start already, so it can only come while the set serves.
    rack.drives[1].rollback(&other.drives[1].snapshot());
    let text = replace(&rack, &set, 1, false).unwrap_err().to_string();
    assert!(text.contains("bay 1"), "{text}");
}

#[test]
fn a_drive_that_was_added_is_one_of_the_set() {
    let mut rack = Rack::new();
    let set = rack.open().unwrap();
    set.serve(1).unwrap();
    let new = SimulatedDrive::new("new", 9, &rack.power);
    let root = Root::Open(new.attach());
    assert_eq!(set.add(Tier::Cold, root.clone(), false, rack.ambient.as_ref()).unwrap(), Changed::Done);
    assert_eq!(set.add(Tier::Cold, root.clone(), false, rack.ambient.as_ref()).unwrap(), Changed::Already);
    assert_eq!(set.drives(Tier::Cold)[3].position(), 3);
    let lost = Root::Open(rack.drives[0].attach());
    assert!(
        set.add(Tier::Hot, lost, false, rack.ambient.as_ref()).is_ok_and(|done| done == Changed::Already)
    );
    drop((set, root));
    rack.crash(1);
    let text = rack.open().unwrap_err().to_string();
    assert!(text.starts_with("the set has 4 drives with 2+1 in its cold tier"), "{text}");
    rack.drives.push(new);
    let set = rack.open().unwrap();
    assert!(missing(&set).is_empty() && set.drives(Tier::Cold).len() == 4);
    // It is taken out again: then it may be named or not, and its position can be taken by another.
    set.serve(2).unwrap();
    set.remove(&[set.drives(Tier::Cold)[3].clone()]).unwrap();
    assert_eq!((set.drives(Tier::Cold).len(), states(&set)[6].clone()), (3, DriveState::Removed));
    drop(set);
    rack.crash(2);
    assert_eq!(rack.open().unwrap().drives(Tier::Cold).len(), 3);
    rack.crash(3);
    rack.drives.pop();
    let set = rack.open().unwrap();
    set.serve(3).unwrap();
    let another = Root::Open(SimulatedDrive::new("another", 10, &rack.power).attach());
    set.add(Tier::Cold, another, false, rack.ambient.as_ref()).unwrap();
    assert_eq!(
        set.drives(Tier::Cold)[3].position(),
        4,
        "the place of the one that was removed stays its own"
    );
}

#[test]
fn folders_are_the_places_of_their_drives_though_the_configuration_has_moved_on() {
    let mut rack = Rack::of(Geometry { k: 2, m: 2 });
    let set = rack.open().unwrap();
    set.serve(1).unwrap();
    let new = SimulatedDrive::new("new", 90, &rack.power);
    set.add(Tier::Cold, Root::Open(new.attach()), false, rack.ambient.as_ref()).unwrap();
    set.remove(&[set.drives(Tier::Cold)[1].clone()]).unwrap();
    drop(set);
    rack.crash(1);
    // Named as the drives are now: bays 4, 6, 7 and the new one. Two of them are lost.
    rack.drives.remove(5);
    rack.drives.push(new);
    rack.drives[5].erase();
    rack.drives[6].erase();
    let set = rack.open().unwrap();
    set.serve(2).unwrap();
    let lost: Vec<(usize, String)> = set
        .slots()
        .into_iter()
        .filter(|slot| matches!(slot.state, DriveState::Blank { .. }))
        .map(|slot| (slot.position, slot.place))
        .collect();
    assert_eq!(lost, [(2, "bay 6".to_owned()), (3, "bay 7".to_owned())]);
    for (position, _) in lost {
        assert_eq!(set.replace(Tier::Cold, position, false, rack.ambient.as_ref()).unwrap(), Changed::Done);
    }
    assert_eq!(missing(&set), [""; 0]);
}

#[test]
fn a_drive_on_its_way_out_is_known_after_a_restart() {
    let rack = Rack::new();
    let set = rack.open().unwrap();
    set.serve(1).unwrap();
    let leaving = vec![set.drives(Tier::Hot)[2].clone()];
    assert_eq!(set.drain(&leaving, true).unwrap(), Changed::Done);
    assert_eq!(set.drain(&leaving, true).unwrap(), Changed::Already);
    assert_eq!(set.roster(Tier::Hot).unwrap().open_to_new().len(), 2);
    drop((set, leaving));
    rack.crash(1);
    let set = rack.open().unwrap();
    assert_eq!(states(&set)[2], DriveState::Draining);
    set.serve(2).unwrap();
    set.drain(&[set.drives(Tier::Hot)[2].clone()], false).unwrap();
    drop(set);
    rack.crash(2);
    assert_eq!(states(&rack.open().unwrap())[2], DriveState::Healthy);
}

#[test]
fn small_files_are_made_whole_from_one_another() {
    let (rack, set) = with_a_lost_drive();
    set.write_replicated("keys", b"old").unwrap();
    let old = rack.drives[0].snapshot();
    set.write_replicated("keys", b"new").unwrap();
    replace(&rack, &set, 1, false).unwrap();
    let repaired: Vec<(String, String)> =
        set.repair().into_iter().map(|finding| (finding.drive, finding.file)).collect();
    assert_eq!(repaired, [("hot/1".to_owned(), "keys".to_owned())], "the new drive gets its copy");
    rack.drives[2].flip_bit("keys", 270).unwrap();
    rack.drives[2].flip_bit("identity", 300).unwrap();
    rack.drives[4].flip_bit("identity", 4096 * 8 + 300).unwrap();
    let findings = set.repair();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.repaired));
    assert_eq!(set.repair(), []);
    drop(set);
    rack.crash(1);
    // One that was away brings back neither the old file nor the old roll.
    rack.drives[0].rollback(&old);
    let set = rack.open().unwrap();
    assert_eq!(missing(&set), [""; 0]);
    set.serve(9).unwrap();
    assert_eq!(set.repair().len(), 1);
    assert_eq!(set.read_replicated("keys").unwrap().unwrap(), b"new");
}

/// One file of an identity is put back as it was before a change; the other one, and the other drives, know better.
#[test]
fn an_older_file_of_an_identity_takes_nothing_back() {
    let (rack, set) = with_a_lost_drive();
    let before = |bay: usize, file: &str| {
        let open = rack.drives[bay].attach().open(file, OpenHow::Read).unwrap();
        let mut bytes = vec![0; 8192];
        open.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let files = ["identity", "identity.copy"];
    let old: Vec<Vec<u8>> = (0..6).filter(|bay| *bay != 1).map(|bay| before(bay, files[0])).collect();
    replace(&rack, &set, 1, false).unwrap();
    let ids = ids_of(&set);
    drop(set);
    for older in [&files[..1], &files[1..]] {
        for (bay, bytes) in (0..6).filter(|bay| *bay != 1).zip(&old) {
            for file in older {
                let open = rack.drives[bay].attach().open(file, OpenHow::Write).unwrap();
                open.write_at(&[bytes], 0).unwrap();
            }
        }
        // The drive that joined tells nothing here.
        let joined = rack.drives[1].snapshot();
        rack.drives[1].erase();
        let set = rack.open().unwrap();
        assert_eq!((ids_of(&set), missing(&set)), (ids.clone(), vec!["hot/1".to_owned()]), "{older:?}");
        assert_eq!(set.repair(), [], "the start wrote them anew");
        drop(set);
        rack.drives[1].rollback(&joined);
    }
    assert_eq!(missing(&rack.open().unwrap()), [""; 0]);
}

/// Sets of `2m` drives, of which `m` are lost: the others alone hold the change, and the power fails at every step.
#[test]
fn a_set_that_has_lost_as_many_as_it_may_takes_new_disks_in_their_place() {
    for geometry in [Geometry { k: 1, m: 1 }, Geometry { k: 2, m: 2 }] {
        let lost: Vec<usize> = (geometry.k.into()..geometry.shards()).collect();
        let with_lost_ones = || {
            let rack = Rack::of(geometry);
            let set = rack.open().unwrap();
            set.serve(7).unwrap();
            let old: Vec<_> = lost.iter().map(|bay| rack.drives[*bay].snapshot()).collect();
            lost.iter().for_each(|bay| rack.drives[*bay].erase());
            set.check();
            (rack, set, old)
        };
        let steps = {
            let (rack, set, _) = with_lost_ones();
            let before = rack.power.steps();
            for slot in &lost {
                assert_eq!(replace(&rack, &set, *slot, false).unwrap(), Changed::Done);
            }
            assert!(set.all_drives().iter().all(|drive| drive.is_healthy()));
            rack.power.steps() - before
        };
        for step in 1..=steps {
            let (rack, set, old) = with_lost_ones();
            let before = ids_of(&set);
            rack.power.fail_at(step);
            let done: Vec<bool> =
                lost.iter().map(|slot| replace(&rack, &set, *slot, false).is_ok()).collect();
            drop(set);
            rack.crash(step);
            // Those that were lost come back, alone: they know nothing of it, and are too few to start.
            let new: Vec<_> = rack.drives.iter().map(|drive| drive.snapshot()).collect();
            rack.drives.iter().for_each(|drive| drive.erase());
            lost.iter().zip(&old).for_each(|(bay, old)| rack.drives[*bay].rollback(old));
            let there =
                rack.open().unwrap().drives(Tier::Hot).iter().filter(|drive| drive.is_healthy()).count();
            assert!(there <= usize::from(geometry.m), "step {step}: {there} could start");
            // And with the others: then what was done is known.
            (0..usize::from(geometry.k)).for_each(|bay| rack.drives[bay].rollback(&new[bay]));
            let set = rack.open().unwrap();
            for (slot, is_done) in lost.iter().zip(&done) {
                let drive = set.drives(Tier::Hot)[*slot].clone();
                assert!(!is_done || drive.id() != before[*slot], "step {step}");
                assert_eq!(drive.is_healthy(), drive.id() == before[*slot], "step {step}");
            }
            drop(set);
            // With the new disks the command is given again, and does what is left.
            rack.drives.iter().zip(&new).for_each(|(drive, new)| drive.rollback(new));
            let set = rack.open().unwrap();
            set.allow_changes(9).unwrap();
            for slot in &lost {
                let was_there = set.drives(Tier::Hot)[*slot].is_healthy();
                let state = set.slots()[*slot].state.clone();
                let is_blank = matches!(&state, DriveState::Blank { .. });
                assert!(was_there || is_blank, "step {step}: {state:?}");
                let expected = if was_there { Changed::Already } else { Changed::Done };
                assert_eq!(replace(&rack, &set, *slot, false).unwrap(), expected, "step {step}");
            }
            let ids = ids_of(&set);
            drop(set);
            rack.crash(step);
            let set = rack.open().unwrap();
            assert_eq!((ids_of(&set), missing(&set)), (ids, vec![]), "step {step}");
        }
    }
}

#[test]
fn nothing_is_deleted_for_a_change_that_too_few_could_hold() {
    let (rack, set) = with_a_lost_drive();
    put(
        &Drive::new(DriveId(1), Tier::Hot, 0, rack.drives[0].attach(), Threads::Caller, rack.ambient.clone()),
        "f",
    );
    set.drives(Tier::Hot)[0].fail("for this test");
    let refused = replace(&rack, &set, 0, true);
    assert!(matches!(refused, Err(ChangeError::NotDurable { written: 1, needed: 2, .. })), "{refused:?}");
    assert!(rack.drives[0].files().contains(&"f".to_owned()));
}

#[test]
fn a_change_goes_on_without_drives_that_do_not_answer_where_enough_do() {
    let rack = Rack::new();
    let mut set = rack.open_with(Threads::Own).unwrap();
    set.serve(7).unwrap();
    set.patience.answer = Duration::from_secs(3);
    let drain = |slot: usize| set.drain(std::slice::from_ref(&set.drives(Tier::Cold)[slot]), true);
    rack.drives[0].stall_opens(true);
    assert_eq!(drain(0).unwrap(), Changed::Done);
    rack.drives[1].stall_opens(true);
    match drain(1) {
        Err(ChangeError::NotDurable { written: 1, needed: 2, problem }) => {
            assert!(problem.contains("doesn't answer"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    [0, 1].into_iter().for_each(|bay| rack.drives[bay].stall_opens(false));
    assert_eq!(drain(1).unwrap(), Changed::Done, "given again");
    drop(set);
    // Threads of the drives may hold their locks a moment longer.
    let again = || rack.open().inspect_err(|_| std::thread::sleep(Duration::from_millis(10))).ok();
    let set = (0..1000).find_map(|_| again()).unwrap();
    let draining = set.drives(Tier::Cold).iter().filter(|drive| drive.is_draining()).count();
    assert_eq!((draining, missing(&set)), (2, vec![]));
}

#[test]
fn a_change_waits_for_another_and_not_for_ever() {
    let (rack, mut set) = with_a_lost_drive();
    set.patience.turn = Duration::from_millis(50);
    let turn = set.turn().unwrap();
    let refused = std::thread::scope(|scope| scope.spawn(|| set.turn().map(drop)).join().unwrap());
    assert!(matches!(refused, Err(ChangeError::Busy)), "{refused:?}");
    drop(turn);
    assert_eq!(replace(&rack, &set, 1, false).unwrap(), Changed::Done);
}
