//! One piece of a body: read and checked, or computed from other shards.

use super::ReadError;
use super::plan::Target;
use super::repair::BadFragment;
use crate::drive::FileIo;
use crate::format::layout::{BLOCK, Blocks, CRC};
use crate::volume::{Buffers, PlacedShard, Shared, Volumes};
use bytes::Bytes;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a read on the caller's thread gave.
pub(super) enum Found {
    Bytes(Vec<Bytes>),
    /// The drives must be asked.
    NotCached,
    /// There are bytes, and they are wrong, or there can't be any.
    Bad,
}

/// Reads a piece from the page cache and checks it. Some tens of microseconds for 256 KiB.
pub(super) fn read_cached(target: &Target, shared: &Shared) -> Found {
    let Some(own) = own_file(target) else { return Found::Bad };
    let Some(file) = own.opened() else { return Found::NotCached };
    let read = |file: &dyn FileIo, buf: &mut [u8], at| file.read_at_cached(buf, at);
    match read_blocks(target, &own, file.as_ref(), &shared.fragments, read) {
        Ok(bytes) => Found::Bytes(bytes),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Found::NotCached,
        Err(_) => Found::Bad,
    }
}

/// Appends a small piece from the page cache, checked; says whether it did.
pub(super) fn read_small(target: &Target, into: &mut Vec<u8>) -> bool {
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
        match checked(target, &own, target.piece.shard, blocks, buffer) {
            Some(ranges) => ranges.for_each(|range| into.extend_from_slice(&buffer[range])),
            None => return false,
        }
        true
    })
}

/// Reads a piece on a blocking thread, by all means there are.
pub(super) fn fetch(target: Target, volumes: Volumes) -> JoinHandle<Result<Vec<Bytes>, ReadError>> {
    crate::blocking::spawn(move || {
        if let Some(own) = own_file(&target) {
            let read = |file: &dyn FileIo, buf: &mut [u8], at| file.read_at(buf, at);
            let buffers = &volumes.shared.fragments;
            match own.open().and_then(|file| read_blocks(&target, &own, file.as_ref(), buffers, read)) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => report(&target, target.piece.shard, &own, &error, &volumes),
            }
        }
        rebuild(&target, &volumes)
    })
}

/// The file of the piece's own shard, unless it can't be counted on.
fn own_file(target: &Target) -> Option<Arc<PlacedShard>> {
    target.volume.shard(target.piece.shard).filter(|file| file.is_good())
}

fn read_blocks(
    target: &Target,
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
    let ranges = checked(target, own, target.piece.shard, blocks, &buffer).ok_or(ErrorKind::InvalidData)?;
    let ranges: Vec<Range<usize>> = ranges.collect();
    let bytes = Bytes::from_owner(buffer);
    Ok(ranges.into_iter().map(|range| bytes.slice(range)).collect())
}

/// Checks all blocks that were read of a shard; then gives where in them the piece's bytes lie. `bytes` is as long as
/// the blocks are on the disk.
fn checked<'a>(
    target: &'a Target,
    file: &PlacedShard,
    shard: u8,
    blocks: Blocks,
    bytes: &[u8],
) -> Option<impl Iterator<Item = Range<usize>> + use<'a>> {
    let stripe = target.address.stripe;
    let seed = target.address.fragment(shard, file.generation).seed();
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
fn within_block(wanted: &Range<u32>, block: u32) -> Range<usize> {
    let begin = block * BLOCK;
    let start = wanted.start.saturating_sub(begin).min(BLOCK);
    let end = wanted.end.saturating_sub(begin).min(BLOCK);
    start as usize..end as usize
}

