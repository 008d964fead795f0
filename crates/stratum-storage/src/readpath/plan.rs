//! From a blob and a range to the pieces that a reader reads, one after the other.

use super::ReadError;
use crate::blob::{BlobRef, Extent, PackedAt, Place, VolumeId};
use crate::format::layout::{Piece, Stripe, first_piece, stripe_at};
use crate::format::v1::Kind;
use crate::volume::{StripeAddress, Table, Volume};
use std::ops::Range;
use std::sync::Arc;

/// What is still to be read of a body.
#[derive(Clone, Debug)]
pub(super) struct ReadPlan {
    source: BodySource,
    /// Bytes of the body.
    rest: Range<u64>,
}

/// Where a body lies, with its volumes at hand.
#[derive(Clone, Debug)]
enum BodySource {
    Nothing,
    Packed(Arc<Volume>, PackedAt),
    Extents(Touched),
}

/// The extents that a range touches.
#[derive(Clone, Debug, Default)]
struct Touched {
    /// Where in the body the first of them begins.
    begin: u64,
    extents: Vec<(Arc<Volume>, Extent)>,
}

/// A piece, and where its fragment lies.
#[derive(Clone, Debug)]
pub(super) struct PlacedPiece {
    pub volume: Arc<Volume>,
    pub address: StripeAddress,
    pub piece: Piece,
}

impl ReadPlan {
    /// The plan for a range of a blob, which must lie in it. Looks up all volumes it needs.
    pub fn new(table: &Table, blob: &BlobRef, range: Range<u64>) -> Result<ReadPlan, ReadError> {
        if range.start > range.end || range.end > blob.len() {
            return Err(ReadError::Range { length: blob.len() });
        }
        let find = |id| table.find(id).ok_or(ReadError::Gone(id));
        let source = match &blob.place {
            Place::Empty => BodySource::Nothing,
            Place::Packed(at) => BodySource::Packed(find(at.volume)?, *at),
            Place::Extents(extents) => BodySource::Extents(Touched::of(extents, &range, find)?),
            Place::ThisEntry { .. } | Place::Journal { .. } => return Err(ReadError::InJournal),
        };
        Ok(ReadPlan { source, rest: range })
    }

    /// The volumes that the plan reads from.
    pub fn volumes(&self) -> impl Iterator<Item = &Arc<Volume>> {
        let (packed, extents) = match &self.source {
            BodySource::Nothing => (None, [].as_slice()),
            BodySource::Packed(volume, _) => (Some(volume), [].as_slice()),
            BodySource::Extents(touched) => (None, touched.extents.as_slice()),
        };
        packed.into_iter().chain(extents.iter().map(|(volume, _)| volume))
    }

    /// Bytes that are still to be read.
    pub fn remaining(&self) -> u64 {
        self.rest.end - self.rest.start
    }

    /// Reads no more.
    pub fn stop(&mut self) {
        self.rest.start = self.rest.end;
    }

    /// Takes the next piece off. A record that makes no sense gives an error.
    pub fn next(&mut self) -> Option<Result<PlacedPiece, ReadError>> {
        if self.rest.is_empty() {
            return None;
        }
        let target = self.at(self.rest.start);
        match &target {
            Some(target) => self.rest.start += u64::from(target.piece.bytes.end - target.piece.bytes.start),
            None => self.rest.start = self.rest.end,
        }
        Some(target.ok_or(ReadError::Nonsense))
    }

    /// Takes the next piece off if it is as it is wanted.
    pub fn next_if(&mut self, is_wanted: impl FnOnce(&PlacedPiece) -> bool) -> Option<PlacedPiece> {
        if self.rest.is_empty() {
            return None;
        }
        let target = self.at(self.rest.start).filter(is_wanted)?;
        self.rest.start += u64::from(target.piece.bytes.end - target.piece.bytes.start);
        Some(target)
    }

    fn at(&self, position: u64) -> Option<PlacedPiece> {
        let left = self.rest.end - position;
        let (volume, offset, stripe, within, kind) = match &self.source {
            BodySource::Nothing => return None,
            BodySource::Packed(volume, at) => {
                let stripe = Stripe { geometry: volume.geometry, payload: at.payload };
                let within = at.offset.checked_add(u32::try_from(position).ok()?)?;
                (volume, at.stripe, stripe, within, Kind::Packed)
            }
            BodySource::Extents(touched) => {
                let mut before = touched.begin;
                let (volume, extent) = touched.extents.iter().find(|(_, extent)| {
                    let found = position < before + extent.length;
                    before += if found { 0 } else { extent.length };
                    found
                })?;
                let (offset, stripe, within) = stripe_at(volume.geometry, extent, position - before)?;
                (volume, offset, stripe, within, Kind::Plain)
            }
        };
        if !stripe.is_valid() {
            return None;
        }
        let end = u64::from(stripe.payload).min(u64::from(within).saturating_add(left)) as u32;
        let piece = first_piece(offset, stripe, &(within..end))?;
        let address = StripeAddress { volume: volume.id, offset, stripe, kind };
        Some(PlacedPiece { volume: volume.clone(), address, piece })
    }
}

impl Touched {
    /// Looks the volumes up of those extents that the range touches, and only of those.
    fn of(
        extents: &[Extent],
        range: &Range<u64>,
        find: impl Fn(VolumeId) -> Result<Arc<Volume>, ReadError>,
    ) -> Result<Touched, ReadError> {
        let mut touched = Touched::default();
        let mut begin = 0u64;
        for extent in extents {
            let end = begin.checked_add(extent.length).ok_or(ReadError::Nonsense)?;
            if begin < range.end && range.start < end {
                if touched.extents.is_empty() {
                    touched.begin = begin;
                }
                touched.extents.push((find(extent.volume)?, *extent));
            }
            begin = end;
        }
        Ok(touched)
    }
}
