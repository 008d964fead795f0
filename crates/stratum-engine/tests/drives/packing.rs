//! Packing, checkpoints, restarts and lost drives.

use crate::store::{BUCKET, Store, body, with_bucket};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use stratum_metadata::listing::{ListRequest, Position};

/// Puts objects, and deletes every third of them again.
async fn fill(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.put(number, &body(number)).await;
        if number % 3 == 0 {
            store.delete(number).await;
        }
    }
}

async fn check(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers.clone() {
        let expected = (number % 3 != 0).then(|| body(number));
        assert_eq!(store.read(number).await, expected, "{number}");
    }
    let (prefix, delimiter, from) = (Vec::new(), None, Position::Start);
    let request = ListRequest { bucket: BUCKET, prefix, delimiter, from, max: 1_000_000, owners: false };
    let listed = store.metadata.local().list(request).await.unwrap().entries.len();
    assert_eq!(listed, numbers.filter(|number| number % 3 != 0).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_leave_the_journal_and_are_read_from_their_stripes() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    fill(&store, 0..1_500).await;
    store.tend_until(|store| store.is_packed(1) && store.is_packed(400)).await;
    check(&store, 0..1_500).await;

    // The stripes lose their bodies one after the other, and are dropped when they are empty.
    assert!(store.metadata.local().volumes().unwrap()[0].live > 0);
    for number in (0..1_500).filter(|number| number % 3 != 0) {
        store.delete(number).await;
    }
    assert_eq!(store.metadata.local().volumes().unwrap()[0].live, 0);
    assert!(store.volumes.stats().freed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_index_and_two_drives_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bucket(dir.path()).await;
    for round in 0..3 {
        fill(&store, round * 1_000..(round + 1) * 1_000).await;
        store.tend_until(|store| store.is_packed(round * 1_002 + 1)).await;
    }
    fill(&store, 3_000..4_000).await;
    store.tend_until(|store| store.journal.first() > 1_000).await;
    store = store.restart(|_| ()).await;
    check(&store, 0..4_000).await;
    fill(&store, 4_000..4_100).await;
    store = store
        .restart(|dir| {
            std::fs::remove_dir_all(dir.join("sled")).unwrap();
            std::fs::remove_dir_all(dir.join("hot/1")).unwrap();
            std::fs::remove_dir_all(dir.join("hot/4")).unwrap();
        })
        .await;
    check(&store, 0..4_100).await;
    fill(&store, 4_100..4_200).await;
    check(&store, 0..4_200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_taken_while_writers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(with_bucket(dir.path()).await);
    fill(&store, 0..1_000).await;
    let writers: Vec<_> = (0..4u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..100 {
                    store.put(writer * 100 + round, &body(round)).await;
                }
            })
        })
        .collect();
    store.tend_until(|store| store.metadata.checkpoint_bytes() > 0).await;
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(store.metadata.is_available(), "a checkpoint that didn't match would have ended it");
    let store = Arc::into_inner(store).unwrap();
    let store = store.restart(|dir| std::fs::remove_dir_all(dir.join("sled")).unwrap()).await;
    for number in 0..400 {
        assert_eq!(store.read(number).await, Some(body(number % 100)), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_checkpoint_that_was_removed_comes_back_with_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    fill(&store, 0..50).await;
    let metadata = store.metadata.clone();
    tokio::task::spawn_blocking(move || metadata.force_checkpoint()).await.unwrap().unwrap();
    let files = || -> Vec<PathBuf> {
        let folders = (0..6).map(|drive| dir.path().join(format!("hot/{drive}/checkpoint")));
        folders
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let copies = |name: &OsStr| files().iter().filter(|path| path.file_name() == Some(name)).count();
    for file in files() {
        let name = file.file_name().unwrap();
        let before = copies(name);
        std::fs::remove_file(&file).unwrap();
        let metadata = store.metadata.clone();
        tokio::task::spawn_blocking(move || metadata.check_checkpoints()).await.unwrap();
        assert_eq!(copies(name), before, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_on_from_the_tree_that_follows_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bucket(dir.path()).await;
    for round in 1..3 {
        fill(&store, (round - 1) * 300..round * 300).await;
        let before = store.metadata.newest_checkpoint();
        let metadata = store.metadata.clone();
        tokio::task::spawn_blocking(move || metadata.force_checkpoint()).await.unwrap().unwrap();
        assert!(store.metadata.newest_checkpoint() > before);
        fill(&store, 10_000..10_100).await;
        let current = std::fs::read_to_string(dir.path().join("sled/current")).unwrap();
        store = store.restart(|_| ()).await;
        let again = std::fs::read_to_string(dir.path().join("sled/current")).unwrap();
        assert_eq!(again, current, "the start didn't throw it away");
        for number in (0..round * 300).chain(10_000..10_100) {
            assert_eq!(
                store.read(number).await,
                (!number.is_multiple_of(3)).then(|| body(number)),
                "{number}"
            );
        }
    }
}
