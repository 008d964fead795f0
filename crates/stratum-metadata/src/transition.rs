//! Transitions: bodies are copied to another tier, coded as that tier codes, and their owners pointed to the copies.
//!
//! A copy is written and synced, read again and compared, and only then is its owner's record changed, by the same
//! conditional `Relocate` as every move: whoever was overwritten or deleted meanwhile keeps what it has, and the copy is
//! freed. The old bytes go last. A crash at any point leaves copies that no record names, and bodies that are where they
//! were. Small bodies go into packed stripes with others, wherever they come from: one that still rides in the journal is
//! packed where it belongs.

mod copy;
mod reviews;
mod wishes;

pub use reviews::{Reviews, TransitionStatus};
pub use wishes::{TIERS_SINCE, TierWish};

use crate::evacuate::Mover;
use crate::machine::ReadError;
use crate::record::Owner;
use crate::relocate::{self, Batch, MoveError, Moved, Trust};
use copy::Copied;
use stratum_bodies::{BodyError, Codecs, Tables};
use stratum_storage::blob::{BlobRef, Place, Tier};
use stratum_storage::volume::Table;
use stratum_storage::writepath::WriteError;

/// Who takes bodies to other tiers.
#[derive(Clone)]
pub struct Transitions {
    pub mover: Mover,
    pub codecs: Codecs,
    pub tables: Tables,
}

/// A body, and how many bytes of plaintext it is.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub owner: Owner,
    pub size: u64,
}

/// What became of some bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carriage {
    pub moved: Moved,
    /// Bytes of plaintext that were copied.
    pub plaintext: u64,
    /// Bodies that can't be read, or whose copies can't; they stay where they are.
    pub unreadable: u64,
}

/// Why nothing more is moved to a tier for now. Nothing is lost, and it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Coding(BodyError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the moves could not be made durable: {0}")]
    Commit(String),
    #[error("its task ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl TransitionError {
    /// Whether the tier only lacks space or drives: nothing else that goes there need be tried now.
    fn is_waiting(&self) -> bool {
        matches!(self, Self::Write(WriteError::NoSpace(_) | WriteError::TooFewDrives { .. }))
    }
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

impl From<BodyError> for TransitionError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Write(error) => TransitionError::Write(error),
            error => TransitionError::Coding(error),
        }
    }
}

impl Transitions {
    /// Begins to take bodies to a tier.
    fn to(&self, tier: Tier) -> Carrying<'_> {
        Carrying { transitions: self, tier, batch: Batch::default(), done: Carriage::default() }
    }
}

/// Bodies on their way to a tier: small ones of many objects go together.
struct Carrying<'a> {
    transitions: &'a Transitions,
    tier: Tier,
    batch: Batch,
    done: Carriage,
}

impl Carrying<'_> {
    /// Takes a body there, or has it wait for others to be packed with.
    async fn carry(&mut self, body: &Carried) -> Result<(), TransitionError> {
        match self.transitions.copy(body, self.tier).await? {
            Copied::There => {}
            Copied::Small(small) => {
                self.done.plaintext += body.size;
                if self.batch.add(small) {
                    self.pack().await?;
                }
            }
            Copied::Large(copy) => {
                self.done.plaintext += body.size;
                let Mover { metadata, volumes, .. } = &self.transitions.mover;
                let moved = relocate::relocate_extents(metadata, volumes, vec![*copy]).await?;
                self.done.add(moved);
            }
            Copied::Unreadable(error) => {
                self.done.unreadable += 1;
                tracing::error!(owner = %body.owner, error, "a body can't be moved and stays where it is");
            }
        }
        Ok(())
    }

    async fn pack(&mut self) -> Result<(), TransitionError> {
        let batch = std::mem::take(&mut self.batch);
        if !batch.bodies.is_empty() {
            let Mover { metadata, volumes, pace } = &self.transitions.mover;
            let turn = pace.turn(copy::CLASS, batch.bytes as u64).await;
            let moved = relocate::pack(metadata, volumes, self.tier, batch.bodies, Trust::ReadAgain).await?;
            drop(turn);
            self.done.add(moved);
        }
        Ok(())
    }

    /// What became of all of them.
    async fn finish(mut self) -> Result<Carriage, TransitionError> {
        self.pack().await?;
        Ok(self.done)
    }
}

impl Carriage {
    fn add(&mut self, moved: Moved) {
        self.moved.bodies += moved.bodies;
        self.moved.written += moved.written;
    }
}

/// The tier that a body lies in; none of one that is in the journal or has no bytes.
pub fn tier_of(table: &Table, blob: &BlobRef) -> Option<Tier> {
    match &blob.place {
        Place::Packed(at) => table.tier_of(at.volume),
        Place::Extents(extents) => table.tier_of(extents.first()?.volume),
        Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => None,
    }
}
