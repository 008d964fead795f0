//! A block of the checkpoint is bad on every drive: what is in it isn't served, all else is.

use super::outage::{drives, is_whole};
use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) const KEYS: u16 = 600;
/// Small, so that a block has a few keys, and nothing goes into a run but where that is asked for.
pub(super) const SIZES: Sizes = Sizes { block_bytes: 512, range_bytes: 8 << 10, changes_bytes: 0 };

pub(super) struct World {
    pub(super) metadata: Metadata,
    pub(super) log: MemoryLog,
    clock: Arc<Simulated>,
    pub(super) roster: Roster,
    sizes: Sizes,
    pub(super) dir: tempfile::TempDir,
}

pub(super) fn key(number: u16) -> String {
    format!("key-{number:05}")
}

impl World {
    /// With a checkpoint of so many keys, and without what led to it: nothing of it is in memory or in the journal.
    pub(super) async fn new(sizes: Sizes) -> World {
        let (dir, log, clock) =
            (tempfile::tempdir().unwrap(), MemoryLog::default(), Arc::new(Simulated::new(1_000, 1)));
        let roster = drives(dir.path(), 2);
        let metadata = open_world(dir.path(), &roster, &log, &clock, sizes);
        let world = World { metadata, log, clock, roster, sizes, dir };
        world.metadata.commit(bucket(1, "bucket"), Bytes::new()).await.unwrap();
        for number in 0..KEYS {
            world.put(number, 1).await.unwrap();
        }
        world.checkpoint();
        world
    }

    /// Takes a checkpoint, and lets go of the journal before the one before.
    pub(super) fn checkpoint(&self) {
        self.metadata.try_checkpoint().unwrap();
        self.metadata.inner.upkeep.packed_through(self.log.last(), &self.log);
    }

    /// Leaves the newest checkpoint alone: the one before would have what is lost of it.
    pub(super) fn remove_the_one_before(&self) {
        let indexes = self.metadata.inner.upkeep.files().indexes().into_iter();
        for before in indexes.filter(|index| *index != self.metadata.newest_checkpoint()) {
            for drive in 0..2 {
                let manifest = format!("hot/{drive}/checkpoint/{before:016x}");
                std::fs::remove_file(self.dir.path().join(manifest)).unwrap();
            }
        }
    }

    pub(super) fn restart(self) -> World {
        let World { metadata, log, clock, roster, sizes, dir } = self;
        metadata.shutdown();
        drop(metadata);
        let metadata = open_world(dir.path(), &roster, &log, &clock, sizes);
        World { metadata, log, clock, roster, sizes, dir }
    }

    pub(super) async fn put(&self, number: u16, tag: u8) -> Result<Outcome, CommitError> {
        let command = put(&key(number), tag, WriteCondition::default());
        self.metadata.commit(command, Bytes::from_static(b"x")).await
    }

    /// The range files of the newest checkpoint, as they lie on a drive: their names.
    pub(super) fn ranges(&self) -> Vec<String> {
        let newest = format!("{:016x}.", self.metadata.newest_checkpoint());
        let files = std::fs::read_dir(self.dir.path().join("hot/0/checkpoint")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(&newest)).collect();
        names.sort();
        names
    }

    /// Changes a bit of a file on these drives: back, where it was changed before. No block stays in memory: a start that has
    /// commands to apply again reads blocks, and has none if the tree was saved in time.
    pub(super) fn flip(&self, name: &str, drives: &[u16]) {
        let path = self.dir.path().join(format!("hot/0/checkpoint/{name}"));
        self.flip_at(name, drives, std::fs::metadata(path).unwrap().len() as usize / 3);
    }

    pub(super) fn flip_at(&self, name: &str, drives: &[u16], at: usize) {
        if let Some(checkpoint) = self.metadata.inner.machine.checkpoint() {
            checkpoint.forget_in_memory();
        }
        for drive in drives {
            let path: PathBuf = self.dir.path().join(format!("hot/{drive}/checkpoint/{name}"));
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] ^= 4;
            std::fs::write(&path, bytes).unwrap();
        }
    }

    /// The tags under all keys; nothing of one that is lost.
    fn tags(&self) -> Vec<Option<u8>> {
        let tag = |number| match self.metadata.local().object(BucketId(1), key(number).as_bytes()) {
            Ok(Some(ObjectRecord { etag: ETag::Md5([tag, ..]), .. })) => Some(tag),
            Ok(other) => panic!("key {number} was shown as {other:?}"),
            Err(ReadError::Lost(_)) => None,
            Err(error) => panic!("{error}"),
        };
        (0..KEYS).map(tag).collect()
    }

    pub(super) fn lost(&self) -> BTreeSet<u16> {
        (0..KEYS).zip(self.tags()).filter(|(_, tag)| tag.is_none()).map(|(number, _)| number).collect()
    }
}

