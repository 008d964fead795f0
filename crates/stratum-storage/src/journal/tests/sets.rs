//! Which drives must be there, and how the set changes.

use super::*;
use crate::drive::{Domain, NodeId, ZoneId};
use crate::journal::quorum::{MemberCandidate, Sets, choose};
use crate::journal::round::{AskedDrive, ask};

fn candidates(devices: &[u64]) -> Vec<MemberCandidate> {
    let candidate = |(place, &device): (usize, &u64)| MemberCandidate {
        id: DriveId(place as u128),
        domain: Domain::here(device),
        present: true,
        usable: true,
        avoided: false,
        named: true,
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
        let mut domains: Vec<Domain> = chosen.iter().map(|&place| drives[place].domain).collect();
        domains.sort_unstable();
        assert_eq!(domains, [1, 2, 3].map(Domain::here));
        chosen.iter().for_each(|&place| turns[place] += 1);
    }
    assert!(turns.iter().all(|&turn| turn >= 20), "{turns:?}");
}

#[test]
fn devices_of_two_nodes_are_two_even_if_their_numbers_are_one() {
    let on = |node| Domain::new(ZoneId(0), NodeId(node), 1);
    let mut drives = candidates(&[1, 1, 1, 1]);
    (drives[2].domain, drives[3].domain) = (on(1), on(1));
    let sets = Sets::settled(ids(0..4));
    for number in 1..=60 {
        let chosen = choose(&sets, 1, &drives, number).expect("all are there");
        assert_ne!(drives[chosen[0]].domain, drives[chosen[1]].domain);
    }
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
fn drives_that_leave_are_members_only_where_the_sets_have_too_few_others() {
    let mut drives = candidates(&[1, 2, 3, 4]);
    drives[0].avoided = true;
    // Two that stay are there, but one of them is in neither set yet.
    let sets = Sets::settled(ids(0..2));
    assert!(choose(&sets, 1, &drives, 1).expect("all are there").contains(&0));
    let sets = Sets::settled(ids(0..3));
    assert!(!choose(&sets, 1, &drives, 1).expect("all are there").contains(&0));
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
fn a_set_that_lacks_members_says_so_before_anybody_appends() {
    let mut world = World::new(2, 1, 1);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    assert_eq!(journal.why_stopped(), None);
    journal.core.places()[1].drive.fail("for this test");
    let why = journal.why_stopped().expect("one of two is left, and two are needed");
    assert!(why.contains("1 of the 2 drives") && why.contains("2 are needed"), "{why}");
    world.append(&journal).expect_err("so it is");
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
    journal.core.places()[0].drive.fail("for this test");
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

#[test]
fn lost_drives_stay_in_a_set_that_would_be_too_small_without_them() {
    const M: usize = 2;
    let mut world = World::new(6, M, 31);
    let journal = world.open(&[]);
    world.append(&journal).expect("all is well");
    for place in [0, 1] {
        journal.core.places()[place].drive.fail("for this test");
    }
    assert_eq!(journal.heal().expect("four are left").short, 0);
    assert_eq!(journal.forget_lost().expect("four are left"), 1, "five are enough, four are not");
    assert_eq!(journal.forget_lost().expect("nothing is left to do"), 0);
    world.append(&journal).expect("all is well");
    journal.core.places()[2].drive.fail("for this test");
    world.append(&journal).expect("one more may go");
    drop(journal);
    world.crash();
    // Those that were lost are back, and two others are away.
    world.open(&[3, 4]);
}

/// Two drives on those devices, of which the second never answers.
fn ask_with_one_silent(
    domains: [Domain; 2],
    answers_at_last: bool,
) -> (Vec<io::Result<()>>, Vec<Arc<Drive>>) {
    let world = World::new(2, 1, 1);
    let drives = world.drives(&[]);
    let asked: Vec<AskedDrive> = drives
        .iter()
        .zip(domains)
        .map(|(drive, domain)| AskedDrive { drive: drive.clone(), domain })
        .collect();
    let mut silent = None;
    let timeout = Duration::from_millis(20);
    let answers = ask(&asked, timeout, world.ambient.as_ref(), |place, reply| match place {
        0 => reply.send(Ok(())),
        _ if answers_at_last => {
            std::thread::spawn(move || {
                std::thread::sleep(timeout * 3);
                reply.send(Ok(()));
            });
        }
        _ => silent = Some(reply),
    });
    (answers, drives)
}

#[test]
fn a_silent_member_is_given_up_on_when_another_device_answered() {
    let (answers, drives) = ask_with_one_silent([1, 2].map(Domain::here), false);
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().map_err(io::Error::kind), Err(io::ErrorKind::TimedOut));
    assert!(drives[0].is_healthy() && !drives[1].is_healthy());
}

#[test]
fn where_all_share_a_device_the_group_waits() {
    let (answers, drives) = ask_with_one_silent([1, 1].map(Domain::here), true);
    assert!(answers.iter().all(Result::is_ok));
    assert!(drives.iter().all(|drive| drive.is_healthy()));
}
