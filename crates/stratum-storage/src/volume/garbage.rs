//! Ranges of volumes that no record names any more, on their way to whoever reclaims them.

use super::Table;
use super::handle::Reservation;
use crate::blob::{Extent, PackedAt, VolumeId};
use crate::format::layout::{extent_end, packed_end};
use std::ops::Range;

/// Whole stripes, on all shards, that nothing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub volume: VolumeId,
    /// In the shard files.
    pub start: u64,
    pub end: u64,
}

impl Freed {
    /// What a writer had reserved.
    pub fn of(reservation: &Reservation) -> Freed {
        Freed { volume: reservation.volume.id, start: reservation.start, end: reservation.end }
    }
}

impl Table {
    /// A body's extent is named by nothing any more, durably: its bytes may go when its readers are done.
    pub fn free_extent(&self, extent: &Extent) {
        if let Some(volume) = self.find(extent.volume) {
            let end = extent_end(volume.geometry, extent);
            self.free(Freed { volume: extent.volume, start: extent.start, end });
        }
    }

    /// No body in a packed stripe is named any more, durably. Of `at` only the volume, the stripe and its payload
    /// count.
    pub fn free_stripe(&self, at: &PackedAt) {
        if let Some(volume) = self.find(at.volume) {
            let end = packed_end(volume.geometry, at);
            self.free(Freed { volume: at.volume, start: at.stripe, end });
        }
    }

    /// A range of a volume's shard files that no record names, durably: found by looking, after a crash.
    pub fn free_range(&self, volume: VolumeId, range: Range<u64>) {
        self.free(Freed { volume, start: range.start, end: range.end });
    }

    /// What is freed while everything is held back is found again by whoever ends that: it must not pile up here.
    pub(crate) fn free(&self, freed: Freed) {
        if freed.start < freed.end && !self.is_held_back() {
            self.freed.lock().push(freed);
        }
    }

    /// How much was freed and not taken yet.
    pub(crate) fn freed(&self) -> usize {
        self.freed.lock().len()
    }

    /// Takes all that was freed since it was asked last.
    pub(crate) fn take_freed(&self) -> Vec<Freed> {
        std::mem::take(&mut self.freed.lock())
    }
}
