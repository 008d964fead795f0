//! A range file: a contiguous part of the state, in the order of its keys, written once and never changed.
//!
//! The file holds blocks of pairs, then a Bloom filter of the keys, then an index of the blocks, which is a block
//! itself and holds each block's first key, offset and length. The manifest that names the file says where filter and
//! index are ([`RangeRecord`]). So looking a key up takes one read of a block, and one of the index if that isn't in
//! memory.

mod anew;
mod copy;
mod derived;
mod lost;
mod void;
mod writer;

pub(super) use anew::{Elsewhere, NotMade};
pub(super) use copy::Pieces;
pub(super) use void::voided;
pub(super) use writer::RangeWriter;

use super::block::{self, Block};
use super::cache::{Filter, Memory};
use super::copies::{Bad, Copies, NoFrame};
use super::frame::{FRAME_HEADER_LEN, Framed, Salt};
use crate::fingerprint::fingerprint;
use crate::tree::{TreeError, Value};
use fastbloom::BloomFilter;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use stratum_storage::blob::Index;
use stratum_storage::drive::Drive;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"STRATRNG";
const VERSION: u32 = 1;
pub(super) const HEADER_LEN: usize = 32;
/// How many bits the filter has for each key, and how many hashes it takes: of a hundred keys that aren't in the
/// range one passes.
const FILTER_BITS_A_KEY: usize = 10;
const FILTER_HASHES: u32 = 7;
/// How much is copied at once of a file whose index is lost, so that it isn't known where its blocks begin.
const PIECE_BYTES: u64 = 1 << 20;

/// The number of a run's first file. Files of a run and of a base have different numbers, so that none is taken for
/// one of the other, whose values mean something else.
pub(super) const RUN_NUMBERS: u32 = 1 << 31;

/// The name of a range file: the journal entry at which it was written, and a number within that checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct RangeId {
    pub(super) index: Index,
    pub(super) number: u32,
}

impl RangeId {
    pub(super) fn name(self) -> String {
        format!("{:016x}.{:08x}", self.index, self.number)
    }

    pub(super) fn parse(name: &str) -> Option<RangeId> {
        let (index, number) = name.split_once('.')?;
        let is_hex =
            |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex(index, 16) || !is_hex(number, 8) {
            return None;
        }
        Some(RangeId {
            index: Index::from_str_radix(index, 16).ok()?,
            number: u32::from_str_radix(number, 16).ok()?,
        })
    }
}

/// Where a frame lies in the file. The length includes the frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) offset: u64,
    length: u32,
}

/// What a manifest says of a range file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RangeRecord {
    pub(super) id: RangeId,
    /// The hash of the journal entry at which the file was written, salted by the merge. By it no file of another
    /// store or another merge verifies.
    pub(super) hash: u128,
    /// The file's length.
    pub(super) bytes: u64,
    pub(super) pairs: u64,
    /// What the pairs add to the state's fingerprint.
    pub(super) fingerprint: u128,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    pub(super) filter: Part,
    pub(super) index: Part,
}

impl RangeRecord {
    fn salt(&self) -> Salt {
        Salt::new(self.id.index, self.hash, self.id.number)
    }

    /// Reads a whole range file, and makes the record that a manifest has of it.
    pub(super) fn read(
        id: RangeId,
        hash: u128,
        bytes: u64,
        dir: &str,
        holders: &[Arc<Drive>],
    ) -> io::Result<RangeRecord> {
        let salt = RangeRecord::new(id, hash).salt();
        let copies = Copies::new(format!("{dir}/{}", id.name()), salt, holders, Arc::default());
        let frames = copies.frames(HEADER_LEN as u64, bytes);
        RangeRecord::of_frames(id, hash, bytes, frames.map(|frame| frame.map_err(io::Error::from)))
    }