/// Computes a piece block by block from whatever shards are good; needs little memory for it.
fn rebuild(target: &Target, volumes: &Volumes) -> Result<Vec<Bytes>, ReadError> {
    let blocks = Blocks::covering(&target.piece.bytes);
    let mut pieces = Vec::new();
    for block in blocks.first..blocks.end {
        let whole = Bytes::from(rebuild_block(target, block, volumes)?);
        let within = within_block(&target.piece.bytes, block);
        pieces.push(whole.slice(within.start..within.end.min(whole.len())));
    }
    Ok(pieces)
}

fn rebuild_block(target: &Target, block: u32, volumes: &Volumes) -> Result<Vec<u8>, ReadError> {
    let (volume, own) = (&target.volume, usize::from(target.piece.shard));
    let needed = usize::from(volume.geometry.k);
    let mut shards: Vec<Option<Vec<u8>>> = vec![None; volume.slots.len()];
    let mut present = 0;
    for shard in by_trust(target) {
        let good = volume.shard(shard).and_then(|file| {
            let read = read_block(target, shard, &file, block);
            read.inspect_err(|error| report(target, shard, &file, error, volumes)).ok()
        });
        present += usize::from(good.is_some());
        if let Some(slot) = shards.get_mut(usize::from(shard)) {
            *slot = good;
        }
        if present == needed || shards.get(own).is_some_and(Option::is_some) {
            break;
        }
    }
    let damaged = ReadError::Damaged { volume: volume.id, offset: target.piece.offset, present, needed };
    if shards.get(own).is_none_or(Option::is_none) {
        volume.codec.rebuild(&mut shards).map_err(|_| damaged.clone())?;
    }
    shards.get_mut(own).and_then(Option::take).ok_or(damaged)
}

/// All shards: the wanted one, then those on healthy drives, then those that are hardly there; what verifies is right
/// wherever it comes from.
fn by_trust(target: &Target) -> Vec<u8> {
    let mut shards: Vec<u8> = (0..target.volume.slots.len() as u8).collect();
    shards.sort_by_key(|shard| {
        let good = target.volume.shard(*shard).is_some_and(|file| file.is_good());
        (!good, *shard != target.piece.shard, *shard)
    });
    shards
}

fn read_block(target: &Target, shard: u8, file: &PlacedShard, block: u32) -> io::Result<Vec<u8>> {
    let blocks = Blocks { first: block, end: block + 1 };
    let len = blocks.disk(target.address.stripe);
    let mut bytes = vec![0; len];
    if file.open()?.read_at(&mut bytes, target.piece.offset + blocks.offset())? < len {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let seed = target.address.fragment(shard, file.generation).seed();
    let (stored, data) = bytes.split_at(CRC);
    match seed.verifies(block, stored, data) {
        true => Ok(data.to_vec()),
        false => Err(ErrorKind::InvalidData.into()),
    }
}

/// Queues the repair of a fragment that should be there and can't be read, and sees to it that a shard file that is
/// gone counts as lost.
fn report(target: &Target, shard: u8, file: &Arc<PlacedShard>, error: &io::Error, volumes: &Volumes) {
    let (volume, offset) = (target.volume.clone(), target.piece.offset);
    let was_replaced = || volume.shard(shard).is_none_or(|now| !Arc::ptr_eq(&now, file));
    if !file.is_good() || was_replaced() {
        return;
    }
    if volumes.shared.repairs.add(BadFragment { volume: volume.id, shard, offset }) {
        metrics::counter!("stratum_bad_fragments_total").increment(1);
        tracing::warn!(volume = %volume.id, shard, offset, %error, "a fragment is bad; it is computed from others");
    }
    let deleted = error.kind() == ErrorKind::NotFound;
    if deleted && file.drive.as_ref().is_some_and(|drive| drive.check()) && file.report_deleted() {
        let (volumes, file) = (volumes.clone(), file.clone());
        tokio::spawn(async move {
            if let Err(error) = volumes.shared.lose_shard(&volume, shard, &file).await {
                tracing::warn!(volume = %volume.id, shard, %error, "the loss of a shard could not be recorded");
            }
        });
    }
}
