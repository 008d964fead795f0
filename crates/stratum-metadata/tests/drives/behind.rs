//! A journal that ends before what a checkpoint holds has lost something: no start goes on from that.

use crate::store::{body, with_bucket};
use std::path::Path;
use stratum_metadata::OpenError;

fn lose_the_journal_and_the_index(dir: &Path) {
    std::fs::remove_dir_all(dir.join("sled")).unwrap();
    for drive in 0..6 {
        // Only members of the epochs that there were have one.
        let _ = std::fs::remove_dir_all(dir.join(format!("hot/{drive}/journal")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_beyond_the_end_of_the_journal_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    for number in 0..1500 {
        store.put(number, &body(number)).await;
    }
    store.tend_until(|store| store.metadata.newest_checkpoint() > 1000).await;
    let served = store.metadata.newest_checkpoint();
    let refused = store.try_restart(lose_the_journal_and_the_index).await;
    let error = refused.err().expect("it doesn't start");
    assert!(matches!(error, OpenError::Behind { reached: 0, served: known } if known >= served), "{error}");
}
