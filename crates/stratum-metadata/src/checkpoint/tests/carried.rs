//! The files that are carried elsewhere have the bytes that lie on the drives, and suffice to read the state.

use super::*;
use crate::checkpoint::{CarriedCheckpoint, RangeCheck, ReadManifest};
use stratum_storage::drive::OpenHow;
use stratum_storage::remote::state::StateFile;

pub(super) fn whole(carried: &CarriedCheckpoint, file: &StateFile) -> Vec<u8> {
    let mut read = carried.read(file);
    let mut bytes = Vec::new();
    loop {
        let piece = read().unwrap();
        if piece.is_empty() {
            return bytes;
        }
        bytes.extend(piece);
    }
}

pub(super) fn stored(drives: &Drives, holder: &Drive, name: &str) -> Vec<u8> {
    let file = drives.of(holder).attach().open(&format!("checkpoint/{name}"), OpenHow::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_checkpoint_is_carried_as_it_lies_on_a_drive() {
    let mut state = State::with(2_000);
    state.drives.files.sizes.changes_bytes = 1 << 20;
    let checkpoint = state.turn([(key(7), Some(value(7, 1))), (key(9), None)]).unwrap();
    let holder = state.drives.holders(state.applied.index).remove(0);
    let carried = CarriedCheckpoint::of(&checkpoint).unwrap();
    let ranges: Vec<StateFile> = carried.ranges().collect();
    assert!(ranges.len() > 3, "{ranges:?}");
    for file in ranges.iter().chain([&carried.manifest()]) {
        let bytes = whole(&carried, file);
        assert_eq!(bytes.len() as u64, file.length);
        assert!(bytes == stored(&state.drives, &holder, &file.name), "{file:?}");
    }
    let manifest = carried.manifest();
    let bytes = whole(&carried, &manifest);
    let read = ReadManifest::parse(manifest.stamp, &bytes).unwrap();
    assert_eq!((read.index, read.names), (state.applied.index, ranges.clone()));
    assert_eq!(ReadManifest::parse(manifest.stamp ^ 1, &bytes), None, "other bytes than the name says");
    assert!(ReadManifest::is_named(&manifest.name) && !ReadManifest::is_named(&ranges[0].name));
}

#[test]
fn what_comes_back_of_a_range_file_is_what_was_written_or_not() {
    let state = State::with(2_000);
    let carried = CarriedCheckpoint::of(state.checkpoint.as_ref().unwrap()).unwrap();
    let ranges: Vec<StateFile> = carried.ranges().collect();
    let is_right = |file: &StateFile, bytes: &[u8]| {
        let mut check = RangeCheck::of(file).unwrap();
        bytes.chunks(1_000).all(|piece| check.take(piece)) && check.is_whole()
    };
    let all: Vec<Vec<u8>> = ranges.iter().map(|file| whole(&carried, file)).collect();
    for (file, bytes) in ranges.iter().zip(&all) {
        assert!(is_right(file, bytes), "{file:?}");
        assert!(!is_right(&StateFile { stamp: file.stamp ^ 1, ..file.clone() }, bytes), "of another history");
        assert!(
            !is_right(file, &bytes[..bytes.len() - 1]) && !is_right(file, &[bytes.as_slice(), &[0]].concat())
        );
        for at in (0..bytes.len()).step_by(97).chain(0..40) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!is_right(file, &changed), "byte {at}");
        }
    }
    assert!(!is_right(&ranges[0], &all[1]), "another file's");
    assert!(RangeCheck::of(&carried.manifest()).is_none());
}

#[test]
fn what_no_copy_gives_is_not_carried() {
    let state = State::with(2_000);
    let checkpoint = state.checkpoint.clone().unwrap();
    let name = ranges(&checkpoint)[0].clone();
    state.drives.holders(state.applied.index).iter().for_each(|holder| flip(&state.drives, holder, &name));
    let carried = CarriedCheckpoint::of(&checkpoint).unwrap();
    let file = carried.ranges().find(|file| file.name == name).unwrap();
    let mut pieces = std::iter::repeat_with(carried.read(&file)).take(99);
    let failed = pieces.find(|piece| !matches!(piece, Ok(bytes) if !bytes.is_empty()));
    assert!(matches!(failed, Some(Err(_))), "{failed:?}");
}
