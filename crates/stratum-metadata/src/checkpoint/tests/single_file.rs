//! Checkpoints that are a single file, from a backup or an older server.

use super::*;
use stratum_storage::drive::OpenHow;

/// Drives, one of which holds this single file.
fn holding(index: Index, bytes: &[u8]) -> Drives {
    let drives = Drives::new();
    let io = drives.simulated[4].attach();
    io.create_dir("checkpoint").unwrap();
    io.open(&files::path(index), OpenHow::CreateNew).unwrap().write_at(&[bytes], 0).unwrap();
    drives
}

fn exported(checkpoint: Arc<Checkpoint>) -> Vec<u8> {
    let blocks: io::Result<Vec<Vec<u8>>> = Export::new(checkpoint).collect();
    blocks.unwrap().concat()
}

#[test]
fn an_exported_checkpoint_is_read_again_and_followed_by_one_of_range_files() {
    for count in [0, 1, 900, 9_000] {
        let mut state = State::with(count);
        let drives = holding(1, &exported(state.checkpoint.take().unwrap()));
        let single = newest(&drives.files).unwrap().unwrap();
        assert!(single.is_single_file() && single.applied() == state.applied);
        is(single.as_ref(), &state.pairs);
        assert_eq!(exported(single.clone()), exported(newest(&drives.files).unwrap().unwrap()));
        // The next checkpoint has range files.
        state.drives = drives;
        state.checkpoint = Some(single);
        let next = state.turn([(key(7), Some(value(7, 7))), (key(8), None)]).unwrap();
        assert!(!next.is_single_file());
        is(state.newest().unwrap().as_ref(), &state.pairs);
    }
}

#[test]
fn a_single_file_that_is_not_whole_is_not_loaded() {
    let mut state = State::with(900);
    let bytes = exported(state.checkpoint.take().unwrap());
    for length in [63, 64, 1_000, bytes.len() - 1] {
        assert!(newest(&holding(1, &bytes[..length]).files).unwrap().is_none(), "{length}");
    }
    for at in [100, bytes.len() / 2, bytes.len() - 3] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(newest(&holding(1, &damaged).files).unwrap().is_none(), "{at}");
    }
}

#[test]
fn a_bad_copy_is_written_anew_from_a_sound_one() {
    let mut state = State::with(900);
    let bytes = exported(state.checkpoint.take().unwrap());
    let drives = holding(1, &bytes);
    assert_eq!(heal(&drives.files).unwrap(), 2);
    let holders = drives.holders(1);
    assert_eq!(holders.len(), 3);
    drives.of(&holders[0]).flip_bit(&files::path(1), 8 * 500).unwrap();
    let findings = check(&drives.files);
    assert!(findings.len() == 1 && findings[0].repaired);
    assert_eq!(check(&drives.files), []);
}
