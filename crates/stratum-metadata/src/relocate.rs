//! Copies that were written become their owners' bodies: what packing, evacuation and transitions share.
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
use bytes::Bytes;
use std::sync::Arc;
use stratum_storage::blob::{BlobRef, Extent, Form, Place, Tier};
use stratum_storage::readpath::Reader;
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
    /// Whoever keeps the bytes took something else than what was given to them.
    #[error("a copy reads back as something else than was written; nothing was changed")]
    OtherBytes,
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
    /// As its owner's record has it.
    pub from: BlobRef,
    /// What the bytes of `body` are.
    pub form: Form,
    pub body: PackBody,
}

impl Small {
    /// `stored` is what is to be packed, and `form` what it is.
    pub fn new(owner: Owner, from: BlobRef, form: Form, stored: Bytes) -> Small {
        let body = PackBody { owner: owner.in_stripe(), crc32c: crc32c::crc32c(&stored), bytes: stored };
        Small { owner, from, form, body }
    }
}

/// Bytes of bodies that are packed together, and of their owners: a few stripes. A `Relocate` names each owner of a
/// stripe, and a command has at most 1 MiB.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_OWNERS: usize = 640 << 10;

/// Bodies that wait to be packed.
#[derive(Default)]
pub(crate) struct Batch {
    pub bodies: Vec<Small>,
    pub bytes: usize,
    owners: usize,
}

impl Batch {
    /// Takes one more; true when it is time to pack them.
    pub fn add(&mut self, small: Small) -> bool {
        self.bytes += small.body.bytes.len();
        self.owners += 32 + small.body.owner.len();
        self.bodies.push(small);
        self.bytes >= BATCH_BYTES || self.owners >= BATCH_OWNERS
    }
}

/// Whether a copy is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// As soon as it is synced: its checksums are checked whenever it is read.
    Synced,
    /// When it was read again and is what was written.
    ReadAgain,
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
    trust: Trust,
) -> Result<Moved, MoveError> {
    let (owned, bodies): (Vec<_>, Vec<_>) =
        bodies.into_iter().map(|small| ((small.owner, small.from, small.form), small.body)).unzip();
    let packed = volumes.writer.pack(tier, &bodies).await?;
    if trust == Trust::ReadAgain {
        compare(&volumes.reader, &packed, &bodies).await?;
    }
    drop(bodies);
    let mut owned = owned.into_iter();
    let mut relocations = JoinSet::new();
    let mut moved = Moved::default();
    for stripe in packed {
        moved.written += volumes.table.disk_of(&BlobRef::plain(Place::Packed(stripe.stripe)));
        let moves = moves(&stripe, &mut owned);
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
fn moves(stripe: &PackedStripe, owned: &mut impl Iterator<Item = (Owner, BlobRef, Form)>) -> Vec<Move> {
    let moves = stripe.bodies.iter().zip(owned.by_ref());
    let to = |at, form| BlobRef { form, place: Place::Packed(at) };
    moves.map(|(at, (owner, from, form))| Move { owner, from, to: to(*at, form) }).collect()
}

/// Reads stripes again that hold these bodies, in this order. Nobody names them yet; they are freed if nobody will.
async fn compare(
    reader: &Arc<Reader>,
    packed: &[PackedStripe],
    bodies: &[PackBody],
) -> Result<(), MoveError> {
    let mut bodies = bodies.iter();
    for PackedStripe { stripe, bodies: places, .. } in packed {
        let length = places.iter().map(|at| u64::from(at.length)).sum();
        let whole = BlobRef::plain(Place::Packed(*stripe));
        let stripe = reader.read(&reader.pin(), &whole, 0..length);
        let mut stripe = stripe.map_err(|_| MoveError::OtherBytes)?;
        let mut read = Vec::with_capacity(length as usize);
        while let Some(piece) = stripe.next().await {
            read.extend_from_slice(&piece.map_err(|_| MoveError::OtherBytes)?);
        }
        let mut rest = read.as_slice();
        for written in bodies.by_ref().take(places.len()) {
            rest = rest.strip_prefix(written.bytes.as_ref()).ok_or(MoveError::OtherBytes)?;
        }
    }
    Ok(())
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
