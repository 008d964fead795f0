//! The volumes of all tiers, found by number, and what those who work on them tell each other: what was freed, what is
//! bad, who works on what.

use super::claim::Claims;
use super::garbage::Freed;
use super::handle::{Phase, PlacedShard, Volume};
use super::repairs::{BadFragment, Repairs};
use super::{VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord};
use crate::blob::{BlobRef, Extent, Geometry, Place, Tier, VolumeId};
use crate::codec::CodecError;
use crate::drive::{Devices, Drive, DriveId, FileIo, Roster};
use crate::format::layout::{extent_disk, packed_end, volume_end};
use crate::format::remote::object_length;
use crate::pin::Pins;
use crate::placement::geometry_over;
use crate::remote::{Remote, RemoteObject};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing_mutex::parkinglot::{Mutex, RwLock, RwLockReadGuard};

/// The tier whose sealed volumes go to the remote store.
pub(crate) const REMOTE_TIER: Tier = Tier::Cold;
/// How many bytes of bodies may wait on the tier's drives to go there.
const SPOOL_BYTES: u64 = 8 << 30;

/// A tier's drives and the geometry of its volumes while all of them are healthy.
#[derive(Debug, Clone)]
pub struct TierDrives {
    pub tier: Tier,
    pub geometry: Geometry,
    /// All drives of the tier's set in the order of their positions, the missing ones too.
    pub drives: Roster,
}

impl TierDrives {
    /// The drives where new shards may go.
    pub(crate) fn open_to_new(&self) -> Vec<Arc<Drive>> {
        self.drives.open_to_new()
    }
}

/// Volumes in the remote store, and how long their objects are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteStats {
    pub volumes: u64,
    pub bytes: u64,
}

/// How many of a tier's drives are there and take something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierHealth {
    pub tier: Tier,
    /// Of its volumes while all drives are healthy.
    pub geometry: Geometry,
    pub drives: usize,
    pub healthy: usize,
    /// Of the healthy ones, those that have space for a part of a whole volume beyond the reserve.
    pub with_room: usize,
}

/// The volumes of all tiers, and what is known of them: what everybody who works on them shares.
pub struct Table {
    pub(crate) log: Arc<dyn VolumeLog>,
    pub(crate) tiers: Vec<TierDrives>,
    /// Where sealed volumes of the cold tier go, if there is such a place.
    pub(crate) remote: Option<Arc<Remote>>,
    volumes: RwLock<HashMap<VolumeId, Arc<Volume>>>,
    /// Bytes of every device that only packing and other upkeep may use.
    reserve: AtomicU64,
    /// Ranges that nothing names any more, before their grace.
    pub(super) freed: Mutex<Vec<Freed>>,
    /// Volumes that came to the remote store and whose shard files are to go.
    pub(super) uploaded: Mutex<Vec<Arc<Volume>>>,
    /// Dropped volumes that still have files, on drives that weren't there or since nothing was to be removed.
    pub(crate) lingering: Mutex<BTreeSet<VolumeId>>,
    pub(crate) repairs: Repairs,
    pub(super) claims: Arc<Claims>,
    /// Held by whoever has looked up a record and not yet the volumes that it names.
    pub(crate) pins: Pins,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("volumes", &self.read().len()).finish_non_exhaustive()
    }
}

impl Table {
    pub(crate) fn new(
        tiers: Vec<TierDrives>,
        log: Arc<dyn VolumeLog>,
        reserve: u64,
        remote: Option<Arc<Remote>>,
    ) -> Arc<Table> {
        Arc::new(Table {
            log,
            tiers,
            remote,
            uploaded: Mutex::default(),
            volumes: RwLock::default(),
            reserve: reserve.into(),
            freed: Mutex::default(),
            lingering: Mutex::default(),
            repairs: Repairs::default(),
            claims: Arc::default(),
            pins: Pins::default(),
        })
    }

    /// Whether nothing may be punched, truncated, put aside or removed: the state may be an older one than the bytes.
    /// The one place that says so.
    pub fn is_held_back(&self) -> bool {
        self.log.is_provisional()
    }

    /// The remote store, if there is one.
    pub fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// A volume is read from the remote store from now on, as the state says already. Its files go when their readers
    /// are done.
    pub(crate) fn came_to_remote(&self, volume: &Arc<Volume>, object: RemoteObject) {
        volume.set_remote(object);
        self.uploaded.lock().push(volume.clone());
    }

