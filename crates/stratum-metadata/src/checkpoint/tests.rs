//! Merges checkpoints one from another on simulated drives, and compares them with a map of the same pairs.

mod carried;
mod fixture;
mod lost;
mod runs;
mod single_file;

use super::*;
use crate::fingerprint::fingerprint;
use crate::tree::Tree;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::Tier;
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{Drive, DriveId, Threads};

/// With `changes_bytes` 0 nothing goes into a run: each checkpoint has only a base.
const SIZES: Sizes = Sizes { block_bytes: 512, range_bytes: 16 << 10, changes_bytes: 0 };

/// [`super::heal`] and [`super::check`] where the state lies on the newest checkpoint.
fn heal(files: &Files) -> io::Result<usize> {
    super::heal(files, files.indexes().last().copied().unwrap_or_default())
}

fn check(files: &Files) -> Vec<Finding> {
    super::check(files, files.indexes().last().copied().unwrap_or_default())
}

struct Drives {
    simulated: Vec<Arc<SimulatedDrive>>,
    files: Files,
}

impl Drives {
    fn new() -> Drives {
        let power = Arc::new(Power::default());
        let simulated = (0..6).map(|number| SimulatedDrive::new(&format!("hot/{number}"), 1, &power));
        Drives::of_process(simulated.collect(), SIZES)
    }

    /// The drives as a process that has just started finds them.
    fn of_process(simulated: Vec<Arc<SimulatedDrive>>, sizes: Sizes) -> Drives {
        let attached = simulated.iter().zip(0..).map(|(drive, position)| {
            let (id, clock) = (DriveId(u128::from(position)), Arc::new(Simulated::new(0, 0)));
            Arc::new(Drive::new(id, Tier::Hot, position, drive.attach(), Threads::Caller, clock))
        });
        let files = Files::new(attached.collect::<Vec<_>>().into(), 3, sizes);
        Drives { simulated, files }
    }

    /// The same files, with nothing of them in memory.
    fn restarted(&self) -> Files {
        Files { memory: Arc::default(), bad: Arc::default(), ..self.files.clone() }
    }

    fn holders(&self, index: Index) -> Vec<Arc<Drive>> {
        let listing = self.files.listing();
        self.files.holders(&listing, &self.files.stored(&listing, index).unwrap())
    }

    fn of(&self, drive: &Drive) -> &Arc<SimulatedDrive> {
        &self.simulated[usize::from(drive.position())]
    }

    /// The names of all files, over all drives.
    fn names(&self) -> BTreeSet<String> {
        self.simulated.iter().flat_map(|drive| drive.files()).collect()
    }
}

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A state that changes, with its drives and its newest checkpoint.
struct State {
    drives: Drives,
    pairs: Pairs,
    applied: Applied,
    checkpoint: Option<Arc<Checkpoint>>,
    dir: tempfile::TempDir,
}

impl State {
    fn new() -> State {
        let (drives, dir) = (Drives::new(), tempfile::tempdir().unwrap());
        State { drives, pairs: Pairs::new(), applied: Applied::default(), checkpoint: None, dir }
    }

    /// A state with `count` pairs in its first checkpoint.
    fn with(count: u16) -> State {
        let mut state = State::new();
        state.turn((0..count).map(|number| (key(number), Some(value(number, 0))))).unwrap();
        state
    }

    fn close(&mut self, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) -> Closed {
        self.applied.index += 1;
        self.applied.hash += 1 << 70;
        let tree = Tree::open(&self.dir.path().join(self.applied.index.to_string())).unwrap();
        tree.begin(&[]).unwrap();
        for (key, value) in changes {
            let before = match &value {
                Some(value) => self.pairs.insert(key.clone(), value.clone()),
                None => self.pairs.remove(&key),
            };
            let term = |value: Option<&Vec<u8>>| value.map_or(0, |value| fingerprint(&key, value));
            let difference = term(value.as_ref()).wrapping_sub(term(before.as_ref()));
            self.applied.fingerprint = self.applied.fingerprint.wrapping_add(difference);
            let value = value.map(|value| Value::from(value.as_slice()));
            tree.apply(std::iter::once((key.as_slice(), value.as_ref()))).unwrap();
        }
        Closed { tree, applied: self.applied, over: self.checkpoint.clone() }
    }