    /// Makes the record of a file of `bytes` bytes from all of its frames, each with its offset.
    fn of_frames(
        id: RangeId,
        hash: u128,
        bytes: u64,
        frames: impl Iterator<Item = io::Result<(u64, Framed)>>,
    ) -> io::Result<RangeRecord> {
        let mut record = RangeRecord::new(id, hash);
        record.bytes = bytes;
        // The last two frames are the filter and the index, not blocks of pairs.
        let mut last_two = VecDeque::with_capacity(3);
        for frame in frames {
            last_two.push_back(frame?);
            if last_two.len() > 2
                && let Some((_, framed)) = last_two.pop_front()
            {
                let seen = block_of(framed)?.visit(&[], &mut |key, value| {
                    record.count(key, value);
                    ControlFlow::Continue(())
                });
                let _ = seen.ok_or(io::ErrorKind::InvalidData)?;
            }
        }
        let mut part = || {
            let (offset, framed) = last_two.pop_front().ok_or(io::ErrorKind::InvalidData)?;
            Ok::<_, io::Error>(Part { offset, length: (FRAME_HEADER_LEN + framed.bytes.len()) as u32 })
        };
        (record.filter, record.index) = (part()?, part()?);
        Ok(record)
    }

    fn new(id: RangeId, hash: u128) -> RangeRecord {
        let nowhere = Part { offset: 0, length: 0 };
        RangeRecord {
            id,
            hash,
            bytes: 0,
            pairs: 0,
            fingerprint: 0,
            first: Vec::new(),
            last: Vec::new(),
            filter: nowhere,
            index: nowhere,
        }
    }

    /// Counts the next pair of the file.
    fn count(&mut self, key: &[u8], value: &[u8]) {
        if self.pairs == 0 {
            self.first = key.to_vec();
        }
        self.pairs += 1;
        self.fingerprint = self.fingerprint.wrapping_add(fingerprint(key, value));
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    /// The offset at which the blocks of pairs end.
    fn blocks_end(&self) -> u64 {
        self.filter.offset
    }
}

/// A range file that is open to be read.
pub(super) struct Range {
    pub(super) record: RangeRecord,
    copies: Arc<Copies>,
    memory: Arc<Memory>,
    /// The number of the open file, by which its blocks are cached.
    number: u64,
    /// The filter once it was read; none within if memory has no room for it.
    filter: Arc<OnceLock<Option<Filter>>>,
    /// The offsets of blocks that count for empty, whatever the drives hold.
    void: BTreeSet<u64>,
}

impl Range {
    pub(super) fn open(
        record: RangeRecord,
        dir: &str,
        holders: &[Arc<Drive>],
        memory: Arc<Memory>,
        bad: Arc<Bad>,
    ) -> Range {
        let copies = Copies::new(format!("{dir}/{}", record.id.name()), record.salt(), holders, bad);
        let number = memory.next_range();
        Range {
            record,
            copies: Arc::new(copies),
            memory,
            number,
            filter: Arc::default(),
            void: BTreeSet::new(),
        }
    }

    /// Reads from the copies on these drives from now on.
    pub(super) fn reopen(&self, holders: &[Arc<Drive>]) {
        self.copies.reopen(holders);
    }

    fn load(&self, part: Part) -> Result<Arc<Block>, NoFrame> {
        let address = (self.number, part.offset);
        if let Some(block) = self.memory.block(address) {
            return Ok(block);
        }
        let block = Arc::new(self.read(part)?);
        self.memory.keep(address, block.clone());
        Ok(block)
    }

    /// Reads a block from a copy, even if it is in memory.
    fn read(&self, part: Part) -> Result<Block, NoFrame> {
        let framed = self.copies.frame(part.offset, part.length as usize)?;
        if self.memory.lost.any() {
            self.memory.lost.found(self.record.id, part.offset);
        }
        block_of(framed).map_err(|error| NoFrame::Away(error.to_string()))
    }

