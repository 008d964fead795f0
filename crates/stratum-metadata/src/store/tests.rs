//! The whole metadata over a journal in memory.

mod buckets;
mod following;
mod given_up;
mod holds;
mod identities;
mod levels;
mod lost;
mod outage;
mod panics;
mod quotas;

use super::*;
use crate::command::{Condition, Deleted, Deletion, Match, Refusal, WriteCondition};
use crate::listing::{ListRequest, Listed, Position};
use crate::log::Usage;
use crate::log::memory::MemoryLog;
use crate::record::{Attributes, Body, BucketRecord, ETag, ObjectHeaders, ObjectRecord, VersionId};
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{BlobRef, Place};

struct Store {
    metadata: Metadata,
    log: MemoryLog,
    dir: tempfile::TempDir,
}

fn open(dir: &std::path::Path, log: &MemoryLog) -> Metadata {
    let options =
        Options { index: dir.join("sled"), drives: Vec::new().into(), copies: 0, sizes: Sizes::default() };
    Metadata::open(&options, Arc::new(log.clone()), Arc::new(Simulated::new(1_000, 1))).unwrap()
}

fn store() -> Store {
    let (dir, log) = (tempfile::tempdir().unwrap(), MemoryLog::default());
    Store { metadata: open(dir.path(), &log), log, dir }
}

fn bucket(id: u64, name: &str) -> Command {
    let record = BucketRecord {
        id: BucketId(id),
        name: name.into(),
        owner: "owner".into(),
        created: 1,
        region: "us-east-1".into(),
        configuration: Default::default(),
    };
    Command::CreateBucket(record.into())
}

fn object(tag: u8) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: 5_000,
        size: 1,
        etag: ETag::Md5([tag; 16]),
        storage_class: Default::default(),
        checksum: None,
        headers: ObjectHeaders::default(),
        body: Body::Blob(BlobRef::plain(Place::ThisEntry { length: 1, crc32c: 0 })),
        committed: 0,
        attributes: Attributes::default(),
    }
}

fn put(key: &str, tag: u8, condition: WriteCondition) -> Command {
    Command::PutObject { bucket: BucketId(1), key: key.into(), record: object(tag), condition }
}

fn list(prefix: &str, delimiter: &str) -> ListRequest {
    ListRequest {
        bucket: BucketId(1),
        prefix: prefix.into(),
        delimiter: Some(delimiter.into()),
        from: Position::Start,
        max: 1_000,
        owners: false,
    }
}

async fn keys_of(metadata: &Metadata) -> Vec<String> {
    let page = metadata.local().list(list("", "")).await.unwrap();
    let key = |listed: Listed<crate::listing::ListedObject>| match listed {
        Listed::Entry(object) => String::from_utf8(object.key).unwrap(),
        Listed::CommonPrefix(common) => panic!("{common:?}"),
    };
    page.entries.into_iter().map(key).collect()
}

#[tokio::test]
async fn what_was_committed_is_read_and_survives_a_restart_and_the_loss_of_the_index() {
    let Store { metadata, log, dir } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    for key in ["b", "a", "c"] {
        let outcome = metadata.commit(put(key, 7, WriteCondition::default()), Bytes::from_static(b"x")).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }
    let expected = metadata.local().object(BucketId(1), b"a").unwrap().unwrap();
    let Body::Blob(blob) = &expected.body else { panic!() };
    assert_eq!(blob.place, Place::Journal { index: 3, length: 1, crc32c: 0 });
    let fingerprint = metadata.inner.machine.applied();
    metadata.shutdown();
    drop(metadata);

    let again = open(dir.path(), &log);
    assert_eq!(again.inner.machine.applied(), fingerprint);
    again.shutdown();
    drop(again);

    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let rebuilt = open(dir.path(), &log);
    assert_eq!(rebuilt.inner.machine.applied(), fingerprint);
    assert_eq!(rebuilt.local().object(BucketId(1), b"a").unwrap(), Some(expected));
    assert_eq!(keys_of(&rebuilt).await, ["a", "b", "c"]);
    assert_eq!(rebuilt.next_bucket_id(), BucketId(2));
}

