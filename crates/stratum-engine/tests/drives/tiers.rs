//! A store of three tiers on simulated drives, in virtual time, in which the test makes moves step by step.

use crate::store::{BUCKET, key, record};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stratum_bodies::{Codecs, PlaintextReader};
use stratum_engine::{Config, Engine, Foundation};
use stratum_frames::{Compression, ZstdLevel};
use stratum_metadata::command::{Command, Outcome, WriteCondition};
use stratum_metadata::record::{Body, BucketRecord, ObjectRecord};
use stratum_metadata::{CheckpointSizes, NewBytes, TierWish, tier_of};
use stratum_storage::ambient::{Clock, Simulated, UnixMillis};
use stratum_storage::blob::{BlobRef, Form, Geometry, Place, Tier};
use stratum_storage::drive::Threads;
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::journal;
use stratum_storage::pace::Budget;
use stratum_storage::remote::ObjectStore;
use stratum_storage::remote::simulated::SimulatedStore;
use stratum_storage::set::{Root, SetConfig, TierConfig};
use stratum_storage::task::{Next, Stop, Task};
use tokio::sync::watch;
use tokio::time::Instant;

const DRIVES: usize = 6;

#[derive(Debug)]
struct Virtual {
    base: UnixMillis,
    began: Instant,
}

