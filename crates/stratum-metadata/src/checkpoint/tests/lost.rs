//! Blocks that no copy gives, and merges that go around them.

use super::carried::{stored, whole};
use super::*;
use crate::checkpoint::range::{RUN_NUMBERS, RangeId};
use crate::checkpoint::{CarriedCheckpoint, LostFile};

/// The state as a process that has just started finds it.
fn restart(state: &mut State) {
    state.drives.files = state.drives.restarted();
    state.checkpoint = newest(&state.drives.files).unwrap();
}

fn flip_all(state: &State, name: &str) {
    for holder in state.drives.holders(state.applied.index) {
        flip(&state.drives, &holder, name);
    }
}

fn put_at(state: &State, holder: &Drive, name: &str, byte: u64) {
    state.drives.of(holder).flip_bit(&format!("checkpoint/{name}"), 8 * byte).unwrap();
}

/// The keys that are lost. Asserts that all others are found as they should be, by lookups and by scans.
fn lost(state: &State) -> BTreeSet<u16> {
    let checkpoint = state.checkpoint.as_ref().unwrap();
    let is_lost = |number: &u16| match checkpoint.get(&key(*number)) {
        Ok(found) => {
            assert_eq!(found.as_deref(), state.pairs.get(&key(*number)).map(Vec::as_slice), "{number}");
            false
        }
        Err(TreeError::Lost(_)) => true,
        Err(error) => panic!("{error}"),
    };
    let lost: BTreeSet<u16> = (0..900).filter(is_lost).collect();
    if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
        for (from, to) in [(vec![], key(*first)), (key(last + 1), vec![0xff])] {
            let mut seen = Pairs::new();
            let scanned = checkpoint.scan(&from, &to, &mut |key, value| {
                seen.insert(key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            });
            if scanned.is_ok() {
                let expected = state.pairs.range(from..to);
                assert_eq!(seen, expected.map(|(key, value)| (key.clone(), value.clone())).collect());
            }
        }
        let whole = checkpoint.scan(&[], &[0xff], &mut |_, _| ControlFlow::Continue(()));
        assert!(matches!(whole, Err(TreeError::Lost(_))), "never silently shorter");
    }
    lost
}

/// Changes of one key in `step`, without the lost ones.
fn without(lost: &BTreeSet<u16>, step: usize, turn: u8) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let numbers = (usize::from(turn) % step..900).step_by(step).map(|number| number as u16);
    let numbers = numbers.filter(|number| !lost.contains(number));
    numbers.map(|number| (key(number), (number % 11 > 0).then(|| value(number, turn)))).collect()
}

#[test]
fn a_range_of_the_base_with_a_lost_block_is_carried_and_its_changes_go_into_the_run() {
    let mut state = State::with(900);
    restart(&mut state);
    let name = ranges(state.checkpoint.as_ref().unwrap())[1].clone();
    flip_all(&state, &name);
    let gone = lost(&state);
    assert!((1..30).contains(&gone.len()));
    for turn in 1..6 {
        // The loss is known before the merge in some turns and not in others, and runs have room in some turns and
        // not in others.
        if turn % 2 == 0 {
            restart(&mut state);
        }
        state.drives.files.sizes.changes_bytes = if turn % 3 == 0 { 64 << 10 } else { 0 };
        let checkpoint = state.turn(without(&gone, 5, turn)).unwrap();
        assert!(ranges(&checkpoint).contains(&name), "{turn}");
        assert_eq!(lost(&state), gone, "{turn}");
        restart(&mut state);
        assert_eq!(lost(&state), gone, "{turn}");
        assert_eq!(state.drives.holders(state.applied.index).len(), 3);
    }
    // A lost key that gets a new value can be read.
    let known = *gone.first().unwrap();
    state.pairs.remove(&key(known));
    state.applied.fingerprint =
        state.applied.fingerprint.wrapping_sub(fingerprint(&key(known), &value(known, 0)));
    state.turn([(key(known), Some(value(known, 9)))]).unwrap();
    assert!(!lost(&state).contains(&known));
    // Once one copy is good again, the next checkpoint has everything in its base.
    let holder = state.drives.holders(state.applied.index)[1].clone();
    flip(&state.drives, &holder, &name);
    state.checkpoint.as_ref().unwrap().retry_lost();
    assert_eq!(lost(&state), BTreeSet::new());
    state.drives.files.sizes.changes_bytes = 0;
    let checkpoint = state.turn(without(&BTreeSet::new(), 7, 8)).unwrap();
    assert!(checkpoint.levels().unwrap().run.ranges().is_empty() && !ranges(&checkpoint).contains(&name));
    is(&*checkpoint, &state.pairs);
    restart(&mut state);
    is(&**state.checkpoint.as_ref().unwrap(), &state.pairs);
}

