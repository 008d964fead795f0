//! A journal that ends before the last entry of a checkpoint has lost something, and no start may go on from it.

use crate::store::{body, with_bucket};
use std::fs;
use std::path::{Path, PathBuf};
use stratum_metadata::OpenError;

/// For each drive that ever was a member of the journal: its journal's folder, and the folder where a copy is kept.
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

/// Puts the kept copies of the journal back, and removes the index.
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
