//! Writes range files.

use super::{FILTER_BITS_A_KEY, FILTER_HASHES, Part, RangeId, RangeRecord, header};
use crate::checkpoint::block::{self, Builder};
use crate::checkpoint::frame::FRAME_HEADER_LEN;
use crate::checkpoint::output::Output;
use crate::record::Applied;
use fastbloom::BloomFilter;
use std::io;
use std::sync::Arc;
use stratum_storage::drive::Drive;
use xxhash_rust::xxh3::xxh3_64;

/// A range file that is being written.
pub(in crate::checkpoint) struct RangeWriter {
    output: Output,
    record: RangeRecord,
    block: Builder,
    index: Builder,
    /// The hashes of the keys, for the filter.
    hashes: Vec<u64>,
    block_bytes: usize,
}

impl RangeWriter {
    pub(in crate::checkpoint) fn create(
        dir: &'static str,
        applied: &Applied,
        number: u32,
        drives: Vec<Arc<Drive>>,
        block_bytes: usize,
    ) -> io::Result<RangeWriter> {
        let id = RangeId { index: applied.index, number };
        let mut output = Output::create(dir, id.name(), drives)?;
        if let Err(error) = output.append(&[&header(id, applied.hash)]) {
            output.abandon();
            return Err(error);
        }
        let record = RangeRecord::new(id, applied.hash);
        let (block, index, hashes) = (Builder::default(), Builder::default(), Vec::new());
        Ok(RangeWriter { output, record, block, index, hashes, block_bytes })
    }

    /// Adds a pair, whose key must come after all keys in the file. Gives how many bytes were written to each drive
    /// for it.
    pub(in crate::checkpoint) fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<u64> {
        self.record.count(key, value);
        self.hashes.push(xxh3_64(key));
        self.block.push(key, value);
        if self.block.len() >= self.block_bytes { self.end_block() } else { Ok(0) }
    }

    /// How many bytes have been written.
    pub(in crate::checkpoint) fn bytes(&self) -> u64 {
        self.output.offset()
    }

    fn end_block(&mut self) -> io::Result<u64> {
        let (bytes, first) = self.block.take();
        let part = self.frame(bytes)?;
        self.index.push(&first, &part.encode());
        Ok(u64::from(part.length))
    }

    fn frame(&mut self, block: Vec<u8>) -> io::Result<Part> {
        let (bytes, is_packed) = block::compressed(block);
        self.plain_frame(&bytes, is_packed)
    }

    fn plain_frame(&mut self, bytes: &[u8], is_packed: bool) -> io::Result<Part> {
        let offset = self.output.offset();
        self.output.append(&[&self.record.salt().header(offset, bytes, is_packed), bytes])?;
        Ok(Part { offset, length: (FRAME_HEADER_LEN + bytes.len()) as u32 })
    }

    /// Ends and syncs the file, and gives its record for the manifest.
    pub(in crate::checkpoint) fn finish(mut self) -> io::Result<RangeRecord> {
        match self.end() {
            Ok(()) => {
                let RangeWriter { output, mut record, .. } = self;
                record.bytes = output.finish()?;
                Ok(record)
            }
            Err(error) => {
                self.output.abandon();
                Err(error)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let filter = filter(&self.hashes);
        self.record.filter = self.plain_frame(&filter, false)?;
        let (index, _) = self.index.take();
        self.record.index = self.frame(index)?;
        Ok(())
    }

    /// Removes the unfinished file.
    pub(in crate::checkpoint) fn abandon(self) {
        self.output.abandon();
    }
}

/// The bytes of a filter of these keys.
pub(super) fn filter(hashes: &[u64]) -> Vec<u8> {
    let mut filter =
        BloomFilter::with_num_bits((hashes.len() * FILTER_BITS_A_KEY).max(64)).seed(&0).hashes(FILTER_HASHES);
    for hash in hashes {
        filter.insert_hash(*hash);
    }
    filter.as_slice().iter().flat_map(|word| word.to_le_bytes()).collect()
}
