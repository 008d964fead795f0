//! One body on its way in: cut into stripes that are filled, sent and landed one after the other.

use super::flight::{Flight, Landing, Through};
use super::hold::{WriteHold, Written};
use super::room::{Purpose, WriteError};
use super::{STRIPES_IN_FLIGHT, Writer};
use crate::blob::{BlobRef, Extent, Place, Tier};
use crate::drive::lane::{Work, promise};
use crate::format::layout::{extent_disk, full_payload, longest_extent, stripe_at};
use crate::format::v1::Kind;
use crate::volume::{AskedShard, Freed, Reservation, StripeAddress, StripeBuffer, Volume, is_full, outcomes};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bodies from this length on, in bytes, go past the page cache: copying them into fresh pages of it costs the
/// processor more than all coding, and they would push out what is read often.
const DIRECT_FROM_BYTES: u64 = 8 << 20;

/// Writes one body of a known length.
pub struct BlobWriter {
    writer: Arc<Writer>,
    tier: Tier,
    purpose: Purpose,
    kind: Kind,
    length: u64,
    /// Bytes for which there are extents.
    reserved: u64,
    /// Bytes that were pushed.
    pushed: u64,
    extents: Vec<WrittenExtent>,
    filling: Option<FillingStripe>,
    in_flight: VecDeque<Flight>,
    /// A drive had no space for a shard: that shard is missing like any other that missed a write.
    met_full: bool,
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
struct FillingStripe {
    buffer: StripeBuffer,
    address: StripeAddress,
    /// It is the only stripe of the body.
    only: bool,
}

impl BlobWriter {
    /// With its first extent reserved.
    pub(super) async fn new(
        writer: Arc<Writer>,
        tier: Tier,
        length: u64,
        kind: Kind,
        purpose: Purpose,
    ) -> Result<BlobWriter, WriteError> {
        let mut body = BlobWriter {
            writer,
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
        body.next_stripe().await?;
        Ok(body)
    }

    /// Takes the next bytes of the body. Waits while [`STRIPES_IN_FLIGHT`] stripes are on their way.
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
            let settled = self.writer.settle(&volume, &failed).await;
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
            hold: WriteHold { table: self.writer.table.clone(), reservations },
        })
    }

    /// Whether all of the body goes into one stripe.
    pub(super) fn is_one_stripe(&self) -> bool {
        self.filling.as_ref().is_some_and(|filling| filling.only)
    }

    /// Payload of a full stripe where the body goes.
    pub(super) fn stripe_payload(&self) -> usize {
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
        let buffer = StripeBuffer::new(stripe, &self.writer.stripes);
        self.filling = Some(FillingStripe { buffer, address, only });
        Ok(())
    }

    /// Reserves the next extent. How much payload it holds depends on the geometry of the volume that has room, so
    /// a narrower one is asked again with its own.
    async fn next_extent(&mut self) -> Result<(), WriteError> {
        let rest = self.length - self.reserved;
        let none = WriteError::TooFewDrives { tier: self.tier, healthy: 0 };
        let mut geometry = self.writer.tier(self.tier).ok_or(none)?.geometry_now();
        for _ in 0..4 {
            let length = rest.min(longest_extent(geometry));
            let disk = extent_disk(geometry, length);
            let reservation = self.writer.reserve(self.tier, disk, self.purpose).await?;
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
        while self.in_flight.len() as u64 >= STRIPES_IN_FLIGHT {
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
            false if self.length >= DIRECT_FROM_BYTES => Through::Drive,
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
        let mut asked = Vec::with_capacity(volume.slots().len());
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
            asked.push(AskedShard { shard, drive: drive.clone(), answer });
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
        // A sync of another writer may have failed, and taken with it what was written here.
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
            self.writer.table.free(Freed::of(&extent.reservation));
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