    /// The index of the blocks. If no copy gives it, it is made anew from the blocks. None if it is lost and lost
    /// blocks are passed over.
    fn index(&self) -> Result<Option<Arc<Block>>, TreeError> {
        if self.is_void(self.record.index) {
            return Ok(None);
        }
        let index = match self.load(self.record.index) {
            Err(NoFrame::Lost { drives, .. }) => self.index_of_blocks(&drives),
            loaded => loaded.map_err(away),
        };
        self.unless_passed_over(index)
    }

    /// The block at `part`, which the index names beside its first key. None if it is lost and lost blocks are passed
    /// over, or if it counts for empty.
    fn block_at(&self, index: &Block, first: &[u8], part: Part) -> Result<Option<Arc<Block>>, TreeError> {
        if self.is_void(part) {
            return Ok(None);
        }
        self.unless_passed_over(self.load(part).map_err(|error| self.no_block(index, first, part, error)))
    }

    /// The block in which a key would be.
    fn block_for(&self, key: &[u8]) -> Result<Option<Arc<Block>>, TreeError> {
        let Some(index) = self.index()? else { return Ok(None) };
        match index.last_through(key) {
            Some((first, place)) => self.block_at(&index, &first, part_of(&place)?),
            None => Ok(None),
        }
    }

    /// Whether the range may hold the key. If not, it surely doesn't.
    fn may_hold(&self, key: &[u8]) -> Result<bool, TreeError> {
        if key < self.record.first.as_slice() || key > self.record.last.as_slice() {
            return Ok(false);
        }
        if self.filter.get().is_none() {
            let part = self.record.filter;
            let filter = match self.copies.frame(part.offset, part.length as usize) {
                Ok(framed) => filter_of(&framed.bytes).and_then(|filter| self.memory.filter(filter)),
                // Without the filter, keys are looked up in the blocks.
                Err(NoFrame::Lost { .. }) => None,
                Err(error) => return Err(away(error)),
            };
            let _ = self.filter.set(filter);
        }
        let filter = self.filter.get().and_then(Option::as_ref);
        Ok(filter.is_none_or(|filter| filter.may_hold(xxh3_64(key))))
    }

    /// Whether a lookup of the key needs something that isn't in memory.
    pub(super) fn must_read(&self, key: &[u8]) -> bool {
        if key < self.record.first.as_slice() || key > self.record.last.as_slice() {
            return false;
        }
        let Some(filter) = self.filter.get() else { return true };
        if filter.as_ref().is_some_and(|filter| !filter.may_hold(xxh3_64(key))) {
            return false;
        }
        let Some(index) = self.memory.block((self.number, self.record.index.offset)) else { return true };
        let part = index.last_through(key).and_then(|(_, place)| part_of(&place).ok());
        part.is_some_and(|part| self.memory.block((self.number, part.offset)).is_none())
    }

