//! One volume in memory: its shard files, how far it is filled, who writes to it and who reads from it.
//!
//! What is durable of a volume is its record. This is the rest: open descriptors, the place where the next extent
//! goes, the reservations that keep it from sealing, and the holds that keep its bytes from being freed.

use super::names::shard_path;
use super::{Shard, VolumeRecord, VolumeState};
use crate::blob::{Geometry, Tier, VolumeId};
use crate::codec::{Codec, CodecError};
use crate::drive::lane::Done;
use crate::drive::{self, Drive, DriveId, FileIo, NodeId, OpenHow};
use crate::format::layout::{FILE_HEADER, Stripe, volume_end};
use crate::placement::{Counted, enough_shards};
use crate::remote::RemoteObject;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use tracing_mutex::parkinglot::{Mutex, RwLock};

/// A volume.
#[derive(Debug)]
pub(crate) struct Volume {
    pub id: VolumeId,
    pub tier: Tier,
    pub geometry: Geometry,
    pub codec: Arc<Codec>,
    /// One for each shard: data, then parity.
    slots: Vec<ShardSlot>,
    /// What holds it in the remote store, once it lies there; then its shards count no more.
    remote: OnceLock<RemoteObject>,
    /// Taken by whoever records a lost shard or lets the files grow, so that it is done once.
    pub changing: tokio::sync::Mutex<()>,
    state: Mutex<HandleState>,
    holds: Mutex<Ages>,
}

/// A shard's place in its volume. What lies there is exchanged when the shard is rebuilt, so whoever uses it takes
/// [`ShardSlot::now`] once: a drive, a generation and a descriptor belong together.
#[derive(Debug)]
pub(crate) struct ShardSlot {
    current: RwLock<Arc<PlacedShard>>,
}

/// One writing of a shard: where it lies and how it is read.
#[derive(Debug)]
pub(crate) struct PlacedShard {
    pub drive_id: DriveId,
    /// None when the drive isn't among those of the store.
    pub drive: Option<Arc<Drive>>,
    pub path: String,
    pub generation: u32,
    lost: AtomicBool,
    /// A reader has found it deleted.
    deleted: AtomicBool,
    /// A sync of its file failed.
    unsynced: AtomicBool,
    file: RwLock<Option<Arc<dyn FileIo>>>,
}

#[derive(Debug)]
struct HandleState {
    phase: Phase,
    /// Payload bytes that records name.
    live: u64,
    /// See `VolumeRecord::high_water`.
    high_water: u64,
}

/// Holds are counted by age, so that those who come later don't delay what waits for those who came before.
#[derive(Debug, Default)]
struct Ages {
    current: Arc<()>,
    past: Vec<Weak<()>>,
}

/// A volume's life in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open(Filling),
    Sealed { length: u64 },
    Dropped,
}

/// How many shards a write is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Took {
    pub left: usize,
    /// As many as it takes to acknowledge it.
    pub needed: usize,
}

impl Took {
    pub fn is_enough(self) -> bool {
        self.left >= self.needed
    }
}

/// How far an open volume is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filling {
    /// Where the next extent begins.
    pub next: u64,
    /// How far the shard files are allocated.
    pub allocated: u64,
    /// Extents whose bodies aren't committed yet.
    pub reservations: u32,
    /// Takes no more; seals when the last reservation goes.
    pub full: bool,
}

impl Volume {
    /// A volume of that record, over the drives that are there.
    pub fn new(
        record: &VolumeRecord,
        drive: impl Fn(DriveId) -> Option<Arc<Drive>>,
    ) -> Result<Self, CodecError> {
        let codec = Codec::of(record.geometry)?;
        let shards = if record.remote.is_some() { 0 } else { record.geometry.shards() };
        if record.shards.len() != shards {
            return Err(CodecError::Shape(record.geometry));
        }
        let slot = |(number, shard): (usize, &Shard)| {
            ShardSlot::new(PlacedShard::new(record.id, number as u8, shard, drive(shard.drive)))
        };
        let phase = match record.state {
            VolumeState::Open => Phase::Open(Filling {
                next: FILE_HEADER,
                allocated: FILE_HEADER,
                reservations: 0,
                full: false,
            }),
            VolumeState::Sealed { length } => Phase::Sealed { length },
            VolumeState::Dropped => Phase::Dropped,
        };
        Ok(Volume {
            id: record.id,
            tier: record.tier,
            geometry: record.geometry,
            codec,
            slots: record.shards.iter().enumerate().map(slot).collect(),
            remote: record.remote.map_or_else(OnceLock::new, OnceLock::from),
            changing: tokio::sync::Mutex::default(),
            state: Mutex::new(HandleState { phase, live: record.live, high_water: record.high_water }),
            holds: Mutex::default(),
        })
    }

