//! Room for a writer: reservations, new volumes, and shard files that grow.
//!
//! A volume's `Opened` is durable before its files are made, and its files and their directory entries are durable
//! before anybody writes to it. Files are allocated ahead in growing steps, so that a full disk says so before a
//! body is written and not in the middle of a stripe.

use super::{TierWriter, Writer};
use crate::blob::{Geometry, Tier, VolumeId};
use crate::drive::{Devices, Domain, Drive, DriveId, FileIo, OpenHow, questions};
use crate::format::layout::{FILE_HEADER, volume_end};
use crate::format::v1::ShardHeader;
use crate::placement::{Candidate, geometry_over, geometry_with_room, place};
use crate::volume::{
    DIRECTORY, Reservation, Shard, Took, Volume, VolumeEvent, VolumeLogError, VolumeRecord, VolumeState,
    each_shard, is_full, shard_path, unfinished,
};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The first step by which shard files grow; each later one doubles what there is, up to [`LAST_STEP_BYTES`].
pub(super) const FIRST_STEP_BYTES: u64 = 2 << 20;
const LAST_STEP_BYTES: u64 = 32 << 20;
/// How often a reservation tries another volume before it gives up.
const RESERVATION_ATTEMPTS: usize = 8;

/// Why a body was not written. Nothing that it wrote is named by anything.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum WriteError {
    #[error("no space is left on the drives of the {} tier; delete something or add space", .0.name())]
    NoSpace(Tier),
    #[error("{healthy} drives of the {} tier are healthy, too few to write to; bring drives back", tier.name())]
    TooFewDrives { tier: Tier, healthy: usize },
    #[error("{left} shards of {volume} took the write and {needed} are needed; bring drives back and retry")]
    TooFewShards { volume: VolumeId, left: usize, needed: usize },
    #[error("the body has another length than was announced: {expected} bytes")]
    Length { expected: u64 },
    #[error("a body of {0} bytes doesn't fit into a packed stripe")]
    TooLarge(usize),
    #[error("too much waits on the drives of the {} tier to come to the remote store; it is behind, or away", .0.name())]
    SpoolFull(Tier),
    #[error("volumes can't be changed now: {0}")]
    Unavailable(String),
}

impl WriteError {
    /// Whether the tier only lacks space or drives, or its remote store is behind: no failure, but something to wait for.
    pub fn is_waiting(&self) -> bool {
        matches!(self, WriteError::NoSpace(_) | WriteError::TooFewDrives { .. } | WriteError::SpoolFull(_))
    }

    /// The same, or, where shards are missing because drives are full, that there is no space.
    pub(super) fn or_no_space(self, full: bool, tier: Tier) -> WriteError {
        match self {
            WriteError::TooFewShards { .. } if full => WriteError::NoSpace(tier),
            other => other,
        }
    }
}

impl From<VolumeLogError> for WriteError {
    fn from(error: VolumeLogError) -> Self {
        WriteError::Unavailable(error.to_string())
    }
}

/// What a move of bodies must leave free on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The whole reserve: what is moved takes its space for good.
    Reserve,
    /// Half of the rest of the reserve: more space comes back in the end than was taken, and one such move is what
    /// the reserve is for.
    HalfOfReserve,
}

/// Who asks for space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client's body: the reserve is not for it.
    Body,
    /// Packing, and whatever else frees space in the end.
    Upkeep,
}

impl Writer {
    /// Whether `payload` bytes, with whatever headers and padding go with them, fit on the tier's drives as they now
    /// are, and leave that much: over as many of them as have room for it.
    pub fn check_room(&self, tier: Tier, payload: u64, leave: Leave) -> Result<(), WriteError> {
        let none = WriteError::TooFewDrives { tier, healthy: 0 };
        let state = self.tier(tier).ok_or(none)?;
        if self.table.is_spool_full(tier) {
            return Err(WriteError::SpoolFull(tier));
        }
        let healthy = state.healthy();
        let geometry = geometry_over(state.drives.geometry, healthy.len());
        let geometry = geometry.ok_or(WriteError::TooFewDrives { tier, healthy: healthy.len() })?;
        let reserve = self.table.kept_free();
        let left = |taken: u64| match leave {
            Leave::Reserve => reserve,
            Leave::HalfOfReserve => reserve.saturating_sub(taken) / 2,
        };
        let devices = Devices::of(&healthy);
        let mut roomiest = candidates(&healthy, &devices, 0);
        roomiest.sort_by_key(|candidate| std::cmp::Reverse(candidate.room));
        let fits = |k: u8| {
            let shards = Geometry { k, ..geometry }.shards();
            let drives: Vec<_> = roomiest.iter().take(shards).map(|candidate| candidate.drive).collect();
            check_devices(&devices, &drives, payload.div_ceil(k.into()), tier, left).is_ok()
        };
        (1..=geometry.k).rev().any(fits).then_some(()).ok_or(WriteError::NoSpace(tier))
    }

