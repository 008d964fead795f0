//! Evacuation: every live body of a sealed volume is moved into the tier's current volumes, after which the volume is
//! empty.
//!
//! The volume's own keys say what lives in it: an extent names its owner, and a packed stripe ends with a directory
//! of its bodies. Extents are copied as extents, several short ones at a time; of packed stripes, the bodies that
//! their owners still name are packed anew. Each piece is a copy, a sync and one conditional `Relocate`, so a body
//! that is overwritten, deleted or completed meanwhile is skipped. A crash at any point leaves copies that no record
//! names, and bodies that are still in their old place: the next evacuation goes on from there.
//!
//! Bodies are read for copying as any reader reads them, verified and reconstructed where need be. A body that can't
//! be read stays, is counted, and keeps its volume from being dropped.

mod extents;
mod stripes;

use crate::keys;
use crate::machine::ReadError;
use crate::record::{DecodeError, Owner, decode};
use crate::relocate::{MoveError, Moved};
use crate::store::Metadata;
use crate::tree::Base;
use serde::Serialize;
use std::sync::Arc;
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::pace::{Class, Pace};
use stratum_storage::volume::{Claim, VolumeRecord, VolumeState};
use stratum_storage::volumes::Volumes;
use stratum_storage::writepath::WriteError;
use tokio::sync::watch;

/// How many times live bodies are looked for. A later pass finds bodies that another move had kept from being moved.
const MOST_PASSES: usize = 3;

/// What an evacuation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evacuated {
    /// Bodies, or extents of long bodies.
    pub bodies: u64,
    /// Bytes that their copies took on the drives, on all shards together.
    pub written: u64,
    /// Bodies that can't be read and stay where they are.
    pub unreadable: u64,
    /// Nothing is live in the volume any more; it is dropped at the next look at the volumes.
    pub empty: bool,
}

/// Why an evacuation ended early. Nothing is lost, and it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum EvacuateError {
    #[error("{0} isn't sealed")]
    NotSealed(VolumeId),
    #[error("writing copies: {0}")]
    Write(#[source] WriteError),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("the moves could not be made durable: {0}")]
    Commit(String),
}

impl From<MoveError> for EvacuateError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Write(error) => EvacuateError::Write(error),
            MoveError::Read(error) => EvacuateError::Read(error),
            error @ (MoveError::Commit(_) | MoveError::Task(_) | MoveError::OtherBytes) => {
                EvacuateError::Commit(error.to_string())
            }
        }
    }
}

impl From<tokio::task::JoinError> for EvacuateError {
    fn from(error: tokio::task::JoinError) -> Self {
        EvacuateError::Commit(error.to_string())
    }
}

/// Moves bodies, at the pace of a class of background work.
#[derive(Clone)]
pub struct Mover {
    pub metadata: Metadata,
    pub volumes: Volumes,
    pub pace: Arc<Pace>,
}

/// One evacuation under way.
struct Evacuation<'a> {
    mover: &'a Mover,
    stop: &'a watch::Receiver<bool>,
    volume: VolumeId,
    tier: Tier,
    task: Class,
    done: Evacuated,
}

impl Mover {
    /// Moves every live body out of the claimed volume, which must be sealed. If told to stop, it ends early and
    /// without an error.
    pub async fn evacuate(
        &self,
        claim: &Claim,
        task: Class,
        stop: &watch::Receiver<bool>,
    ) -> Result<Evacuated, EvacuateError> {
        let volume = claim.volume();
        let record = self.record(volume)?;
        let record = record.filter(|record| matches!(record.state, VolumeState::Sealed { .. }));
        let tier = record.ok_or(EvacuateError::NotSealed(volume))?.tier;
        let mut evacuation = Evacuation { mover: self, stop, volume, tier, task, done: Evacuated::default() };
        for _ in 0..MOST_PASSES {
            let before = evacuation.done.bodies;
            evacuation.done.unreadable = 0;
            evacuation.move_extents().await?;
            evacuation.move_stripes().await?;
            let live = self.record(volume)?.map_or(0, |record| record.live);
            evacuation.done.empty = live == 0;
            if live == 0 || evacuation.done.bodies == before || evacuation.is_stopped() {
                break;
            }
        }
        Ok(evacuation.done)
    }

    pub(crate) fn record(&self, volume: VolumeId) -> Result<Option<VolumeRecord>, ReadError> {
        match self.metadata.state().get(&keys::volume(volume))? {
            Some(value) => Ok(Some(decode(&value)?)),
            None => Ok(None),
        }
    }
}

impl Evacuation<'_> {
    fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    fn add(&mut self, moved: Moved) {
        self.done.bodies += moved.bodies;
        self.done.written += moved.written;
        let task = self.task.name();
        metrics::counter!("stratum_moved_bodies_total", "task" => task).increment(moved.bodies);
        metrics::counter!("stratum_moved_written_bytes_total", "task" => task).increment(moved.written);
    }

    /// Counts and logs a body that can't be read, with its owner if that is known.
    fn leave(&mut self, owner: Option<&Owner>, reason: &dyn std::fmt::Display) {
        self.done.unreadable += 1;
        let owner = owner.map(Owner::to_string);
        tracing::error!(volume = %self.volume, owner, %reason, "a body can't be read and stays where it is");
    }
}

/// How many keys of a volume are looked at together.
const PAGE_KEYS: usize = 256;

/// Records by their offsets in the volume, and where the next page begins.
type Page<T> = (Vec<(u64, T)>, Option<Vec<u8>>);

/// A page of the records under a prefix, beginning at a key.
pub(crate) fn page<T: crate::record::Migrate>(
    metadata: &Metadata,
    prefix: &[u8],
    from: &[u8],
) -> Result<Page<T>, ReadError> {
    use std::ops::ControlFlow::{Break, Continue};
    let mut found = Vec::new();
    let (mut next, mut failed) = (None, None);
    metadata.state().scan(from, &keys::end_of_prefix(prefix), |key, value| {
        match (keys::parse_offset(key), decode(value)) {
            (Some(offset), Ok(record)) => found.push((offset, record)),
            (_, outcome) => {
                failed = Some(outcome.err().unwrap_or(DecodeError::Empty));
                return Break(());
            }
        }
        if found.len() == PAGE_KEYS {
            next = Some([key, &[0]].concat());
            return Break(());
        }
        Continue(())
    })?;
    failed.map_or(Ok((found, next)), |error| Err(error.into()))
}
