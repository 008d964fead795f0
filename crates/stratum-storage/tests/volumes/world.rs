//! A small world for volumes: drives that can be hurt, and a state that stands for the metadata.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use stratum_storage::ambient::{Simulated, System};
use stratum_storage::blob::{BlobRef, Extent, Geometry, Place, Tier, VolumeId};
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{Drive, DriveId, Roster, Threads};
use stratum_storage::format::layout::{Stripe, extent_end, packed_end, stripes_of};
use stratum_storage::format::v1::Kind;
use stratum_storage::readpath::ReadError;
use stratum_storage::remote::simulated::{SimulatedMemory, SimulatedStore};
use stratum_storage::remote::{Claimant, Remote};
use stratum_storage::volume::{
    LiveStripe, Shard, TierDrives, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord, VolumeState,
};
use stratum_storage::volumes::{Restore, Restored, Volumes};
use stratum_storage::writepath::{WriteError, Written};

/// Keeps the records as the metadata would: durable as soon as an event is recorded.
#[derive(Default)]
pub struct State {
    pub records: Mutex<BTreeMap<VolumeId, VolumeRecord>>,
    pub events: Mutex<Vec<VolumeEvent>>,
    /// Every live stripe of each volume, by offset.
    pub live: Mutex<BTreeMap<VolumeId, BTreeMap<u64, LiveStripe>>>,
    power: Arc<Power>,
    provisional: AtomicBool,
    /// Whether events come through and nobody hears of it.
    mute: AtomicBool,
}

impl State {
    pub fn set_provisional(&self, provisional: bool) {
        self.provisional.store(provisional, Ordering::Relaxed);
    }

    pub fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::Relaxed);
    }

    fn apply(&self, event: VolumeEvent) -> Result<(), VolumeLogError> {
        if self.power.is_off() {
            return Err(VolumeLogError::Unavailable("no power".into()));
        }
        let mut records = self.records.lock().unwrap();
        match event.clone() {
            VolumeEvent::Opened { id, tier, geometry, shards } => {
                let record = VolumeRecord {
                    id,
                    tier,
                    geometry,
                    shards,
                    state: VolumeState::Open,
                    high_water: 0,
                    live: 0,
                    writer: None,
                    remote: None,
                };
                assert!(records.insert(id, record).is_none(), "a volume's number was used twice");
            }
            VolumeEvent::ShardLost { volume, shard } => {
                let record = records.get_mut(&volume).ok_or(VolumeLogError::Refused)?;
                record.shards[usize::from(shard)].lost = true;
            }
            VolumeEvent::Sealed { volume, length } => {
                let record = records.get_mut(&volume).ok_or(VolumeLogError::Refused)?;
                assert!(length >= record.high_water, "a seal cuts live bytes off");
                if record.state != VolumeState::Open {
                    return Err(VolumeLogError::Refused);
                }
                record.state = VolumeState::Sealed { length };
            }
            VolumeEvent::Dropped { volume } => match records.get_mut(&volume) {
                Some(record) if record.live == 0 => record.state = VolumeState::Dropped,
                _ => return Err(VolumeLogError::Refused),
            },
            VolumeEvent::Forgotten { volume } => {
                let record = records.remove(&volume).ok_or(VolumeLogError::Refused)?;
                assert_eq!(record.state, VolumeState::Dropped);
            }
            VolumeEvent::ShardRebuilt { volume, shard, drive, generation } => {
                let record = records.get_mut(&volume).ok_or(VolumeLogError::Refused)?;
                let others = record.shards.iter().enumerate().filter(|(at, _)| *at != usize::from(shard));
                assert!(!others.into_iter().any(|(_, other)| other.drive == drive), "two shards on a drive");
                let current = &mut record.shards[usize::from(shard)];
                let is_sealed = matches!(record.state, VolumeState::Sealed { .. });
                if !is_sealed || current.generation + 1 != generation {
                    return Err(VolumeLogError::Refused);
                }
                *current = Shard { drive, generation, lost: false };
            }
            VolumeEvent::Uploaded { volume, object } => {
                let record = records.get_mut(&volume).ok_or(VolumeLogError::Refused)?;
                if !matches!(record.state, VolumeState::Sealed { .. }) || record.remote.is_some() {
                    return Err(VolumeLogError::Refused);
                }
                record.remote = Some(object);
                record.shards.clear();
            }
        }
        self.events.lock().unwrap().push(event);
        match self.mute.load(Ordering::Relaxed) {
            true => Err(VolumeLogError::Unavailable("nobody heard of it".into())),
            false => Ok(()),
        }
    }

    pub fn lost(&self) -> Vec<(VolumeId, u8)> {
        let events = self.events.lock().unwrap();
        let lost = events.iter().filter_map(|event| match event {
            VolumeEvent::ShardLost { volume, shard } => Some((*volume, *shard)),
            _ => None,
        });
        lost.collect()
    }
}