    /// Takes the volumes whose files are to go.
    pub(crate) fn take_uploaded(&self) -> Vec<Arc<Volume>> {
        std::mem::take(&mut self.uploaded.lock())
    }

    /// What lies in the remote store.
    pub(crate) fn remote_stats(&self) -> RemoteStats {
        let mut stats = RemoteStats::default();
        for volume in self.read().values().filter(|volume| volume.remote().is_some()) {
            if let Phase::Sealed { length } = volume.phase() {
                stats.volumes += 1;
                stats.bytes += object_length(volume.geometry, length);
            }
        }
        stats
    }

    /// Sealed volumes that wait to come to the remote store, by number; none where there is no such store.
    pub(crate) fn spooled(&self) -> Vec<Arc<Volume>> {
        match self.remote {
            Some(_) => self.volumes().into_iter().filter(|volume| waits_to_go(volume)).collect(),
            None => Vec::new(),
        }
    }

    /// Whether so much waits to come to the remote store that nothing more is taken for it.
    pub(crate) fn is_spool_full(&self, tier: Tier) -> bool {
        let waiting = || -> u64 {
            self.read().values().filter(|volume| waits_to_go(volume)).map(|volume| volume.usage().0).sum()
        };
        self.remote.is_some() && tier == REMOTE_TIER && waiting() >= SPOOL_BYTES
    }

    /// The tier of a volume, if it is there.
    pub fn tier_of(&self, volume: VolumeId) -> Option<Tier> {
        self.find(volume).map(|volume| volume.tier)
    }

    /// What a blob takes of the drives: headers, parity and padding included, all shards counted. Of a packed body it
    /// is what its whole stripe takes.
    pub fn disk_of(&self, blob: &BlobRef) -> u64 {
        let of = |id: VolumeId, disk: &dyn Fn(Geometry) -> u64| {
            self.find(id).map_or(0, |volume| disk(volume.geometry) * volume.slots().len() as u64)
        };
        match &blob.place {
            Place::Packed(at) => of(at.volume, &|geometry| packed_end(geometry, at) - at.stripe),
            Place::Extents(extents) => {
                let disk =
                    |extent: &Extent| of(extent.volume, &|geometry| extent_disk(geometry, extent.length));
                extents.iter().map(disk).sum()
            }
            Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => 0,
        }
    }

    /// What the state now says of a volume, after a command that changed it was applied. Volumes that are not in the
    /// table are ignored: the table puts them in when their files exist.
    pub fn applied(&self, volume: VolumeId, live: u64, high_water: u64) {
        if let Some(volume) = self.find(volume) {
            volume.set_usage(live, high_water);
        }
    }

    pub fn tiers(&self) -> Vec<TierHealth> {
        let health = |tier: &TierDrives| TierHealth {
            tier: tier.tier,
            geometry: widest(tier.geometry, tier.drives.now().len()),
            drives: tier.drives.now().len(),
            healthy: tier.open_to_new().len(),
            with_room: self.with_room(tier),
        };
        self.tiers.iter().map(health).collect()
    }

    /// How many bytes of every device only packing and other upkeep may use.
    pub fn set_reserve(&self, bytes: u64) {
        self.reserve.store(bytes, Ordering::Relaxed);
    }

    /// The reserve of every device in bytes, as [`Table::set_reserve`] set it last.
    pub fn kept_free(&self) -> u64 {
        self.reserve.load(Ordering::Relaxed)
    }

    /// The fragments that readers found bad.
    pub fn bad_fragments(&self) -> Vec<BadFragment> {
        self.repairs.waiting()
    }

    /// How many shards count on a drive: lie there, or did and are not written anew elsewhere yet.
    pub fn shards_on(&self, drive: DriveId) -> u64 {
        let table = self.volumes.read();
        let volumes = table.values().filter(|volume| volume.phase() != Phase::Dropped);
        let there = volumes.flat_map(|volume| volume.slots()).filter(|slot| slot.now().drive_id == drive);
        there.count() as u64
    }

    /// How many shards a drive that is there should hold and doesn't, or not whole: it was away when they were written, or
    /// holds older files than were written to it.
    pub fn shards_lacking_on(&self, drive: DriveId) -> u64 {
        let table = self.volumes.read();
        let volumes = table.values().filter(|volume| volume.phase() != Phase::Dropped);
        let slots = volumes.flat_map(|volume| volume.slots()).map(|slot| slot.now());
        slots.filter(|file| file.drive_id == drive && file.is_lost() && file.is_healthy()).count() as u64
    }

