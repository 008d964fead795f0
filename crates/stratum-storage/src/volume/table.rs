//! The volumes of all tiers: found by number, opened when somebody writes, restored at start.

use super::buffers::Buffers;
use super::claim::Claims;
use super::handle::{Hold, Phase, PlacedShard, Volume};
use super::stripe;
use super::{VolumeEvent, VolumeLog, VolumeLogError};
use crate::blob::{BlobRef, Extent, Geometry, Place, Tier, VolumeId};
use crate::codec::CodecError;
use crate::drive::{Devices, Drive, DriveId, Roster};
use crate::format::layout::{BLOCK, Blocks, Stripe, extent_disk, packed_end, volume_end};
use crate::placement::geometry_over;
use crate::readpath::repair::Repairs;
use crate::reclaim::{Freed, Waiting};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tier's drives and the geometry of its volumes while all of them are healthy.
#[derive(Debug, Clone)]
pub struct TierDrives {
    pub tier: Tier,
    pub geometry: Geometry,
    /// All drives of the tier's set in the order of their positions, the missing ones too.
    pub drives: Roster,
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

/// The volumes of all tiers. A cheap handle.
#[derive(Clone)]
pub struct Volumes {
    pub(crate) shared: Arc<Shared>,
}

/// What the handles share.
pub(crate) struct Shared {
    pub log: Arc<dyn VolumeLog>,
    pub tiers: Vec<TierState>,
    pub table: RwLock<HashMap<VolumeId, Arc<Volume>>>,
    pub next_id: AtomicU64,
    /// Held from the choice of a new volume's number until it is recorded.
    pub opening: tokio::sync::Mutex<()>,
    /// Bytes of every device that only packing and other upkeep may use.
    pub reserve: AtomicU64,
    /// Buffers of whole stripes, for writers.
    pub stripes: Arc<Buffers>,
    /// Buffers of whole fragments, for readers.
    pub fragments: Arc<Buffers>,
    /// Ranges that nothing names any more, before their grace.
    pub freed: Mutex<Vec<Freed>>,
    /// What has passed its grace and waits for readers.
    pub waiting: Mutex<Vec<Waiting>>,
    pub repairs: Repairs,
    pub claims: Arc<Claims>,
    /// Volumes from this number on were opened by this run.
    pub first_own: u64,
    /// Files that no record knew at the last look, by drive and name.
    pub suspects: Mutex<HashSet<(DriveId, String)>>,
    /// Dropped volumes that still have files on drives that weren't there.
    pub lingering: Mutex<BTreeSet<VolumeId>>,
}

/// A tier, and the volume that it writes to.
pub(crate) struct TierState {
    pub drives: TierDrives,
    pub current: Mutex<Option<Arc<Volume>>>,
    /// Taken by whoever opens the next volume.
    pub opening: tokio::sync::Mutex<()>,
}

/// Keeps every free and removal waiting while it lives: records that are read under a pin name bytes that are
/// there. To be held for a lookup and [`Volumes::read`] or [`Volumes::hold`], never longer, and not across an await.
pub struct Pin {
    _guard: crossbeam_epoch::Guard,
}

/// Keeps the bytes of some volumes from being freed, for as long as it lives.
#[derive(Clone, Debug)]
pub struct Holds {
    _holds: Vec<Hold>,
}

/// What there is, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeStats {
    pub open: u64,
    pub sealed: u64,
    /// Dropped volumes whose files are still to be removed.
    pub dropped: u64,
    /// Payload bytes that records name.
    pub live: u64,
    /// Bytes of sealed volumes' shard files, all shards counted.
    pub sealed_disk: u64,
    pub lost_shards: u64,
    /// Fragments that were found bad and wait for repair.
    pub repairs: u64,
    /// Ranges and volumes that wait for their readers.
    pub freed: u64,
    /// Memory in idle buffers.
    pub idle_buffers: u64,
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Volumes({:?})", self.stats())
    }
}

impl Volumes {
    /// An empty table; [`Volumes::restore`] fills it.
    pub(crate) fn empty(
        tiers: Vec<TierDrives>,
        log: Arc<dyn VolumeLog>,
        next_id: u64,
        reserve: u64,
    ) -> Volumes {
        let largest = |size: fn(Stripe) -> usize| {
            tiers.iter().map(|tier| size(Stripe::full(tier.geometry))).max().unwrap_or_default()
        };
        let stripes = Buffers::new(largest(stripe::memory));
        let fragments = Buffers::new(largest(|full| Blocks::all(full).disk(full)).max(BLOCK as usize));
        let state = |drives| TierState { drives, current: Mutex::default(), opening: Default::default() };
        let shared = Shared {
            log,
            tiers: tiers.into_iter().map(state).collect(),
            table: RwLock::default(),
            next_id: next_id.into(),
            opening: tokio::sync::Mutex::default(),
            reserve: reserve.into(),
            stripes,
            fragments,
            freed: Mutex::default(),
            waiting: Mutex::default(),
            repairs: Repairs::default(),
            claims: Arc::default(),
            first_own: next_id,
            suspects: Mutex::default(),
            lingering: Mutex::default(),
        };
        Volumes { shared: Arc::new(shared) }
    }

    /// A pin. It costs some tens of nanoseconds.
    pub fn pin(&self) -> Pin {
        Pin { _guard: crate::pin::pin() }
    }

