//! How a body comes out of a volume: only the blocks that the range touches, each checked, and rebuilt where need be.
//!
//! Data fragments are contiguous pieces of the payload, so a small read is one read of one drive. What the page cache
//! holds is read and checked where it was asked for. Once something has to come from a disk, the rest of the body is
//! read [`PIECES_AHEAD`] by the drives' own threads, so that disks, checksums and socket overlap. A missing or bad
//! block is computed from the same block of `k` other shards, and the fragment is queued for repair. What lies in the
//! remote store comes from there, in longer runs ([`remote`]).

mod fetch;
mod plan;
mod rebuild;
mod remote;
pub(crate) mod whole;

pub use whole::{Flaw, Parity};

pub(crate) use remote::{NO_REMOTE, REMOTE_ATTEMPTS};

use crate::blob::{BlobRef, Place, VolumeId};
use crate::format::layout::{BLOCK_BYTES, Blocks, FULL_FRAGMENT_BYTES, Stripe};
use crate::remote::RemoteError;
use crate::volume::{Buffer, Buffers, Table, TierDrives, VolumeHold};
use bytes::Bytes;
use fetch::{CacheAnswer, fetch, read_cached, read_small};
use plan::{PlacedPiece, ReadPlan};
use remote::{RUN_BYTES, RUNS_AT_ONCE, RecentBodies, Run};
use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Pieces (of at most 256 KiB) that a reader reads ahead of its caller once the page cache doesn't answer.
pub const PIECES_AHEAD: usize = 3;
/// Up to this many bytes [`BlobReader::try_all_cached`] answers.
pub const MAX_CACHED_READ_BYTES: u64 = 64 * 1024;

/// Memory that a reader of a volume with so many shards takes at most, in bytes: pieces ahead, all being rebuilt.
fn memory(shards: usize) -> u64 {
    let rebuilding = (shards as u64 + 1) * u64::from(rebuild::BLOCKS_AT_ONCE * BLOCK_BYTES);
    (PIECES_AHEAD as u64 + 1) * (u64::from(FULL_FRAGMENT_BYTES) + rebuilding)
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
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("what the remote store gives at {offset} of {volume} isn't what was stored there")]
    RemoteDamaged { volume: VolumeId, offset: u64 },
}

/// Reads bodies out of volumes.
pub struct Reader {
    table: Arc<Table>,
    /// Buffers of whole fragments.
    fragments: Arc<Buffers>,
    recent: RecentBodies,
}

/// Keeps every free and removal waiting while it lives: bytes that a record names which is read under a pin are still
/// there. To be held for a lookup and [`Reader::read`] or [`Reader::hold`], never longer, and not across an await.
pub struct Pin<'a> {
    _pin: crate::pin::Pin<'a>,
}

/// Keeps the bytes of some volumes from being freed, for as long as it lives.
#[derive(Clone, Debug)]
pub struct Holds {
    _holds: Vec<VolumeHold>,
}

/// Reads a range of one body, in order.
pub struct BlobReader {
    reader: Arc<Reader>,
    plan: ReadPlan,
    /// Where the whole body lies in its volume's object, if that is one run of the remote store's.
    remote_body: Option<Range<u64>>,
    /// The checksum of a packed body, if all of it is read.
    crc32c: Option<u32>,
    _holds: Vec<VolumeHold>,
    /// Checked bytes that the caller hasn't asked for yet.
    ready: VecDeque<Bytes>,
    ahead: VecDeque<JoinHandle<Result<Vec<Bytes>, ReadError>>>,
    source: PieceSource,
}

/// Where pieces come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PieceSource {
    /// The page cache, on the thread that asks.
    Cache,
    /// The drives' threads or the remote store, ahead of the caller.
    Drives,
}

impl Reader {
    pub(crate) fn new(table: Arc<Table>) -> Arc<Reader> {
        let full = |tier: &TierDrives| Stripe::full(tier.geometry);
        let fragments = table.tiers.iter().map(full).map(|full| Blocks::all(full).disk(full));
        let fragments = Buffers::new(fragments.max().unwrap_or_default().max(BLOCK_BYTES as usize));
        Arc::new(Reader { table, fragments, recent: RecentBodies::default() })
    }

