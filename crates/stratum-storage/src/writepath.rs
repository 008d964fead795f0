//! How a body gets into a volume: cut into stripes, encoded off the async threads, written by the lanes, synced.
//!
//! ```text
//! push -> stripe buffer -> (a blocking thread) parity and checksums -> a lane for each shard -> finish: sync, settle
//! ```
//!
//! A writer reserves one extent at a time and has at most [`IN_FLIGHT`] stripes on their way besides the one that is
//! being filled, so its memory is bounded and known. Nothing it writes is named by anything until the caller commits
//! the [`BlobRef`] that [`BlobWriter::finish`] gives; a writer that is dropped leaves garbage, which is freed.

mod flight;

use crate::blob::{BlobRef, Extent, Place, Tier, VolumeId};
use crate::drive::lane::{Work, promise};
use crate::format::layout::{extent_disk, full_payload, longest_extent, stripe_at};
use crate::format::v1::Kind;
use crate::reclaim::Freed;
use crate::volume::{
    Asked, Purpose, Reservation, StripeAddress, StripeBuffer, Volume, Volumes, is_full, outcomes,
};
use bytes::Bytes;
use flight::{Flight, Landing, Through};
use std::collections::VecDeque;
use std::sync::Arc;

pub use crate::volume::WriteError;

/// Stripes of one writer that are being encoded or written at a time.
pub const IN_FLIGHT: u64 = 2;
/// Bodies from this length on, in bytes, go past the page cache: copying them into fresh pages of it costs the
/// processor more than all coding, and they would push out what is read often.
const PAST_CACHE: u64 = 8 << 20;

/// Writes one body of a known length.
pub struct BlobWriter {
    volumes: Volumes,
    tier: Tier,
    purpose: Purpose,
    kind: Kind,
    length: u64,
    /// Bytes for which there are extents.
    reserved: u64,
    /// Bytes that were pushed.
    pushed: u64,
    extents: Vec<WrittenExtent>,
    filling: Option<Filling>,
    in_flight: VecDeque<Flight>,
    /// A drive had no space for a shard: that shard is missing like any other that missed a write.
    met_full: bool,
}

/// A written body. Propose a command that names its `blob` with its `hold`.
#[derive(Debug)]
pub struct Written {
    pub blob: BlobRef,
    pub hold: WriteHold,
}

impl Written {
    /// Makes the other body the end of this one.
    pub fn append(&mut self, other: Written) {
        match (&mut self.blob.place, other.blob.place) {
            (Place::Extents(extents), Place::Extents(more)) => extents.extend(more),
            (place @ Place::Empty, more) => *place = more,
            // What a writer gives is empty or extents, and nothing else.
            _ => {}
        }
        self.hold.join(other.hold);
    }
}

/// Keeps the volumes of a written body from sealing before the body is committed.
///
/// Dropped, it frees the body's bytes, as an unfinished writer does: nothing can name what nobody has proposed. Whoever
/// proposes the body makes it a [`ProposedHold`] first.
#[derive(Debug)]
#[must_use = "dropped, it frees what was written"]
pub struct WriteHold {
    volumes: Volumes,
    reservations: Vec<Reservation>,
}

impl WriteHold {
    fn join(&mut self, mut other: WriteHold) {
        self.reservations.append(&mut other.reservations);
    }

    /// Both holds in one.
    pub fn joined(mut self, other: WriteHold) -> WriteHold {
        self.join(other);
        self
    }

    /// Whether an extent or a packed stripe that begins there was written under it.
    pub fn covers(&self, volume: VolumeId, start: u64) -> bool {
        let is = |reservation: &Reservation| (reservation.volume.id, reservation.start) == (volume, start);
        self.reservations.iter().any(is)
    }

    /// A command that names the body is on its way: from now on a record may.
    pub fn proposed(mut self) -> ProposedHold {
        let reservations = std::mem::take(&mut self.reservations);
        ProposedHold { volumes: self.volumes.clone(), reservations }
    }
}

impl Drop for WriteHold {
    fn drop(&mut self) {
        for reservation in &self.reservations {
            self.volumes.free(Freed::of(reservation));
        }
    }
}

/// The hold of a body for which a command was proposed. Dropping it is right in every case, since it frees nothing: a
/// record may name the body. Where it is proven that none does, the bytes are given back.
#[derive(Debug)]
pub struct ProposedHold {
    volumes: Volumes,
    reservations: Vec<Reservation>,
}

/// Says of a command that it had no effect and never will: no record names what only the command would have named. An
/// unknown outcome is no such proof.
pub trait ProvesNoEffect {}

impl ProposedHold {
    /// Frees the body's bytes.
    pub fn discard(self, _proof: &impl ProvesNoEffect) {
        self.discard_unnamed(|_, _| false);
    }

