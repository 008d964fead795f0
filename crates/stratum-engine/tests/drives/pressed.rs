//! A journal that is small compared with what is written: writes slow down and wait for packing and a checkpoint, and
//! for nothing else.

use crate::store::{BUCKET, Store, add_bucket, body, key};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::supervisor::{Supervisor, Tasks};
use stratum_metadata::NotWritten;
use stratum_metadata::command::{Command, Deletion};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::drive::Threads;
use tokio::runtime::Handle;

const SEGMENT: u64 = 512 << 10;
/// The longest time for which a write may be refused: many times what packing and two checkpoints take, even on a
/// busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const WRITERS: u64 = 8;

async fn open(dir: &Path, cap: u64) -> Arc<Store> {
    Arc::new(add_bucket(Store::open_with(dir, SEGMENT, cap).await.unwrap()).await)
}

/// All background work, as a server does it.
fn look_after(store: &Store) -> Supervisor {
    let (tasks, clock) = (Tasks::default(), store.clock.clone());
    let mut supervisor = Supervisor::new(tasks, clock, Threads::Own, &Handle::current());
    store.tasks().into_iter().for_each(|task| supervisor.run(task).unwrap());
    supervisor
}

/// Puts an object until it is accepted; returns for how long it was refused.
async fn put(store: &Store, key: Vec<u8>, body: &Bytes) -> Duration {
    let begun = System.monotonic();
    let mut refused = Duration::ZERO;
    while let Err(error) = store.try_put(key.clone(), body).await {
        assert_eq!(error, NotWritten::Busy.into());
        refused = System.monotonic() - begun;
        assert!(refused < PATIENCE, "{:?}, {:?}", store.journal.usage(), store.journal.spans());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refused
}

/// Many writers put so many objects each, over and over under the same keys; returns the longest time for which a
/// write was refused.
async fn write(store: &Arc<Store>, each: u64, keys: u64) -> Duration {
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            for number in (0..each).map(|round| (round * WRITERS + writer) % keys) {
                longest = longest.max(put(&store, key(number), &body(number)).await);
            }
            longest
        })
    });
    let mut longest = Duration::ZERO;
    for writer in writers.collect::<Vec<_>>() {
        longest = longest.max(writer.await.unwrap());
    }
    longest
}

async fn steady_writes_go_on(cap: u64, keys: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), cap).await;
    let upkeep = look_after(&store);
    let each = 20 * cap / WRITERS / body(0).len() as u64;
    let longest = write(&store, each, keys).await;
    println!("with a cap of {cap} bytes a write was refused for {longest:?} at most");
    upkeep.stop().await;
    let written = keys.min(each * WRITERS);
    for number in (0..written).step_by(1 + written as usize / 100) {
        assert_eq!(store.read(number).await, Some(body(number)), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_writes_go_on_with_a_cap_of_one_segment() {
    steady_writes_go_on(SEGMENT, u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_writes_go_on_with_a_cap_of_two_segments() {
    steady_writes_go_on(2 * SEGMENT, u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_writes_go_on_with_a_cap_of_four_segments() {
    steady_writes_go_on(4 * SEGMENT, u64::MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_writes_go_on_where_hardly_anything_is_packed() {
    // Packing leaves entries behind; here hardly anything is packed when the journal is full.
    steady_writes_go_on(SEGMENT, 4).await;
}

/// The worst case for packing: moving such a body takes as much of the journal as the body did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_full_of_tiny_bodies_with_long_names_takes_writes_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), SEGMENT).await;
    let long = |number: u64| format!("{number:01000}").into_bytes();
    let mut number = 0;
    while store.try_put(long(number), &Bytes::from_static(b"x")).await.is_ok() {
        number += 1;
    }
    // Deletes fill the rest of the journal, until they are refused, too.
    let delete = || {
        let delete = Command::DeleteObject(Deletion::of(BUCKET, b"gone".to_vec(), 0));
        store.metadata.commit(delete, Bytes::new())
    };
    while delete().await.is_ok() {}
    let upkeep = look_after(&store);
    for number in number..3 * number {
        put(&store, long(number), &Bytes::from_static(b"x")).await;
    }
    upkeep.stop().await;
}