    /// Merges the next checkpoint, with these changes.
    fn turn(
        &mut self,
        changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<Arc<Checkpoint>, CheckpointError> {
        let closed = self.close(changes);
        let checkpoint = Arc::new(merge(&closed, &self.drives.files, &|_| {}, &|| true)?);
        self.checkpoint = Some(checkpoint.clone());
        self.drives.files.retain(KEPT);
        Ok(checkpoint)
    }

    fn newest(&self) -> Option<Arc<Checkpoint>> {
        newest(&self.drives.restarted()).unwrap()
    }
}

fn key(number: u16) -> Vec<u8> {
    [&[0x20, 0, 0], number.to_be_bytes().as_slice()].concat()
}

fn value(number: u16, turn: u8) -> Vec<u8> {
    // A value that LZ4 can't shorten by much.
    let hash = xxhash_rust::xxh3::xxh3_128(&[number.to_le_bytes().as_slice(), &[turn]].concat());
    [hash.to_le_bytes().as_slice(), &hash.rotate_left(32).to_le_bytes(), &[turn; 20]].concat()
}

fn all(base: &dyn Base) -> Pairs {
    let mut pairs = Pairs::new();
    let visit = &mut |key: &[u8], value: &Value| {
        assert!(pairs.insert(key.to_vec(), value.to_vec()).is_none(), "each once");
        ControlFlow::Continue(())
    };
    base.scan(&[], &[0xff], visit).unwrap();
    pairs
}

fn is(base: &dyn Base, pairs: &Pairs) {
    assert_eq!(all(base), *pairs);
    for number in 0..400 {
        let found = base.get(&key(number)).unwrap();
        assert_eq!(found.as_deref(), pairs.get(&key(number)).map(Vec::as_slice), "{number}");
    }
}

/// Flips a bit in the blocks of a range file.
fn flip(drives: &Drives, holder: &Drive, name: &str) {
    drives.of(holder).flip_bit(&format!("checkpoint/{name}"), 8 * 700).unwrap();
}

fn ranges(checkpoint: &Checkpoint) -> Vec<String> {
    checkpoint.ranges().map(|range| range.record.id.name()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn merged_checkpoints_hold_every_change(
        first in 0u16..900,
        turns in proptest::collection::vec(
            proptest::collection::vec((0u16..900, proptest::option::of(any::<u8>())), 0..60), 1..6),
        from in 0u16..900, to in 0u16..900, most in 1usize..40, changes_bytes in prop::sample::select(vec![0, 300, 4 << 10, 1 << 20]),
    ) {
        let mut state = State::with(first);
        state.drives.files.sizes.changes_bytes = changes_bytes;
        for changes in turns {
            let changes = changes.into_iter();
            let changes = changes.map(|(number, turn)| (key(number), turn.map(|turn| value(number, turn))));
            let checkpoint = state.turn(changes.collect::<Vec<_>>()).unwrap();
            is(checkpoint.as_ref(), &state.pairs);
            checkpoint.verify().unwrap();
            let (from, to) = (key(from), key(to));
            let mut seen = Vec::new();
            checkpoint.scan(&from, &to, &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }).unwrap();
            let expected = state.pairs.iter().filter(|(key, _)| **key >= from && **key < to).take(most);
            prop_assert_eq!(seen, expected.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>());
            let again = state.newest().unwrap();
            prop_assert_eq!(again.applied(), state.applied);
            is(again.as_ref(), &state.pairs);
        }
        prop_assert_eq!(state.drives.holders(state.applied.index).len(), 3);
    }
}

#[test]
fn a_range_in_which_nothing_changed_is_shared() {
    let mut state = State::with(3_000);
    let before = ranges(state.checkpoint.as_ref().unwrap());
    assert!(before.len() > 5, "{before:?}");
    let checkpoint = state.turn([(key(1), Some(value(1, 7))), (key(2_999), None)]).unwrap();
    let after = ranges(&checkpoint);
    let shared = after.iter().filter(|name| before.contains(name)).count();
    assert!(shared + 3 >= before.len() && shared < before.len(), "{before:?} {after:?}");
    is(checkpoint.as_ref(), &state.pairs);
    // After a third checkpoint no kept one names the files that only the first one named.
    state.turn([]).unwrap();
    let names = state.drives.names();
    let is_there = |name: &&String| names.contains(&format!("checkpoint/{name}"));
    assert_eq!(before.iter().filter(is_there).count(), shared);
    assert!(after.iter().all(|name| is_there(&name)));
    assert!(!names.contains("checkpoint/0000000000000001") && names.contains("checkpoint/0000000000000002"));
}

#[test]
fn ranges_that_became_small_are_merged() {
    let mut state = State::with(3_000);
    let before = ranges(state.checkpoint.as_ref().unwrap()).len();
    // One key in a hundred stays.
    let gone = (0..3_000).filter(|number| number % 100 != 0).map(|number| (key(number), None));
    let after = state.turn(gone.collect::<Vec<_>>()).unwrap();
    assert!(before > 5 && after.ranges().count() <= 2, "{before} {}", after.ranges().count());
    is(after.as_ref(), &state.pairs);
    let empty: Vec<_> = state.pairs.keys().map(|key| (key.clone(), None)).collect();
    let empty = state.turn(empty).unwrap();
    assert!(empty.ranges().next().is_none() && all(empty.as_ref()).is_empty());
    is(state.newest().unwrap().as_ref(), &Pairs::new());
    state.turn([(key(5), Some(value(5, 1)))]).unwrap();
    is(state.newest().unwrap().as_ref(), &state.pairs);
}

#[test]
fn a_merge_that_does_not_match_what_was_applied_publishes_nothing() {
    let mut state = State::with(300);
    let (before, names) = (state.pairs.clone(), state.drives.names());
    let closed = state.close([(key(7), Some(value(7, 9)))]);
    closed.tree.apply(std::iter::once((key(50).as_slice(), None))).unwrap();
    assert!(matches!(merge(&closed, &state.drives.files, &|_| {}, &|| true), Err(CheckpointError::Mismatch)));
    assert_eq!(state.drives.names(), names);
    is(state.newest().unwrap().as_ref(), &before);
}

#[test]
fn a_merge_that_is_cut_off_anywhere_leaves_the_checkpoint_before() {
    use stratum_storage::drive::simulated::Op;
    for op in [Op::Write, Op::Sync, Op::Name] {
        for nth in 1..12 {
            let mut state = State::with(900);
            let (before, index) = (state.pairs.clone(), state.applied.index);
            let holder = state.drives.holders(index)[1].clone();
            state.drives.of(&holder).fail_nth(op, nth);
            let changes = (0..900).step_by(3).map(|number| (key(number), Some(value(number, 2))));
            let closed = state.close(changes.collect::<Vec<_>>());
            let merged = merge(&closed, &state.drives.files, &|_| {}, &|| true);
            let newest = state.newest().unwrap();
            match newest.applied().index == index {
                true => is(newest.as_ref(), &before),
                false => is(newest.as_ref(), &state.pairs),
            }
            if merged.is_ok() {
                continue;
            }
            // The drive has latched. The next try, of the same tree, goes to the others.
            merge(&closed, &state.drives.files, &|_| {}, &|| true).unwrap();
            is(state.newest().unwrap().as_ref(), &state.pairs);
            assert_eq!(state.drives.holders(state.applied.index).len(), 3, "{op:?} {nth}");
        }
    }
}

#[test]
fn blocks_that_are_bad_in_one_copy_come_from_another_and_are_written_anew() {
    let state = State::with(900);
    let (index, drives) = (state.applied.index, &state.drives);
    let names = ranges(state.checkpoint.as_ref().unwrap());
    for (number, holder) in drives.holders(index).iter().enumerate() {
        flip(drives, holder, &names[number % names.len()]);
    }
    let files = drives.restarted();
    let checkpoint = newest(&files).unwrap().unwrap();
    is(checkpoint.as_ref(), &state.pairs);
    checkpoint.verify().unwrap();
    let mut met = files.has_bad();
    for _ in 0..3 {
        // Successive reads begin with different copies.
        let again = drives.restarted();
        is(newest(&again).unwrap().unwrap().as_ref(), &state.pairs);
        met |= again.has_bad();
        again.mend();
        assert!(!again.has_bad());
    }
    assert!(met && drives.holders(index).iter().any(|holder| holder.bad_pieces() > 0));
    check(&drives.files);
    assert_eq!(check(&drives.files), []);
    drives.holders(index)[..2].iter().for_each(|holder| holder.fail("pulled"));
    is(state.newest().unwrap().as_ref(), &state.pairs);
}

#[test]
fn rot_is_found_in_every_copy_and_written_anew() {
    let state = State::with(900);
    let (index, drives) = (state.applied.index, &state.drives);
    assert_eq!(check(&drives.files), []);
    let (names, holders) = (ranges(state.checkpoint.as_ref().unwrap()), drives.holders(index));
    flip(drives, &holders[0], &names[0]);
    flip(drives, &holders[1], &names[1]);
    drives.of(&holders[2]).flip_bit(&files::path(index), 8 * 100).unwrap();
    let findings = check(&drives.files);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.repaired), "{findings:?}");
    assert_eq!(check(&drives.files), []);
    holders[..2].iter().for_each(|holder| holder.fail("pulled"));
    is(state.newest().unwrap().as_ref(), &state.pairs);
}

