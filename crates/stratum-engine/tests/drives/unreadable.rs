//! Bodies in the journal that are damaged in every copy: packing goes on without them, and gives no body up that a
//! drive may still have.

use crate::store::{Store, body, with_bucket};
use bytes::Bytes;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use stratum_engine::given_up;
use stratum_metadata::Piece;
use stratum_storage::blob::Place;

const ROTTEN: u64 = 3;
const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

/// A body with bytes that no other body has.
fn only() -> Bytes {
    b"a body of which there is no other ".repeat(200).into()
}

/// Where the body is in the journals of these drives: the drive, the segment's file, and the offset.
fn copies(folder: &Path, drives: &[usize]) -> Vec<(usize, PathBuf, u64)> {
    let (of_body, mut found) = (only(), Vec::new());
    for drive in drives {
        let segments = fs::read_dir(folder.join(format!("hot/{drive}/journal")));
        for path in segments.into_iter().flatten().map(|segment| segment.unwrap().path()) {
            let bytes = fs::read(&path).unwrap();
            let at = bytes.windows(of_body.len()).position(|window| window == of_body);
            found.extend(at.map(|at| (*drive, path, at as u64)));
        }
    }
    found
}

/// Changes a byte of the body on these drives; returns on how many of them it was.
fn rot(folder: &Path, drives: &[usize]) -> usize {
    let copies = copies(folder, drives);
    for (_, path, at) in &copies {
        fs::File::options().write(true).open(path).unwrap().write_all_at(b"?", at + 40).unwrap();
    }
    copies.len()
}

async fn with_bodies(dir: &Path) -> Store {
    let store = with_bucket(dir).await;
    fill(&store, 0..ROTTEN).await;
    store.put(ROTTEN, &only()).await;
    fill(&store, ROTTEN + 1..900).await;
    store
}

async fn fill(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.put(number, &body(number)).await;
    }
}

/// The number of objects with lost bodies, as the status counts them.
fn unreadable(store: &Store) -> u64 {
    let (first, lost) = (store.metadata.first_entry(), store.metadata.lost_bodies());
    let is_lost = |piece| matches!(piece, Piece::Entry(entry) if entry < first || lost.has(entry));
    store.metadata.objects_in(&is_lost).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_bad_in_every_copy_keeps_nothing_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bodies(dir.path()).await;
    assert_eq!(rot(dir.path(), &ALL), 3);
    assert!(!given_up::is_marked(&store.set));
    let Some(Place::Journal { index, .. }) = store.place(ROTTEN) else { panic!("it is in the journal") };
    for round in 0..4 {
        fill(&store, 1_000 + round * 400..1_400 + round * 400).await;
        store.tend_until(|store| store.is_packed(1_000 + round * 400 - 200)).await;
    }
    store.tend_until(|store| store.journal.first() > index).await;
    assert_eq!(store.metadata.packing_hindrance(), None);
    assert!(store.metadata.lost_bodies().has(index), "this run needs no mark");
    for number in (0..900).filter(|number| *number != ROTTEN) {
        assert_eq!(store.read(number).await, Some(body(number)), "{number}");
    }
    for _ in 0..2 {
        assert!(matches!(store.place(ROTTEN), Some(Place::Journal { index: named, .. }) if named == index));
        assert_eq!(unreadable(&store), 1, "it stays known, and counted");
        assert!(given_up::is_marked(&store.set), "and a start knows that there is something to count");
        store = store.restart(|_| ()).await;
    }
    store.put(ROTTEN, &body(7)).await;
    assert_eq!(store.read(ROTTEN).await, Some(body(7)));
    assert_eq!(unreadable(&store), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_a_missing_drive_may_have_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bodies(dir.path()).await;
    let holders: Vec<usize> = copies(dir.path(), &ALL).into_iter().map(|(drive, ..)| drive).collect();
    let away = holders[0];
    assert_eq!(rot(dir.path(), &holders[1..]), 2);
    let (hot, aside) = (dir.path().join(format!("hot/{away}")), dir.path().join("aside"));
    let store = store.restart(|_| fs::rename(&hot, &aside).unwrap()).await;
    fill(&store, 1_000..1_600).await;
    store.tend_until(|store| store.metadata.packing_hindrance().is_some() && store.is_packed(1)).await;
    let told = store.metadata.packing_hindrance().unwrap();
    assert!(told.starts_with("small bodies that no drive here can give: 1;"), "{told}");
    assert!(told.contains(&format!("were asked: hot/{away}.")), "{told}");
    let Some(Place::Journal { index, .. }) = store.place(ROTTEN) else { panic!("it is nowhere else") };
    assert!(store.journal.first() <= index, "its segment stays");
    let store = store.restart(|_| fs::rename(&aside, &hot).unwrap()).await;
    fill(&store, 2_000..2_600).await;
    store.tend_until(|store| store.is_packed(ROTTEN)).await;
    assert_eq!(store.read(ROTTEN).await, Some(only()));
    assert_eq!(unreadable(&store), 0);
}
