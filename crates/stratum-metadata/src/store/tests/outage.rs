//! The index fails while the store serves, and is rebuilt without a restart.

use super::*;
use crate::fingerprint::fingerprint;
use crate::tree::faults::{self, Fault};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{Drive, DriveId};

const WRITERS: u64 = 4;
const PUTS: u64 = 120;
/// After this time the index is looked at again.
const HOMECOMING: Duration = Duration::from_secs(61);

/// Drives in that folder, for checkpoints and as places for the index.
pub(super) fn drives(dir: &Path, count: u16) -> Roster {
    let drive = |position: u16| {
        let io = RealDrive::create(&dir.join(format!("hot/{position}"))).unwrap();
        let (id, clock) = (DriveId(u128::from(position)), Arc::new(Simulated::new(0, 0)));
        Arc::new(Drive::new(id, Tier::Hot, position, Arc::new(io), Threads::Caller, clock))
    };
    Roster::new((0..count).map(drive).collect())
}

struct World {
    metadata: Metadata,
    log: MemoryLog,
    clock: Arc<Simulated>,
    roster: Roster,
    dir: tempfile::TempDir,
}

impl World {
    fn new(count: u16) -> World {
        let (dir, log, clock) =
            (tempfile::tempdir().unwrap(), MemoryLog::default(), Arc::new(Simulated::new(1_000, 1)));
        let roster = drives(dir.path(), count);
        let metadata = open_world(dir.path(), &roster, &log, &clock);
        World { metadata, log, clock, roster, dir }
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("sled")
    }

    fn restart(self) -> World {
        let World { metadata, log, clock, roster, dir } = self;
        metadata.shutdown();
        drop(metadata);
        let metadata = open_world(dir.path(), &roster, &log, &clock);
        World { metadata, log, clock, roster, dir }
    }

    async fn put(&self, key: &str, tag: u8) {
        let outcome =
            self.metadata.commit(put(key, tag, WriteCondition::default()), Bytes::from_static(b"x")).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }
}

fn open_world(dir: &Path, roster: &Roster, log: &MemoryLog, clock: &Arc<Simulated>) -> Metadata {
    let copies = roster.now().len().min(2);
    // Small, and so is the ballast.
    let sizes = Sizes { changes_bytes: 1 << 20, ..Sizes::default() };
    let options = Options { index: dir.join("sled"), drives: roster.clone(), copies, sizes };
    Metadata::open(&options, Arc::new(log.clone()), clock.clone()).unwrap()
}

fn tag_of(metadata: &Metadata, key: &str) -> Option<ETag> {
    Some(metadata.local().object(BucketId(1), key.as_bytes()).unwrap()?.etag)
}