#[test]
fn a_block_that_is_bad_in_every_copy_is_an_error_and_never_other_bytes() {
    let state = State::with(900);
    let (index, drives) = (state.applied.index, &state.drives);
    let name = ranges(state.checkpoint.as_ref().unwrap())[1].clone();
    for holder in drives.holders(index) {
        flip(drives, &holder, &name);
    }
    let findings = check(&drives.files);
    assert!(findings.len() == 3 && findings.iter().all(|finding| !finding.repaired));
    let checkpoint = state.newest().unwrap();
    assert!(checkpoint.verify().is_err());
    let mut lost = 0;
    for number in 0..900 {
        match checkpoint.get(&key(number)) {
            Ok(found) => assert_eq!(found.as_deref(), state.pairs.get(&key(number)).map(Vec::as_slice)),
            Err(_) => lost += 1,
        }
    }
    assert!((1..30).contains(&lost), "{lost}: one block is gone");
}

#[test]
fn a_checkpoint_whose_files_are_missing_gives_way_to_the_one_before() {
    let mut state = State::with(900);
    let before = state.pairs.clone();
    let checkpoint = state.turn([(key(3), Some(value(3, 3)))]).unwrap();
    let name = ranges(&checkpoint).into_iter().find(|name| name.starts_with("0000000000000002")).unwrap();
    for holder in state.drives.holders(2) {
        assert!(files::remove(&holder, &name));
    }
    let newest = state.newest().unwrap();
    assert_eq!(newest.applied().index, 1);
    is(newest.as_ref(), &before);
    // Who lies on the older one isn't kept from healing it, and who lies on this one is told.
    assert!(super::heal(&state.drives.files, 1).is_ok() && super::heal(&state.drives.files, 2).is_err());
}