    /// All volumes, by number.
    pub(crate) fn volumes(&self) -> Vec<Arc<Volume>> {
        let mut volumes: Vec<Arc<Volume>> = self.volumes.read().values().cloned().collect();
        volumes.sort_by_key(|volume| volume.id);
        volumes
    }

    /// The volumes, in no order. While the guard lives nobody can put one in or take one out.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HashMap<VolumeId, Arc<Volume>>> {
        self.volumes.read()
    }

    pub(crate) fn insert(&self, volume: Arc<Volume>) {
        self.volumes.write().insert(volume.id, volume);
    }

    /// Puts the volume of a record in.
    pub(crate) fn insert_record(&self, record: &VolumeRecord) -> Result<(), CodecError> {
        self.insert(Arc::new(self.volume_of(record)?));
        Ok(())
    }

    pub(crate) fn remove(&self, id: VolumeId) {
        self.volumes.write().remove(&id);
    }

    pub(crate) fn find(&self, id: VolumeId) -> Option<Arc<Volume>> {
        self.volumes.read().get(&id).cloned()
    }

    /// Whether the store has that tier.
    pub fn has_tier(&self, tier: Tier) -> bool {
        self.tier(tier).is_some()
    }

    pub(crate) fn tier(&self, tier: Tier) -> Option<&TierDrives> {
        self.tiers.iter().find(|drives| drives.tier == tier)
    }

    /// A drive of any tier.
    pub(crate) fn drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.tiers.iter().find_map(|tier| tier.drives.find(id))
    }

    /// How many drives have space for a part of a whole volume beyond the reserve.
    fn with_room(&self, tier: &TierDrives) -> usize {
        let (healthy, reserve) = (tier.open_to_new(), self.kept_free());
        let devices = Devices::of(&healthy);
        let part = volume_end(tier.geometry);
        healthy.iter().filter(|drive| devices.part(drive, reserve) >= part).count()
    }

    /// A volume of that record over this table's drives.
    pub(crate) fn volume_of(&self, record: &VolumeRecord) -> Result<Volume, CodecError> {
        Volume::new(record, |id| self.drive(id))
    }

    /// Records that a shard can't be counted on, once, and remembers it. `file` is what was found wanting: it may
    /// have been rebuilt since.
    pub(crate) async fn lose_shard(
        &self,
        volume: &Volume,
        shard: u8,
        file: &Arc<PlacedShard>,
    ) -> Result<(), VolumeLogError> {
        let _changing = volume.changing.lock().await;
        let is_current = volume.shard(shard).is_some_and(|now| Arc::ptr_eq(&now, file));
        if file.is_lost() || !is_current {
            return Ok(());
        }
        self.log.record(VolumeEvent::ShardLost { volume: volume.id, shard }).await?;
        tracing::warn!(volume = %volume.id, shard, "a shard is lost; reads go around it");
        file.set_lost();
        Ok(())
    }

    /// To be called when nothing is held back any more: cuts off and removes what was kept until then, as a start
    /// would do it. Blocks.
    pub fn catch_up(&self) {
        for volume in self.volumes() {
            match volume.phase() {
                Phase::Open(_) => {}
                Phase::Sealed { length } => volume.shards().for_each(|(shard, file)| {
                    let cut_off = |file: Arc<dyn FileIo>| match file.len()? > length {
                        true => file.set_len(length),
                        false => Ok(()),
                    };
                    if let Err(error) = file.open().and_then(cut_off) {
                        tracing::debug!(volume = %volume.id, shard, %error, "a sealed shard file stays longer than it need be");
                    }
                }),
                Phase::Dropped => drop(self.lingering.lock().insert(volume.id)),
            }
        }
    }
}

fn waits_to_go(volume: &Volume) -> bool {
    volume.tier == REMOTE_TIER
        && volume.remote().is_none()
        && volume.usage().0 > 0
        && matches!(volume.phase(), Phase::Sealed { .. })
}

/// The geometry of volumes over all of so many drives: a tier that drives were taken out of may be narrower than it was
/// formed.
fn widest(full: Geometry, drives: usize) -> Geometry {
    geometry_over(full, drives).unwrap_or(full)
}