    /// Reads what a lookup of the key needs into memory.
    pub(super) fn touch(&self, key: &[u8]) -> Result<(), TreeError> {
        if self.may_hold(key)? {
            self.block_for(key)?;
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        if !self.may_hold(key)? {
            return Ok(None);
        }
        let found = self.block_for(key)?.and_then(|block| block.get(key));
        Ok(found.map(|value| Value::from(value.as_slice())))
    }

    /// The first key of the block that lies `blocks` blocks after the one in which `from` would be; none if there
    /// aren't so many.
    pub(super) fn block_beyond(&self, from: &[u8], blocks: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let (mut left, mut found) = (blocks, None);
        let Some(index) = self.index()? else { return Ok(None) };
        let visited = index.visit(from, &mut |first, _| {
            left = left.saturating_sub(usize::from(first > from));
            if left > 0 {
                return ControlFlow::Continue(());
            }
            found = Some(first.to_vec());
            ControlFlow::Break(())
        });
        visited.map(|_| found).ok_or_else(senseless)
    }

    /// Visits the pairs with `from <= key < to` until `visit` breaks. Gives whether it broke.
    pub(super) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TreeError> {
        let Some(index) = self.index()? else { return Ok(ControlFlow::Continue(())) };
        let start = index.last_through(from).map_or_else(Vec::new, |(first, _)| first);
        let mut failed = None;
        let flow = index.visit(&start, &mut |first, place| {
            let block = part_of(place).and_then(|part| self.block_at(&index, first, part));
            let visited = block.map(|block| {
                block.map_or(Some(ControlFlow::Continue(())), |block| {
                    block.visit(from, &mut |key, value| match key < to {
                        true => visit(key, &Value::from(value)),
                        false => ControlFlow::Break(()),
                    })
                })
            });
            match visited {
                Ok(Some(flow)) => flow,
                Ok(None) => {
                    failed = Some(senseless());
                    ControlFlow::Break(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        match (failed, flow) {
            (Some(error), _) => Err(error),
            (None, Some(flow)) => Ok(flow),
            (None, None) => Err(senseless()),
        }
    }

    /// Reads the whole file, whatever is in memory. Fails unless each frame verifies in some copy and the pairs are
    /// those that were written.
    pub(super) fn verify(&self) -> Result<(), TreeError> {
        self.verify_pairs()?;
        for part in [self.record.filter, self.record.index] {
            self.copies.frame(part.offset, part.length as usize).map_err(away)?;
        }
        Ok(())
    }

    /// Reads all pairs, whatever is in memory. Fails unless they are those that were written. Filter and index, which are made of
    /// them, needn't be whole.
    pub(super) fn verify_pairs(&self) -> Result<(), TreeError> {
        let (mut pairs, mut sum) = (0u64, 0u128);
        for frame in self.block_frames() {
            let (_, framed) = frame.map_err(away)?;
            let seen = block_of(framed).map_err(unreadable)?.visit(&[], &mut |key, value| {
                pairs += 1;
                sum = sum.wrapping_add(fingerprint(key, value));
                ControlFlow::Continue(())
            });
            let _ = seen.ok_or_else(senseless)?;
        }
        match (pairs, sum) == (self.record.pairs, self.record.fingerprint) {
            true => Ok(()),
            false => Err(senseless()),
        }
    }
}

impl std::fmt::Debug for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "range {} of {} pairs", self.record.id.name(), self.record.pairs)
    }
}

impl Part {
    fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

fn part_of(bytes: &[u8]) -> Result<Part, TreeError> {
    let parts =
        bytes.split_first_chunk::<8>().and_then(|(offset, rest)| Some((offset, rest.first_chunk::<4>()?)));
    let (offset, length) = parts.ok_or_else(senseless)?;
    Ok(Part { offset: u64::from_le_bytes(*offset), length: u32::from_le_bytes(*length) })
}

pub(super) fn header(id: RangeId, hash: u128) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&id.number.to_le_bytes());
    bytes[16..24].copy_from_slice(&id.index.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &hash.to_le_bytes());
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn filter_of(bytes: &[u8]) -> Option<BloomFilter> {
    let words = bytes.chunks_exact(8).filter_map(|chunk| Some(u64::from_le_bytes(*chunk.first_chunk()?)));
    let words: Vec<u64> = words.collect();
    (!words.is_empty()).then(|| BloomFilter::from_vec(words).seed(&0).hashes(FILTER_HASHES))
}

fn block_of(framed: Framed) -> io::Result<Block> {
    let bytes = match framed.is_packed {
        true => block::decompressed(&framed.bytes),
        false => Some(framed.bytes),
    };
    bytes
        .and_then(Block::parse)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a block makes no sense"))
}

fn away(error: NoFrame) -> TreeError {
    unreadable(error.into())
}

fn unreadable(error: io::Error) -> TreeError {
    TreeError::Failed(format!("a checkpoint can't be read: {error}"))
}

fn senseless() -> TreeError {
    TreeError::Failed("a range of a checkpoint isn't what was written".into())
}
