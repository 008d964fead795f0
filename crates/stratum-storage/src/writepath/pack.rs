//! Packing: many small bodies in one stripe, with a directory at its end.
//!
//! The packer hands over bodies in the order in which it wants them placed. They fill stripe after stripe, a few of
//! which are on their way at a time, so that the lanes sync them together. What a body costs on the drives is its own
//! length and its share of parity, not a fragment on each.

use super::room::Purpose;
use super::{BlobWriter, WriteError, WriteHold, Writer};
use crate::blob::{PackedAt, Place, Tier};
use crate::format::directory::{self, Entry, MAX_ENTRIES, MAX_OWNER_BYTES};
use crate::format::layout::full_payload;
use crate::format::v1::Kind;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Stripes that are on their way at a time.
const STRIPES_IN_FLIGHT: usize = 4;
/// How often a stripe is planned anew because the volume that had room is narrower than the last one.
const PLAN_ATTEMPTS: usize = 4;

/// A body to pack.
#[derive(Clone, Debug)]
pub struct PackBody {
    /// Bytes that mean something to the metadata, at most [`MAX_OWNER_BYTES`]; they stand in the directory.
    pub owner: Vec<u8>,
    pub bytes: Bytes,
    /// CRC-32C of `bytes`.
    pub crc32c: u32,
}

/// A stripe that was written and synced. Propose a command that names its bodies with its `hold`.
#[derive(Debug)]
pub struct PackedStripe {
    /// The stripe as a whole: `offset` 0, `length` that of all its bodies, `crc32c` 0.
    pub stripe: PackedAt,
    /// The place of each of its bodies, in the order in which they were given.
    pub bodies: Vec<PackedAt>,
    pub hold: WriteHold,
}

/// A stripe that isn't synced yet.
struct Started {
    writer: BlobWriter,
    entries: Vec<Entry>,
    payload: u32,
}

impl Writer {
    /// Writes bodies into packed stripes of a tier, durably; together these hold all bodies, in order. It may use the
    /// space that is reserved for upkeep. Full stripes are cheapest: give bodies of several MiB together, or of
    /// [`Writer::packed_payload`] at least.
    pub async fn pack(
        self: &Arc<Self>,
        tier: Tier,
        bodies: &[PackBody],
    ) -> Result<Vec<PackedStripe>, WriteError> {
        let mut packed = Vec::new();
        let mut started = VecDeque::new();
        let mut rest = bodies;
        while !rest.is_empty() {
            let stripe = self.start_stripe(tier, rest).await?;
            rest = rest.get(stripe.entries.len()..).unwrap_or_default();
            started.push_back(stripe);
            if started.len() == STRIPES_IN_FLIGHT
                && let Some(first) = started.pop_front()
            {
                packed.push(first.finish().await?);
            }
        }
        for stripe in started {
            packed.push(stripe.finish().await?);
        }
        Ok(packed)
    }

    /// Bytes that a packed stripe of the tier holds now, its directory included; none where there is no such tier.
    pub fn packed_payload(&self, tier: Tier) -> Option<usize> {
        self.tier(tier).map(|state| full_payload(state.geometry_now()) as usize)
    }

    /// Sends a stripe with as many bodies from the front as fit on its way.
    async fn start_stripe(self: &Arc<Self>, tier: Tier, bodies: &[PackBody]) -> Result<Started, WriteError> {
        let none = WriteError::TooFewDrives { tier, healthy: 0 };
        let mut capacity = self.packed_payload(tier).ok_or(none)?;
        for _ in 0..PLAN_ATTEMPTS {
            let (chosen, entries) = plan(bodies, capacity)?;
            let directory = Bytes::from(directory::encode(&entries));
            let payload = entries.iter().map(|entry| entry.length).sum::<u32>() + directory.len() as u32;
            let mut writer = self.body(tier, payload.into(), Kind::Packed, Purpose::Upkeep).await?;
            if writer.is_one_stripe() {
                for body in chosen {
                    writer.push(body.bytes.clone()).await?;
                }
                writer.push(directory).await?;
                return Ok(Started { writer, entries, payload });
            }
            capacity = writer.stripe_payload();
        }
        Err(WriteError::Unavailable("the drives of the tier keep changing".into()))
    }
}

/// The bodies at the front that fit into one stripe, and their entries.
fn plan(bodies: &[PackBody], capacity: usize) -> Result<(&[PackBody], Vec<Entry>), WriteError> {
    let mut entries = Vec::new();
    let (mut offset, mut used) = (0, directory::empty_len());
    for body in bodies.iter().take(MAX_ENTRIES) {
        used += body.bytes.len() + directory::entry_len(&body.owner);
        if used > capacity {
            break;
        }
        let length = body.bytes.len() as u32;
        entries.push(Entry { offset, length, crc32c: body.crc32c, owner: body.owner.clone() });
        offset += length;
    }
    match bodies.first() {
        Some(first) if entries.is_empty() => Err(WriteError::TooLarge(first.bytes.len())),
        _ if entries.iter().any(|entry| entry.owner.len() > MAX_OWNER_BYTES) => {
            Err(WriteError::TooLarge(MAX_OWNER_BYTES + 1))
        }
        _ => Ok((bodies.get(..entries.len()).unwrap_or_default(), entries)),
    }
}

impl Started {
    /// Waits until the stripe is durable.
    async fn finish(self) -> Result<PackedStripe, WriteError> {
        let written = self.writer.finish().await?;
        let Place::Extents(extents) = &written.blob.place else {
            return Err(WriteError::Unavailable("a stripe has no place".into()));
        };
        let Some(extent) = extents.first() else {
            return Err(WriteError::Unavailable("a stripe has no place".into()));
        };
        let at = |offset, length, crc32c| PackedAt {
            volume: extent.volume,
            stripe: extent.start,
            payload: self.payload,
            offset,
            length,
            crc32c,
        };
        let bodies = self.entries.iter().map(|entry| at(entry.offset, entry.length, entry.crc32c)).collect();
        let length = self.entries.iter().map(|entry| entry.length).sum();
        Ok(PackedStripe { stripe: at(0, length, 0), bodies, hold: written.hold })
    }
}
