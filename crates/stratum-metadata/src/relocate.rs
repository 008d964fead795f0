//! Points owners to copies of their bodies: what packing, evacuation and transitions share.
//!
//! A copy is durable before its move is proposed, and a move is conditional: an owner whose record has changed
//! meanwhile keeps what it has, and the copy is freed when the command is settled. A crash between the two leaves
//! garbage. The command itself frees the old bytes, so they go last.

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

/// Why bodies were not moved. Nothing is lost, and it will be tried again.
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
    /// A copy differs from what was written: whatever stores it didn't store what it was given.
    #[error("a copy reads back as something else than was written; nothing was changed")]
    OtherBytes,
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub bodies: u64,
    /// Bytes that the copies took on the drives, on all shards together.
    pub written: u64,
}

/// A small body to be packed, and where it is now.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub owner: Owner,
    /// The blob in its owner's record.
    pub from: BlobRef,
    /// The form of the bytes in `body`.
    pub form: Form,
    pub body: PackBody,
}

impl Small {
    /// `stored` are the bytes to be packed, and `form` is their form.
    pub fn new(owner: Owner, from: BlobRef, form: Form, stored: Bytes) -> Small {
        let body = PackBody { owner: owner.in_stripe(), crc32c: crc32c::crc32c(&stored), bytes: stored };
        Small { owner, from, form, body }
    }
}

/// Bytes of bodies that are packed together, and of their owners: a few stripes. A `Relocate` names each owner of a
/// stripe, and a command has at most 1 MiB.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_OWNER_BYTES: usize = 640 << 10;

/// Bodies that wait to be packed.
#[derive(Default)]
pub(crate) struct Batch {
    pub bodies: Vec<Small>,
    pub bytes: usize,
    owners: usize,
}

impl Batch {
    /// Adds a body. True when the batch is full.
    pub fn add(&mut self, small: Small) -> bool {
        self.bytes += small.body.bytes.len();
        self.owners += 32 + small.body.owner.len();
        self.bodies.push(small);
        self.bytes >= BATCH_BYTES || self.owners >= BATCH_OWNER_BYTES
    }
}

/// When a copy is good enough to replace the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// When it is synced: readers check its checksums anyway.
    Synced,
    /// When it has been read again and is the same as what was written.
    ReadAgain,
}

/// A durable copy of an extent. `hold` keeps its volume from being sealed until the move is committed.
#[derive(Debug)]
pub(crate) struct Copied {
    pub moved: Move,
    pub extents: Vec<Extent>,
    pub hold: WriteHold,
}

/// The blob in an owner's record; `None` if the owner is gone or has no blob of its own.
pub(crate) fn blob_of(machine: &Machine, owner: &Owner) -> Result<Option<BlobRef>, ReadError> {
    let found = owned::find(owner, |key| machine.get(key).map_err(ReadError::from))?;
    Ok(found.and_then(|(_, mut owned)| owned.blob().cloned()))
}

/// Writes small bodies into packed stripes, in this order, and points their owners to them, with one `Relocate` a
/// stripe.
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

/// The moves to one stripe, which holds the next bodies of `owned`.
fn moves(stripe: &PackedStripe, owned: &mut impl Iterator<Item = (Owner, BlobRef, Form)>) -> Vec<Move> {
    let moves = stripe.bodies.iter().zip(owned.by_ref());
    let to = |at, form| BlobRef { form, place: Place::Packed(at) };
    moves.map(|(at, (owner, from, form))| Move { owner, from, to: to(*at, form) }).collect()
}

/// Reads the new stripes again and compares them with the bodies, in this order. No record names the stripes yet; if
/// none ever does, they are freed.
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

/// Returns how many owners were pointed to their copies. The other copies are freed.
async fn relocate(metadata: &Metadata, command: Command, hold: WriteHold) -> Result<u64, CommitError> {
    match metadata.commit(command, hold).await? {
        Outcome::Count(moved) => Ok(moved),
        // Refused, since the volume is being dropped.
        _ => Ok(0),
    }
}

/// Points owners to the copies of their extents, all with one `Relocate`.
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
