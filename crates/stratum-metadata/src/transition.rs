//! Transitions: bodies are copied to another tier, coded as that tier codes, and their owners are pointed to the
//! copies.
//!
//! A copy is written and synced, then read again and compared. Only then is its owner's record changed, by the same
//! conditional `Relocate` as for every move: if the owner was overwritten or deleted meanwhile, its record stays as
//! it is and the copy is freed. The old bytes are freed last. A crash at any point leaves copies that no record
//! names, and bodies in their old place.
//!
//! [`Reviews`] is the task: it goes over the reviews that are due ([`review`]) and has bodies that lie in another
//! tier carried, several at a time ([`carry`]). A large body is read and written by itself ([`large`]). Small ones
//! are packed into stripes with others, wherever they come from, and those of one stripe are read together
//! ([`small`]); a small body that is still in the journal is packed into its tier.

mod carry;
mod foresight;
mod large;
mod review;
mod reviews;
mod small;
mod wishes;

pub use foresight::{Foreseen, Foresight, Unforeseen};
pub use reviews::{Reviews, TransitionStatus};
pub use wishes::{TIERS_SINCE, TierWish};

use crate::evacuate::{EvacuateError, Mover};
use crate::machine::ReadError;
use crate::record::Owner;
use crate::relocate::MoveError;
use std::sync::Arc;
use stratum_bodies::{Codecs, Priority, Tables};
use stratum_storage::blob::{BlobRef, Place, Tier};
use stratum_storage::pace::Class;
use stratum_storage::volume::Table;
use stratum_storage::writepath::WriteError;

/// The class of the turns that transitions take at the pace.
const CLASS: Class = Class::Transition;
/// A tier with less free space than this, in bytes, takes nothing.
const LEAST_ROOM_BYTES: u64 = 1 << 20;

/// Copies bodies to other tiers.
#[derive(Clone)]
pub struct Transitions {
    pub mover: Mover,
    pub codecs: Codecs,
    pub tables: Tables,
    /// What is known of bodies before they are read.
    pub foresight: Arc<dyn Foresight>,
}

/// A body that lies in another tier than it should.
#[derive(Clone, Debug)]
struct Stray {
    /// The number of its object among those that are carried together.
    object: usize,
    owner: Owner,
    /// Bytes of plaintext.
    size: u64,
    foreseen: Foreseen,
    /// The blob in its owner's record when that was looked up.
    from: BlobRef,
}

/// Why nothing more is moved to a tier for now. Nothing is lost, and it will be tried again.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the moves could not be made durable: {0}")]
    Commit(String),
    #[error("its task ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl From<MoveError> for TransitionError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Write(error) => TransitionError::Write(error),
            MoveError::Read(error) => TransitionError::Read(error),
            error @ (MoveError::Commit(_) | MoveError::Task(_) | MoveError::OtherBytes) => {
                TransitionError::Commit(error.to_string())
            }
        }
    }
}

impl From<EvacuateError> for TransitionError {
    fn from(error: EvacuateError) -> Self {
        match error {
            EvacuateError::Write(error) => TransitionError::Write(error),
            EvacuateError::Read(error) => TransitionError::Read(error),
            error @ (EvacuateError::NotSealed(_) | EvacuateError::Commit(_)) => {
                TransitionError::Commit(error.to_string())
            }
        }
    }
}

impl Transitions {
    fn priority(&self) -> Priority {
        Priority::Background { pace: self.mover.pace.clone(), class: CLASS }
    }
}

/// The tier in which a body lies; `None` for one that is in the journal or has no bytes.
pub fn tier_of(table: &Table, blob: &BlobRef) -> Option<Tier> {
    match &blob.place {
        Place::Packed(at) => table.tier_of(at.volume),
        Place::Extents(extents) => table.tier_of(extents.first()?.volume),
        Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => None,
    }
}
