//! A checkpoint that is a single file, read key by key. An older server wrote it, or it came with a backup.
//!
//! The pairs are in the order of their keys, so only the first key of every block must be in memory, about a
//! four-thousandth of the checkpoint. A block is read and verified when a key in it is looked up, and the last few
//! blocks stay in memory. The next checkpoint has range files and takes this one's place.

use super::single::{Block, Reader};
use super::{CheckpointError, format};
use crate::fingerprint::fingerprint;
use crate::record::Applied;
use crate::tree::{Base, TreeError, Value};
use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;
/// Blocks that stay in memory: 16 MiB.
const CACHED_BLOCKS: usize = 64;

/// A single file that was read through once and is whole.
pub(super) struct Image {
    reader: Reader,
    /// The first key of each block, and the block's offset.
    blocks: Vec<(Vec<u8>, u64)>,
    /// Blocks by their position in `blocks`, the last used one first.
    cache: Mutex<VecDeque<(usize, Arc<Pairs>)>>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a single file of {} blocks", self.blocks.len())
    }
}

/// A block's pairs.
struct Pairs {
    bytes: Vec<u8>,
    /// The offset of each pair.
    starts: Vec<u32>,
}

impl Image {
    /// Reads the checkpoint through once, and fails unless it is whole.
    pub(super) fn open(mut reader: Reader) -> Result<Image, CheckpointError> {
        let (mut blocks, mut count, mut sum) = (Vec::new(), 0, 0u128);
        loop {
            let offset = reader.offset();
            let Some(block) = reader.next_block()? else { break };
            let mut first = None;
            for pair in format::pairs(&block) {
                let (key, value) = pair.map_err(bad)?;
                first.get_or_insert_with(|| key.to_vec());
                count += 1;
                sum = sum.wrapping_add(fingerprint(key, value));
            }
            blocks.extend(first.map(|key| (key, offset)));
        }
        match count == reader.pairs() && sum == reader.applied().fingerprint {
            true => Ok(Image { reader, blocks, cache: Mutex::default() }),
            false => Err(CheckpointError::Mismatch),
        }
    }

    pub(super) fn applied(&self) -> Applied {
        self.reader.applied()
    }

    /// The block in which a key would be.
    fn block_of(&self, key: &[u8]) -> usize {
        self.blocks.partition_point(|(first, _)| first.as_slice() <= key).saturating_sub(1)
    }

    fn block(&self, number: usize) -> Result<Option<Arc<Pairs>>, TreeError> {
        let Some((_, offset)) = self.blocks.get(number) else { return Ok(None) };
        let mut cache = self.cache.lock();
        if let Some(at) = cache.iter().position(|(cached, _)| *cached == number)
            && let Some(found) = cache.remove(at)
        {
            let pairs = found.1.clone();
            cache.push_front(found);
            return Ok(Some(pairs));
        }
        let failed = |error: io::Error| TreeError::Failed(format!("a checkpoint can't be read: {error}"));
        let pairs = match self.reader.block_at(*offset).map_err(failed)? {
            Block::Pairs(bytes) => Arc::new(Pairs::new(bytes).map_err(failed)?),
            Block::End { .. } => return Ok(None),
        };
        cache.push_front((number, pairs.clone()));
        cache.truncate(CACHED_BLOCKS);
        Ok(Some(pairs))
    }
}

impl Pairs {
    fn new(bytes: Vec<u8>) -> io::Result<Pairs> {
        let (mut starts, mut at) = (Vec::new(), 0);
        for pair in format::pairs(&bytes) {
            let (key, value) = pair.map_err(bad)?;
            starts.push(at as u32);
            at += 8 + key.len() + value.len();
        }
        Ok(Pairs { bytes, starts })
    }

    fn pair(&self, start: u32) -> Option<(&[u8], &[u8])> {
        format::pairs(self.bytes.get(start as usize..)?).next()?.ok()
    }

    /// The pairs from `key` on.
    fn from(&self, key: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let is_before = |start: &u32| self.pair(*start).is_some_and(|(other, _)| other < key);
        let first = self.starts.partition_point(is_before);
        self.starts.iter().skip(first).filter_map(|start| self.pair(*start))
    }
}

impl Base for Image {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        let Some(block) = self.block(self.block_of(key))? else { return Ok(None) };
        Ok(block.from(key).next().filter(|(found, _)| *found == key).map(|(_, value)| value.into()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let mut number = self.block_of(from);
        while let Some(block) = self.block(number)? {
            for (key, value) in block.from(from) {
                if key >= to || visit(key, &value.into()).is_break() {
                    return Ok(());
                }
            }
            number += 1;
        }
        Ok(())
    }
}

fn bad(error: format::FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