fn open_world(
    dir: &std::path::Path,
    roster: &Roster,
    log: &MemoryLog,
    clock: &Arc<Simulated>,
    sizes: Sizes,
) -> Metadata {
    let options = Options { index: dir.join("sled"), drives: roster.clone(), copies: 2, sizes };
    Metadata::open(&options, Arc::new(log.clone()), clock.clone()).unwrap()
}

fn is_refused(outcome: Result<Outcome, CommitError>) -> bool {
    matches!(outcome, Err(CommitError::NotWritten(NotWritten::Lost(_))))
}

#[tokio::test]
async fn all_keys_but_those_in_it_are_read_written_and_listed() {
    let world = World::new(SIZES).await.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    let lost = world.lost();
    assert!((1..40).contains(&lost.len()) && world.metadata.is_available(), "{lost:?}");
    let (first, last) = (*lost.first().unwrap(), *lost.last().unwrap());
    assert_eq!(usize::from(last - first) + 1, lost.len(), "one block");

    // It is told what is lost, and where.
    let told = world.metadata.lost_keys();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].file.clone(), told[0].drives.len()), (format!("checkpoint/{name}"), 2));
    let words = format!("object '{}' in bucket bucket to before object '{}'", key(first), key(last + 1));
    assert!(told[0].keys.starts_with(&words) && told[0].about > 0, "{told:?}");

    // What would need it isn't written, and nothing of it comes into the journal.
    let entries = world.log.last();
    assert!(is_refused(world.put(first, 2).await) && is_refused(world.put(last, 2).await));
    let delete = Command::DeleteObject(Deletion::of(BucketId(1), key(first).into(), 1));
    assert!(is_refused(world.metadata.commit(delete, Bytes::new()).await));
    let absent = WriteCondition { if_none_match: Some(Match::Any), ..Default::default() };
    let command = put(&key(last), 2, absent);
    assert!(is_refused(world.metadata.commit(command, Bytes::from_static(b"x")).await));
    assert_eq!(world.log.last(), entries);

    // A list that crosses it is an error, and goes on behind it.
    let crossing = ListRequest { from: Position::Start, max: usize::from(KEYS), ..list("", "") };
    assert!(matches!(world.metadata.local().list(crossing).await, Err(ReadError::Lost(_))));
    // It looks for one more key, to say whether there is one.
    let before = ListRequest { max: usize::from(first) - 1, ..list("", "") };
    assert_eq!(world.metadata.local().list(before).await.unwrap().entries.len(), usize::from(first) - 1);
    let behind = ListRequest { from: Position::After(key(last + 1).into()), ..list("", "") };
    let behind = world.metadata.local().list(behind).await.unwrap().entries.len();
    assert_eq!(behind, usize::from(KEYS - 2 - last));

    // All else is written, checkpoint after checkpoint, start after start.
    let mut expected: Vec<Option<u8>> = (0..KEYS).map(|key| (!lost.contains(&key)).then_some(1)).collect();
    let mut world = world;
    for tag in 2..6 {
        for number in (0..KEYS).filter(|number| number % 7 == u16::from(tag) % 7) {
            let written = world.put(number, tag).await;
            match &mut expected[usize::from(number)] {
                Some(expected) => {
                    written.unwrap();
                    *expected = tag;
                }
                None => assert!(is_refused(written)),
            }
        }
        let (before, named) = (world.metadata.newest_checkpoint(), world.ranges());
        world.checkpoint();
        assert!(world.metadata.newest_checkpoint() > before && named != world.ranges());
        assert_eq!(world.tags(), expected, "after checkpoint {tag}");
        world.metadata.heal_journal();
        if tag % 2 == 0 {
            world = world.restart();
            assert_eq!(world.tags(), expected, "after the start {tag}");
        }
    }
    assert!(world.metadata.is_available() && world.metadata.index_status().rebuilds == 0);

    // A sound copy comes back: it mends the other, and what is in it was never changed.
    world.flip(&name, &[1]);
    world.metadata.heal_journal();
    assert_eq!(world.metadata.lost_keys(), []);
    world.metadata.heal_journal();
    for number in lost {
        expected[usize::from(number)] = Some(1);
    }
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
    world.put(first, 9).await.unwrap();
    world.checkpoint();
    expected[usize::from(first)] = Some(9);
    let world = world.restart();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
}