    /// Takes `disk` bytes of every shard file of a volume of the tier, allocated on the drives.
    pub(super) async fn reserve(
        &self,
        tier: Tier,
        disk: u64,
        purpose: Purpose,
    ) -> Result<Reservation, WriteError> {
        let none = WriteError::TooFewDrives { tier, healthy: 0 };
        let state = self.tier(tier).ok_or(none)?;
        let wanted = WantedSpace { disk, geometry: state.geometry_now() };
        for _ in 0..RESERVATION_ATTEMPTS {
            let current = state.current.lock().clone();
            if let Some(reservation) = current.as_ref().and_then(|volume| volume.try_reserve(disk)) {
                let Err(error) = self.grow(&reservation, purpose).await else {
                    return Ok(reservation);
                };
                let volume = reservation.volume.clone();
                reservation.give_back();
                if !self.has_room_elsewhere(state, &volume, wanted, purpose).await {
                    return Err(error);
                }
                volume.retire();
            }
            let _opening = state.opening.lock().await;
            let now = state.current.lock().clone();
            if now.as_ref().map(|volume| volume.id) == current.map(|volume| volume.id) {
                self.open_volume(state, wanted, purpose).await?;
            }
        }
        Err(WriteError::Unavailable("new volumes keep losing drives".into()))
    }
}

/// What a writer wants of every shard file of a volume of that geometry.
#[derive(Clone, Copy, Debug)]
struct WantedSpace {
    disk: u64,
    geometry: Geometry,
}

impl WantedSpace {
    /// About the same of a shard file of a volume of another geometry; at least what a new one takes.
    fn each(self, geometry: Geometry) -> u64 {
        let whole = self.disk.saturating_mul(self.geometry.k.into());
        whole.div_ceil(geometry.k.max(1).into()).max(FIRST_STEP_BYTES)
    }
}

impl Writer {
    /// Opens the tier's next volume over its healthy drives that have room, and makes it the current one. Where some of
    /// them write far later than the others it does without those, if there are as many as it takes; and without one that
    /// hangs, for which all who write to the tier would wait.
    async fn open_volume(
        &self,
        state: &TierWriter,
        wanted: WantedSpace,
        purpose: Purpose,
    ) -> Result<(), WriteError> {
        let tier = state.drives.tier;
        if self.table.is_spool_full(tier) {
            return Err(WriteError::SpoolFull(tier));
        }
        let asked = state.healthy();
        let checked = questions::ask(&asked, |drive| drive.check()).await;
        let is_there =
            |(drive, checked): (Arc<Drive>, Option<bool>)| (checked == Some(true)).then_some(drive);
        let healthy: Vec<Arc<Drive>> = asked.into_iter().zip(checked).filter_map(is_there).collect();
        let devices = Devices::ask(&healthy).await;
        let too_few = WriteError::TooFewDrives { tier, healthy: healthy.len() };
        let geometry = geometry_over(state.drives.geometry, healthy.len()).ok_or(too_few.clone())?;
        let mut candidates = candidates(&healthy, &devices, self.left_by(purpose));
        let geometry = geometry_with_room(geometry, &candidates, |geometry| wanted.each(geometry));
        let geometry = geometry.ok_or(WriteError::NoSpace(tier))?;
        candidates.retain(|candidate| candidate.room >= wanted.each(geometry));
        let is_quick = |candidate: &Candidate<&Arc<Drive>>| !candidate.drive.writes_slowly();
        if candidates.iter().filter(|candidate| is_quick(candidate)).count() >= geometry.shards() {
            candidates.retain(is_quick);
        }
        // Numbers are recorded in their order: one that comes after a higher one was used before, for all the state
        // knows.
        let recording = self.recording.lock().await;
        let id = VolumeId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (geometry, drives) = place(geometry, id, &candidates).ok_or(too_few)?;
        self.check_space(&devices, &drives, FIRST_STEP_BYTES, tier, purpose)?;

        let shards: Vec<Shard> =
            drives.iter().map(|drive| Shard { drive: drive.id(), generation: 0, lost: false }).collect();
        let opened = VolumeEvent::Opened { id, tier, geometry, shards: shards.clone() };
        self.table.log.record(opened).await?;
        drop(recording);
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
        let volume =
            self.table.volume_of(&record).map_err(|error| WriteError::Unavailable(error.to_string()))?;
        let volume = Arc::new(volume);
        self.table.insert(volume.clone());
        match self.create_files(&volume).await {
            Ok(()) => {
                tracing::info!(volume = %id, tier = tier.name(), %geometry, "opened a volume");
                *state.current.lock() = Some(volume);
                Ok(())
            }
            Err(error) => {
                volume.retire();
                Err(error)
            }
        }
    }