impl VolumeLog for State {
    fn record(
        &self,
        event: VolumeEvent,
    ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
        Box::pin(async move { self.apply(event) })
    }

    fn is_provisional(&self) -> bool {
        self.provisional.load(Ordering::Relaxed)
    }

    fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
        Ok(self.records.lock().unwrap().get(&volume).cloned())
    }

    fn live_stripes(&self, volume: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
        let live = self.live.lock().unwrap();
        Ok(live.get(&volume).into_iter().flat_map(BTreeMap::values).copied().collect())
    }
}

/// Drives and a state, over any number of starts.
pub struct World {
    pub geometry: Geometry,
    pub power: Arc<Power>,
    pub disks: Vec<Arc<SimulatedDrive>>,
    pub state: Arc<State>,
    pub reserve: u64,
    /// The tier of all drives.
    pub tier: Tier,
    /// Where sealed volumes go, if anywhere.
    pub remote: Option<SimulatedStore>,
    /// What the drives remember of claims to it.
    pub claims: SimulatedMemory,
    /// The clock of the drives and the remote store.
    pub clock: Arc<Simulated>,
}

impl World {
    pub fn new(geometry: Geometry) -> World {
        World::on(geometry, geometry.shards(), |disk| disk as u64)
    }

    /// That many drives, each on the device that `device` says.
    pub fn on(geometry: Geometry, disks: usize, device: impl Fn(usize) -> u64) -> World {
        let power = Arc::new(Power::default());
        let disk = |number| SimulatedDrive::new(&format!("disk {number}"), device(number), &power);
        let disks = (0..disks).map(disk).collect();
        let state = Arc::new(State { power: power.clone(), ..State::default() });
        let clock = Arc::new(Simulated::new(1, 1));
        let (tier, claims) = (Tier::Hot, SimulatedMemory::default());
        World { geometry, power, disks, state, reserve: 0, tier, remote: None, claims, clock }
    }

    /// A start of the server.
    pub async fn start(&self) -> Server {
        self.start_without(&[]).await
    }

    /// A start where some drives are missing.
    pub async fn start_without(&self, missing: &[usize]) -> Server {
        self.try_start(missing).await.expect("the volumes are restored")
    }

    pub async fn try_start(&self, missing: &[usize]) -> Option<Server> {
        let (clock, tier) = (self.clock.clone(), self.tier);
        let drive = |(number, disk): (usize, &Arc<SimulatedDrive>)| {
            let (id, position) = (DriveId(number as u128 + 1), number as u16);
            Arc::new(match missing.contains(&number) {
                true => Drive::missing(id, tier, position, "a test took it"),
                false => Drive::new(id, tier, position, disk.attach(), Threads::Caller, clock.clone()),
            })
        };
        let drives: Vec<Arc<Drive>> = self.disks.iter().enumerate().map(drive).collect();
        let roster = Roster::new(drives.clone());
        let remote = |store: &SimulatedStore| {
            let memory = Arc::new(self.claims.clone());
            let claimant = Claimant { owner: "this world".into(), memory, entropy: Arc::new(System) };
            Remote::new(Arc::new(store.clone()), claimant, self.clock.clone())
        };
        let restore = Restore {
            tiers: vec![TierDrives { tier, geometry: self.geometry, drives: roster.clone() }],
            records: self.state.records.lock().unwrap().values().cloned().collect(),
            next_id: VolumeId(1),
            reserve: self.reserve,
            log: self.state.clone(),
            remote: self.remote.as_ref().map(remote),
        };
        let (volumes, restored) = Volumes::restore(restore).await.ok()?;
        Some(Server { volumes, restored, roster, drives, tier, state: self.state.clone() })
    }
}

impl World {
    /// A drive that was missing is there again.
    pub fn bring_back(&self, server: &Server, disk: usize) {
        let (mut drives, clock) = (server.drives.clone(), Arc::new(Simulated::new(1, 1)));
        let (id, position) = (DriveId(disk as u128 + 1), disk as u16);
        let io = self.disks[disk].attach();
        drives[disk] = Arc::new(Drive::new(id, Tier::Hot, position, io, Threads::Caller, clock));
        server.roster.change(drives);
    }
}

/// A run of the server.
pub struct Server {
    pub volumes: Volumes,
    pub restored: Restored,
    pub roster: Roster,
    pub drives: Vec<Arc<Drive>>,
    pub tier: Tier,
    pub state: Arc<State>,
}