    /// What holds it in the remote store, if it lies there.
    pub fn remote(&self) -> Option<RemoteObject> {
        self.remote.get().copied()
    }

    /// From now on it is read from the remote store. The state says so already.
    pub fn set_remote(&self, object: RemoteObject) {
        // A volume is uploaded once.
        let _ = self.remote.set(object);
    }

    pub fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    pub fn set_phase(&self, phase: Phase) {
        self.state.lock().phase = phase;
    }

    /// Payload bytes that records name, and the end of the furthest of them.
    pub fn usage(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.live, state.high_water)
    }

    /// About what each shard takes of its drive, were the volume of that geometry; nothing if nothing is live.
    pub fn shard_bytes(&self, geometry: Geometry) -> u64 {
        let (live, _) = self.usage();
        if live == 0 || self.phase() == Phase::Dropped || self.remote().is_some() {
            return 0;
        }
        let full = Stripe::full(geometry);
        FILE_HEADER + (u128::from(live) * u128::from(full.disk()) / u128::from(full.payload.max(1))) as u64
    }

    pub fn set_usage(&self, live: u64, high_water: u64) {
        let mut state = self.state.lock();
        (state.live, state.high_water) = (live, high_water);
    }

    /// Takes `disk` bytes of every shard file for one writer. `None` if the volume is full; then it stays full.
    pub fn try_reserve(self: &Arc<Self>, disk: u64) -> Option<Reservation> {
        let whole = self.is_whole();
        let mut state = self.state.lock();
        let Phase::Open(filling) = &mut state.phase else { return None };
        if !whole || filling.next + disk > volume_end(self.geometry) {
            filling.full = true;
        }
        if filling.full {
            return None;
        }
        let start = filling.next;
        filling.next += disk;
        filling.reservations += 1;
        Some(Reservation { volume: self.clone(), start, end: start + disk })
    }

    /// How far the shard files are allocated; nothing once it is sealed.
    pub fn allocated(&self) -> Option<u64> {
        match self.phase() {
            Phase::Open(filling) => Some(filling.allocated),
            _ => None,
        }
    }

    /// The shard files are allocated that far.
    pub fn set_allocated(&self, to: u64) {
        if let Phase::Open(filling) = &mut self.state.lock().phase {
            filling.allocated = to;
        }
    }

    /// Takes no more.
    pub fn retire(&self) {
        if let Phase::Open(filling) = &mut self.state.lock().phase {
            filling.full = true;
        }
    }

    /// Where the volume ends, if it is full and nobody writes to it.
    pub fn ready_to_seal(&self) -> Option<u64> {
        match self.phase() {
            Phase::Open(filling) if filling.full && filling.reservations == 0 => Some(filling.next),
            _ => None,
        }
    }

    /// Whether new bytes would be on all of its shards, and stay there.
    fn is_whole(&self) -> bool {
        let stays = |file: &PlacedShard| file.drive.as_ref().is_some_and(|drive| drive.takes_new());
        self.shards().all(|(_, file)| !file.is_lost() && !file.is_unsynced() && stays(&file))
    }

    /// The places of its shards; none once it lies in the remote store.
    pub fn slots(&self) -> &[ShardSlot] {
        match self.remote() {
            None => &self.slots,
            Some(_) => &[],
        }
    }

    /// What lies at each shard's place now.
    pub fn shards(&self) -> impl Iterator<Item = (u8, Arc<PlacedShard>)> {
        self.slots().iter().enumerate().map(|(shard, slot)| (shard as u8, slot.now()))
    }

    /// What lies at a shard's place now.
    pub fn shard(&self, shard: u8) -> Option<Arc<PlacedShard>> {
        self.slots().get(usize::from(shard)).map(ShardSlot::now)
    }

    /// What its shards were before it came to the remote store in this run.
    pub fn former_shards(&self) -> impl Iterator<Item = Arc<PlacedShard>> {
        self.slots.iter().map(ShardSlot::now)
    }

    /// Shards that aren't lost.
    pub fn shards_left(&self) -> usize {
        self.shards().filter(|(_, file)| !file.is_lost()).count()
    }

    /// How many shards hold what was written, if the `failed` ones missed it, and how many must hold it.
    pub fn took(&self, failed: &[u8]) -> Took {
        let counted = |(shard, file): (u8, Arc<PlacedShard>)| Counted {
            node: file.drive.as_ref().map_or(NodeId::HERE, |drive| drive.domain().node()),
            is_good: !file.is_lost() && !failed.contains(&shard),
        };
        let shards: Vec<Counted> = self.shards().map(counted).collect();
        let left = shards.iter().filter(|shard| shard.is_good).count();
        Took { left, needed: enough_shards(self.geometry, &shards) }
    }

    pub fn generations(&self) -> Vec<u32> {
        self.shards().map(|(_, file)| file.generation).collect()
    }

    /// Keeps the volume's bytes from being freed while it lives. To be taken under a pin.
    pub fn hold(&self) -> VolumeHold {
        VolumeHold { _age: self.holds.lock().current.clone() }
    }

    /// Ends an age of holds: those that were taken until now are gone when none of these can be upgraded.
    pub fn turn_holds(&self) -> Vec<Weak<()>> {
        let mut ages = self.holds.lock();
        let ended = std::mem::take(&mut ages.current);
        ages.past.push(Arc::downgrade(&ended));
        drop(ended);
        ages.past.retain(|age| age.strong_count() > 0);
        ages.past.clone()
    }
}