#[tokio::test]
async fn an_index_that_fell_behind_is_brought_up_by_the_journal() {
    let Store { metadata, log, dir } = store();
    let sled = dir.path().join("sled");
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.commit(put("a", 1, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    metadata.shutdown();
    drop(metadata);
    copy(&sled, &dir.path().join("behind"));

    let metadata = open(dir.path(), &log);
    let only_new = WriteCondition { if_none_match: Some(Match::Any), ..Default::default() };
    for (key, tag) in [("a", 2), ("b", 3), ("b", 4)] {
        metadata.commit(put(key, tag, only_new.clone()), Bytes::from_static(b"x")).await.unwrap();
    }
    let applied = metadata.inner.machine.applied();
    metadata.shutdown();
    drop(metadata);
    std::fs::remove_dir_all(&sled).unwrap();
    std::fs::rename(dir.path().join("behind"), &sled).unwrap();

    let metadata = open(dir.path(), &log);
    assert_eq!(metadata.inner.machine.applied(), applied);
    let etag = |key: &str| metadata.local().object(BucketId(1), key.as_bytes()).unwrap().unwrap().etag;
    assert_eq!((etag("a"), etag("b")), (ETag::Md5([1; 16]), ETag::Md5([3; 16])));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_index_of_another_history_is_thrown_away() {
    let Store { metadata, dir, .. } = store();
    metadata.commit(bucket(1, "theirs"), Bytes::new()).await.unwrap();
    metadata.shutdown();
    drop(metadata);
    let log = MemoryLog::default();
    let other = tempfile::tempdir().unwrap();
    let ours = open(other.path(), &log);
    ours.commit(bucket(1, "ours"), Bytes::new()).await.unwrap();
    ours.shutdown();

    let metadata = open(dir.path(), &log);
    assert_eq!(metadata.local().bucket("theirs").unwrap(), None);
    assert!(metadata.local().bucket("ours").unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_conditions_one_wins() {
    let Store { metadata, .. } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    for round in 0..20 {
        let key = format!("key-{round}");
        let absent = WriteCondition { if_none_match: Some(Match::Any), ..Default::default() };
        let racers: Vec<_> = (0..16)
            .map(|tag| {
                let (metadata, command) = (metadata.clone(), put(&key, tag, absent.clone()));
                tokio::spawn(async move { metadata.commit(command, Bytes::from_static(b"x")).await.unwrap() })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Outcome::Object(_) => won += 1,
                outcome => {
                    assert_eq!(outcome, Outcome::Refused(Refusal::PreconditionFailed(Condition::IfNoneMatch)))
                }
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_full_journal_refuses_writes_but_not_deletes() {
    let Store { metadata, log, .. } = store();
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.commit(put("a", 1, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    log.set_usage(Usage { bytes: 96, cap: 100 });
    let delete = Command::DeleteObject(Deletion::of(BucketId(1), b"a".to_vec(), 0));
    let deleted = metadata.commit(delete, Bytes::new()).await;
    assert_eq!(deleted, Ok(Outcome::Deleted(Deleted::Current)));
    let refused = metadata.commit(put("b", 1, WriteCondition::default()), Bytes::from_static(b"x")).await;
    assert_eq!(refused, Err(NotWritten::Busy.into()));
    log.set_usage(Usage { bytes: 10, cap: 100 });
    // Either the refusal looked at the journal again, or the next one does.
    let _ = metadata.commit(put("b", 1, WriteCondition::default()), Bytes::from_static(b"x")).await;
    let accepted = metadata.commit(put("b", 1, WriteCondition::default()), Bytes::from_static(b"x")).await;
    assert!(matches!(accepted, Ok(Outcome::Object(_))));
}

#[tokio::test]
async fn a_journal_that_fails_is_told_to_the_caller() {
    let Store { metadata, log, .. } = store();
    log.fail_with(Some(NotWritten::NoSpace.into()));
    assert_eq!(metadata.commit(bucket(1, "bucket"), Bytes::new()).await, Err(NotWritten::NoSpace.into()));
    log.fail_with(None);
    assert!(metadata.commit(bucket(1, "bucket"), Bytes::new()).await.is_ok());
    metadata.shutdown();
    assert_eq!(metadata.commit(bucket(2, "other"), Bytes::new()).await, Err(NotWritten::Stopped.into()));
}

/// Others whose commands are in the same group don't notice.
#[tokio::test]
async fn a_command_that_is_too_long_for_the_journal_is_refused_alone() {
    // Its folder has to stay: the tree keeps what is as long as this in files of their own.
    let store = store();
    let metadata = &store.metadata;
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let commit = |length: usize| {
        let mut record = object(1);
        record.headers.user.insert("long".into(), "x".repeat(length));
        let condition = WriteCondition::default();
        let command = Command::PutObject { bucket: BucketId(1), key: b"a".to_vec(), record, condition };
        metadata.commit(command, Bytes::from_static(b"x"))
    };
    let most = stratum_storage::journal::MAX_COMMAND_BYTES;
    let (long, short) = tokio::join!(commit(most), commit(most / 2));
    assert_eq!(long, Err(NotWritten::TooLong.into()));
    assert!(matches!(short, Ok(Outcome::Object(_))), "{short:?}");
}

#[tokio::test]
async fn buckets_are_listed_by_owner_and_name() {
    let Store { metadata, .. } = store();
    for (id, name) in [(1, "bbb"), (2, "aaa"), (3, "ccc")] {
        metadata.commit(bucket(id, name), Bytes::new()).await.unwrap();
    }
    let names = async |prefix: &str, after: &str, max| {
        let buckets = metadata.local().buckets_of("owner", prefix, after, max).await.unwrap();
        buckets.into_iter().map(|bucket| bucket.name).collect::<Vec<_>>()
    };
    assert_eq!(names("", "", 10).await, ["aaa", "bbb", "ccc"]);
    assert_eq!(names("", "aaa", 1).await, ["bbb"]);
    assert_eq!(names("b", "", 10).await, ["bbb"]);
    assert_eq!(names("b", "aaa", 10).await, ["bbb"]);
    assert!(names("b", "bbb", 10).await.is_empty() && names("b", "ccc", 10).await.is_empty());
    assert!(metadata.local().buckets_of("own", "", "", 10).await.unwrap().is_empty());
    let local = metadata.local();
    let counted = async |most| local.count_buckets_of("owner", most).await.unwrap();
    assert_eq!((counted(10).await, counted(2).await), (3, 2));
    let taken = metadata.commit(bucket(9, "aaa"), Bytes::new()).await;
    assert_eq!(taken, Ok(Outcome::Refused(Refusal::BucketExists { owner: "owner".into() })));
}