#[tokio::test]
async fn what_is_lost_is_built_from_the_checkpoint_before_and_the_journal() {
    let world = World::new(SIZES).await;
    let before = world.metadata.newest_checkpoint();
    for number in 0..KEYS {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    assert!(world.log.first() > 1, "the journal alone isn't all");
    let world = world.restart();
    world.put(0, 3).await.unwrap();
    world.flip(&world.ranges()[0], &[0, 1]);
    assert!(!world.lost().is_empty());
    world.metadata.tend_index();
    assert_eq!(world.metadata.index_status().rebuilds, 1);
    assert_eq!(world.metadata.inner.machine.checkpoint().unwrap().applied().index, before);
    let expected: Vec<Option<u8>> = (0..KEYS).map(|number| Some(if number == 0 { 3 } else { 2 })).collect();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
    assert_eq!(world.metadata.lost_keys(), []);
    // The next one is due, and takes the place of the one in which it was lost.
    world.metadata.take_due_checkpoint();
    assert!(world.metadata.inner.machine.checkpoint().unwrap().applied().index > before);
    let world = world.restart();
    assert_eq!(world.tags(), expected);
    assert_eq!(world.metadata.index_status().rebuilds, 0);
}

/// With the checkpoint that it takes, the one before would go, and what it has.
#[tokio::test]
async fn a_merge_that_finds_what_is_lost_keeps_the_checkpoint_before_that_has_it() {
    let world = World::new(SIZES).await;
    let before = world.metadata.newest_checkpoint();
    for number in 0..KEYS {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    let world = world.restart();
    world.put(0, 3).await.unwrap();
    // In the range of the key that has changed, which is merged anew.
    world.flip(&world.ranges()[0], &[0, 1]);
    assert_eq!(world.metadata.lost_keys(), [], "nobody has met it");
    assert!(matches!(world.metadata.try_checkpoint(), Err(CheckpointError::InTheOneBefore)));
    world.metadata.tend_index();
    assert_eq!(world.metadata.inner.machine.checkpoint().unwrap().applied().index, before);
    let expected: Vec<Option<u8>> = (0..KEYS).map(|number| Some(if number == 0 { 3 } else { 2 })).collect();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
    world.checkpoint();
    assert_eq!((world.tags(), world.metadata.lost_keys()), (expected, vec![]));
}

#[tokio::test]
async fn a_check_that_finds_what_is_lost_keeps_the_checkpoint_before_that_has_it() {
    let world = World::new(SIZES).await;
    for number in 0..KEYS {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    let world = world.restart();
    world.put(0, 3).await.unwrap();
    world.flip(&world.ranges()[0], &[0, 1]);
    assert!(world.metadata.check_checkpoints().iter().any(|finding| !finding.repaired));
    world.metadata.tend_index();
    let expected: Vec<Option<u8>> = (0..KEYS).map(|number| Some(if number == 0 { 3 } else { 2 })).collect();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
}

#[tokio::test]
async fn a_start_that_must_replay_what_is_lost_goes_back_to_the_checkpoint_before() {
    let world = World::new(SIZES).await;
    for number in 0..KEYS {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    for number in 0..KEYS {
        world.put(number, 3).await.unwrap();
    }
    world.flip(&world.ranges()[0], &[0, 1]);
    world.metadata.shutdown();
    std::fs::remove_dir_all(world.dir.path().join("sled")).unwrap();
    let world = world.restart();
    assert!(world.tags().iter().all(|tag| *tag == Some(3)));
    is_whole(&world.metadata);
}

#[tokio::test]
async fn what_is_lost_of_a_run_sinks_and_all_else_goes_on() {
    let sizes = Sizes { changes_bytes: 256 << 10, ..SIZES };
    let world = World::new(sizes).await;
    let changed = |number: u16| number.is_multiple_of(2);
    for number in (0..KEYS).filter(|number| changed(*number)) {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    world.remove_the_one_before();
    let names = std::fs::read_dir(world.dir.path().join("hot/0/checkpoint")).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut runs: Vec<String> = names.filter(|name| name.contains(".8")).collect();
    runs.sort();
    let run = runs.last().unwrap().clone();
    let mut world = world.restart();
    world.flip(&run, &[0, 1]);
    let lost = world.lost();
    assert!(!lost.is_empty() && lost.len() < 60, "{lost:?}");
    let mut expected: Vec<Option<u8>> = (0..KEYS)
        .map(|number| match number {
            _ if lost.contains(&number) => None,
            _ if changed(number) => Some(2),
            _ => Some(1),
        })
        .collect();
    assert_eq!(world.tags(), expected);
    for tag in 3..9 {
        for number in (0..KEYS).filter(|number| number % 5 == u16::from(tag) % 5) {
            let written = world.put(number, tag).await;
            match &mut expected[usize::from(number)] {
                Some(expected) => {
                    written.unwrap();
                    *expected = tag;
                }
                None => assert!(is_refused(written)),
            }
        }
        world.checkpoint();
        assert_eq!(world.tags(), expected, "{tag}");
        if tag % 2 == 0 {
            world = world.restart();
            assert_eq!(world.tags(), expected, "{tag}");
        }
    }
    world.flip(&run, &[0]);
    world.metadata.heal_journal();
    let tags = world.tags();
    assert!(lost.iter().all(|number| tags[usize::from(*number)].is_some_and(|tag| tag < 3)), "as they were");
    is_whole(&world.metadata);
    world.put(0, 9).await.unwrap();
    world.checkpoint();
    is_whole(&world.metadata);
    let world = world.restart();
    assert!(world.tags().iter().all(Option::is_some));
    is_whole(&world.metadata);
}

#[tokio::test]
async fn an_entry_that_needs_what_is_found_lost_halts_what_is_written_until_it_is_there_again() {
    let world = World::new(SIZES).await.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    let lost = *world.lost().first().unwrap();
    let inner = &world.metadata.inner;
    // As if nobody had known of it.
    let (apply, outcome) =
        inner.committer.commit_only(inner.log.clone(), put(&key(lost), 7, WriteCondition::default()));
    apply();
    assert!(matches!(outcome.await, Ok(Err(CommitError::Unknown(_)))));
    assert!(world.metadata.is_halted() && world.metadata.is_available());
    assert!(is_refused(world.put(0, 2).await), "nothing is written");
    assert_eq!(world.tags()[0], Some(1), "all else is read");
    world.metadata.tend_index();
    assert!(world.metadata.is_halted());
    world.flip(&name, &[0]);
    world.metadata.heal_journal();
    world.metadata.tend_index();
    assert!(!world.metadata.is_halted() && world.metadata.is_available());
    assert_eq!(world.tags()[usize::from(lost)], Some(7), "what waited is applied");
    world.put(0, 2).await.unwrap();
    is_whole(&world.metadata);
}

#[tokio::test]
async fn of_commands_that_come_together_those_that_meet_it_are_refused_alone() {
    let world = World::new(SIZES).await.restart();
    world.flip(&world.ranges()[0], &[0, 1]);
    let lost = world.lost();
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..KEYS {
        let command = put(&key(number), 2, WriteCondition::default());
        let metadata = world.metadata.clone();
        puts.spawn(async move { (number, metadata.commit(command, Bytes::from_static(b"x")).await) });
    }
    for (number, outcome) in puts.join_all().await {
        assert_eq!(is_refused(outcome), lost.contains(&number), "{number}");
    }
    assert_eq!(world.lost(), lost);
    // A bucket with something in it that isn't known isn't empty, nor is it known that it isn't.
    let delete = Command::DeleteBucket { bucket: BucketId(1) };
    assert_eq!(
        world.metadata.commit(delete, Bytes::new()).await,
        Ok(Outcome::Refused(Refusal::BucketNotEmpty))
    );
}

/// What a backup knows that was taken now.
struct BackedUp {
    state: crate::salvage::Salvaged,
    _dir: tempfile::TempDir,
}

impl World {
    fn back_up(&self) -> BackedUp {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("copy/checkpoint")).unwrap();
        let export = self.metadata.export_checkpoint().unwrap().unwrap();
        let name = export.name().to_owned();
        let bytes = export.collect::<std::io::Result<Vec<Vec<u8>>>>().unwrap().concat();
        std::fs::write(dir.path().join("copy/checkpoint").join(name), bytes).unwrap();
        let state = self.read_as_backup(dir.path());
        BackedUp { state, _dir: dir }
    }

    fn read_as_backup(&self, dir: &std::path::Path) -> crate::salvage::Salvaged {
        let io = stratum_storage::drive::real::RealDrive::open(&dir.join("copy")).unwrap();
        let id = stratum_storage::drive::DriveId(99);
        let drive = stratum_storage::drive::Drive::new(
            id,
            stratum_storage::blob::Tier::Hot,
            9,
            Arc::new(io),
            stratum_storage::drive::Threads::Caller,
            self.clock.clone(),
        );
        let drives = vec![Arc::new(drive)];
        let history = stratum_storage::journal::History::read(&drives).unwrap();
        let sources = crate::salvage::Sources { index: dir.join("index"), drives, former: None };
        crate::salvage::Salvaged::build(&sources, &history, self.clock.clone()).unwrap()
    }

    fn files(&self) -> Vec<Vec<u8>> {
        let folder = |drive| self.dir.path().join(format!("hot/{drive}/checkpoint"));
        let names = (0..2).flat_map(|drive| std::fs::read_dir(folder(drive)).unwrap());
        let mut paths: Vec<PathBuf> = names.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }
}

#[tokio::test]
async fn what_a_backup_has_of_it_is_put_back_and_what_changed_since_lies_over_it() {
    let world = World::new(SIZES).await;
    let backup = world.back_up();
    let world = world.restart();
    let name = world.ranges()[0].clone();
    // Of every block some keys change before it is lost, which no checkpoint has yet.
    for number in (0..KEYS).step_by(3) {
        world.put(number, 2).await.unwrap();
    }
    let sound = world.files();
    world.metadata.shutdown();
    world.flip(&name, &[0, 1]);
    let made = crate::salvage::make_lost_anew(&world.roster.healthy(), &backup.state).unwrap();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!((made[0].blocks, made[0].why_not.clone()), (1, None));
    assert!(world.files() == sound, "bit for bit");
    let world = world.restart();
    let expected: Vec<Option<u8>> = (0..KEYS).map(|key| Some(1 + u8::from(key % 3 == 0))).collect();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
    assert!(crate::salvage::make_lost_anew(&world.roster.healthy(), &backup.state).unwrap().is_empty());
}

#[tokio::test]
async fn of_what_changed_before_it_was_written_nothing_is_put_back() {
    let world = World::new(SIZES).await;
    let backup = world.back_up();
    for number in (0..KEYS).step_by(3) {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    let world = world.restart();
    let name = world.ranges()[0].clone();
    world.flip(&name, &[0, 1]);
    let lost = world.lost();
    assert!(!lost.is_empty());
    world.metadata.shutdown();
    let before = world.files();
    let made = crate::salvage::make_lost_anew(&world.roster.healthy(), &backup.state).unwrap();
    assert!(made.iter().all(|made| made.blocks == 0), "{made:?}");
    assert!(made[0].why_not.as_ref().is_some_and(|why| why.contains("changed in between")), "{made:?}");
    assert!(world.files() == before, "nothing was written");
    assert_eq!(world.restart().lost(), lost);
}

#[tokio::test]
async fn a_checkpoint_that_names_a_file_which_is_nowhere_is_replaced_by_the_next() {
    // No checkpoint is due for what changed, nor for the length of the journal.
    let world = World::new(Sizes { changes_bytes: 1 << 20, ..SIZES }).await;
    for number in 0..KEYS {
        world.put(number, 2).await.unwrap();
    }
    world.checkpoint();
    let broken = world.metadata.newest_checkpoint();
    let gone = world.ranges()[0].clone();
    for drive in 0..2 {
        std::fs::remove_file(world.dir.path().join(format!("hot/{drive}/checkpoint/{gone}"))).unwrap();
    }
    let world = world.restart();
    world.log.set_usage(Usage { bytes: 0, cap: 1 << 40 });
    let expected: Vec<Option<u8>> = (0..KEYS).map(|_| Some(2)).collect();
    assert_eq!(world.tags(), expected, "the older one and the journal have everything");
    let lies_on =
        |world: &World| world.metadata.inner.machine.checkpoint().map_or(0, |one| one.applied().index);
    assert!(lies_on(&world) < broken);

    // What is whole is healed meanwhile, and nobody waits for what can't be.
    let inner = &world.metadata.inner;
    inner.upkeep.heal(&inner.machine, inner.log.as_ref()).unwrap();
    // It waits for a command of its own, which a thread of the runtime mustn't.
    std::thread::scope(|scope| scope.spawn(|| world.metadata.take_due_checkpoint()).join()).unwrap();
    assert!(lies_on(&world) > broken && world.metadata.newest_checkpoint() > broken);
    assert!(!inner.upkeep.files().indexes().contains(&broken), "{:?}", inner.upkeep.files().indexes());
    assert!(!inner.upkeep.is_due(&inner.machine, inner.log.as_ref()));
    let world = world.restart();
    assert_eq!(world.tags(), expected);
    is_whole(&world.metadata);
}
