//! What becomes of a proposed command, and so of the bytes that only this command names.
//!
//! A command has an outcome, or it was certainly not written, or nobody knows. The last two are types of their own,
//! all the way from the journal to the client's answer. Bytes are freed after a refusal or [`NotWritten`], and never
//! after [`UnknownOutcome`], since the command may still become a record that names them.

use crate::command::{Command, Move, Outcome, Refusal};
use crate::keys;
use crate::lost::LostBlock;
use crate::machine::Machine;
use crate::record::Body;
use crate::tree::{Base, TreeError};
use bytes::Bytes;
use std::sync::Arc;
use stratum_storage::blob::{Place, VolumeId};
use stratum_storage::journal::MAX_COMMAND_BYTES;
use stratum_storage::writepath::{ProposedHold, ProvesNoEffect, WriteHold};

/// Why a command has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("nothing was written: {0}")]
    NotWritten(#[from] NotWritten),
    #[error(transparent)]
    Unknown(#[from] UnknownOutcome),
}

/// Nothing was written, and the command will never take effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// `503 SlowDown`.
    #[error("too much is being written; try again shortly")]
    Busy,
    /// `507`.
    #[error("the drives are full; deleting objects makes room")]
    NoSpace,
    /// `503`.
    #[error("{0}")]
    Unavailable(String),
    #[error("the server is stopping")]
    Stopped,
    /// What the command would change, or compare, lies in a block of the index that no drive can give. `500`.
    #[error("what it needs to know of the state can't be known: {0}")]
    Lost(Arc<LostBlock>),
    /// `400`: the request carries more than one entry of the journal takes beside a body.
    #[error("what is to be kept is longer than {MAX_COMMAND_BYTES} bytes")]
    TooLong,
    /// A bug: the command names bytes in volumes that its proposer doesn't hold, so they might be freed under its
    /// record.
    #[error("the command names bytes that it doesn't hold")]
    NotHeld,
}

/// The command may have been written. If it was, it takes effect, at the latest with the next start. `503`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the write could not be confirmed; it may have taken effect: {0}")]
pub struct UnknownOutcome(pub String);

impl ProvesNoEffect for NotWritten {}
impl ProvesNoEffect for Refusal {}

/// The bytes that a command is the first to name.
#[derive(Debug)]
pub enum NewBytes {
    /// The bytes are in the command's own journal entry, and its record says `ThisEntry`. Empty if there are none.
    InEntry(Bytes),
    /// The bytes are in volumes, durably, and this hold keeps them.
    InVolumes(WriteHold),
}

impl From<Bytes> for NewBytes {
    fn from(bytes: Bytes) -> Self {
        NewBytes::InEntry(bytes)
    }
}

impl From<WriteHold> for NewBytes {
    fn from(hold: WriteHold) -> Self {
        NewBytes::InVolumes(hold)
    }
}

impl NewBytes {
    /// Whether this hold covers every byte in volumes that the command is the first to name.
    pub(crate) fn hold_all_of(&self, command: &Command) -> bool {
        let is_held = |place: &Place, known: &Place| match (place, self) {
            (Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. }, _) => true,
            (place, _) if place == known => true,
            (Place::Packed(at), NewBytes::InVolumes(hold)) => hold.covers(at.volume, at.stripe),
            (Place::Extents(extents), NewBytes::InVolumes(hold)) => extents.iter().all(|extent| {
                let is_known = matches!(known, Place::Extents(known) if known.contains(extent));
                is_known || hold.covers(extent.volume, extent.start)
            }),
            (Place::Packed(_) | Place::Extents(_), NewBytes::InEntry(_)) => false,
        };
        match command {
            Command::PutObject { record, .. } => match &record.body {
                Body::Blob(blob) => is_held(&blob.place, &Place::Empty),
                Body::Parts { .. } => true,
            },
            Command::PutPart { part, .. } | Command::UploadPart { part, .. } => {
                is_held(&part.blob.place, &Place::Empty)
            }
            Command::Relocate { moves, .. } => {
                moves.iter().all(|Move { from, to, .. }| is_held(&to.place, &from.place))
            }
            _ => true,
        }
    }

    /// How many of the bytes go into the journal.
    pub(crate) fn in_entry(&self) -> usize {
        match self {
            NewBytes::InEntry(bytes) => bytes.len(),
            NewBytes::InVolumes(_) => 0,
        }
    }

    /// What goes into the journal, and the hold that is kept until the command's fate is known.
    pub(crate) fn proposed(self) -> (Bytes, Option<ProposedHold>) {
        match self {
            NewBytes::InEntry(bytes) => (bytes, None),
            NewBytes::InVolumes(hold) => (Bytes::new(), Some(hold.proposed())),
        }
    }
}

/// Releases the hold on the bytes that a command named in volumes, now that its fate is known. They are freed if it
/// is proven that no record names them; this is the one place that frees them.
pub(crate) fn settle(hold: ProposedHold, fate: &Result<Outcome, CommitError>, state: &Machine) {
    match fate {
        Err(error) => give_up(hold, error),
        Ok(Outcome::Refused(refusal)) => hold.discard(refusal),
        // Each move of the command was applied or skipped by itself.
        Ok(Outcome::Count(_)) => hold.discard_unnamed(|volume, start| is_named(state, volume, start)),
        Ok(_) => drop(hold),
    }
}

/// [`settle`] for a command that has no outcome.
pub(crate) fn give_up(hold: ProposedHold, error: &CommitError) {
    match error {
        CommitError::NotWritten(nothing) => hold.discard(nothing),
        CommitError::Unknown(_) => drop(hold),
    }
}

/// Whether a record may name the bytes that begin at this offset.
fn is_named(state: &Machine, volume: VolumeId, start: u64) -> bool {
    let looked = |key: &[u8]| -> Result<bool, TreeError> { Ok(state.get(key)?.is_some()) };
    let extent = looked(&keys::extent(volume, start));
    let stripe = looked(&keys::stripe(volume, start));
    // If the look-up fails, a record may name them.
    extent.unwrap_or(true) || stripe.unwrap_or(true)
}