/// Checks that the content is what was applied.
pub(super) fn is_whole(metadata: &Metadata) {
    let machine = &metadata.inner.machine;
    let mut sum = 0u128;
    machine
        .scan(&keys::highest_ids(), &[0xff], |key, value| {
            sum = sum.wrapping_add(fingerprint(key, value));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(sum, machine.applied().fingerprint);
}

/// What the writers were told: what was acknowledged, and what may have been written.
type Told = (BTreeMap<String, u8>, BTreeMap<String, u8>);

async fn write(metadata: Metadata, writer: u64) -> Told {
    let (mut acknowledged, mut unknown) = Told::default();
    for number in 0..PUTS {
        let (key, tag) = (format!("key-{writer}-{number}"), number as u8);
        let absent = WriteCondition { if_none_match: Some(Match::Any), ..Default::default() };
        match metadata.commit(put(&key, tag, absent), Bytes::from_static(b"x")).await {
            Ok(Outcome::Object(_)) => drop(acknowledged.insert(key, tag)),
            Ok(outcome) => panic!("{outcome:?}"),
            Err(error) => {
                match error {
                    CommitError::Unknown(_) => drop(unknown.insert(key, tag)),
                    CommitError::NotWritten(NotWritten::Unavailable(_)) => {}
                    error => panic!("{error}"),
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        // What was acknowledged is found, or the read says that it can't tell.
        if let Some((key, tag)) = acknowledged.last_key_value()
            && let Ok(found) = metadata.local().object(BucketId(1), key.as_bytes())
        {
            assert_eq!(found.map(|record| record.etag), Some(ETag::Md5([*tag; 16])));
        }
    }
    (acknowledged, unknown)
}

async fn fails_under_load(after: u32, fault: Fault) {
    let world = World::new(0);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    // The look at the index's size must not be the call that fails.
    world.metadata.tend_index();
    faults::plan(&world.home(), after, 1, fault);
    let stop = Arc::new(AtomicBool::new(false));
    let tender = std::thread::spawn({
        let (metadata, stop, clock) = (world.metadata.clone(), stop.clone(), world.clock.clone());
        move || {
            while !stop.load(Ordering::Acquire) {
                metadata.tend_index();
                clock.advance(Duration::from_millis(1));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(world.metadata.clone(), writer))).collect();
    let mut told = Told::default();
    for writer in writers {
        let (acknowledged, unknown) = writer.await.unwrap();
        told.0.extend(acknowledged);
        told.1.extend(unknown);
    }
    let mut looks = 0;
    while !world.metadata.is_available() || world.metadata.index_status().rebuilds == 0 {
        // Until a call meets the planned fault.
        let _ = tag_of_any(&world.metadata);
        assert!(looks < 4_000, "{:?}", world.metadata.index_status());
        looks += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Release);
    tender.join().unwrap();
    faults::forget(&world.home());

    assert_eq!(world.metadata.applied_index(), world.log.last(), "everything durable is applied");
    let world = {
        check(&world.metadata, &told);
        world.put("afterwards", 9).await;
        world.restart()
    };
    check(&world.metadata, &told);
    assert_eq!(tag_of(&world.metadata, "afterwards"), Some(ETag::Md5([9; 16])));
}

fn tag_of_any(metadata: &Metadata) -> Result<Option<ObjectRecord>, ReadError> {
    metadata.local().object(BucketId(1), b"key-0-0")
}

fn check(metadata: &Metadata, told: &Told) {
    for (key, tag) in &told.0 {
        assert_eq!(tag_of(metadata, key), Some(ETag::Md5([*tag; 16])), "{key}");
    }
    for (key, tag) in &told.1 {
        assert!(tag_of(metadata, key).is_none_or(|found| found == ETag::Md5([*tag; 16])), "{key}");
    }
    is_whole(metadata);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_index_that_fails_under_load_comes_back_with_everything() {
    for (round, after) in [0, 1, 7, 40, 133].into_iter().enumerate() {
        let fault = if round % 2 == 0 { Fault::Error } else { Fault::Panic };
        fails_under_load(after, fault).await;
    }
}

#[tokio::test]
async fn while_the_index_is_away_nothing_is_served_and_a_rebuild_is_tried_again() {
    let world = World::new(0);
    let metadata = &world.metadata;
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    world.put("a", 1).await;
    faults::plan(&world.home(), 0, u32::MAX, Fault::Panic);
    assert!(metadata.local().bucket("nobody's").is_err(), "the first to ask runs into it");
    let refused = metadata.commit(put("b", 2, WriteCondition::default()), Bytes::new()).await;
    assert!(matches!(refused, Err(CommitError::NotWritten(NotWritten::Unavailable(_)))));
    assert!(metadata.local().list(list("", "")).await.is_err() && !metadata.is_available());
    assert!(matches!(metadata.index_status().state, IndexState::Rebuilding { .. }));

    metadata.tend_index();
    let IndexState::Failed { why, problem, .. } = metadata.index_status().state else { panic!() };
    assert!(why.contains("by plan") && problem.contains("by plan"));
    faults::forget(&world.home());
    metadata.tend_index();
    assert!(!metadata.is_available(), "not at once");
    world.clock.advance(Duration::from_secs(1));
    metadata.tend_index();
    assert_eq!(metadata.index_status().state, IndexState::Available);
    assert_eq!(metadata.index_status().last_pause_seconds, Some(1.0));
    assert_eq!((tag_of(metadata, "a"), tag_of(metadata, "b")), (Some(ETag::Md5([1; 16])), None));
}

#[tokio::test]
async fn what_was_journaled_when_the_index_failed_is_applied_by_the_rebuild() {
    let world = World::new(0);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let inner = &world.metadata.inner;
    let (apply, outcome) =
        inner.committer.commit_only(inner.log.clone(), put("a", 1, WriteCondition::default()));
    inner.machine.fail("by plan");
    apply();
    assert!(matches!(outcome.await, Ok(Err(CommitError::Unknown(_)))), "it is durable, and not known to be");
    world.metadata.tend_index();
    assert_eq!(tag_of(&world.metadata, "a"), Some(ETag::Md5([1; 16])));
    assert_eq!(world.metadata.applied_index(), world.log.last());
    is_whole(&world.metadata);
}

#[tokio::test]
async fn the_rebuild_knows_of_a_raise_and_of_buckets_that_were_journaled_when_the_index_failed() {
    let world = World::new(0);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    assert!(world.metadata.local().bucket("bucket").unwrap().is_some());
    let inner = &world.metadata.inner;
    let (apply_raise, _raised) =
        inner.committer.commit_only(inner.log.clone(), Command::SetLevel(Level::SECOND));
    let delete = Command::DeleteBucket { bucket: BucketId(1) };
    let (apply_delete, _deleted) = inner.committer.commit_only(inner.log.clone(), delete);
    inner.machine.fail("by plan");
    apply_raise();
    apply_delete();
    world.metadata.tend_index();
    assert_eq!(world.metadata.level(), Level::SECOND);
    assert_eq!(world.metadata.local().bucket("bucket").unwrap(), None);
    // What is proposed from now on is proposed to a state of the new level.
    world.metadata.commit(bucket(1, "next"), Bytes::new()).await.unwrap();
    assert_eq!(world.metadata.local().bucket("next").unwrap().unwrap().id, BucketId(2));
    is_whole(&world.metadata);
}

#[tokio::test]
async fn what_the_rebuild_has_applied_is_not_applied_again() {
    let world = World::new(0);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    let inner = &world.metadata.inner;
    let (apply, outcome) =
        inner.committer.commit_only(inner.log.clone(), put("a", 1, WriteCondition::default()));
    inner.machine.fail("by plan");
    world.metadata.tend_index();
    assert_eq!(tag_of(&world.metadata, "a"), Some(ETag::Md5([1; 16])));
    world.put("a", 2).await;
    apply();
    assert!(matches!(outcome.await, Ok(Err(CommitError::Unknown(_)))), "who waits is answered all the same");
    assert_eq!(tag_of(&world.metadata, "a"), Some(ETag::Md5([2; 16])), "the later write stands");
    assert_eq!(world.metadata.applied_index(), world.log.last());
    is_whole(&world.metadata);
}

#[tokio::test]
async fn an_index_whose_home_fails_moves_to_a_drive_and_back() {
    let world = World::new(2);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    world.put("a", 1).await;
    faults::plan(&world.home(), 0, u32::MAX, Fault::Error);
    assert!(world.metadata.local().bucket("nobody's").is_err());
    world.metadata.tend_index();
    let away = world.dir.path().join("hot/0/index");
    let status = world.metadata.index_status();
    assert!(
        status.state == IndexState::Available && Path::new(&status.place).starts_with(&away),
        "{status:?}"
    );
    world.put("b", 2).await;

    let world = world.restart();
    assert!(Path::new(&world.metadata.index_status().place).starts_with(&away), "a restart finds it");
    assert!(!world.home().exists(), "and nothing else");
    let tags = |metadata: &Metadata| (tag_of(metadata, "a"), tag_of(metadata, "b"));
    let expected = (Some(ETag::Md5([1; 16])), Some(ETag::Md5([2; 16])));
    assert_eq!(tags(&world.metadata), expected);
    faults::forget(&world.home());
    world.clock.advance(Duration::from_secs(61));
    world.metadata.tend_index();
    let place = world.metadata.index_status().place;
    assert!(Path::new(&place).starts_with(world.home()) && !away.exists(), "{place}");
    assert_eq!(tags(&world.metadata), expected);
    assert_eq!(tags(&world.restart().metadata), expected);
}

#[tokio::test]
async fn an_index_that_lost_a_key_is_rebuilt_from_the_checkpoint_before() {
    let world = World::new(2);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    world.put("a", 1).await;
    world.metadata.take_checkpoint();
    let checkpoint = world.metadata.newest_checkpoint();
    assert!(checkpoint > 0);
    world.put("b", 2).await;
    world.metadata.inner.machine.drain().unwrap();
    world.metadata.inner.machine.lose(&keys::object(BucketId(1), b"b"));
    assert_eq!(tag_of(&world.metadata, "b"), None, "nobody has noticed");
    world.metadata.take_checkpoint();
    assert!(!world.metadata.is_available() && world.metadata.newest_checkpoint() == checkpoint);
    // A restart must not go on with it either.
    world.metadata.tend_index();
    assert_eq!(tag_of(&world.metadata, "a"), Some(ETag::Md5([1; 16])));
    assert_eq!(tag_of(&world.metadata, "b"), Some(ETag::Md5([2; 16])));
    is_whole(&world.metadata);
    world.metadata.take_checkpoint();
    assert!(world.metadata.newest_checkpoint() > checkpoint);
}

#[tokio::test]
async fn files_that_are_taken_away_are_noticed_and_written_anew_without_a_pause() {
    let world = World::new(2);
    world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    world.put("a", 1).await;
    // Sled may make a file there in the middle of that.
    while std::fs::remove_dir_all(world.home()).is_err_and(|error| error.kind() != ErrorKind::NotFound) {}
    world.put("b", 2).await;
    world.metadata.tend_index();
    let status = world.metadata.index_status();
    assert_eq!((status.state, status.rebuilds), (IndexState::Available, 0));
    world.put("c", 3).await;
    assert!(std::fs::metadata(Path::new(&status.place).join("db")).is_ok());
    let applied = world.metadata.inner.machine.applied();
    let world = world.restart();
    assert_eq!(world.metadata.index_status().place, status.place, "the start goes on from it");
    assert_eq!(world.metadata.newest_checkpoint(), 3, "what was in the files that are gone");
    assert_eq!(world.metadata.inner.machine.applied(), applied);
    for (key, tag) in [("a", 1), ("b", 2), ("c", 3)] {
        assert_eq!(tag_of(&world.metadata, key), Some(ETag::Md5([tag; 16])));
    }
}

#[tokio::test]
async fn a_home_without_a_byte_left_is_served_from_the_room_that_was_kept_for_it() {
    let World { metadata, log, clock, roster, dir } = World::new(0);
    let ballast = dir.path().join("sled.ballast");
    metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
    metadata.commit(put("a", 1, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    metadata.tend_index();
    assert_eq!((metadata.index_status().ballast, ballast.exists()), (Ballast::Kept, true));

    faults::fill(&dir.path().join("sled"), &ballast);
    assert!(metadata.local().bucket("nobody's").is_err(), "the first to ask runs into it");
    metadata.tend_index();
    let status = metadata.index_status();
    assert_eq!((status.state, status.rebuilds, status.ballast), (IndexState::Available, 1, Ballast::GivenUp));
    assert_eq!((tag_of(&metadata, "a"), ballast.exists()), (Some(ETag::Md5([1; 16])), false));
    metadata.commit(put("b", 2, WriteCondition::default()), Bytes::from_static(b"x")).await.unwrap();
    let look_again = |metadata: &Metadata| {
        clock.advance(HOMECOMING);
        metadata.tend_index();
        metadata.index_status().ballast
    };
    assert_eq!(look_again(&metadata), Ballast::GivenUp, "there is still no room");
    faults::forget(&dir.path().join("sled"));
    assert_eq!((look_again(&metadata), ballast.exists()), (Ballast::Kept, true));

    // So does a start.
    metadata.shutdown();
    drop(metadata);
    faults::fill(&dir.path().join("sled"), &ballast);
    let metadata = open_world(dir.path(), &roster, &log, &clock);
    assert_eq!(metadata.index_status().ballast, Ballast::GivenUp);
    assert_eq!((tag_of(&metadata, "b"), ballast.exists()), (Some(ETag::Md5([2; 16])), false));
    is_whole(&metadata);
    faults::forget(&dir.path().join("sled"));
}

/// The folder of the home is still there when its disk is unmounted, and lies on the disk beneath then.
#[tokio::test]
async fn a_home_whose_disk_is_gone_gets_no_ballast() {
    let (dir, log, clock) =
        (tempfile::tempdir().unwrap(), MemoryLog::default(), Arc::new(Simulated::new(1_000, 1)));
    let roster = drives(dir.path(), 1);
    let home = dir.path().join("meta/sled");
    let ballast = dir.path().join("meta/sled.ballast");
    let sizes = Sizes { changes_bytes: 1 << 20, ..Sizes::default() };
    let options = Options { index: home, drives: roster.clone(), copies: 1, sizes };
    let metadata = Metadata::open(&options, Arc::new(log.clone()), clock.clone()).unwrap();
    metadata.tend_index();
    assert_eq!((metadata.index_status().ballast, ballast.exists()), (Ballast::Kept, true));
    std::fs::remove_file(&ballast).unwrap();
    roster.now()[0].fail("unmounted");
    clock.advance(HOMECOMING);
    metadata.tend_index();
    assert!(!ballast.exists());
}
