//! How a body comes out of a volume: only the blocks that the range touches, each checked, and rebuilt where need be.
//!
//! Data fragments are contiguous pieces of the payload, so a small read is one read of one drive. What the page cache
//! holds is read and checked where it was asked for. Once something has to come from a disk, the rest of the body is
//! read [`AHEAD`] by the drives' own threads, so that disks, checksums and socket overlap. A missing or bad block is computed
//! from the same block of `k` other shards, and the fragment is queued for repair.

mod fetch;
mod plan;
mod rebuild;
pub mod repair;
pub(crate) mod whole;

pub use whole::{Flaw, Parity};

use crate::blob::{BlobRef, Place, VolumeId};
use crate::format::layout::{BLOCK, FULL_FRAGMENT};
use crate::volume::{Hold, Pin, Volumes};
use bytes::Bytes;
use fetch::{Found, fetch, read_cached, read_small};
use plan::Plan;
use std::collections::VecDeque;
use std::ops::Range;
use tokio::task::JoinHandle;

/// Pieces (of at most 256 KiB) that a reader reads ahead of its caller once the page cache doesn't answer.
pub const AHEAD: usize = 3;
/// Up to this many bytes [`BlobReader::try_all_cached`] answers.
pub const SMALL: u64 = 64 * 1024;

/// Memory that a reader of a volume with so many shards takes at most, in bytes: pieces ahead, all being rebuilt.
pub(crate) fn memory(shards: usize) -> u64 {
    let rebuilding = (shards as u64 + 1) * u64::from(rebuild::AT_ONCE * BLOCK);
    (AHEAD as u64 + 1) * (u64::from(FULL_FRAGMENT) + rebuilding)
}

/// Why a body can't be read.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ReadError {
    #[error("{0} isn't there any more; read the record again")]
    Gone(VolumeId),
    #[error("the range ends beyond the body's {length} bytes")]
    Range { length: u64 },
    #[error("the body is in the journal and not in a volume")]
    InJournal,
    #[error("the record names a place that can't exist")]
    Nonsense,
    #[error(
        "only {present} of the {needed} shards needed are good at {offset} of {volume}; bring drives back"
    )]
    Damaged { volume: VolumeId, offset: u64, present: usize, needed: usize },
    #[error("the read was given up: {0}")]
    Interrupted(String),
}

/// Reads a range of one body, in order.
pub struct BlobReader {
    volumes: Volumes,
    plan: Plan,
    /// What a whole small body must sum up to.
    crc32c: Option<u32>,
    _holds: Vec<Hold>,
    /// Checked bytes that weren't asked for yet.
    ready: VecDeque<Bytes>,
    ahead: VecDeque<JoinHandle<Result<Vec<Bytes>, ReadError>>>,
    source: Source,
}

/// Where pieces come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The page cache, on the thread that asks.
    Cache,
    /// Blocking threads, ahead of who asks.
    Drives,
}

impl Volumes {
    /// A reader of a range of a body in a volume. The record that named the blob was looked up under this very pin,
    /// or under one that [`Volumes::hold`] was called with and whose holds still live.
    pub fn read(&self, _pin: &Pin, blob: &BlobRef, range: Range<u64>) -> Result<BlobReader, ReadError> {
        let whole = range == (0..blob.len());
        let plan = Plan::new(self, blob, range)?;
        let crc32c = match &blob.place {
            Place::Packed(at) if whole => Some(at.crc32c),
            _ => None,
        };
        Ok(BlobReader {
            volumes: self.clone(),
            crc32c,
            _holds: plan.volumes().map(|volume| volume.hold()).collect(),
            plan,
            ready: VecDeque::new(),
            ahead: VecDeque::new(),
            source: Source::Cache,
        })
    }

    /// The fragments that readers found bad.
    pub fn bad_fragments(&self) -> Vec<repair::BadFragment> {
        self.shared.repairs.waiting()
    }
}

impl BlobReader {
    /// The whole range as one buffer, if it is at most [`SMALL`], nothing of it was read yet, and the page cache
    /// holds it undamaged. Doesn't block. Otherwise nothing is lost: [`BlobReader::next`] reads it.
    pub fn try_all_cached(&mut self) -> Option<Bytes> {
        if self.plan.remaining() > SMALL || !self.ready.is_empty() || !self.ahead.is_empty() {
            return None;
        }
        let mut plan = self.plan.clone();
        let mut bytes = Vec::with_capacity(plan.remaining() as usize);
        while let Some(target) = plan.next() {
            if !read_small(&target.ok()?, &mut bytes) {
                return None;
            }
        }
        if self.crc32c.is_some_and(|crc| crc != crc32c::crc32c(&bytes)) {
            return None;
        }
        self.plan = plan;
        Some(bytes.into())
    }

    /// The next checked bytes, at most 32 KiB at a time; nothing at the end. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.plan.stop();
                    self.ahead.clear();
                    return Some(Err(error));
                }
            }
        }
    }

    /// Fills `ready`; false at the end.
    async fn more(&mut self) -> Result<bool, ReadError> {
        if self.source == Source::Cache {
            let Some(target) = self.plan.next().transpose()? else { return Ok(false) };
            match read_cached(&target, &self.volumes.shared) {
                Found::Bytes(bytes) => {
                    self.ready.extend(bytes);
                    return Ok(true);
                }
                Found::NotCached => self.source = Source::Drives,
                Found::Bad => {}
            }
            self.ahead.push_back(fetch(target, self.volumes.clone()));
        }
        while self.source == Source::Drives && self.ahead.len() <= AHEAD {
            let Some(target) = self.plan.next().transpose()? else { break };
            self.ahead.push_back(fetch(target, self.volumes.clone()));
        }
        let Some(first) = self.ahead.pop_front() else { return Ok(false) };
        let bytes = first.await.map_err(|error| ReadError::Interrupted(error.to_string()))??;
        self.ready.extend(bytes);
        Ok(true)
    }
}
