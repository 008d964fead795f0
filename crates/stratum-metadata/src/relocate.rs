//! Copies that were written become their owners' bodies: what packing and evacuation share.
//!
//! A copy is durable before its move is proposed, and a move is conditional: whose record has changed meanwhile keeps
//! what it has, and the copy is freed when the command is settled. A crash between the two leaves garbage. The old bytes go last, by the
//! command itself.

use crate::command::{Command, Move, Outcome};
use crate::fate::CommitError;
use crate::machine::{Machine, ReadError};
use crate::owned;
use crate::record::Owner;
use crate::store::Metadata;
use crate::tree::Base;
use stratum_storage::blob::{BlobRef, Extent, Place, Tier};
use stratum_storage::volumes::Volumes;
use stratum_storage::writepath::{PackBody, PackedStripe, WriteError, WriteHold};
use tokio::task::JoinSet;

/// Why bodies were not moved. Nothing is lost, and it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error("writing copies: {0}")]
    Write(#[from] WriteError),
    #[error("pointing the owners to the copies: {0}")]
    Commit(#[from] CommitError),
    #[error("the index: {0}")]
    Read(#[from] ReadError),
    #[error("its task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub bodies: u64,
    /// What the copies took of the drives, all shards counted.
    pub written: u64,
}

/// A small body that is to be packed, and where it is now.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub owner: Owner,
    pub from: Place,
    pub body: PackBody,
}

/// A copy of an extent, durable. `hold` keeps its volume from sealing until the move is committed.
#[derive(Debug)]
pub(crate) struct Copied {
    pub moved: Move,
    pub extents: Vec<Extent>,
    pub hold: WriteHold,
}

/// What an owner's record holds; nothing if the owner is gone or its bytes are elsewhere.
pub(crate) fn blob_of(machine: &Machine, owner: &Owner) -> Result<Option<BlobRef>, ReadError> {
    let found = owned::find(owner, |key| machine.get(key).map_err(ReadError::from))?;
    Ok(found.and_then(|(_, mut owned)| owned.blob().cloned()))
}

/// Writes small bodies into packed stripes, in this order, and points their owners to them: one `Relocate` a stripe.
pub(crate) async fn pack(
    metadata: &Metadata,
    volumes: &Volumes,
    tier: Tier,
    bodies: Vec<Small>,
) -> Result<Moved, MoveError> {
    let (places, bodies): (Vec<_>, Vec<_>) =
        bodies.into_iter().map(|small| ((small.owner, small.from), small.body)).unzip();
    let packed = volumes.writer.pack(tier, &bodies).await?;
    drop(bodies);
    let mut places = places.into_iter();
    let mut relocations = JoinSet::new();
    let mut moved = Moved::default();
    for stripe in packed {
        moved.written += volumes.table.disk_of(&BlobRef::plain(Place::Packed(stripe.stripe)));
        let moves = moves(&stripe, &mut places);
        let metadata = metadata.clone();
        relocations.spawn(async move {
            let command = Command::Relocate { stripe: Some(stripe.stripe), moves };
            relocate(&metadata, command, stripe.hold).await
        });
    }
    let mut failed = None;
    while let Some(relocated) = relocations.join_next().await {
        match relocated? {
            Ok(count) => moved.bodies += count,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(moved), |error| Err(error.into()))
}

/// The moves to one stripe: its bodies are the next ones.
fn moves(stripe: &PackedStripe, places: &mut impl Iterator<Item = (Owner, Place)>) -> Vec<Move> {
    let to = stripe.bodies.iter().map(|at| BlobRef::plain(Place::Packed(*at)));
    let moves = places.by_ref().zip(to);
    moves.map(|((owner, from), to)| Move { owner, from: BlobRef::plain(from), to }).collect()
}

/// Says how many owners took their copies. Copies that nobody wants any more are freed with that.
async fn relocate(metadata: &Metadata, command: Command, hold: WriteHold) -> Result<u64, CommitError> {
    match metadata.commit(command, hold).await? {
        Outcome::Count(moved) => Ok(moved),
        // The volume is going.
        _ => Ok(0),
    }
}

/// Points owners to copies of their extents, all with one `Relocate`.
pub(crate) async fn relocate_extents(
    metadata: &Metadata,
    volumes: &Volumes,
    copies: Vec<Copied>,
) -> Result<Moved, MoveError> {
    let written =
        |copied: &Copied| volumes.table.disk_of(&BlobRef::plain(Place::Extents(copied.extents.clone())));
    let written = copies.iter().map(written).sum();
    let (moves, holds): (Vec<Move>, Vec<WriteHold>) =
        copies.into_iter().map(|copied| (copied.moved, copied.hold)).unzip();
    let Some(hold) = holds.into_iter().reduce(WriteHold::joined) else { return Ok(Moved::default()) };
    let bodies = relocate(metadata, Command::Relocate { stripe: None, moves }, hold).await?;
    Ok(Moved { bodies, written })
}
