//! What was written, and what keeps it there until it is known whether anything names it.

use crate::blob::{BlobRef, Place, VolumeId};
use crate::volume::{Freed, Reservation, Table};
use std::sync::Arc;

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
    pub(super) table: Arc<Table>,
    pub(super) reservations: Vec<Reservation>,
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
        ProposedHold { table: self.table.clone(), reservations }
    }
}

impl Drop for WriteHold {
    fn drop(&mut self) {
        for reservation in &self.reservations {
            self.table.free(Freed::of(reservation));
        }
    }
}

/// The hold of a body for which a command was proposed. Dropping it is right in every case, since it frees nothing: a
/// record may name the body. Where it is proven that none does, the bytes are given back.
#[derive(Debug)]
pub struct ProposedHold {
    table: Arc<Table>,
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
                self.table.free(Freed::of(reservation));
            }
        }
    }
}