impl Clock for Virtual {
    fn now(&self) -> UnixMillis {
        self.base + self.began.elapsed().as_millis() as u64
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What survives from one run of the store to the next.
pub struct Machine {
    pub power: Arc<Power>,
    /// How much of the drives' throughput background work may take.
    pub budget: Budget,
    /// Where the cold tier's volumes go, if there is such a place.
    pub remote: Option<SimulatedStore>,
    pub checkpoint_sizes: CheckpointSizes,
    disks: BTreeMap<Tier, Vec<Arc<SimulatedDrive>>>,
    entropy: Arc<Simulated>,
    folder: tempfile::TempDir,
    began: Instant,
}

/// A run of the store.
pub struct Tiered {
    engine: Engine,
    going: watch::Sender<bool>,
    stop: Stop,
}

impl Deref for Tiered {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Machine {
    pub fn new() -> Machine {
        let power = Arc::new(Power::default());
        let disk = |tier: Tier, number: usize| {
            let device = 100 * (tier as u64 + 1) + number as u64;
            SimulatedDrive::new(&format!("{}/{number}", tier.name()), device, &power)
        };
        let of = |tier: Tier| (0..DRIVES).map(|number| disk(tier, number)).collect();
        let disks = Tier::ALL.into_iter().map(|tier| (tier, of(tier))).collect();
        let folder = tempfile::tempdir().unwrap();
        let budget = Budget::default();
        Machine {
            power,
            budget,
            remote: None,
            checkpoint_sizes: CheckpointSizes::default(),
            disks,
            entropy: Arc::new(Simulated::new(0, 1)),
            folder,
            began: Instant::now(),
        }
    }

    pub fn of(&self, tier: Tier) -> &[Arc<SimulatedDrive>] {
        &self.disks[&tier]
    }

    pub fn used(&self, tier: Tier) -> u64 {
        self.of(tier).iter().map(|disk| disk.used()).sum()
    }

    fn set(&self) -> SetConfig {
        let tier = |tier: &Tier| TierConfig {
            tier: *tier,
            geometry: Geometry { k: 4, m: 2 },
            drives: self.of(*tier).iter().map(|disk| Root::Open(disk.attach())).collect(),
        };
        SetConfig { tiers: self.disks.keys().map(tier).collect(), threads: Threads::Caller }
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    /// Opens the store; `None` if the power failed meanwhile.
    pub async fn open(&self) -> Option<Tiered> {
        let base = 1_700_000_000_000 + self.began.elapsed().as_millis() as u64;
        let clock: Arc<dyn Clock> = Arc::new(Virtual { base, began: Instant::now() });
        let options = journal::Options { segment_bytes: 4 << 20, cap: 32 << 20, ..Default::default() };
        let foundation = Foundation::open(&self.set(), options, clock, self.entropy.clone()).ok()?;
        let zstd = |level| ZstdLevel::new(level).map(Compression::Zstd);
        let codecs = Codecs { hot: None, warm: zstd(3), cold: zstd(9) };
        let config = Config {
            reserve: 0,
            codecs,
            budget: self.budget,
            remote: self.remote.clone().map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            checkpoint_sizes: self.checkpoint_sizes,
            ..Config::new(self.index())
        };
        let engine = Engine::open(foundation, config).await.ok()?;
        let (going, stop) = watch::channel(false);
        Some(Tiered { engine, going, stop })
    }

    /// A new store, with a bucket.
    pub async fn form(&self) -> Tiered {
        let store = self.open().await.unwrap();
        let record = BucketRecord {
            id: BUCKET,
            name: "bucket".into(),
            owner: "owner".into(),
            created: 0,
            region: "us-east-1".into(),
            configuration: Default::default(),
        };
        store.metadata.commit(Command::CreateBucket(record.into()), Bytes::new()).await.unwrap();
        store
    }

    /// Ends the run as a kill would; its drives keep what they had synced, and a random part of the rest.
    pub fn kill(&self, store: Tiered, seed: u64) {
        store.engine.shutdown();
        drop(store);
        self.disks.values().flatten().for_each(|disk| disk.crash(seed));
        self.power.restore();
    }
}

impl Tiered {
    pub fn stopped(&self) -> Stop {
        self.stop.clone()
    }

    /// Tells work that is under way to end.
    pub fn tell_to_stop(&self) {
        self.going.send(true).unwrap();
    }

    /// A small object in the journal, or a large one in a hot volume.
    pub async fn put(&self, number: u64, body: &Bytes) {
        self.put_as(number, Form::Plaintext, body, body.len() as u64).await;
    }

    /// As [`Tiered::put`], with stored bytes of this form that hold so many bytes of plaintext.
    pub async fn put_as(&self, number: u64, form: Form, body: &Bytes, size: u64) {
        let (blob, bytes): (BlobRef, NewBytes) = if body.len() <= 32 << 10 {
            let place = Place::ThisEntry { length: body.len() as u32, crc32c: crc32c::crc32c(body) };
            (BlobRef::plain(place), body.clone().into())
        } else {
            let mut writer = self.volumes.writer.write(Tier::Hot, body.len() as u64).await.unwrap();
            writer.push(body.clone()).await.unwrap();
            let written = writer.finish().await.unwrap();
            (written.blob, written.hold.into())
        };
        let record = record(number, size, Body::Blob(BlobRef { form, ..blob }));
        let condition = WriteCondition::default();
        let command = Command::PutObject { bucket: BUCKET, key: key(number), record, condition };
        let outcome = self.metadata.commit(command, bytes).await;
        assert!(matches!(outcome, Ok(Outcome::Object(_))), "{outcome:?}");
    }

    pub fn object(&self, number: u64) -> ObjectRecord {
        self.metadata.local().object(BUCKET, &key(number)).unwrap().unwrap()
    }

    pub fn blob(&self, number: u64) -> BlobRef {
        match self.object(number).body {
            Body::Blob(blob) => blob,
            Body::Parts { .. } => panic!("no parts here"),
        }
    }

    /// The tier in which an object lies; `None` while it is in the journal.
    pub fn tier(&self, number: u64) -> Option<Tier> {
        tier_of(&self.volumes.table, &self.blob(number))
    }

    pub fn is_reviewed(&self, number: u64) -> bool {
        self.object(number).attributes.review.is_some()
    }

    /// A reader of an object that is in a volume.
    pub fn reader(&self, number: u64) -> PlaintextReader {
        let (record, blob) = (self.object(number), self.blob(number));
        let reader = &self.volumes.reader;
        PlaintextReader::new(reader, &self.tables, blob, record.size, 0..record.size, None).unwrap()
    }

    pub async fn read(&self, number: u64) -> Bytes {
        match self.blob(number).place {
            Place::Journal { index, length, crc32c } => {
                self.journal.read_body(index, length, crc32c).unwrap()
            }
            Place::Empty => Bytes::new(),
            _ => collect(self.reader(number)).await,
        }
    }

    /// Makes decisions about objects, as an operator would.
    pub async fn wish(&self, numbers: impl IntoIterator<Item = u64>, tier: Tier) {
        let objects: Vec<_> = numbers.into_iter().map(|number| (key(number), self.object(number))).collect();
        let count = objects.len() as u64;
        let decided =
            self.metadata.decide_tiers(BUCKET, objects, &TierWish::Move(tier), self.clock.now()).await;
        assert_eq!(decided, Ok(count));
    }

    /// Does one step of the task, then frees what it released.
    pub async fn step(&self) -> Next {
        let next = self.reviews.step(&self.stop).await;
        self.free().await;
        next
    }

    /// Does steps for so long, with the pauses that the task asks for.
    pub async fn steps_for(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            match self.step().await {
                Next::AtOnce => {}
                Next::After(wait) => tokio::time::sleep(wait).await,
                Next::WhenWoken => panic!("nobody wakes it"),
            }
        }
    }

    pub async fn free(&self) {
        for _ in 0..3 {
            let _ = self.volumes.tend().await;
        }
    }

    /// Bytes that records name in a tier's volumes.
    pub fn live(&self, tier: Tier) -> u64 {
        let volumes = self.metadata.local().volumes().unwrap();
        volumes.iter().filter(|volume| volume.tier == tier).map(|volume| volume.live).sum()
    }
}

pub async fn collect(mut reader: PlaintextReader) -> Bytes {
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes.into()
}

/// Runs `work` in virtual time, on one thread.
pub fn in_virtual_time(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work);
}