impl ShardSlot {
    fn new(file: PlacedShard) -> ShardSlot {
        ShardSlot { current: RwLock::new(Arc::new(file)) }
    }

    /// What lies there now.
    pub fn now(&self) -> Arc<PlacedShard> {
        self.current.read().clone()
    }

    /// Puts another writing of the shard there, which the volume's record already names, and gives the former one.
    /// A reader that has taken the former one finishes with it.
    pub fn replace(&self, file: PlacedShard) -> Arc<PlacedShard> {
        std::mem::replace(&mut *self.current.write(), Arc::new(file))
    }
}

impl PlacedShard {
    pub fn new(volume: VolumeId, shard: u8, record: &Shard, drive: Option<Arc<Drive>>) -> PlacedShard {
        PlacedShard {
            drive_id: record.drive,
            drive,
            path: shard_path(volume, shard, record.generation),
            generation: record.generation,
            lost: record.lost.into(),
            deleted: false.into(),
            unsynced: false.into(),
            file: RwLock::default(),
        }
    }

    /// The same writing, on that drive as it now is.
    pub fn on(former: &PlacedShard, volume: VolumeId, shard: u8, drive: Option<Arc<Drive>>) -> PlacedShard {
        let (drive_id, generation) = (former.drive_id, former.generation);
        let record = Shard { drive: drive_id, generation, lost: former.is_lost() };
        let unsynced = former.is_unsynced().into();
        PlacedShard { unsynced, ..PlacedShard::new(volume, shard, &record, drive) }
    }

    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub fn set_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Notes a sync of its file that fails before anybody hears of it: the system may have let go of everything that
    /// was written there and not synced, whoever wrote it, and says so once.
    pub fn note_sync(self: &Arc<Self>, done: Done) -> Done {
        let file = self.clone();
        Box::new(move |outcome| {
            if outcome.is_err() {
                file.unsynced.store(true, Ordering::Release);
            }
            done(outcome);
        })
    }

