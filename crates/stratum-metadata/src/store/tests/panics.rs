//! A thread of the committer panics: everybody is answered, nothing is served meanwhile, and the index is rebuilt.

use super::outage::is_whole;
use super::*;
use crate::committer::Step;
use std::collections::BTreeMap;
use std::time::Duration;

/// Far longer than anything here takes, and far from endless.
const PATIENCE: Duration = Duration::from_secs(120);
const WRITERS: u64 = 8;
/// Puts of each writer, at most; the panic comes long before.
const MOST_PUTS: u64 = 50_000;

/// What the writers were told, by key.
type Told = BTreeMap<String, Result<Outcome, CommitError>>;

/// Puts objects until the planned panic has come and a put is told that nothing is served.
async fn write(metadata: Metadata, writer: u64) -> Told {
    let mut told = Told::new();
    for number in 0..MOST_PUTS {
        let key = format!("key-{writer}-{number}");
        let fate = metadata.commit(put(&key, 7, WriteCondition::default()), Bytes::from_static(b"x"));
        let fate = tokio::time::timeout(PATIENCE, fate).await.expect("nobody waits for ever");
        let is_refused = fate.is_err();
        told.insert(key, fate);
        if is_refused && !metadata.inner.committer.is_panic_planned() {
            break;
        }
    }
    told
}

/// Checks that what the writers were told is true: acknowledged objects are there, those that were not written
/// aren't.
fn check(metadata: &Metadata, told: &Told) {
    for (key, fate) in told {
        let is_there = metadata.local().object(BucketId(1), key.as_bytes()).unwrap().is_some();
        match fate {
            Ok(_) => assert!(is_there, "{key} was acknowledged"),
            Err(CommitError::NotWritten(_)) => assert!(!is_there, "{key} was not written"),
            Err(CommitError::Unknown(_)) => {}
        }
    }
    is_whole(metadata);
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap_or_else(|_| panic!("{what}"));
}

/// What the proposers of the group must be told: that it certainly wasn't written, or that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    NotWritten,
    Unknown,
}

async fn panics(thread: Option<&'static str>, step: Step, expected: Expected) {
    let Store { metadata, log, dir } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.inner.committer.plan_panic(thread, step);
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(metadata.clone(), writer))).collect();
    let mut told = Told::new();
    for writer in writers {
        told.extend(writer.await.unwrap());
    }
    until("the index has failed", || !metadata.is_available()).await;
    let IndexState::Rebuilding { why, .. } = metadata.index_status().state else { panic!() };
    assert!(why.contains("panicked: at") && why.contains("by plan"), "{why}");
    let of_it = told
        .values()
        .filter_map(|fate| fate.as_ref().err().filter(|error| error.to_string().contains("failed at it")));
    let mut known: Vec<Expected> = of_it
        .map(|error| match error {
            CommitError::NotWritten(_) => Expected::NotWritten,
            CommitError::Unknown(_) => Expected::Unknown,
        })
        .collect();
    known.dedup();
    assert_eq!(known, [expected]);
    // A new command is told so at once, and nothing is served from a state that nobody knows.
    let refused = metadata.commit(put("late", 1, WriteCondition::default()), Bytes::new()).await;
    assert!(matches!(refused, Err(CommitError::NotWritten(NotWritten::Unavailable(_)))), "{refused:?}");
    assert!(metadata.local().object(BucketId(1), b"late").is_err());

    metadata.tend_index();
    assert_eq!(metadata.index_status().state, IndexState::Available);
    assert_eq!(metadata.applied_index(), log.last(), "everything durable is applied");
    check(&metadata, &told);
    for number in 0..50 {
        let put = put(&format!("afterwards-{number}"), 9, WriteCondition::default());
        let fate = tokio::time::timeout(PATIENCE, metadata.commit(put, Bytes::from_static(b"x"))).await;
        assert!(matches!(fate, Ok(Ok(Outcome::Object(_)))), "{fate:?}");
    }
    metadata.shutdown();
    drop(metadata);
    check(&open(dir.path(), &log), &told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_committer_panics_everybody_is_answered_and_it_comes_back() {
    panics(None, Step::Takes, Expected::NotWritten).await;
    panics(None, Step::Journaled, Expected::Unknown).await;
    panics(Some("committer"), Step::Applies, Expected::Unknown).await;
    panics(Some("committer"), Step::Applied, Expected::Unknown).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_applier_panics_everybody_is_answered_and_it_comes_back() {
    panics(Some("applier"), Step::Applies, Expected::Unknown).await;
    panics(Some("applier"), Step::Applied, Expected::Unknown).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_drain_panics_everybody_is_answered_and_it_comes_back() {
    let Store { metadata, log, .. } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.inner.committer.plan_panic(Some("drain"), Step::Drains);
    let told = write(metadata.clone(), 0).await;
    until("the index has failed", || !metadata.is_available()).await;
    metadata.tend_index();
    assert_eq!(metadata.applied_index(), log.last());
    check(&metadata, &told);
    metadata.inner.committer.plan_panic(Some("drain"), Step::Drains);
    metadata.commit(put("later", 1, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    until("it drains again", || !metadata.inner.committer.is_panic_planned()).await;
}

#[tokio::test]
async fn a_rebuild_that_panics_says_so_and_is_tried_again() {
    let (dir, log, clock) =
        (tempfile::tempdir().unwrap(), MemoryLog::default(), Arc::new(Simulated::new(1_000, 1)));
    let options = Options {
        index: dir.path().join("sled"),
        drives: Vec::new().into(),
        copies: 0,
        sizes: Default::default(),
    };
    let metadata = Metadata::open(&options, Arc::new(log.clone()), clock.clone()).unwrap();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.commit(put("a", 1, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    metadata.inner.machine.fail("by plan");
    log.panic_at_replay(true);
    metadata.tend_index();
    let IndexState::Failed { problem, .. } = metadata.index_status().state else { panic!() };
    assert!(problem.contains("at replay, by plan") && problem.contains("restart the server"), "{problem}");
    log.panic_at_replay(false);
    clock.advance(Duration::from_secs(1));
    metadata.tend_index();
    assert_eq!(metadata.index_status().state, IndexState::Available);
    assert!(metadata.local().object(BucketId(1), b"a").unwrap().is_some());
}
