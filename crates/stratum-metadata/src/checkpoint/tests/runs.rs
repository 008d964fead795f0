//! Changes go into a run over the base, and both are merged into a new base once the run is long.

use super::*;
use crate::tree::memory::Memory as Plain;

/// With this size a run over a base of a few hundred kilobytes is merged into it after some checkpoints.
const CHANGES_BYTES: u64 = 64 << 10;

/// A state with `count` pairs in its base, whose later checkpoints have runs.
fn with_runs(count: u16) -> State {
    let mut state = State::with(count);
    state.drives.files.sizes.changes_bytes = CHANGES_BYTES;
    state
}

/// Changes of keys all over the state, other ones each turn.
fn scattered(count: u16, step: u16, turn: u8) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let numbers = (u16::from(turn) % step..count).step_by(usize::from(step));
    numbers.map(|number| (key(number), (number % 7 > 0).then(|| value(number, turn)))).collect()
}

fn run(checkpoint: &Checkpoint) -> &level::Level {
    &checkpoint.levels().unwrap().run
}

#[test]
fn scattered_changes_are_written_to_runs_and_only_now_and_then_to_the_base() {
    let written = |changes_bytes: u64| {
        let mut state = with_runs(9_000);
        state.drives.files.sizes.changes_bytes = changes_bytes;
        let (mut bytes, mut with_run) = (0, 0);
        for turn in 1..=40 {
            let before: BTreeSet<String> = ranges(state.checkpoint.as_ref().unwrap()).into_iter().collect();
            let checkpoint = state.turn(scattered(9_000, 90, turn)).unwrap();
            let new = checkpoint.ranges().filter(|range| !before.contains(&range.record.id.name()));
            bytes += new.map(|range| range.record.bytes).sum::<u64>();
            with_run += usize::from(run(&checkpoint).bytes() > 0);
            is(checkpoint.as_ref(), &state.pairs);
        }
        is(state.newest().unwrap().as_ref(), &state.pairs);
        (bytes, with_run)
    };
    let (always, none) = written(0);
    let (seldom, most) = written(CHANGES_BYTES);
    assert!(none == 0 && (30..40).contains(&most), "{none} {most}");
    assert!(seldom * 4 < always, "{seldom} of {always} bytes");
}

#[test]
fn runs_are_checked_healed_and_mended_as_bases_are() {
    let mut state = with_runs(900);
    let checkpoint = state.turn(scattered(900, 3, 1)).unwrap();
    let (index, drives) = (state.applied.index, &state.drives);
    let name = run(&checkpoint).ranges()[0].record.id.name();
    let holders = drives.holders(index);
    assert_eq!((holders.len(), check(&drives.files)), (3, Vec::new()));
    flip(drives, &holders[0], &name);
    let findings = check(&drives.files);
    assert!(findings.len() == 1 && findings[0].repaired, "{findings:?}");
    assert!(files::remove(&holders[1], &name));
    assert_eq!(drives.holders(index).len(), 2, "a drive holds all of it or doesn't hold it");
    assert!(heal(&drives.files).unwrap() > 0);
    assert_eq!(drives.holders(index).len(), 3);
    flip(drives, &drives.holders(index)[0], &name);
    for _ in 0..4 {
        // Successive reads begin with different copies.
        let again = drives.restarted();
        is(newest(&again).unwrap().unwrap().as_ref(), &state.pairs);
        again.mend();
    }
    check(&drives.files);
    assert_eq!(check(&drives.files), []);
    for holder in drives.holders(index) {
        assert!(files::remove(&holder, &name));
    }
    assert_eq!(state.newest().unwrap().applied().index, 1, "without its run a checkpoint is none");
}

#[test]
fn a_tree_that_lost_a_key_goes_into_no_run() {
    let mut state = with_runs(300);
    let (before, names) = (state.pairs.clone(), state.drives.names());
    let closed = state.close([(key(7), Some(value(7, 9))), (key(8), None)]);
    closed.tree.lose(&key(8));
    assert!(matches!(merge(&closed, &state.drives.files, &|_| {}, &|| true), Err(CheckpointError::Mismatch)));
    assert_eq!(state.drives.names(), names);
    is(state.newest().unwrap().as_ref(), &before);
}

