//! A piece computed from other shards, because its own is gone, damaged or late.
//!
//! Each shard is read by its own drive's threads, all that are needed at once, and one more whenever an answer is a
//! failure or doesn't come: a drive that hangs holds up nobody. What verifies is right wherever it comes from, so
//! shards that can't be counted on, of failed drives say, are asked in the end, too.

use super::fetch::{report, within_block};
use super::plan::PlacedPiece;
use super::{ReadError, Reader};
use crate::format::layout::{Blocks, CRC};
use crate::volume::PlacedShard;
use bytes::Bytes;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Blocks that are computed at a time, which bounds the memory of a read.
pub(super) const BLOCKS_AT_ONCE: u32 = 2;
/// How long the shards that were asked may take before one more is asked (a hedged read).
const HEDGE_DELAY: Duration = Duration::from_millis(250);

/// Data of the blocks that verify, one for each block that was read.
type Good = Vec<Option<Vec<u8>>>;

/// Computes a piece, a few blocks at a time.
pub(super) async fn rebuild(
    target: &Arc<PlacedPiece>,
    reader: &Arc<Reader>,
) -> Result<Vec<Bytes>, ReadError> {
    let blocks = Blocks::covering(&target.piece.bytes);
    let mut pieces = Vec::new();
    let mut first = blocks.first;
    while first < blocks.end {
        let some = Blocks { first, end: blocks.end.min(first + BLOCKS_AT_ONCE) };
        let gathered = Gathered::of(target, some, reader).await?;
        for (block, whole) in (some.first..some.end).zip(gathered.compute(target)?) {
            let (within, whole) = (within_block(&target.piece.bytes, block), Bytes::from(whole));
            pieces.push(whole.slice(within.start..within.end.min(whole.len())));
        }
        first = some.end;
    }
    Ok(pieces)
}

/// The same few blocks of as many shards as it takes.
struct Gathered {
    blocks: Blocks,
    /// One for each shard that has answered.
    shards: Vec<Option<Good>>,
}

impl Gathered {
    async fn of(
        target: &Arc<PlacedPiece>,
        blocks: Blocks,
        reader: &Arc<Reader>,
    ) -> Result<Gathered, ReadError> {
        let mut gathered = Gathered { blocks, shards: vec![None; target.volume.slots().len()] };
        let mut candidates = by_trust(target).into_iter();
        let mut asked = JoinSet::new();
        for shard in candidates.by_ref().take(target.volume.geometry.k.into()) {
            asked.spawn(read(target.clone(), shard, blocks, reader.clone()));
        }
        while !gathered.is_enough(target) {
            match tokio::time::timeout(HEDGE_DELAY, asked.join_next()).await {
                Ok(Some(Ok((shard, Some(good))))) => {
                    let is_short = good.iter().any(Option::is_none);
                    if let Some(place) = gathered.shards.get_mut(usize::from(shard)) {
                        *place = Some(good);
                    }
                    if !is_short {
                        continue;
                    }
                }
                Ok(Some(_)) | Err(_) => {}
                Ok(None) if candidates.len() == 0 => return Err(gathered.damaged(target)),
                Ok(None) => {}
            }
            if let Some(shard) = candidates.next() {
                asked.spawn(read(target.clone(), shard, blocks, reader.clone()));
            }
        }
        Ok(gathered)
    }

    /// How many shards are good at a block, and whether the wanted one is among them.
    fn good_at(&self, block: usize, target: &PlacedPiece) -> (usize, bool) {
        let is_good = |shard: &Option<Good>| {
            shard.as_ref().and_then(|blocks| blocks.get(block)).is_some_and(Option::is_some)
        };
        let own = self.shards.get(usize::from(target.piece.shard)).is_some_and(is_good);
        (self.shards.iter().filter(|shard| is_good(shard)).count(), own)
    }

    fn is_enough(&self, target: &PlacedPiece) -> bool {
        (0..(self.blocks.end - self.blocks.first) as usize).all(|block| {
            let (good, own) = self.good_at(block, target);
            own || good >= target.volume.geometry.k.into()
        })
    }

    fn damaged(&self, target: &PlacedPiece) -> ReadError {
        let blocks = 0..(self.blocks.end - self.blocks.first) as usize;
        let present = blocks.map(|block| self.good_at(block, target).0).min().unwrap_or_default();
        let needed = target.volume.geometry.k.into();
        ReadError::Damaged { volume: target.volume.id, offset: target.piece.offset, present, needed }
    }

    /// The wanted shard's blocks.
    fn compute(mut self, target: &PlacedPiece) -> Result<Vec<Vec<u8>>, ReadError> {
        let own = usize::from(target.piece.shard);
        let mut computed = Vec::new();
        for block in 0..(self.blocks.end - self.blocks.first) as usize {
            let take = |shard: &mut Option<Good>| shard.as_mut()?.get_mut(block)?.take();
            let mut shards: Vec<Option<Vec<u8>>> = self.shards.iter_mut().map(take).collect();
            if shards.get(own).is_none_or(Option::is_none) {
                target.volume.codec.rebuild(&mut shards).map_err(|_| self.damaged(target))?;
            }
            computed.push(shards.get_mut(own).and_then(Option::take).ok_or_else(|| self.damaged(target))?);
        }
        Ok(computed)
    }
}

/// All shards: the good ones first, those of slow drives last among them, then the wanted one (it was just tried),
/// and those that can't be counted on.
fn by_trust(target: &PlacedPiece) -> Vec<u8> {
    let mut shards: Vec<u8> = (0..target.volume.slots().len() as u8).collect();
    shards.sort_by_key(|shard| {
        let file = target.volume.shard(*shard);
        let is_good = file.as_ref().is_some_and(|file| file.is_good());
        let is_slow = file.and_then(|file| file.drive.as_ref().map(|drive| drive.is_slow()));
        (!is_good, *shard == target.piece.shard, is_slow.unwrap_or(true), *shard)
    });
    shards
}

/// A shard's blocks, as far as they verify.
async fn read(
    target: Arc<PlacedPiece>,
    shard: u8,
    blocks: Blocks,
    reader: Arc<Reader>,
) -> (u8, Option<Good>) {
    let Some(file) = target.volume.shard(shard) else { return (shard, None) };
    let Some(drive) = file.drive.clone() else { return (shard, None) };
    let job = {
        let (target, file) = (target.clone(), file.clone());
        move || read_blocking(&target, shard, &file, blocks)
    };
    match drive.reading(job).await {
        Ok(good) => {
            if good.iter().any(Option::is_none) {
                report(&target, shard, &file, &ErrorKind::InvalidData.into(), &reader);
            }
            (shard, Some(good))
        }
        Err(error) => {
            report(&target, shard, &file, &error, &reader);
            (shard, None)
        }
    }
}

fn read_blocking(target: &PlacedPiece, shard: u8, file: &PlacedShard, blocks: Blocks) -> io::Result<Good> {
    let stripe = target.address.stripe;
    let mut bytes = vec![0; blocks.disk(stripe)];
    if file.open()?.read_at(&mut bytes, target.piece.offset + blocks.offset())? < bytes.len() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let seed = target.address.fragment(shard, file.generation).seed();
    let good = blocks.data(stripe).map(|(block, data)| {
        let stored = bytes.get(data.start - CRC..data.start)?;
        let data = bytes.get(data)?;
        seed.verifies(block, stored, data).then(|| data.to_vec())
    });
    Ok(good.collect())
}