#[test]
fn a_manifest_that_is_bad_in_every_copy_gives_way_and_no_file_is_removed() {
    let mut state = State::with(900);
    let before = state.pairs.clone();
    state.turn([(key(3), Some(value(3, 3)))]).unwrap();
    for holder in state.drives.holders(2) {
        state.drives.of(&holder).flip_bit(&files::path(2), 8 * 100).unwrap();
    }
    let names = state.drives.names();
    state.drives.files.retain(KEPT);
    assert_eq!(state.drives.names(), names);
    is(state.newest().unwrap().as_ref(), &before);
}

#[test]
fn a_checkpoint_of_a_newer_format_is_not_passed_over_for_an_older_one() {
    const CRC_AT: usize = super::format::HEADER_LEN - 4;
    let mut state = State::with(10);
    let before = state.pairs.clone();
    state.turn([(key(3), None)]).unwrap();
    let holders = state.drives.holders(2);
    let flip = |at: usize, mask: u32| {
        for holder in &holders {
            for bit in (0..32).filter(|bit| mask >> bit & 1 == 1) {
                state.drives.of(holder).flip_bit(&files::path(2), at as u64 * 8 + bit).unwrap();
            }
        }
    };
    // Flipping the lowest three bits makes a 6 of version 1. With the former checksum that is rot.
    flip(8, 7);
    is(state.newest().unwrap().as_ref(), &before);
    // What the flipped bits are to the checksum, whatever the others are.
    let (zeros, mut flipped) = ([0; CRC_AT], [0; CRC_AT]);
    flipped[8] = 7;
    flip(CRC_AT, crc32c::crc32c(&flipped) ^ crc32c::crc32c(&zeros));
    assert!(matches!(newest(&state.drives.files), Err(LoadError::Newer(FormatError::Newer(6)))));
}

#[test]
fn a_lost_copy_is_made_again_elsewhere() {
    let state = State::with(900);
    let (index, drives) = (state.applied.index, &state.drives);
    let holders = drives.holders(index);
    holders[0].fail("pulled");
    holders[1].fail("pulled");
    assert!(heal(&drives.files).unwrap() > 0);
    assert_eq!(drives.holders(index).len(), 3);
    holders[2].fail("pulled");
    is(state.newest().unwrap().as_ref(), &state.pairs);
    assert!(heal(&drives.files).unwrap() > 0);
    assert_eq!(heal(&drives.files).unwrap(), 0);
    // A checkpoint that was open before reads from the copies that there are now.
    let open = state.checkpoint.as_ref().unwrap();
    open.reopen(&drives.files);
    is(open.as_ref(), &state.pairs);
}

