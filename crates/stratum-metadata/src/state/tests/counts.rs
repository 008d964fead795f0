//! A state whose counts are less than what is released fails, before anything is freed because of them.

use super::*;

/// Takes one byte off what is counted as live in the first volume.
fn miscount(store: &mut Store) {
    let record = VolumeRecord { live: store.volume(1).live - 1, ..store.volume(1) };
    let mut view = View::new(&store.memory);
    view.put(keys::volume(VolumeId(1)), &record).unwrap();
    let changes: Vec<_> = view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
    drop(view);
    store.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
}

#[test]
fn more_is_never_released_than_is_counted() {
    let mut store = Store::new();
    store.apply(put("key", 1, extents(1, 4096, &[100]), WriteCondition::default()));
    miscount(&mut store);
    let mut view = View::new(&store.memory);
    let failed = apply(&mut view, store.index + 1, delete("key"));
    assert!(matches!(failed, Err(ApplyError::Miscounted(VolumeId(1)))), "{failed:?}");
}
