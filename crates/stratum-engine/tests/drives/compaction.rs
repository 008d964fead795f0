//! Compaction frees the space of volumes that are mostly garbage, and merges small volumes.

use crate::evacuation::random;
use crate::store::{Store, with_bucket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::Compactor;
use stratum_storage::ambient::System;
use tokio::sync::watch;

const COUNT: u64 = 3000;
const LENGTH: usize = 16_000;

impl Store {
    fn compactor(&self) -> Arc<Compactor> {
        Compactor::new(self.mover(), Arc::new(System), Duration::ZERO)
    }

    /// Overwrites all objects, in an order in which neighbours are overwritten at different times.
    async fn overwrite(&self, round: u64) {
        for part in 0..5 {
            let numbers = (part..COUNT).step_by(5);
            let bodies: Vec<_> = numbers.map(|number| (number, random(number + round, LENGTH))).collect();
            self.put_packed(&bodies).await;
        }
    }
}

/// Bytes that the volumes take on the disk, without holes.
fn used(dir: &Path) -> u64 {
    let drives = (0..6).filter_map(|drive| std::fs::read_dir(dir.join(format!("hot/{drive}/volumes"))).ok());
    let files = drives.flatten().map(|entry| entry.unwrap().metadata().unwrap());
    files.map(|file| file.blocks() * 512).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_space_of_garbage_is_freed_with_little_writing() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    store.overwrite(0).await;
    let packed = (0..COUNT).filter(|number| store.is_packed(*number)).count() as u64;
    for number in (0..COUNT).filter(|number| store.is_packed(*number) && number % 4 != 0) {
        store.delete(number).await;
    }
    let store = store.restart(|_| ()).await;
    let (_going, stop) = watch::channel(false);
    let compactor = store.compactor();
    let before = used(dir.path());
    let garbage = store.metadata.census().unwrap().garbage;
    assert!(
        garbage > packed / 2 * LENGTH as u64,
        "{garbage} of {packed} bodies, three quarters of them dead"
    );
    // Without room nothing is moved, and waiting loses nothing.
    store.volumes.table.set_reserve(u64::MAX / 2);
    compactor.look(&stop).await.unwrap();
    let waiting = compactor.status();
    assert!(waiting.waits_for.is_some() && waiting.bodies == 0 && waiting.next_needs > 0, "{waiting:?}");
    store.volumes.table.set_reserve(0);
    compactor.look(&stop).await.unwrap();
    store.volumes.tend().await.unwrap();
    let status = compactor.status();
    let left = store.metadata.census().unwrap().garbage;
    assert!(left < garbage / 10, "{left} of {garbage}");
    drop(compactor);
    let after = store.restart(|_| ()).await;
    assert_eq!((status.volumes, status.waiting, status.waits_for.clone()), (1, 0, None));
    let live = packed / 4 * LENGTH as u64;
    assert!(status.written <= live * 6 / 4 * 105 / 100, "{status:?} for {live} live bytes");
    let garbage = before - live * 6 / 4;
    let freed = before - used(dir.path());
    assert!(freed >= garbage * 9 / 10, "{freed} bytes of {garbage} came back: {status:?}");
    for number in (0..COUNT).filter(|number| number % 4 == 0) {
        assert!(after.read(number).await.unwrap() == random(number, LENGTH));
    }
    let compactor = after.compactor();
    compactor.look(&stop).await.unwrap();
    assert_eq!(compactor.status().bodies, 0, "what was compacted is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_volumes_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bucket(dir.path()).await;
    let (_going, stop) = watch::channel(false);
    for number in 0..8 {
        store.put_large(number, &random(number, 300_000)).await;
        store = store.restart(|_| ()).await;
        let compactor = store.compactor();
        compactor.look(&stop).await.unwrap();
        assert_eq!(compactor.status().volumes, if number == 7 { 8 } else { 0 });
    }
    store.volumes.tend().await.unwrap();
    assert_eq!((store.sealed().len(), store.metadata.local().volumes().unwrap().len()), (0, 1));
    for number in 0..8 {
        assert!(store.read(number).await.unwrap() == random(number, 300_000));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_set_that_is_overwritten_again_and_again_doesn_t_grow() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bucket(dir.path()).await;
    let (_going, stop) = watch::channel(false);
    let logical = COUNT * LENGTH as u64;
    let mut most = 0;
    for round in 0..6 {
        store.overwrite(round).await;
        store = store.restart(|_| ()).await;
        store.compactor().look(&stop).await.unwrap();
        store.volumes.tend().await.unwrap();
        most = most.max(used(dir.path()));
    }
    assert!(most < logical * 6 / 4 * 22 / 10, "{most} bytes for {logical}");
    for number in 0..COUNT {
        assert!(store.read(number).await.unwrap() == random(number + 5, LENGTH), "{number}");
    }
}