    /// Whether a sync of its file failed.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Acquire)
    }

    /// Counts a bad piece of it against its drive. A file that isn't there, or a drive that doesn't answer, is another
    /// thing.
    pub fn found_rot(&self, error: &io::Error) {
        let is_rot = error.kind() != io::ErrorKind::NotFound && !drive::is_out(error);
        if let Some(drive) = self.drive.as_ref().filter(|_| is_rot) {
            drive.found_rot();
        }
    }

    /// Notes that its file was deleted; true the first time.
    pub fn report_deleted(&self) -> bool {
        !self.deleted.swap(true, Ordering::AcqRel)
    }

    pub fn is_healthy(&self) -> bool {
        self.drive.as_ref().is_some_and(|drive| drive.is_healthy())
    }

    /// It isn't lost, and its drive is healthy.
    pub fn is_good(&self) -> bool {
        !self.is_lost() && self.is_healthy()
    }

    /// The shard file, if it is open.
    pub fn opened(&self) -> Option<Arc<dyn FileIo>> {
        self.file.read().clone()
    }

    /// The shard file; opens it, which may block.
    pub fn open(&self) -> io::Result<Arc<dyn FileIo>> {
        if let Some(file) = self.opened() {
            return Ok(file);
        }
        let drive = self.drive.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        // Without the lock: a drive that hangs in this call must not hold up [`PlacedShard::opened`], which is asked
        // on async threads. Of two that open at once, one keeps its descriptor.
        let opened = drive.io().open(&self.path, OpenHow::Write)?;
        Ok(self.file.write().get_or_insert(opened).clone())
    }

    pub fn set_file(&self, file: Arc<dyn FileIo>) {
        let former = self.file.write().replace(file);
        drop(former);
    }

    /// Gives the descriptor up if nobody else uses it. To drop it closes the file, which may block.
    pub fn take_if_idle(&self) -> Option<Arc<dyn FileIo>> {
        let mut slot = self.file.write();
        let is_idle = slot.as_ref().is_some_and(|file| Arc::strong_count(file) == 1);
        if is_idle { slot.take() } else { None }
    }

    /// Closes the file, if nobody else uses it; may block. It does so once the lock is free again: a drive that hangs in
    /// that must not hold up [`PlacedShard::opened`].
    pub fn close(&self) {
        let closing = self.file.write().take();
        drop(closing);
    }
}

/// Keeps a volume's bytes from being freed.
#[derive(Clone, Debug)]
pub(crate) struct VolumeHold {
    _age: Arc<()>,
}

/// A range of a volume that one writer fills; while it lives the volume doesn't seal.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub volume: Arc<Volume>,
    /// In the shard files.
    pub start: u64,
    pub end: u64,
}

impl Reservation {
    /// Returns a range that nothing was written to, if it is still the last one.
    pub fn give_back(self) {
        if let Phase::Open(filling) = &mut self.volume.state.lock().phase
            && filling.next == self.end
        {
            filling.next = self.start;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Phase::Open(filling) = &mut self.volume.state.lock().phase {
            filling.reservations = filling.reservations.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Simulated;
    use crate::drive::Threads;
    use crate::drive::simulated::SimulatedDrive;
    use crate::volume::DIRECTORY;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_drive_that_hangs_in_an_open_holds_up_nobody_who_asks_what_is_open() {
        let disk = SimulatedDrive::new("bay", 0, &Arc::default());
        let clock = Arc::new(Simulated::new(0, 0));
        let drive = Arc::new(Drive::new(DriveId(1), Tier::Hot, 0, disk.attach(), Threads::Own, clock));
        let record = Shard { drive: DriveId(1), generation: 0, lost: false };
        let shard = Arc::new(PlacedShard::new(VolumeId(1), 0, &record, Some(drive.clone())));
        drive.io().create_dir(DIRECTORY).unwrap();
        drive.io().open(&shard.path, OpenHow::CreateNew).unwrap();
        disk.stall_opens(true);
        let opens = [(); 2].map(|()| {
            let shard = shard.clone();
            thread::spawn(move || shard.open())
        });
        while disk.waiting_opens() < 2 {
            thread::yield_now();
        }
        let (sent, answers) = mpsc::channel();
        let asked = shard.clone();
        thread::spawn(move || sent.send((asked.opened().is_some(), asked.take_if_idle().is_some())));
        assert_eq!(answers.recv_timeout(Duration::from_secs(60)), Ok((false, false)));
        disk.stall_opens(false);
        let files = opens.map(|open| open.join().unwrap().unwrap());
        let kept = shard.opened().unwrap();
        assert!(files.iter().all(|file| Arc::ptr_eq(file, &kept)), "both have the descriptor that was kept");
    }
}