    /// A pin. It costs some tens of nanoseconds.
    pub fn pin(&self) -> Pin<'_> {
        Pin { _pin: self.table.pins.pin() }
    }

    /// Holds on all volumes that these blobs lie in: each of them can be read, without a pin of its own, for as
    /// long as the answer lives. For objects of many parts.
    pub fn hold<'a>(&self, _pin: &Pin<'_>, blobs: impl IntoIterator<Item = &'a BlobRef>) -> Holds {
        let mut seen = HashSet::new();
        let table = self.table.read();
        let mut holds = Vec::new();
        let mut take = |id: VolumeId| {
            if seen.insert(id) {
                holds.extend(table.get(&id).map(|volume| volume.hold()));
            }
        };
        for blob in blobs {
            match &blob.place {
                Place::Packed(at) => take(at.volume),
                Place::Extents(extents) => extents.iter().for_each(|extent| take(extent.volume)),
                Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => {}
            }
        }
        Holds { _holds: holds }
    }

    /// Memory that a [`BlobReader`] takes at most: what it reads ahead, and the fragments that one is rebuilt from.
    pub fn memory(&self) -> u64 {
        let widest = self.table.tiers.iter().map(|tier| tier.geometry.shards()).max();
        // The run that is being given, and those that are under way.
        let runs = self.table.remote.as_ref().map_or(0, |_| (RUNS_AT_ONCE as u64 + 1) * RUN_BYTES);
        memory(widest.unwrap_or_default()).max(runs)
    }

    /// A buffer of `length` bytes with arbitrary content, for whoever joins what was read: one that is used again
    /// later, if that is about as large as a fragment.
    pub fn buffer(&self, length: usize) -> Buffer {
        self.fragments.take(length)
    }

    /// The reader's buffers of whole fragments.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.fragments
    }

    /// A reader of a range of a body in a volume. The record that named the blob was looked up under this very pin,
    /// or under one that [`Reader::hold`] was called with and whose holds still live.
    pub fn read(
        self: &Arc<Self>,
        _pin: &Pin<'_>,
        blob: &BlobRef,
        range: Range<u64>,
    ) -> Result<BlobReader, ReadError> {
        let whole = range == (0..blob.len());
        let plan = ReadPlan::new(&self.table, blob, range)?;
        let crc32c = match &blob.place {
            Place::Packed(at) if whole => Some(at.crc32c),
            _ => None,
        };
        Ok(BlobReader {
            reader: self.clone(),
            crc32c,
            _holds: plan.volumes().map(|volume| volume.hold()).collect(),
            remote_body: remote::range_of_body(&self.table, blob, &plan),
            plan,
            ready: VecDeque::new(),
            ahead: VecDeque::new(),
            source: PieceSource::Cache,
        })
    }
}

impl BlobReader {
    /// The whole range as one buffer, if it is at most [`MAX_CACHED_READ_BYTES`], nothing of it was read yet, and the
    /// page cache holds it undamaged. Doesn't block. Otherwise nothing is lost: [`BlobReader::next`] reads it.
    pub fn try_all_cached(&mut self) -> Option<Bytes> {
        if self.plan.remaining() > MAX_CACHED_READ_BYTES || !self.ready.is_empty() || !self.ahead.is_empty() {
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
        if self.source == PieceSource::Cache {
            let Some(target) = self.plan.next().transpose()? else { return Ok(false) };
            match read_cached(&target, &self.reader.fragments) {
                CacheAnswer::Bytes(bytes) => {
                    self.ready.extend(bytes);
                    return Ok(true);
                }
                CacheAnswer::NotCached => self.source = PieceSource::Drives,
                CacheAnswer::Bad if target.volume.remote().is_some() => self.source = PieceSource::Drives,
                CacheAnswer::Bad => {}
            }
            self.fetch(target);
        }
        while self.source == PieceSource::Drives && self.ahead.len() < self.most_ahead() {
            let Some(target) = self.plan.next().transpose()? else { break };
            self.fetch(target);
        }
        let Some(first) = self.ahead.pop_front() else { return Ok(false) };
        let bytes = first.await.map_err(|error| ReadError::Interrupted(error.to_string()))??;
        self.ready.extend(bytes);
        Ok(true)
    }

    /// Begins to read a piece, with those that come along.
    fn fetch(&mut self, target: PlacedPiece) {
        let reader = self.reader.clone();
        self.ahead.push_back(match Run::begin(&target, &mut self.plan, self.remote_body.as_ref()) {
            Some(run) => remote::fetch(run, reader),
            None => fetch(target, reader),
        });
    }

    fn most_ahead(&self) -> usize {
        match self.plan.volumes().any(|volume| volume.remote().is_some()) {
            true => RUNS_AT_ONCE,
            false => PIECES_AHEAD + 1,
        }
    }
}