    /// Frees what no record names, by volume and place in it, now that the command is applied. What was named and
    /// released since may be freed again, which does nothing: a place in a volume is never used twice.
    pub fn discard_unnamed(self, is_named: impl Fn(VolumeId, u64) -> bool) {
        for reservation in &self.reservations {
            if !is_named(reservation.volume.id, reservation.start) {
                self.volumes.free(Freed::of(reservation));
            }
        }
    }
}

/// An extent, and what happened to its shards.
#[derive(Debug)]
struct WrittenExtent {
    reservation: Reservation,
    length: u64,
    /// Shards that failed a write or a sync.
    failed: Vec<u8>,
    /// All that was written is synced: the write asked for it.
    synced: bool,
}

/// The stripe that takes bytes now.
struct Filling {
    buffer: StripeBuffer,
    address: StripeAddress,
    /// It is the only stripe of the body.
    only: bool,
}

impl Volumes {
    /// A writer of a body of `length` bytes into a tier, with its first extent reserved.
    pub async fn write(&self, tier: Tier, length: u64) -> Result<BlobWriter, WriteError> {
        self.writer(tier, length, Kind::Plain, Purpose::Body).await
    }

    /// A writer of a copy of a body that is stored already. It may use the space that is reserved for upkeep: what
    /// it copies from is freed in the end.
    pub async fn write_copy(&self, tier: Tier, length: u64) -> Result<BlobWriter, WriteError> {
        self.writer(tier, length, Kind::Plain, Purpose::Upkeep).await
    }

    pub(crate) async fn writer(
        &self,
        tier: Tier,
        length: u64,
        kind: Kind,
        purpose: Purpose,
    ) -> Result<BlobWriter, WriteError> {
        let mut writer = BlobWriter {
            volumes: self.clone(),
            tier,
            purpose,
            kind,
            length,
            reserved: 0,
            pushed: 0,
            extents: Vec::new(),
            filling: None,
            in_flight: VecDeque::new(),
            met_full: false,
        };
        writer.next_stripe().await?;
        Ok(writer)
    }
}

