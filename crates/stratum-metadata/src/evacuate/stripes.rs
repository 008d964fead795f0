//! Moves packed stripes: the bodies that their owners still name are packed anew, together with those of other
//! stripes.
//!
//! A stripe is read as a whole. If a piece of it can't be read, the directory and each body are judged by their own
//! checksums.

use super::{EvacuateError, Evacuation, Mover, page};
use crate::keys;
use crate::machine::{Machine, ReadError};
use crate::record::{Owner, StripeRecord, decode};
use crate::relocate::{self, Batch, Small, Trust, blob_of};
use crate::tree::Base;
use bytes::Bytes;
use stratum_storage::blob::{BlobRef, PackedAt, Place};
use stratum_storage::blocking;
use stratum_storage::format::directory::{self, Entry};
use stratum_storage::format::layout::BLOCK_BYTES;
use stratum_storage::readpath::{self, BlobReader};
use stratum_storage::writepath::PackBody;

/// The live bodies of a stripe.
#[derive(Default)]
struct Contents {
    live: Vec<Small>,
    /// The owners whose bodies are damaged.
    bad: Vec<Owner>,
}

impl Evacuation<'_> {
    pub(super) async fn move_stripes(&mut self) -> Result<(), EvacuateError> {
        let prefix = keys::stripes_of(self.volume);
        let (mut next, mut batch) = (Some(prefix.clone()), Batch::default());
        while let Some(from) = next {
            let (metadata, prefix) = (self.mover.metadata.clone(), prefix.clone());
            let look = move || page::<StripeRecord>(&metadata, &prefix, &from);
            let (found, after) = blocking::spawn(look).await??;
            next = after;
            for (stripe, record) in found {
                if self.is_stopped() {
                    return Ok(());
                }
                for small in self.read_stripe(stripe, record).await? {
                    if !batch.add(small) {
                        continue;
                    }
                    self.pack(std::mem::take(&mut batch)).await?;
                }
            }
        }
        self.pack(batch).await
    }

    /// The live bodies of a stripe.
    async fn read_stripe(&mut self, stripe: u64, record: StripeRecord) -> Result<Vec<Small>, EvacuateError> {
        let payload = record.payload;
        let at = PackedAt { volume: self.volume, stripe, payload, offset: 0, length: payload, crc32c: 0 };
        let turn = self.mover.pace.turn(self.task, payload.into()).await;
        let Some(bytes) = self.mover.read_payload(&at).await? else { return Ok(Vec::new()) };
        drop(turn);
        let metadata = self.mover.metadata.clone();
        let look = move || live_bodies(metadata.state(), &at, &bytes);
        match blocking::spawn(look).await?? {
            Some(contents) => {
                contents.bad.iter().for_each(|owner| self.leave(Some(owner), &"its checksum is wrong"));
                Ok(contents.live)
            }
            None => {
                (0..record.bodies).for_each(|_| self.leave(None, &"the directory of its stripe is damaged"));
                Ok(Vec::new())
            }
        }
    }

    async fn pack(&mut self, batch: Batch) -> Result<(), EvacuateError> {
        if batch.bodies.is_empty() {
            return Ok(());
        }
        let Mover { metadata, volumes, pace } = self.mover;
        let turn = pace.turn(self.task, batch.bytes as u64).await;
        let moved = relocate::pack(metadata, volumes, self.tier, batch.bodies, Trust::Synced).await?;
        drop(turn);
        self.add(moved);
        Ok(())
    }
}

impl Mover {
    /// A stripe's payload, with zeros where it can't be read; `None` if nothing in it is live any more.
    pub(crate) async fn read_payload(&self, at: &PackedAt) -> Result<Option<Vec<u8>>, EvacuateError> {
        let length = u64::from(at.payload);
        let Some(mut reader) = self.stripe_reader(at, 0..length)? else { return Ok(None) };
        let mut payload = Vec::with_capacity(at.payload as usize);
        if read_all(&mut reader, &mut payload).await.is_ok() {
            return Ok(Some(payload));
        }
        payload.clear();
        for begin in (0..length).step_by(BLOCK_BYTES as usize) {
            let end = length.min(begin + u64::from(BLOCK_BYTES));
            let Some(mut reader) = self.stripe_reader(at, begin..end)? else { return Ok(None) };
            if read_all(&mut reader, &mut payload).await.is_err() {
                payload.truncate(begin as usize);
            }
            payload.resize(end as usize, 0);
        }
        Ok(Some(payload))
    }

    /// A reader of the stripe, if something in it is live. The pin keeps the stripe from being freed between that
    /// look and the hold.
    fn stripe_reader(
        &self,
        at: &PackedAt,
        range: std::ops::Range<u64>,
    ) -> Result<Option<BlobReader>, ReadError> {
        let pin = self.volumes.reader.pin();
        let Some(value) = self.metadata.state().get(&keys::stripe(at.volume, at.stripe))? else {
            return Ok(None);
        };
        let record: StripeRecord = decode(&value)?;
        let blob = BlobRef::plain(Place::Packed(*at));
        let is_same = record.payload == at.payload;
        Ok(is_same.then(|| self.volumes.reader.read(&pin, &blob, range).ok()).flatten())
    }
}

async fn read_all(reader: &mut BlobReader, into: &mut Vec<u8>) -> Result<(), readpath::ReadError> {
    while let Some(piece) = reader.next().await {
        into.extend_from_slice(&piece?);
    }
    Ok(())
}

/// The bodies of a stripe that their owners still name; `None` if its directory can't be read.
fn live_bodies(machine: &Machine, stripe: &PackedAt, payload: &[u8]) -> Result<Option<Contents>, ReadError> {
    let Ok(entries) = directory::decode(payload) else { return Ok(None) };
    let mut contents = Contents::default();
    for Entry { offset, length, crc32c, owner: bytes } in entries {
        let owner: Owner = decode(&bytes)?;
        let from = Place::Packed(PackedAt { offset, length, crc32c, ..*stripe });
        let Some(from) = blob_of(machine, &owner)?.filter(|blob| blob.place == from) else { continue };
        let body = payload.get(offset as usize..offset as usize + length as usize).unwrap_or_default();
        if crc32c::crc32c(body) == crc32c {
            let body = PackBody { owner: bytes, bytes: Bytes::copy_from_slice(body), crc32c };
            contents.live.push(Small { owner, form: from.form, from, body });
        } else {
            contents.bad.push(owner);
        }
    }
    Ok(Some(contents))
}
