//! The level of a store: where it begins, how it is raised, and which binaries are refused.

use super::*;
use crate::command::Urgency;
use crate::log::LogEntry;
use crate::record::{Level, decode};

#[tokio::test]
async fn a_new_store_begins_at_the_newest_level_and_an_old_one_stays() {
    let new = store();
    new.metadata.begin(Level::NEWEST).await.unwrap();
    assert_eq!(new.metadata.level(), Level::NEWEST);
    let old = store();
    old.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    old.metadata.begin(Level::NEWEST).await.unwrap();
    assert_eq!(old.metadata.level(), Level::FIRST);
}

#[tokio::test]
async fn a_store_is_raised_while_it_serves_and_stays_so() {
    let Store { metadata, log, dir } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let put = |key| put(key, 7, WriteCondition::default());
    metadata.commit(put("before"), Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(metadata.raise_level(Level::SECOND).await, Ok(Level::SECOND));
    assert_eq!(metadata.raise_level(Level::FIRST).await, Ok(Level::SECOND));
    metadata.commit(put("after"), Bytes::from_static(b"x")).await.unwrap();
    let value =
        |key: &str| metadata.state().get(&keys::object(BucketId(1), key.as_bytes())).unwrap().unwrap();
    assert_eq!((value("before")[0], value("after")[0]), (1, 2));
    let applied = metadata.inner.machine.applied();
    metadata.shutdown();
    drop(metadata);
    for is_lost in [false, true] {
        if is_lost {
            std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
        }
        let again = open(dir.path(), &log);
        assert_eq!((again.level(), again.inner.machine.applied()), (Level::SECOND, applied));
        assert_eq!(keys_of(&again).await, ["after", "before"]);
        again.shutdown();
    }
}

fn refused(dir: &std::path::Path, log: &MemoryLog) -> String {
    let options =
        Options { index: dir.join("sled"), drives: Vec::new().into(), copies: 0, sizes: Default::default() };
    let opened = Metadata::open(&options, Arc::new(log.clone()), Arc::new(Simulated::new(1_000, 1)));
    opened.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_store_of_a_higher_level_is_refused_naming_both() {
    let Store { metadata, log, dir } = store();
    metadata.begin(Level::NEWEST).await.unwrap();
    metadata.shutdown();
    drop(metadata);
    // What a newer binary would have written: at first only in its index, then in the journal, too.
    let both = "level 3; this binary knows levels up to 2";
    let index = dir.path().join("sled");
    let current = IndexDir::new(&index, Vec::new().into()).current();
    let tree = crate::tree::Tree::open(&current[0]).unwrap();
    let stored = tree.change(&keys::applied()).unwrap().flatten().unwrap();
    assert!(decode::<crate::record::Applied>(&stored).is_ok());
    let newer = crate::tree::Value::from([&[3], &stored[1..]].concat().as_slice());
    tree.apply(std::iter::once((keys::applied().as_slice(), Some(&newer)))).unwrap();
    drop(tree);
    let said = refused(dir.path(), &log);
    assert!(said.contains(both), "{said}");

    let entry = LogEntry { command: vec![3, 0, 0], body: Bytes::new() };
    log.append(vec![entry], Urgency::Ordinary).unwrap();
    std::fs::remove_dir_all(&index).unwrap();
    let said = refused(dir.path(), &log);
    assert!(said.contains(both), "{said}");
}