#[test]
fn a_file_of_a_run_with_a_lost_block_sinks_and_is_merged_once_the_block_is_read_again() {
    let mut state = State::with(900);
    state.drives.files.sizes.changes_bytes = 1 << 20;
    state.turn(without(&BTreeSet::new(), 2, 1)).unwrap();
    restart(&mut state);
    let sinks = state.checkpoint.as_ref().unwrap().levels().unwrap().run.ranges()[0].record.id.name();
    flip_all(&state, &sinks);
    let gone = lost(&state);
    assert!((1..40).contains(&gone.len()), "{gone:?}");
    for turn in 2..7 {
        if turn % 2 == 0 {
            restart(&mut state);
        }
        state.drives.files.sizes.changes_bytes = if turn % 3 == 0 { 1 << 20 } else { 0 };
        let checkpoint = state.turn(without(&gone, 5, turn)).unwrap();
        let sunk = checkpoint.levels().unwrap().sunk.records();
        assert!(sunk.iter().any(|record| record.id.name() == sinks), "{turn}");
        // A removed key of the block is known not to be there. So the lost keys may become fewer, but no others are
        // lost.
        assert!(lost(&state).is_subset(&gone) && !lost(&state).is_empty(), "{turn}");
        restart(&mut state);
        assert!(lost(&state).is_subset(&gone) && !lost(&state).is_empty(), "{turn}");
    }
    let holder = state.drives.holders(state.applied.index)[0].clone();
    flip(&state.drives, &holder, &sinks);
    state.checkpoint.as_ref().unwrap().retry_lost();
    assert_eq!(lost(&state), BTreeSet::new());
    state.drives.files.sizes.changes_bytes = 1 << 30;
    let checkpoint = state.turn(without(&BTreeSet::new(), 7, 8)).unwrap();
    assert!(checkpoint.levels().unwrap().sunk.ranges().is_empty());
    is(&*checkpoint, &state.pairs);
    restart(&mut state);
    is(&**state.checkpoint.as_ref().unwrap(), &state.pairs);
}

/// A state whose range files have no sound filter or index, in any copy.
fn spoiled(part: &str) -> State {
    let mut state = State::with(900);
    let checkpoint = state.checkpoint.clone().unwrap();
    for range in checkpoint.ranges() {
        let at = match part {
            "filter" => range.record.filter.offset,
            _ => range.record.index.offset,
        };
        for holder in state.drives.holders(state.applied.index) {
            put_at(&state, &holder, &range.record.id.name(), at + 11);
        }
    }
    restart(&mut state);
    state
}

#[test]
fn a_lost_index_or_filter_loses_no_key() {
    for part in ["filter", "index"] {
        let mut state = spoiled(part);
        is(&**state.checkpoint.as_ref().unwrap(), &state.pairs);
        assert_eq!(lost(&state), BTreeSet::new(), "{part}");
        let changes = without(&BTreeSet::new(), 1, 3);
        let checkpoint = state.turn(changes).unwrap();
        checkpoint.verify().unwrap();
        is(&*checkpoint, &state.pairs);
    }
}

#[test]
fn a_filter_or_index_that_is_bad_in_every_copy_is_made_anew_of_the_blocks() {
    for part in ["filter", "index"] {
        let state = spoiled(part);
        let checkpoint = state.checkpoint.as_ref().unwrap();
        checkpoint.verify().unwrap_or_else(|error| panic!("who rescues it can read all of it: {error}"));
        let findings = check(&state.drives.files);
        assert_eq!(findings.len(), 3 * checkpoint.ranges().count(), "{part}");
        assert!(findings.iter().all(|finding| finding.repaired), "{findings:?}");
        assert_eq!(check(&state.drives.files), [], "{part}");
        is(state.newest().unwrap().as_ref(), &state.pairs);
    }
}

#[test]
fn copies_that_are_bad_in_different_blocks_mend_each_other() {
    let state = State::with(900);
    let name = ranges(state.checkpoint.as_ref().unwrap())[0].clone();
    for (number, holder) in (0u64..).zip(state.drives.holders(1)) {
        put_at(&state, &holder, &name, 100 + 3_000 * number);
    }
    let findings = check(&state.drives.files);
    assert!(findings.len() == 3 && findings.iter().all(|finding| finding.repaired), "{findings:?}");
    assert_eq!(check(&state.drives.files), []);
}