#[test]
fn a_tree_of_an_older_binary_which_kept_no_sum_goes_into_the_base() {
    let mut state = with_runs(300);
    let closed = state.close([(key(7), Some(value(7, 9)))]);
    closed.tree.lose(&[0, 0]);
    let checkpoint = merge(&closed, &state.drives.files, &|_| {}, &|| true).unwrap();
    assert!(run(&checkpoint).ranges().is_empty());
    is(&checkpoint, &state.pairs);
}

#[test]
fn a_merge_into_a_run_that_was_cut_off_goes_on_where_it_was() {
    let with = || {
        let mut state = State::with(4_200);
        state.drives.files.sizes.changes_bytes = 4 << 20;
        state
    };
    let mut state = with();
    let closed = state.close(every_third());
    let (checkpoint, whole) = merged(&state, &closed);
    assert!(run(&checkpoint).ranges().len() > 1, "several files");
    for cut in [1, whole / 2, whole - 1] {
        let mut state = with();
        let closed = killed_in_merge(&mut state, every_third(), cut);
        let (again, turns) = merged(&state, &closed);
        assert_eq!(ranges(&again), ranges(&checkpoint), "the same files");
        assert!(turns <= whole - cut + whole / 2, "{turns} of {whole} turns after a cut at {cut}");
    }
}

/// A second try may be merged over an older checkpoint, if that of the first try can't be read any more.
#[test]
fn a_finished_file_of_a_run_over_another_base_is_not_taken() {
    let mut state = State::with(4_200);
    let all_at_first = state.pairs.clone();
    state.turn(scattered(4_200, 5, 9)).unwrap();
    state.drives.files.sizes.changes_bytes = 4 << 20;
    let closed = killed_in_merge(&mut state, every_third(), 60);
    let name = format!("checkpoint/{:016x}.80000000", state.applied.index);
    assert!(state.drives.names().contains(&name));
    // One tree with all that changed since the first checkpoint.
    let tree = Tree::open(&state.dir.path().join("anew")).unwrap();
    tree.begin(&[]).unwrap();
    let keys: BTreeSet<&Vec<u8>> = all_at_first.keys().chain(state.pairs.keys()).collect();
    for key in keys.into_iter().filter(|key| all_at_first.get(*key) != state.pairs.get(*key)) {
        let value = state.pairs.get(key).map(|value| Value::from(value.as_slice()));
        tree.apply(std::iter::once((key.as_slice(), value.as_ref()))).unwrap();
    }
    let files = &state.drives.files;
    let first = open(files, files.stored(&files.listing(), 1).unwrap()).unwrap();
    let anew = Closed { tree, applied: closed.applied, over: Some(Arc::new(first)) };
    merged(&state, &anew);
}

#[test]
fn a_scan_pauses_where_most_keys_were_removed() {
    let mut state = State::with(4_200);
    state.drives.files.sizes.changes_bytes = 4 << 20;
    let removed: Vec<_> = (5..4_200).map(|number| (key(number), None)).collect();
    let checkpoint = state.turn(removed).unwrap();
    assert!(run(&checkpoint).bytes() > 0);
    let (mut from, mut stretches, mut seen) = (Vec::new(), 0, Plain::default());
    while let Some(end) = checkpoint.stretch(&from).unwrap() {
        assert!(end > from);
        checkpoint
            .scan(&from, &end, &mut |key, value| {
                seen.apply(std::iter::once((key, Some(value))));
                ControlFlow::Continue(())
            })
            .unwrap();
        (from, stretches) = (end, stretches + 1);
    }
    assert!(stretches > 10, "{stretches}");
    assert_eq!(seen.0.len(), state.pairs.len());
}
