//! One piece of a body: read and checked, or computed from other shards.
//!
//! What the page cache doesn't hold is read by the drive's own threads. Reads are hedged (Dean, Barroso: "The Tail at
//! Scale"): a drive that is late is not waited for where others, on other devices, can give the piece.

use super::plan::PlacedPiece;
use super::rebuild::rebuild;
use super::remote::{self, Run};
use super::{ReadError, Reader};
use crate::drive::{Drive, FileIo, questions};
use crate::format::layout::{BLOCK_BYTES, Blocks, CRC};
use crate::volume::{BadFragment, Buffers, PlacedShard};
use bytes::Bytes;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The least and the longest wait for a drive before the other shards' drives are asked, too (a hedged read).
const HEDGE_DELAYS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// What a read on the caller's thread gave.
pub(super) enum CacheAnswer {
    Bytes(Vec<Bytes>),
    /// The drives must be asked.
    NotCached,
    /// The bytes are wrong, or the shard can't be counted on.
    Bad,
}

/// Reads a piece from the page cache and checks it. Some tens of microseconds for 256 KiB.
pub(super) fn read_cached(target: &PlacedPiece, buffers: &Arc<Buffers>) -> CacheAnswer {
    let Some(own) = own_file(target) else { return CacheAnswer::Bad };
    let Some(file) = own.opened() else { return CacheAnswer::NotCached };
    let read = |file: &dyn FileIo, buf: &mut [u8], at| file.read_at_cached(buf, at);
    match read_blocks(target, &own, file.as_ref(), buffers, read) {
        Ok(bytes) => CacheAnswer::Bytes(bytes),
        Err(error) if error.kind() == ErrorKind::WouldBlock => CacheAnswer::NotCached,
        Err(_) => CacheAnswer::Bad,
    }
}

/// Appends a small piece from the page cache, checked; says whether it did.
pub(super) fn read_small(target: &PlacedPiece, into: &mut Vec<u8>) -> bool {
    thread_local! {
        /// Blocks that are read to serve a few of their bytes.
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let Some(own) = own_file(target) else { return false };
    let Some(file) = own.opened() else { return false };
    let blocks = Blocks::covering(&target.piece.bytes);
    let len = blocks.disk(target.address.stripe);
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0);
        }
        let buffer = &mut scratch[..len];
        let at = target.piece.offset + blocks.offset();
        if !matches!(file.read_at_cached(buffer, at), Ok(read) if read == len) {
            return false;
        }
        match checked(target, own.generation, target.piece.shard, blocks, buffer) {
            Some(ranges) => ranges.for_each(|range| into.extend_from_slice(&buffer[range])),
            None => return false,
        }
        true
    })
}

/// Reads a piece by all means there are, in a task of its own.
pub(super) fn fetch(target: PlacedPiece, reader: Arc<Reader>) -> JoinHandle<Result<Vec<Bytes>, ReadError>> {
    tokio::spawn(async move {
        let target = Arc::new(target);
        let outcome = fetch_or_compute(target.clone(), reader.clone()).await;
        match (outcome, Run::of(&target)) {
            // The volume went to the remote store while the piece was read from drives.
            (Err(ReadError::Damaged { .. }), Some(run)) => remote::read(&run, &reader).await,
            (outcome, _) => outcome,
        }
    })
}

/// Reads the piece from its own shard first. When that drive takes longer than it does in 99 of 100 reads, the piece
/// is computed from others at the same time, and whoever is first is taken.
async fn fetch_or_compute(target: Arc<PlacedPiece>, reader: Arc<Reader>) -> Result<Vec<Bytes>, ReadError> {
    let Some((own, drive)) = own_file(&target).and_then(|own| Some((own.clone(), own.drive.clone()?))) else {
        return rebuild(&target, &reader).await;
    };
    let elsewhere = is_elsewhere(&target, &drive);
    if elsewhere && drive.pulse().is_backed_up() {
        return rebuild(&target, &reader).await;
    }
    let mut reading = pin!(drive.reading(reading(target.clone(), own.clone(), reader.clone())));
    let report = |error: &io::Error| report(&target, target.piece.shard, &own, error, &reader);
    let patience = if elsewhere { patience(&drive) } else { Duration::MAX };
    match tokio::time::timeout(patience, &mut reading).await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(error)) => {
            report(&error);
            return rebuild(&target, &reader).await;
        }
        Err(_) => metrics::counter!("stratum_hedged_reads_total").increment(1),
    }
    let mut computing = pin!(rebuild(&target, &reader));
    tokio::select! {
        biased;
        read = &mut reading => match read {
            Ok(bytes) => return Ok(bytes),
            Err(error) => report(&error),
        },
        computed = &mut computing => return match computed {
            Ok(bytes) => Ok(bytes),
            // The slow drive is the only hope.
            Err(damaged) => reading.await.map_err(|_| damaged),
        },
    }
    computing.await
}