#[test]
fn healing_copies_a_lost_block_as_it_lies() {
    let mut state = State::with(900);
    restart(&mut state);
    let name = ranges(state.checkpoint.as_ref().unwrap())[1].clone();
    flip_all(&state, &name);
    let gone = lost(&state);
    let holders = state.drives.holders(1);
    holders[0].fail("pulled");
    assert!(heal(&state.drives.files).unwrap() > 0);
    let now = state.drives.holders(1);
    assert_eq!(now.len(), 3);
    let new = now.iter().find(|drive| !holders.iter().any(|holder| holder.id() == drive.id())).unwrap();
    restart(&mut state);
    assert_eq!(lost(&state), gone);
    // The new copy has the same wrong bit, and is good once that is flipped back.
    flip(&state.drives, new, &name);
    restart(&mut state);
    assert_eq!(lost(&state), BTreeSet::new());
    // The other two copies are mended from the good one.
    let findings = check(&state.drives.files);
    assert!(findings.len() == 2 && findings.iter().all(|finding| finding.repaired), "{findings:?}");
}

/// The copies of a range file on the drives.
fn copies(state: &State, name: &str) -> Vec<Vec<u8>> {
    let holders = state.drives.holders(state.applied.index);
    holders.iter().map(|holder| stored(&state.drives, holder, name)).collect()
}

#[test]
fn what_is_lost_of_a_file_is_put_back_from_a_copy_of_it() {
    for is_of_a_run in [false, true] {
        let mut state = State::with(900);
        state.drives.files.sizes.changes_bytes = 1 << 20;
        state.turn(without(&BTreeSet::new(), 2, 1)).unwrap();
        let carried = CarriedCheckpoint::of(state.checkpoint.as_ref().unwrap()).unwrap();
        let file = carried.ranges().find(|file| {
            RangeId::parse(&file.name).is_some_and(|id| (id.number >= RUN_NUMBERS) == is_of_a_run)
        });
        let file = file.unwrap();
        let (copy, sound) = (whole(&carried, &file), copies(&state, &file.name));
        let checkpoint = state.checkpoint.clone().unwrap();
        let range = checkpoint.ranges().find(|range| range.record.id.name() == file.name).unwrap();
        let (filter, index) = (range.record.filter.offset, range.record.index.offset);
        // The index, too: then nothing tells where the blocks begin, and all of them are lost.
        flip_all(&state, &file.name);
        for holder in state.drives.holders(state.applied.index) {
            put_at(&state, &holder, &file.name, filter + 11);
            put_at(&state, &holder, &file.name, index + 11);
        }
        restart(&mut state);
        assert!(lost(&state).len() > 40);
        let lost_files = |state: &State| {
            let checkpoint = state.checkpoint.as_ref().unwrap();
            LostFile::all_of(checkpoint).collect::<Vec<LostFile>>()
        };
        let lost_now = lost_files(&state);
        let [lost_file] = &lost_now[..] else { panic!("one file") };
        assert_eq!(lost_file.file(), file);

        // What isn't the file's is not written, wherever it differs.
        let before = copies(&state, &file.name);
        let other = carried.ranges().find(|other| other.name != file.name).unwrap();
        let mut wrong =
            vec![copy[..copy.len() - 1].to_vec(), [&copy[..], &[0]].concat(), whole(&carried, &other)];
        wrong.extend((0..copy.len()).step_by(509).chain(0..40).map(|at| {
            let mut changed = copy.clone();
            changed[at] ^= 1;
            changed
        }));
        for bytes in wrong {
            assert_eq!(lost_file.put_back(&bytes).unwrap(), None);
        }
        assert!(copies(&state, &file.name) == before);

        assert_eq!(lost_file.put_back(&copy).unwrap(), Some(3), "a block, the filter and the index");
        assert!(copies(&state, &file.name) == sound, "bit for bit");
        assert_eq!(lost(&state), BTreeSet::new());
        is(&**state.checkpoint.as_ref().unwrap(), &state.pairs);
        assert!(lost_files(&state).is_empty());
        restart(&mut state);
        assert_eq!(check(&state.drives.files), []);
        is(&**state.checkpoint.as_ref().unwrap(), &state.pairs);
    }
}

#[test]
fn a_file_whose_frames_are_right_and_that_has_other_pairs_is_no_copy_of_it() {
    let mut state = State::with(900);
    let name = ranges(state.checkpoint.as_ref().unwrap())[0].clone();
    // At the same entry, of the same hash, one value is another. Its frames verify in the place of the file's own.
    let mut other = State::new();
    other.turn((0..900).map(|number| (key(number), Some(value(number, u8::from(number == 3)))))).unwrap();
    let carried = CarriedCheckpoint::of(other.checkpoint.as_ref().unwrap()).unwrap();
    let file = carried.ranges().find(|file| file.name == name).unwrap();
    let copy = whole(&carried, &file);
    restart(&mut state);
    flip_all(&state, &name);
    let gone = lost(&state);
    let lost_file = LostFile::all_of(state.checkpoint.as_ref().unwrap()).next().unwrap();
    assert_eq!((lost_file.file().name, lost_file.file().stamp), (file.name, file.stamp));
    assert_eq!(lost_file.put_back(&copy).unwrap(), None);
    assert_eq!(lost(&state), gone);
}