impl BlobWriter {
    /// Takes the next bytes of the body. Waits while [`IN_FLIGHT`] stripes are on their way.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Some(filling) = &mut self.filling else {
                return Err(WriteError::Length { expected: self.length });
            };
            let taken = filling.buffer.fill(rest);
            self.pushed += taken as u64;
            rest = &rest[taken..];
            if filling.buffer.is_full() {
                self.launch().await?;
                self.next_stripe().await?;
            }
        }
        Ok(())
    }

    /// Makes everything durable on the drives, records the shards that missed something, and says where the body
    /// lies.
    pub async fn finish(mut self) -> Result<Written, WriteError> {
        if self.pushed != self.length {
            return Err(WriteError::Length { expected: self.length });
        }
        while let Some(flight) = self.in_flight.pop_front() {
            self.land(flight).await?;
        }
        for at in 0..self.extents.len() {
            self.sync(at).await?;
        }
        for (volume, failed) in self.failures() {
            let settled = self.volumes.shared.settle(&volume, &failed).await;
            settled.map_err(|error| error.or_no_space(self.met_full, self.tier))?;
        }
        let extents = std::mem::take(&mut self.extents);
        let place = match extents.is_empty() {
            true => Place::Empty,
            false => Place::Extents(extents.iter().map(WrittenExtent::extent).collect()),
        };
        let reservations = extents.into_iter().map(|extent| extent.reservation).collect();
        Ok(Written {
            blob: BlobRef::plain(place),
            hold: WriteHold { volumes: self.volumes.clone(), reservations },
        })
    }

    /// Whether all of the body goes into one stripe.
    pub(crate) fn is_one_stripe(&self) -> bool {
        self.filling.as_ref().is_some_and(|filling| filling.only)
    }

    /// Payload of a full stripe where the body goes.
    pub(crate) fn stripe_payload(&self) -> usize {
        self.extents.last().map_or(0, |extent| full_payload(extent.reservation.volume.geometry) as usize)
    }

    /// Prepares the buffer for the next stripe, in the current extent or in a new one.
    async fn next_stripe(&mut self) -> Result<(), WriteError> {
        if self.pushed == self.length {
            return Ok(());
        }
        if self.pushed == self.reserved {
            self.next_extent().await?;
        }
        let Some(extent) = self.extents.last() else { return Ok(()) };
        let volume = &extent.reservation.volume;
        let within = extent.length - (self.reserved - self.pushed);
        let place = stripe_at(volume.geometry, &extent.extent(), within);
        let Some((offset, stripe, _)) = place else { return Ok(()) };
        let address = StripeAddress { volume: volume.id, offset, stripe, kind: self.kind };
        let only = u64::from(stripe.payload) == self.length;
        let buffer = StripeBuffer::new(stripe, &self.volumes.shared.stripes);
        self.filling = Some(Filling { buffer, address, only });
        Ok(())
    }

    /// Reserves the next extent. How much payload it holds depends on the geometry of the volume that has room, so
    /// a narrower one is asked again with its own.
    async fn next_extent(&mut self) -> Result<(), WriteError> {
        let rest = self.length - self.reserved;
        let none = WriteError::TooFewDrives { tier: self.tier, healthy: 0 };
        let mut geometry = self.volumes.shared.tier(self.tier).ok_or(none)?.geometry_now();
        for _ in 0..4 {
            let length = rest.min(longest_extent(geometry));
            let disk = extent_disk(geometry, length);
            let reservation = self.volumes.reserve(self.tier, disk, self.purpose).await?;
            if reservation.volume.geometry == geometry {
                self.reserved += length;
                self.extents.push(WrittenExtent { reservation, length, failed: Vec::new(), synced: false });
                return Ok(());
            }
            geometry = reservation.volume.geometry;
            reservation.give_back();
        }
        Err(WriteError::Unavailable("the drives of the tier keep changing".into()))
    }

    /// Sends the full stripe on its way, after waiting for a place.
    async fn launch(&mut self) -> Result<(), WriteError> {
        while self.in_flight.len() as u64 >= IN_FLIGHT {
            if let Some(flight) = self.in_flight.pop_front() {
                self.land(flight).await?;
            }
        }
        let (Some(filling), Some(extent)) = (self.filling.take(), self.extents.last_mut()) else {
            return Ok(());
        };
        extent.synced = filling.only;
        let volume = extent.reservation.volume.clone();
        let through = match filling.only {
            true => Through::CacheAndSync,
            false if self.length >= PAST_CACHE => Through::Drive,
            false => Through::Cache,
        };
        let flight = Flight::launch(volume, self.extents.len() - 1, filling.buffer, filling.address, through);
        self.in_flight.push_back(flight);
        Ok(())
    }

    /// Waits for a stripe and remembers the shards that it isn't on.
    async fn land(&mut self, flight: Flight) -> Result<(), WriteError> {
        let at = flight.extent;
        let Landing { failed, full } = flight.land().await?;
        self.met_full |= full;
        let Some(extent) = self.extents.get_mut(at) else { return Ok(()) };
        extent.add_failed(failed);
        match self.met_full && !extent.is_enough() {
            true => Err(WriteError::NoSpace(self.tier)),
            false => Ok(()),
        }
    }

    /// Syncs the shard files of an extent that took everything so far.
    async fn sync(&mut self, at: usize) -> Result<(), WriteError> {
        let Some(extent) = self.extents.get_mut(at).filter(|extent| !extent.synced) else { return Ok(()) };
        let volume = extent.reservation.volume.clone();
        let mut asked = Vec::with_capacity(volume.slots.len());
        for (shard, current) in volume.shards() {
            if current.is_lost() || extent.failed.contains(&shard) {
                continue;
            }
            let (Some(file), Some(drive)) = (current.opened(), &current.drive) else {
                extent.add_failed(vec![shard]);
                continue;
            };
            let (done, answer) = promise();
            drive.volume_lane().submit(Work::Sync { file, done: current.note_sync(done) });
            asked.push(Asked { shard, drive: drive.clone(), answer });
        }
        for (shard, outcome) in outcomes(asked).await {
            match outcome {
                Ok(()) => {}
                Err(error) => {
                    self.met_full |= is_full(&error);
                    extent.add_failed(vec![shard]);
                }
            }
        }
        // One sync covers everything that was written to a volume before it.
        for extent in self.extents.iter_mut().filter(|extent| extent.reservation.volume.id == volume.id) {
            extent.synced = true;
        }
        Ok(())
    }

    /// The volumes that were written to, each with the shards that missed something.
    fn failures(&self) -> Vec<(Arc<Volume>, Vec<u8>)> {
        let mut failures: Vec<(Arc<Volume>, Vec<u8>)> = Vec::new();
        for extent in &self.extents {
            let volume = &extent.reservation.volume;
            match failures.iter_mut().find(|(known, _)| known.id == volume.id) {
                Some((_, failed)) => failed.extend(&extent.failed),
                None => failures.push((volume.clone(), extent.failed.clone())),
            }
        }
        // Another's sync may have failed, and taken with it what was written here.
        for (volume, failed) in &mut failures {
            failed.extend(volume.shards().filter(|(_, file)| file.is_unsynced()).map(|(shard, _)| shard));
        }
        failures
    }
}

impl Drop for BlobWriter {
    /// A body that wasn't finished is garbage: nothing can name it.
    fn drop(&mut self) {
        for extent in &self.extents {
            self.volumes.free(Freed::of(&extent.reservation));
        }
    }
}

impl WrittenExtent {
    /// Whether it is on as many shards as an acknowledgement takes.
    fn is_enough(&self) -> bool {
        self.reservation.volume.took(&self.failed).is_enough()
    }

    fn extent(&self) -> Extent {
        Extent { volume: self.reservation.volume.id, start: self.reservation.start, length: self.length }
    }

    fn add_failed(&mut self, shards: Vec<u8>) {
        for shard in shards {
            if !self.failed.contains(&shard) {
                self.failed.push(shard);
            }
        }
    }
}
