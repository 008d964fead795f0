//! A volume on its way: its live stripes made into an object, part by part, and compared with what was kept of them.

use super::{UploadError, Uploader};
use crate::blob::VolumeId;
use crate::format::remote::{GENERATION, ObjectHeader, PART_BYTES, object_length, stripe_range};
use crate::inspect::{blocking, live_stripes};
use crate::pace::Class;
use crate::readpath::whole::{WantedFragments, Whole};
use crate::remote::{Remote, RemoteObject, UploadedParts};
use crate::volume::{LiveStripe, Phase, Volume};
use bytes::BytesMut;
use std::ops::Range;
use std::sync::Arc;

/// How much one checksum covers, and one request reads again.
const SUM_BYTES: usize = 1 << 20;

/// Checksums of an object, one for each [`SUM_BYTES`] of it.
#[derive(Debug, Default)]
pub(super) struct Sums {
    whole: Vec<u32>,
    /// Of the bytes since the last whole one.
    rest: u32,
    rest_bytes: usize,
}

impl Sums {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SUM_BYTES - self.rest_bytes));
            self.rest = crc32c::crc32c_append(self.rest, now);
            self.rest_bytes += now.len();
            if self.rest_bytes == SUM_BYTES {
                self.whole.push(std::mem::take(&mut self.rest));
                self.rest_bytes = 0;
            }
            bytes = later;
        }
    }

    /// How long the object is.
    pub fn length(&self) -> u64 {
        (self.whole.len() * SUM_BYTES + self.rest_bytes) as u64
    }

    /// Each range with its checksum.
    fn ranges(&self) -> impl Iterator<Item = (Range<u64>, u32)> {
        let rest = (self.rest_bytes > 0).then_some(self.rest);
        self.whole.iter().copied().chain(rest).enumerate().map(|(number, sum)| {
            let start = (number * SUM_BYTES) as u64;
            (start..(start + SUM_BYTES as u64).min(self.length()), sum)
        })
    }
}

/// Bytes on their way, in parts of [`PART_BYTES`].
struct Parcel<'a> {
    parts: UploadedParts<'a>,
    part: BytesMut,
    sums: Sums,
}

impl Parcel<'_> {
    async fn push(&mut self, mut bytes: &[u8]) -> Result<(), UploadError> {
        self.sums.add(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            if self.part.len() == PART_BYTES {
                self.send().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Sends what waits as a part.
    async fn send(&mut self) -> Result<(), UploadError> {
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(PART_BYTES));
        Ok(self.parts.part(part.freeze()).await?)
    }

    /// Zeros up to that offset of the object.
    async fn pad(&mut self, to: u64) -> Result<(), UploadError> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.sums.length() < to {
            let length = (to - self.sums.length()).min(ZEROS.len() as u64) as usize;
            self.push(ZEROS.get(..length).unwrap_or(&ZEROS)).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), UploadError> {
        if !self.part.is_empty() {
            self.send().await?;
        }
        Ok(self.parts.finish().await?)
    }
}

impl Uploader {
    /// Writes a volume's object, and gives the checksums of what was sent.
    pub(super) async fn send(
        &self,
        remote: &Remote,
        volume: &Arc<Volume>,
        object: RemoteObject,
    ) -> Result<Sums, UploadError> {
        let Phase::Sealed { length: sealed } = volume.phase() else { return Err(UploadError::Gone) };
        let parts = remote.upload(volume.id, object).await?;
        let mut parcel = Parcel { parts, part: BytesMut::with_capacity(PART_BYTES), sums: Sums::default() };
        let header =
            ObjectHeader { volume: volume.id, geometry: volume.geometry, sealed, upload: object.upload };
        let outcome = self.fill(&mut parcel, volume, &header).await;
        if let Err(error) = outcome {
            parcel.parts.give_up().await;
            return Err(error);
        }
        Ok(parcel.sums)
    }

    async fn fill(
        &self,
        parcel: &mut Parcel<'_>,
        volume: &Arc<Volume>,
        header: &ObjectHeader,
    ) -> Result<(), UploadError> {
        parcel.push(&header.encode()).await?;
        for live in live_stripes(&self.table, volume.id).await? {
            let range = stripe_range(live.offset, live.stripe);
            let turn = self.pace.turn(Class::Transition, live.stripe.disk()).await;
            let within = volume.clone();
            let fragments = blocking(move || data_fragments(&within, live)).await?;
            drop(turn);
            parcel.pad(range.start).await?;
            for fragment in fragments.ok_or(UploadError::Unreadable(live.offset))? {
                parcel.push(&fragment).await?;
            }
        }
        parcel.pad(object_length(volume.geometry, header.sealed)).await?;
        parcel.finish().await
    }
}

/// The data fragments of a stripe as they lie in an object; nothing if too few of all are good. Blocks.
fn data_fragments(volume: &Arc<Volume>, live: LiveStripe) -> Option<Vec<Vec<u8>>> {
    let mut whole = Whole::read(volume, live, WantedFragments::Enough);
    whole.complete().ok()?;
    (0..volume.geometry.k).map(|shard| whole.fragment(shard, GENERATION)).collect()
}

/// Reads an object again and compares it with what was sent.
pub(super) async fn compare(
    remote: &Remote,
    volume: VolumeId,
    object: RemoteObject,
    sums: &Sums,
) -> Result<(), UploadError> {
    let found = remote.length(volume, object).await?;
    if found != sums.length() {
        return Err(UploadError::Altered(format!("{found} bytes of {}", sums.length())));
    }
    for (range, sum) in sums.ranges() {
        let bytes = remote.read(volume, object, range.clone()).await?;
        if bytes.len() as u64 != range.end - range.start || crc32c::crc32c(&bytes) != sum {
            return Err(UploadError::Altered(format!("other bytes from {} on", range.start)));
        }
    }
    Ok(())
}