#[test]
fn a_file_of_another_store_is_not_taken_for_ours() {
    let (mut ours, mut theirs) = (State::new(), State::new());
    theirs.applied.hash = 5;
    let pairs = |turn| (0..900).map(move |number| (key(number), Some(value(number, turn))));
    ours.turn(pairs(1)).unwrap();
    let foreign = theirs.turn(pairs(2)).unwrap();
    let name = ranges(&foreign)[0].clone();
    let path = format!("checkpoint/{name}");
    for (from, to) in theirs.drives.holders(1).iter().zip(ours.drives.holders(1)) {
        let from =
            theirs.drives.of(from).attach().open(&path, stratum_storage::drive::OpenHow::Read).unwrap();
        let mut bytes = vec![0; from.len().unwrap() as usize];
        from.read_at(&mut bytes, 0).unwrap();
        let to = to.io().open(&path, stratum_storage::drive::OpenHow::Write).unwrap();
        to.write_at(&[&bytes], 0).unwrap();
        to.set_len(bytes.len() as u64).unwrap();
    }
    match ours.newest() {
        Some(checkpoint) => assert!(checkpoint.get(&key(0)).is_err()),
        None => assert_ne!(ranges(&foreign).len(), 0, "their length tells already"),
    }
}

/// Kills the process in the middle of a merge, and gives the closed state that the next process merges.
fn killed_in_merge(
    state: &mut State,
    changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    cut: usize,
) -> Closed {
    let closed = state.close(changes);
    let turns = Cell::new(0);
    let kill = |_| {
        turns.set(turns.get() + 1);
        if turns.get() == cut {
            state.drives.simulated.iter().for_each(|drive| drive.kill());
        }
    };
    merge(&closed, &state.drives.files, &kill, &|| true).unwrap_err();
    state.drives = Drives::of_process(state.drives.simulated.clone(), state.drives.files.sizes);
    Closed { over: state.newest(), ..closed }
}

/// Merges, and gives the checkpoint and the number of turns.
fn merged(state: &State, closed: &Closed) -> (Checkpoint, usize) {
    let turns = Cell::new(0);
    let checkpoint = merge(closed, &state.drives.files, &|_| turns.set(turns.get() + 1), &|| true).unwrap();
    is(&checkpoint, &state.pairs);
    is(state.newest().unwrap().as_ref(), &state.pairs);
    (checkpoint, turns.get())
}

fn every_third() -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
    (0..1_400u16).map(|number| (key(number * 3), Some(value(number, 1))))
}

const FIRST_FILE: &str = "checkpoint/0000000000000002.00000000";

#[test]
fn a_merge_that_was_cut_off_goes_on_where_it_was() {
    let mut state = State::with(4_200);
    let closed = state.close(every_third());
    let (checkpoint, whole) = merged(&state, &closed);
    assert!(checkpoint.ranges().count() > 3, "several files");
    for cut in [1, whole / 2, whole * 3 / 4, whole - 1] {
        let mut state = State::with(4_200);
        let closed = killed_in_merge(&mut state, every_third(), cut);
        let was_begun = state.drives.names().contains(FIRST_FILE);
        let (again, turns) = merged(&state, &closed);
        assert_eq!(ranges(&again), ranges(&checkpoint), "the same files");
        assert_eq!(was_begun, turns < whole, "{turns} of {whole} turns after a cut at {cut}");
        assert!(turns <= whole - cut + whole / 4, "{turns} of {whole} turns after a cut at {cut}");
    }
}

#[test]
fn a_finished_file_that_is_bad_in_every_copy_is_written_anew() {
    let mut state = State::with(4_200);
    let closed = killed_in_merge(&mut state, every_third(), 100);
    let holds = |drive: &&Arc<SimulatedDrive>| drive.files().iter().any(|name| name == FIRST_FILE);
    let holders: Vec<_> = state.drives.simulated.iter().filter(holds).collect();
    assert_eq!(holders.len(), 3);
    for holder in holders {
        holder.flip_bit(FIRST_FILE, 8 * 700).unwrap();
    }
    merged(&state, &closed);
}

#[test]
fn a_finished_file_of_another_history_is_not_taken() {
    let mut state = State::with(4_200);
    let mut closed = killed_in_merge(&mut state, every_third(), 100);
    state.applied.hash += 1;
    closed.applied = state.applied;
    merged(&state, &closed);
}

#[test]
fn a_finished_file_that_reaches_into_a_range_without_changes_is_gone_on_from() {
    let mut state = State::with(4_200);
    let first_range_ends = state.checkpoint.as_ref().unwrap().ranges().nth(1).unwrap().record.first.clone();
    let emptied = || (1..4_200u16).map(key).take_while(|key| *key < first_range_ends).map(|key| (key, None));
    let closed = killed_in_merge(&mut state, emptied(), 60);
    assert!(state.drives.names().contains(FIRST_FILE), "the first file takes in the second range");
    merged(&state, &closed);
}