/// What a drive's thread does to read a piece.
fn reading(
    target: Arc<PlacedPiece>,
    own: Arc<PlacedShard>,
    reader: Arc<Reader>,
) -> impl FnOnce() -> io::Result<Vec<Bytes>> + Send + 'static {
    move || {
        let read = |file: &dyn FileIo, buf: &mut [u8], at| file.read_at(buf, at);
        let file = own.open()?;
        read_blocks(&target, &own, file.as_ref(), &reader.fragments, read)
    }
}

/// Whether the piece could be computed without the device that its own drive is on.
fn is_elsewhere(target: &PlacedPiece, drive: &Drive) -> bool {
    let domain = drive.domain();
    let others = target.volume.shards().filter(|(_, file)| {
        file.is_good()
            && file.drive.as_ref().is_some_and(|drive| drive.domain() != domain && !drive.is_slow())
    });
    others.count() >= target.volume.geometry.k.into()
}

/// How long a drive may take before others are asked, too.
fn patience(drive: &Drive) -> Duration {
    if drive.is_slow() {
        return Duration::ZERO;
    }
    drive.pulse().p99().unwrap_or(HEDGE_DELAYS.1).clamp(HEDGE_DELAYS.0, HEDGE_DELAYS.1)
}

/// The file of the piece's own shard, unless it can't be counted on.
fn own_file(target: &PlacedPiece) -> Option<Arc<PlacedShard>> {
    target.volume.shard(target.piece.shard).filter(|file| file.is_good())
}

fn read_blocks(
    target: &PlacedPiece,
    own: &PlacedShard,
    file: &dyn FileIo,
    buffers: &Arc<Buffers>,
    read: impl Fn(&dyn FileIo, &mut [u8], u64) -> io::Result<usize>,
) -> io::Result<Vec<Bytes>> {
    let blocks = Blocks::covering(&target.piece.bytes);
    let len = blocks.disk(target.address.stripe);
    let mut buffer = buffers.take(len);
    if read(file, &mut buffer, target.piece.offset + blocks.offset())? < len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let ranges =
        checked(target, own.generation, target.piece.shard, blocks, &buffer).ok_or(ErrorKind::InvalidData)?;
    let ranges: Vec<Range<usize>> = ranges.collect();
    let bytes = Bytes::from_owner(buffer);
    Ok(ranges.into_iter().map(|range| bytes.slice(range)).collect())
}

/// Checks all blocks that were read of a shard; then gives where in them the piece's bytes lie. `bytes` is as long as
/// the blocks are on the disk.
pub(super) fn checked<'a>(
    target: &'a PlacedPiece,
    generation: u32,
    shard: u8,
    blocks: Blocks,
    bytes: &[u8],
) -> Option<impl Iterator<Item = Range<usize>> + use<'a>> {
    let stripe = target.address.stripe;
    let seed = target.address.fragment(shard, generation).seed();
    let good = blocks.data(stripe).all(|(block, data)| {
        let stored = bytes.get(data.start - CRC..data.start);
        stored.zip(bytes.get(data)).is_some_and(|(stored, data)| seed.verifies(block, stored, data))
    });
    let wanted = &target.piece.bytes;
    good.then(|| {
        blocks.data(stripe).map(move |(block, data)| {
            let within = within_block(wanted, block);
            data.start + within.start..data.start + within.end.min(data.len())
        })
    })
}

/// Which bytes of a block belong to a range of its fragment.
pub(super) fn within_block(wanted: &Range<u32>, block: u32) -> Range<usize> {
    let begin = block * BLOCK_BYTES;
    let start = wanted.start.saturating_sub(begin).min(BLOCK_BYTES);
    let end = wanted.end.saturating_sub(begin).min(BLOCK_BYTES);
    start as usize..end as usize
}

/// Queues the repair of a fragment that should be there and can't be read, and sees to it that a shard file that is
/// gone counts as lost.
pub(super) fn report(
    target: &PlacedPiece,
    shard: u8,
    file: &Arc<PlacedShard>,
    error: &io::Error,
    reader: &Reader,
) {
    let (volume, offset) = (target.volume.clone(), target.piece.offset);
    let was_replaced = || volume.shard(shard).is_none_or(|now| !Arc::ptr_eq(&now, file));
    if !file.is_good() || was_replaced() {
        return;
    }
    if reader.table.repairs.add(BadFragment { volume: volume.id, shard, offset }) {
        metrics::counter!("stratum_bad_fragments_total").increment(1);
        file.found_rot(error);
        tracing::warn!(volume = %volume.id, shard, offset, %error, "a fragment is bad; it is computed from others");
    }
    if error.kind() == ErrorKind::NotFound
        && let Some(drive) = file.drive.clone()
    {
        let (table, file) = (reader.table.clone(), file.clone());
        tokio::spawn(async move {
            // A file that is gone with its drive isn't lost: the drive is.
            let is_there = questions::ask(&[drive], |drive| drive.check()).await == [Some(true)];
            if is_there
                && file.report_deleted()
                && let Err(error) = table.lose_shard(&volume, shard, &file).await
            {
                tracing::warn!(volume = %volume.id, shard, %error, "the loss of a shard could not be recorded");
            }
        });
    }
}
