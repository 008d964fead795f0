//! A store of six drives in a folder that can be stopped, damaged and started again.

use bytes::Bytes;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::{Config, Engine, Foundation};
use stratum_metadata::command::{Command, Deleted, Deletion, Move, Outcome, WriteCondition};
use stratum_metadata::log::LocalLog;
use stratum_metadata::record::{
    Attributes, Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, Owner, StorageClass,
    VersionId,
};
use stratum_metadata::{CommitError, Mark, NewBytes, OpenError};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{BlobRef, Geometry, PackedAt, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::journal::{self, Journal};
use stratum_storage::readpath::ReadError;
use stratum_storage::set::{Root, SetConfig, SetError, TierConfig};
use stratum_storage::task;
use stratum_storage::writepath::{PackBody, Written};
use tokio::sync::watch;

pub const BUCKET: BucketId = BucketId(1);
const SEGMENT: u64 = 4 << 20;
/// Packing starts when a quarter of it is full, checkpoints when another quarter is: a few segments.
const CAP: u64 = 8 * SEGMENT;

pub struct Store {
    engine: Engine,
    dir: PathBuf,
}

impl Deref for Store {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Store {
    pub async fn open(dir: &Path) -> Store {
        Store::try_open(dir).await.unwrap()
    }

    pub async fn try_open(dir: &Path) -> Result<Store, OpenError> {
        Store::open_with(dir, SEGMENT, CAP).await
    }

    /// A store whose journal has this cap, and segments of this length or less.
    pub async fn open_with(dir: &Path, segment_bytes: u64, cap: u64) -> Result<Store, OpenError> {
        Store::open_over(dir, segment_bytes, cap, |journal| journal).await
    }

    /// A store whose metadata commits through a log that wraps the journal.
    pub async fn open_over(
        dir: &Path,
        segment_bytes: u64,
        cap: u64,
        over: impl FnOnce(Arc<Journal>) -> Arc<dyn LocalLog>,
    ) -> Result<Store, OpenError> {
        let geometry = Geometry { k: 4, m: 2 };
        let drives = (0..6).map(|number| Root::Path(dir.join(format!("hot/{number}")))).collect();
        let config = SetConfig {
            tiers: vec![TierConfig { tier: Tier::Hot, geometry, drives }],
            threads: Threads::Own,
        };
        let options = journal::Options { segment_bytes, cap, ..Default::default() };
        let mut foundation = open_foundation(&config, options, Arc::new(System)).await;
        foundation.log = over(foundation.journal.clone());
        let config = Config { reserve: 0, ..Config::new(dir.join("sled")) };
        match Engine::open(foundation, config).await {
            Ok(engine) => Ok(Store { engine, dir: dir.to_owned() }),
            Err(stratum_engine::OpenError::State(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends this run and starts the next. `between` may change the folder of the stopped store.
    pub async fn restart(self, between: impl FnOnce(&Path)) -> Store {
        self.try_restart(between).await.unwrap()
    }

    pub async fn try_restart(self, between: impl FnOnce(&Path)) -> Result<Store, OpenError> {
        let Store { engine, dir } = self;
        engine.shutdown();
        drop(engine);
        between(&dir);
        Store::try_open(&dir).await
    }

    /// A small object, whose body rides in the journal.
    pub async fn put(&self, number: u64, body: &Bytes) {
        let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c(body) };
        self.commit(number, body.len(), BlobRef::plain(place), body.clone()).await;
    }

    /// [`Store::put`] under any key; it may be refused.
    pub async fn try_put(&self, key: Vec<u8>, body: &Bytes) -> Result<(), CommitError> {
        let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c(body) };
        let record = record(0, body.len() as u64, Body::Blob(BlobRef::plain(place)));
        let condition = WriteCondition::default();
        let command = Command::PutObject { bucket: BUCKET, key, record, condition };
        let outcome = self.metadata.commit(command, body.clone()).await?;
        assert!(matches!(outcome, Outcome::Object(_)), "{outcome:?}");
        Ok(())
    }

    /// An object with extents of its own.
    pub async fn put_large(&self, number: u64, body: &Bytes) {
        let Written { blob, hold } = self.write(body).await;
        self.commit(number, body.len(), blob, hold).await;
    }

    pub async fn write(&self, body: &Bytes) -> Written {
        let mut writer = self.volumes.writer.write(Tier::Hot, body.len() as u64).await.unwrap();
        writer.push(body.clone()).await.unwrap();
        writer.finish().await.unwrap()
    }

    async fn commit(&self, number: u64, size: usize, blob: BlobRef, bytes: impl Into<NewBytes>) {
        let (bucket, condition) = (BUCKET, WriteCondition::default());
        let record = record(number, size as u64, Body::Blob(blob));
        let command = Command::PutObject { bucket, key: key(number), record, condition };
        let outcome = self.metadata.commit(command, bytes).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }

    /// Puts small objects that lie in packed stripes at once, as if the packer had moved them.
    pub async fn put_packed(&self, bodies: &[(u64, Bytes)]) {
        let packing: Vec<PackBody> = bodies.iter().map(|(number, body)| packed_body(*number, body)).collect();
        let nothing = BlobRef::plain(Place::Empty);
        for (number, body) in bodies {
            self.commit(*number, body.len(), nothing.clone(), Bytes::new()).await;
        }
        let mut numbers = bodies.iter().map(|(number, _)| *number);
        for stripe in self.volumes.writer.pack(Tier::Hot, &packing).await.unwrap() {
            let moved = |(number, at): (u64, &PackedAt)| Move {
                owner: Owner::Object {
                    bucket: BUCKET,
                    key: key(number),
                    version: VersionId::NULL,
                    committed: 0,
                },
                from: nothing.clone(),
                to: BlobRef::plain(Place::Packed(*at)),
            };
            let moves: Vec<Move> = numbers.by_ref().zip(&stripe.bodies).map(moved).collect();
            let all = moves.len() as u64;
            let command = Command::Relocate { stripe: Some(stripe.stripe), moves };
            assert_eq!(self.metadata.commit(command, stripe.hold).await, Ok(Outcome::Count(all)));
        }
    }

    pub async fn delete(&self, number: u64) {
        let command = Command::DeleteObject(Deletion::of(BUCKET, key(number), 0));
        let deleted = self.metadata.commit(command, Bytes::new()).await;
        assert_eq!(deleted, Ok(Outcome::Deleted(Deleted::Current)));
    }

    pub fn place(&self, number: u64) -> Option<Place> {
        let record = self.metadata.local().object(BUCKET, &key(number)).unwrap()?;
        match record.body {
            Body::Blob(blob) => Some(blob.place),
            Body::Parts { .. } => panic!("no parts here"),
        }
    }

    /// The object's bytes, wherever they are stored.
    pub async fn read(&self, number: u64) -> Option<Bytes> {
        match self.place(number)? {
            Place::Journal { index, length, crc32c } => {
                Some(self.journal.read_body(index, length, crc32c).unwrap())
            }
            place => Some(self.read_blob(&BlobRef::plain(place)).await.unwrap()),
        }
    }

    pub async fn read_blob(&self, blob: &BlobRef) -> Result<Bytes, ReadError> {
        let mut reader = self.volumes.reader.read(&self.volumes.reader.pin(), blob, 0..blob.len())?;
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.into())
    }

    /// Packs and takes checkpoints until the condition holds.
    pub async fn tend_until(&self, settled: impl Fn(&Store) -> bool) {
        let (stop, stopped) = watch::channel(false);
        let packer = self.tasks().into_iter().find(|task| task.row().name == "pack").unwrap();
        let packer = tokio::spawn(task::run(packer, stopped));
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

    pub fn is_packed(&self, number: u64) -> bool {
        matches!(self.place(number), Some(Place::Packed(_)))
    }
}

/// For a packer that must not give any body up.
pub fn unmarked() -> Arc<Mark> {
    Arc::new(|| Ok(()))
}

/// Opens the drives. The threads of a run that has just ended may hold them a moment longer.
pub async fn open_foundation(
    config: &SetConfig,
    options: journal::Options,
    clock: Arc<dyn Clock>,
) -> Foundation {
    for _ in 0..3000 {
        match Foundation::open(config, options, clock.clone(), Arc::new(System)) {
            Err(stratum_engine::OpenError::Set(SetError::InUse { .. })) => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            outcome => return outcome.unwrap(),
        }
    }
    panic!("the drives are still held by the run before");
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// A body with its owner as it stands in a stripe's directory: a version byte, then postcard.
fn packed_body(number: u64, body: &Bytes) -> PackBody {
    let owner = Owner::Object { bucket: BUCKET, key: key(number), version: VersionId::NULL, committed: 0 };
    let owner = postcard::to_extend(&owner, vec![1]).unwrap();
    PackBody { owner, bytes: body.clone(), crc32c: crc32c(body) }
}

pub fn record(number: u64, size: u64, body: Body) -> ObjectRecord {
    ObjectRecord {
        version: VersionId::NULL,
        modified: number,
        size,
        etag: ETag::Md5([number as u8; 16]),
        storage_class: StorageClass::Standard,
        checksum: None,
        headers: ObjectHeaders::default(),
        body,
        committed: 0,
        attributes: Attributes::default(),
    }
}

pub fn key(number: u64) -> Vec<u8> {
    format!("key-{number:06}").into_bytes()
}

pub fn body(number: u64) -> Bytes {
    (0..9_000u64).map(|at| (number.wrapping_mul(31).wrapping_add(at * 7)) as u8).collect()
}

pub async fn with_bucket(dir: &Path) -> Store {
    add_bucket(Store::open(dir).await).await
}

pub async fn add_bucket(store: Store) -> Store {
    add_bucket_to(&store).await;
    store
}

pub async fn add_bucket_to(engine: &Engine) {
    let record = BucketRecord {
        id: BUCKET,
        name: "bucket".into(),
        owner: "owner".into(),
        created: 0,
        region: "us-east-1".into(),
        configuration: Default::default(),
    };
    engine.metadata.commit(Command::CreateBucket(record.into()), Bytes::new()).await.unwrap();
}