    /// Makes all shard files, each drive's by its own lane.
    async fn create_files(&self, volume: &Arc<Volume>) -> Result<(), WriteError> {
        let outcomes = each_shard(volume, |drive, shard, slot_path| {
            let header = ShardHeader {
                volume: volume.id,
                tier: volume.tier,
                geometry: volume.geometry,
                shard,
                generation: 0,
                drive: drive.id(),
            };
            let (drive, volume, path) = (drive.clone(), volume.clone(), slot_path.to_owned());
            move || {
                let file = create_shard_file(&drive, &path, &header)?;
                if let Some(current) = volume.shard(shard) {
                    current.set_file(file);
                }
                Ok(())
            }
        })
        .await;
        let (mut failed, mut full) = (Vec::new(), false);
        for (shard, outcome) in outcomes {
            if let Err(error) = outcome {
                tracing::warn!(volume = %volume.id, shard, %error, "a shard file can't be made");
                full |= is_full(&error);
                failed.push(shard);
            }
        }
        self.settle(volume, &failed).await.map_err(|error| error.or_no_space(full, volume.tier))
    }

    /// Records the shards that missed a write, if enough are left for what was written to count.
    pub(super) async fn settle(&self, volume: &Volume, failed: &[u8]) -> Result<(), WriteError> {
        let took = volume.took(failed);
        if !failed.is_empty() {
            volume.retire();
        }
        if !took.is_enough() {
            let Took { left, needed } = took;
            return Err(WriteError::TooFewShards { volume: volume.id, left, needed });
        }
        for (shard, file) in volume.shards().filter(|(shard, _)| failed.contains(shard)) {
            self.table.lose_shard(volume, shard, &file).await?;
        }
        Ok(())
    }

    /// Sees to it that the shard files are allocated as far as the reservation goes.
    async fn grow(&self, reservation: &Reservation, purpose: Purpose) -> Result<(), WriteError> {
        let volume = &reservation.volume;
        let enough =
            |volume: &Volume| volume.allocated().is_none_or(|allocated| reservation.end <= allocated);
        if enough(volume) {
            return Ok(());
        }
        let _changing = volume.changing.lock().await;
        let Some(allocated) = volume.allocated() else { return Ok(()) };
        if enough(volume) {
            return Ok(());
        }
        let drives: Vec<Arc<Drive>> = volume.shards().filter_map(|(_, file)| file.drive.clone()).collect();
        let devices = Devices::ask(&drives).await;
        let drives: Vec<&Arc<Drive>> = drives.iter().collect();
        let room =
            |target: u64| self.check_space(&devices, &drives, target - allocated, volume.tier, purpose);
        let mut target = ahead(volume, allocated, reservation.end);
        if room(target).is_err() {
            target = reservation.end;
            room(target)?;
        }
        let outcomes = each_shard(volume, |_, shard, _| {
            let file = volume.shard(shard).and_then(|current| current.opened());
            move || match file {
                Some(file) => file.allocate(allocated, target - allocated),
                None => Err(ErrorKind::NotFound.into()),
            }
        })
        .await;
        // A drive that failed is noticed, and recorded, by the writes that follow.
        if outcomes.iter().any(|(_, outcome)| outcome.as_ref().is_err_and(is_full)) {
            return Err(WriteError::NoSpace(volume.tier));
        }
        volume.set_allocated(target);
        Ok(())
    }