    /// Holds on all volumes that these blobs lie in: each of them can be read, without a pin of its own, for as
    /// long as the answer lives. For objects of many parts.
    pub fn hold<'a>(&self, _pin: &Pin, blobs: impl IntoIterator<Item = &'a BlobRef>) -> Holds {
        let mut seen = HashSet::new();
        let table = self.shared.table.read();
        let mut holds = Vec::new();
        let mut take = |id: VolumeId| {
            if seen.insert(id) {
                holds.extend(table.get(&id).map(|volume| volume.hold()));
            }
        };
        for blob in blobs {
            match &blob.place {
                Place::Packed(at) => take(at.volume),
                Place::Extents(extents) => extents.iter().for_each(|extent| take(extent.volume)),
                Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => {}
            }
        }
        Holds { _holds: holds }
    }

    /// What a blob takes of the drives: headers, parity and padding included, all shards counted. Of a packed body it
    /// is what its whole stripe takes.
    pub fn disk_of(&self, blob: &BlobRef) -> u64 {
        let of = |id: VolumeId, disk: &dyn Fn(Geometry) -> u64| {
            self.shared.find(id).map_or(0, |volume| disk(volume.geometry) * volume.slots.len() as u64)
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
        if let Some(volume) = self.shared.find(volume) {
            volume.set_usage(live, high_water);
        }
    }

    pub fn tiers(&self) -> Vec<TierHealth> {
        let health = |state: &TierState| TierHealth {
            tier: state.drives.tier,
            geometry: widest(state.drives.geometry, state.drives.drives.now().len()),
            drives: state.drives.drives.now().len(),
            healthy: state.healthy().len(),
            with_room: self.shared.with_room(state),
        };
        self.shared.tiers.iter().map(health).collect()
    }

    /// How many bytes of every device only packing and other upkeep may use.
    pub fn set_reserve(&self, bytes: u64) {
        self.shared.reserve.store(bytes, Ordering::Relaxed);
    }

    /// What [`Volumes::set_reserve`] said last.
    pub fn kept_free(&self) -> u64 {
        self.shared.reserve.load(Ordering::Relaxed)
    }

    /// Memory that a [`crate::writepath::BlobWriter`] of the tier takes at most.
    pub fn writer_memory(&self, tier: Tier) -> u64 {
        let full = self.shared.tier(tier).map(|tier| Stripe::full(tier.drives.geometry));
        full.map_or(0, |full| (crate::writepath::IN_FLIGHT + 1) * stripe::memory(full) as u64)
    }

    /// Memory that a [`crate::readpath::BlobReader`] takes at most: what it reads ahead, and the fragments that one
    /// is rebuilt from.
    pub fn reader_memory(&self) -> u64 {
        let widest = self.shared.tiers.iter().map(|tier| tier.drives.geometry.shards()).max();
        crate::readpath::memory(widest.unwrap_or_default())
    }

    /// How many shards count on a drive: lie there, or did and are not written anew elsewhere yet.
    pub fn shards_on(&self, drive: DriveId) -> u64 {
        let table = self.shared.table.read();
        let volumes = table.values().filter(|volume| volume.phase() != Phase::Dropped);
        let there = volumes.flat_map(|volume| &volume.slots).filter(|slot| slot.now().drive_id == drive);
        there.count() as u64
    }

    pub fn stats(&self) -> VolumeStats {
        let idle = self.shared.stripes.idle() + self.shared.fragments.idle();
        let mut stats = VolumeStats {
            repairs: self.shared.repairs.len() as u64,
            freed: (self.shared.freed.lock().len() + self.shared.waiting.lock().len()) as u64,
            idle_buffers: idle as u64,
            ..VolumeStats::default()
        };
        for volume in self.shared.table.read().values() {
            match volume.phase() {
                Phase::Open(_) => stats.open += 1,
                Phase::Sealed { length } => {
                    stats.sealed += 1;
                    stats.sealed_disk += length * volume.slots.len() as u64;
                }
                Phase::Dropped => stats.dropped += 1,
            }
            stats.live += volume.usage().0;
            stats.lost_shards += (volume.slots.len() - volume.shards_left()) as u64;
        }
        stats
    }
}

impl Shared {
    pub fn find(&self, id: VolumeId) -> Option<Arc<Volume>> {
        self.table.read().get(&id).cloned()
    }

    pub fn tier(&self, tier: Tier) -> Option<&TierState> {
        self.tiers.iter().find(|state| state.drives.tier == tier)
    }

    /// A drive of any tier.
    pub fn drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.tiers.iter().find_map(|tier| tier.drives.drives.find(id))
    }

    /// How many drives have space for a part of a whole volume beyond the reserve.
    fn with_room(&self, state: &TierState) -> usize {
        let (healthy, reserve) = (state.healthy(), self.reserve.load(Ordering::Relaxed));
        let devices = Devices::of(&healthy);
        let part = volume_end(state.drives.geometry);
        healthy.iter().filter(|drive| devices.part(drive, reserve) >= part).count()
    }

    /// A volume of that record over this table's drives.
    pub fn volume_of(&self, record: &super::VolumeRecord) -> Result<Volume, CodecError> {
        Volume::new(record, |id| self.drive(id))
    }

    /// Records that a shard can't be counted on, once, and remembers it. `file` is what was found wanting: it may
    /// have been rebuilt since.
    pub async fn lose_shard(
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
}

/// The geometry of volumes over all of so many drives: a tier that drives were taken out of may be narrower than it was
/// formed.
fn widest(full: Geometry, drives: usize) -> Geometry {
    geometry_over(full, drives).unwrap_or(full)
}

impl TierState {
    /// The geometry that the tier's next writer will most likely meet.
    pub fn geometry_now(&self) -> Geometry {
        self.current.lock().as_ref().map_or(self.drives.geometry, |volume| volume.geometry)
    }

    /// The drives where new shards may go.
    pub fn healthy(&self) -> Vec<Arc<Drive>> {
        self.drives.drives.open_to_new()
    }
}
