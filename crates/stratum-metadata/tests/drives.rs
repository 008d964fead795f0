//! The metadata over real drives, the real journal and real volumes: packing, checkpoints, restarts, lost drives.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::command::{Command, Outcome, WriteCondition};
use stratum_metadata::listing::{ListRequest, Position};
use stratum_metadata::record::{
    Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, StorageClass, VersionId,
};
use stratum_metadata::{Metadata, Options, run_packer};
use stratum_storage::ambient::System;
use stratum_storage::blob::{BlobRef, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal::{self, Journal, JournalSet};
use stratum_storage::set::{Root, Set, SetConfig, SetError, TierConfig};
use stratum_storage::volume::{Restore, TierDrives, Volumes};
use tokio::sync::watch;

const BUCKET: BucketId = BucketId(1);
const SEGMENT: u64 = 4 << 20;
/// Packing starts at a quarter of it, checkpoints at another: a few segments.
const CAP: u64 = 8 * SEGMENT;

struct Store {
    metadata: Metadata,
    journal: Arc<Journal>,
    volumes: Volumes,
    dir: PathBuf,
}

impl Store {
    async fn open(dir: &Path) -> Store {
        let geometry = Geometry { k: 4, m: 2 };
        let drives = (0..6).map(|number| Root::Path(dir.join(format!("hot/{number}")))).collect();
        let config = SetConfig {
            tiers: vec![TierConfig { tier: Tier::Hot, geometry, drives }],
            threads: Threads::Own,
        };
        let set = open_set(&config).await;
        let drives = set.roster(Tier::Hot).unwrap();
        let options = journal::Options { segment_bytes: SEGMENT, cap: CAP, ..Default::default() };
        let on = JournalSet { drives: drives.now().to_vec(), m: 2 };
        let journal = Arc::new(Journal::open(on, options, Arc::new(System), Arc::new(System)).unwrap());
        let index = Options { index: dir.join("sled"), drives: drives.clone(), copies: 3 };
        let metadata = Metadata::open(&index, journal.clone(), Arc::new(System)).unwrap();
        let restore = Restore {
            tiers: vec![TierDrives { tier: Tier::Hot, geometry, drives }],
            records: metadata.volumes().unwrap(),
            next_id: metadata.next_volume_id(),
            reserve: 0,
            log: Arc::new(metadata.clone()),
        };
        let (volumes, _) = Volumes::restore(restore).await.unwrap();
        metadata.attach(volumes.clone()).unwrap();
        Store { metadata, journal, volumes, dir: dir.to_owned() }
    }

    /// Ends this run and starts the next. What `between` does happens to the folder of a stopped server.
    async fn restart(self, between: impl FnOnce(&Path)) -> Store {
        let Store { metadata, journal, volumes, dir } = self;
        metadata.shutdown();
        drop((metadata, journal, volumes));
        between(&dir);
        Store::open(&dir).await
    }

    async fn put(&self, number: u64, body: &Bytes) {
        let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c(body) };
        let record = ObjectRecord {
            version: VersionId::NULL,
            modified: number,
            size: body.len() as u64,
            etag: ETag::Md5([number as u8; 16]),
            storage_class: StorageClass::Standard,
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(place)),
        };
        let (bucket, condition) = (BUCKET, WriteCondition::default());
        let command = Command::PutObject { bucket, key: key(number), record, condition };
        let outcome = self.metadata.commit(command, body.clone()).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }

    async fn delete(&self, number: u64) {
        let command =
            Command::DeleteObject { bucket: BUCKET, key: key(number), condition: WriteCondition::default() };
        assert_eq!(self.metadata.commit(command, Bytes::new()).await, Ok(Outcome::Deleted { existed: true }));
    }

    fn place(&self, number: u64) -> Option<Place> {
        let record = self.metadata.object(BUCKET, &key(number)).unwrap()?;
        match record.body {
            Body::Blob(blob) => Some(blob.place),
            Body::Parts { .. } => panic!("no parts here"),
        }
    }

    /// The object's bytes, from wherever they are.
    async fn read(&self, number: u64) -> Option<Bytes> {
        match self.place(number)? {
            Place::Journal { index, length, crc32c } => {
                Some(self.journal.read_body(index, length, crc32c).unwrap())
            }
            place => {
                let blob = BlobRef::plain(place);
                let mut reader = self.volumes.read(&self.volumes.pin(), &blob, 0..blob.len()).unwrap();
                let mut bytes = Vec::new();
                while let Some(piece) = reader.next().await {
                    bytes.extend_from_slice(&piece.unwrap());
                }
                Some(bytes.into())
            }
        }
    }

    /// Packs and takes checkpoints until that is so.
    async fn tend_until(&self, settled: impl Fn(&Store) -> bool) {
        let (stop, stopped) = watch::channel(false);
        let packer = tokio::spawn(run_packer(self.metadata.clone(), self.volumes.clone(), stopped));
        for _ in 0..200 {
            if settled(self) {
                break;
            }
            let metadata = self.metadata.clone();
            tokio::task::spawn_blocking(move || metadata.tend_journal()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.send(true).unwrap();
        packer.await.unwrap();
        assert!(settled(self), "{:?}, {:?}", self.journal.usage(), self.journal.spans());
    }

    fn is_packed(&self, number: u64) -> bool {
        matches!(self.place(number), Some(Place::Packed(_)))
    }
}

/// The threads of a run that has just ended may hold its drives a moment longer.
async fn open_set(config: &SetConfig) -> Set {
    for _ in 0..100 {
        match Set::open(config, Arc::new(System), &System) {
            Err(SetError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            outcome => return outcome.unwrap(),
        }
    }
    panic!("the drives are still held by the run before");
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

fn body(number: u64) -> Bytes {
    (0..9_000u64).map(|at| (number.wrapping_mul(31).wrapping_add(at * 7)) as u8).collect()
}

async fn with_bucket(dir: &Path) -> Store {
    let store = Store::open(dir).await;
    let record = BucketRecord {
        id: BUCKET,
        name: "bucket".into(),
        owner: "owner".into(),
        created: 0,
        region: "us-east-1".into(),
    };
    store.metadata.commit(Command::CreateBucket(record), Bytes::new()).await.unwrap();
    store
}

/// Puts objects, deleting every third of them again.
async fn fill(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.put(number, &body(number)).await;
        if number % 3 == 0 {
            store.delete(number).await;
        }
    }
}

async fn check(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers.clone() {
        let expected = (number % 3 != 0).then(|| body(number));
        assert_eq!(store.read(number).await, expected, "{number}");
    }
    let (prefix, delimiter, from) = (Vec::new(), None, Position::Start);
    let request = ListRequest { bucket: BUCKET, prefix, delimiter, from, max: 1_000_000 };
    let listed = store.metadata.list(request).await.unwrap().entries.len();
    assert_eq!(listed, numbers.filter(|number| number % 3 != 0).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_leave_the_journal_and_are_read_from_their_stripes() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_bucket(dir.path()).await;
    fill(&store, 0..1_500).await;
    store.tend_until(|store| store.is_packed(1) && store.is_packed(400)).await;
    check(&store, 0..1_500).await;

    // The stripes lose their bodies one after the other, and go when they are empty.
    assert!(store.metadata.volumes().unwrap()[0].live > 0);
    for number in (0..1_500).filter(|number| number % 3 != 0) {
        store.delete(number).await;
    }
    assert_eq!(store.metadata.volumes().unwrap()[0].live, 0);
    assert!(store.volumes.stats().freed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_index_and_two_drives_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = with_bucket(dir.path()).await;
    for round in 0..3 {
        fill(&store, round * 1_000..(round + 1) * 1_000).await;
        store.tend_until(|store| store.is_packed(round * 1_002 + 1)).await;
    }
    fill(&store, 3_000..4_000).await;
    store.tend_until(|store| store.journal.first() > 1_000).await;
    store = store.restart(|_| ()).await;
    check(&store, 0..4_000).await;
    fill(&store, 4_000..4_100).await;
    store = store
        .restart(|dir| {
            std::fs::remove_dir_all(dir.join("sled")).unwrap();
            std::fs::remove_dir_all(dir.join("hot/1")).unwrap();
            std::fs::remove_dir_all(dir.join("hot/4")).unwrap();
        })
        .await;
    check(&store, 0..4_100).await;
    fill(&store, 4_100..4_200).await;
    check(&store, 0..4_200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_taken_while_writers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(with_bucket(dir.path()).await);
    fill(&store, 0..1_000).await;
    let writers: Vec<_> = (0..4u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..100 {
                    store.put(writer * 100 + round, &body(round)).await;
                }
            })
        })
        .collect();
    store.tend_until(|store| store.metadata.checkpoint_bytes() > 0).await;
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(store.metadata.is_available(), "a checkpoint that didn't match would have ended it");
    let store = Arc::into_inner(store).unwrap();
    let store = store.restart(|dir| std::fs::remove_dir_all(dir.join("sled")).unwrap()).await;
    for number in 0..400 {
        assert_eq!(store.read(number).await, Some(body(number % 100)), "{number}");
    }
}