    /// Whether every device has room for `each` more bytes on each of these drives, beyond the reserve.
    fn check_space(
        &self,
        devices: &Devices,
        drives: &[&Arc<Drive>],
        each: u64,
        tier: Tier,
        purpose: Purpose,
    ) -> Result<(), WriteError> {
        check_devices(devices, drives, each, tier, |_| self.left_by(purpose))
    }

    /// Whether a drive of this volume lacks room, and the drives that have room are enough for another volume,
    /// perhaps a narrower one.
    async fn has_room_elsewhere(
        &self,
        state: &TierWriter,
        volume: &Volume,
        wanted: WantedSpace,
        purpose: Purpose,
    ) -> bool {
        let healthy = state.healthy();
        let devices = Devices::ask(&healthy).await;
        let candidates = candidates(&healthy, &devices, self.left_by(purpose));
        let lacks = |drive: DriveId| {
            let own = candidates.iter().find(|candidate| candidate.drive.id() == drive);
            own.is_none_or(|candidate| candidate.room < wanted.each(volume.geometry))
        };
        let full = geometry_over(state.drives.geometry, healthy.len());
        full.and_then(|full| geometry_with_room(full, &candidates, |geometry| wanted.each(geometry)))
            .is_some()
            && volume.shards().any(|(_, file)| lacks(file.drive_id))
    }

    /// What must stay free on every device.
    fn left_by(&self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Body => self.table.kept_free(),
            Purpose::Upkeep => 0,
        }
    }
}

/// The drives, with the room that each has.
pub(super) fn candidates<'a>(
    drives: &'a [Arc<Drive>],
    devices: &Devices,
    left: u64,
) -> Vec<Candidate<&'a Arc<Drive>>> {
    let candidates = drives.iter().map(|drive| {
        let room = devices.part(drive, left);
        Candidate { drive, domain: drive.domain(), room }
    });
    candidates.collect()
}

/// Whether every device that answers has room for `each` more bytes on each of these drives, and beyond that what is to
/// be left of a device from which so much was taken.
fn check_devices(
    devices: &Devices,
    drives: &[&Arc<Drive>],
    each: u64,
    tier: Tier,
    left: impl Fn(u64) -> u64,
) -> Result<(), WriteError> {
    let mut wanted: HashMap<Domain, (u64, &Arc<Drive>)> = HashMap::new();
    for drive in drives.iter().filter(|drive| drive.is_healthy()) {
        wanted.entry(drive.domain()).or_insert((0, drive)).0 += each;
    }
    for (wanted, drive) in wanted.into_values() {
        if devices.space_at(drive).is_some_and(|space| space.free < wanted.saturating_add(left(wanted))) {
            return Err(WriteError::NoSpace(tier));
        }
    }
    Ok(())
}

/// How far shard files are best allocated, so that they reach `end`.
fn ahead(volume: &Volume, allocated: u64, end: u64) -> u64 {
    let mut target = allocated;
    while target < end {
        target += (target - FILE_HEADER).clamp(FIRST_STEP_BYTES, LAST_STEP_BYTES);
    }
    target.min(volume_end(volume.geometry))
}

/// A new shard file with its header page, durable under its name.
fn create_shard_file(drive: &Drive, path: &str, header: &ShardHeader) -> io::Result<Arc<dyn FileIo>> {
    let io = drive.io();
    io.create_dir(DIRECTORY)?;
    let temporary = unfinished(path);
    let file = io.open(&temporary, OpenHow::CreateNew)?;
    file.write_at(&[&header.encode()], 0)?;
    file.sync()?;
    io.rename(&temporary, path)?;
    io.sync_dir(DIRECTORY)?;
    io.sync_dir("")?;
    debug_assert_eq!(path, shard_path(header.volume, header.shard, header.generation));
    Ok(file)
}
