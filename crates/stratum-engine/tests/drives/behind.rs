//! A journal that ends before what a checkpoint holds has lost something: no start goes on from that.

use crate::store::{body, with_bucket};
use std::fs;
use std::path::{Path, PathBuf};
use stratum_metadata::OpenError;

/// The folders of the drives' journals, and where they are kept. Only members of the epochs that there were have one.
fn journals(dir: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let folder = |number| (dir.join(format!("hot/{number}/journal")), dir.join(format!("kept/{number}")));
    (0..6).map(folder)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).into_iter().flatten() {
        let path = file.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// The journal is what it was when it was kept, and the index is lost.
fn put_the_old_journal_back(dir: &Path) {
    fs::remove_dir_all(dir.join("sled")).unwrap();
    for (journal, kept) in journals(dir) {
        let _ = fs::remove_dir_all(&journal);
        copy(&kept, &journal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_beyond_the_end_of_the_journal_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    let keep = |dir: &Path| journals(dir).for_each(|(journal, kept)| copy(&journal, &kept));
    let store = store.restart(keep).await;
    for number in 0..1500 {
        store.put(number, &body(number)).await;
    }
    store.tend_until(|store| store.metadata.newest_checkpoint() > 1000).await;
    let served = store.metadata.newest_checkpoint();
    let refused = store.try_restart(put_the_old_journal_back).await;
    let error = refused.err().expect("it doesn't start");
    let is_behind = |reached, known| reached < 1000 && known >= served;
    assert!(
        matches!(error, OpenError::Behind { reached, served: known } if is_behind(reached, known)),
        "{error}"
    );
}