impl Server {
    /// Writes a body and commits it, in uneven pushes.
    pub async fn put(&self, body: &Bytes) -> Result<BlobRef, WriteError> {
        let Written { blob, hold } = self.write(body).await?;
        let hold = hold.proposed();
        self.commit(&blob)?;
        drop(hold);
        Ok(blob)
    }

    pub async fn write(&self, body: &Bytes) -> Result<Written, WriteError> {
        let mut writer = self.volumes.writer.write(self.tier, body.len() as u64).await?;
        let mut at = 0;
        for step in [1, 70_000, 33_000, 4096].into_iter().cycle() {
            if at == body.len() {
                break;
            }
            let end = (at + step).min(body.len());
            writer.push(body.slice(at..end)).await?;
            at = end;
        }
        writer.finish().await
    }

    /// What the metadata does when a command that names the blob is applied.
    pub fn commit(&self, blob: &BlobRef) -> Result<(), WriteError> {
        if self.state.power.is_off() {
            return Err(WriteError::Unavailable("no power".into()));
        }
        self.account(blob, |live, bytes| live + bytes);
        let mut live = self.state.live.lock().unwrap();
        for (volume, stripe) in self.stripes(blob) {
            live.entry(volume).or_default().insert(stripe.offset, stripe);
        }
        Ok(())
    }

    /// The stripes that a blob lies in.
    fn stripes(&self, blob: &BlobRef) -> Vec<(VolumeId, LiveStripe)> {
        let records = self.state.records.lock().unwrap();
        let geometry = |volume: VolumeId| records[&volume].geometry;
        match &blob.place {
            Place::Packed(at) => {
                let stripe = Stripe { geometry: geometry(at.volume), payload: at.payload };
                vec![(at.volume, LiveStripe { offset: at.stripe, stripe, kind: Kind::Packed })]
            }
            Place::Extents(extents) => {
                let live = |(offset, stripe)| LiveStripe { offset, stripe, kind: Kind::Plain };
                let of = |extent: &Extent| {
                    let volume = extent.volume;
                    stripes_of(geometry(volume), extent).map(move |at| (volume, live(at)))
                };
                extents.iter().flat_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the metadata does when the blob's owner is deleted: the state forgets it and its extents are freed.
    pub fn delete(&self, blob: &BlobRef) {
        self.account(blob, |live, bytes| live - bytes);
        for (volume, stripe) in self.stripes(blob) {
            if stripe.kind == Kind::Plain {
                self.state.live.lock().unwrap().entry(volume).or_default().remove(&stripe.offset);
            }
        }
        if let Place::Extents(extents) = &blob.place {
            extents.iter().for_each(|extent| self.volumes.table.free_extent(extent));
        }
    }

    fn account(&self, blob: &BlobRef, change: impl Fn(u64, u64) -> u64) {
        let mut records = self.state.records.lock().unwrap();
        let mut touch = |volume: VolumeId, bytes: u64, end: &dyn Fn(Geometry) -> u64| {
            let record = records.get_mut(&volume).expect("the volume exists");
            record.live = change(record.live, bytes);
            record.high_water = record.high_water.max(end(record.geometry));
            self.volumes.table.applied(volume, record.live, record.high_water);
        };
        match &blob.place {
            Place::Packed(at) => touch(at.volume, at.length.into(), &|geometry| packed_end(geometry, at)),
            Place::Extents(extents) => {
                for extent in extents {
                    touch(extent.volume, extent.length, &|geometry| extent_end(geometry, extent));
                }
            }
            _ => {}
        }
    }

    pub async fn get(&self, blob: &BlobRef) -> Result<Bytes, ReadError> {
        self.get_range(blob, 0..blob.len()).await
    }

    pub async fn get_range(&self, blob: &BlobRef, range: std::ops::Range<u64>) -> Result<Bytes, ReadError> {
        let mut reader = self.volumes.reader.read(&self.volumes.reader.pin(), blob, range)?;
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.into())
    }
}

/// A body of that length that no other seed gives.
pub fn body(seed: u64, length: usize) -> Bytes {
    use stratum_storage::ambient::Entropy;
    let mut bytes = vec![0; length];
    Simulated::new(0, seed).fill(&mut bytes);
    bytes.into()
}

/// Runs a test on one thread, with one more for blocking work: deterministic.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(test)
}

/// The shard and its file on that disk, of the volume.
pub fn shard_file(world: &World, disk: usize, volume: VolumeId) -> Option<String> {
    let prefix = format!("volumes/{volume}.");
    world.disks[disk].files().into_iter().find(|path| path.starts_with(&prefix))
}
