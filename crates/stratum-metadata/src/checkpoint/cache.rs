//! What stays of checkpoints in memory: blocks and filters. Both are bounded, however many objects there are.

use super::block::Block;
use super::lost::Lost;
use fastbloom::BloomFilter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stratum_storage::cache::{Bounds, bounded};

/// How many bytes of blocks stay in memory.
const CACHE_BYTES: u64 = 64 << 20;
/// How many bytes of filters stay in memory. A key of a range whose filter has no room is looked for in the range's
/// blocks.
const FILTERS_BYTES: u64 = 128 << 20;
/// The usual size of a block with its key and its entry in the cache, by which the cache is laid out at first.
const USUAL_BLOCK_BYTES: u64 = 32 << 10;

/// More than the longest block takes: it has at least one record, and a record is no longer than the command that
/// brought it, of 1 MiB.
const LONGEST_BLOCK_BYTES: u64 = 2 << 20;

/// The number of an open range, and the block's offset in its file.
pub(super) type BlockAddress = (u64, u64);

#[derive(Clone)]
struct BlockBytes;

impl Weighter<BlockAddress, Arc<Block>> for BlockBytes {
    fn weight(&self, _: &BlockAddress, block: &Arc<Block>) -> u64 {
        block.memory() as u64
    }
}

/// What is kept of checkpoints in memory. A store has one.
pub(super) struct Memory {
    blocks: Cache<BlockAddress, Arc<Block>, BlockBytes>,
    filters: AtomicU64,
    ranges: AtomicU64,
    /// The blocks of checkpoints that are known to be lost.
    pub(super) lost: Lost,
    /// Whether lost blocks are read as empty ones, as `stratum rescue` does to take out what is left.
    passes_over_lost: bool,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of blocks", self.blocks.weight())
    }
}

impl Default for Memory {
    fn default() -> Memory {
        let usual_values = (CACHE_BYTES / USUAL_BLOCK_BYTES) as usize;
        let bounds = Bounds { usual_values, most: CACHE_BYTES, heaviest: LONGEST_BLOCK_BYTES };
        Memory {
            blocks: bounded(bounds, BlockBytes),
            filters: AtomicU64::new(0),
            ranges: AtomicU64::new(0),
            lost: Lost::default(),
            passes_over_lost: false,
        }
    }
}

impl Memory {
    pub(super) fn passing_over_lost() -> Memory {
        Memory { passes_over_lost: true, ..Memory::default() }
    }

    pub(super) fn passes_over_lost(&self) -> bool {
        self.passes_over_lost
    }

    /// A number for a range that is opened. None is given out twice.
    pub(super) fn next_range(&self) -> u64 {
        self.ranges.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn block(&self, address: BlockAddress) -> Option<Arc<Block>> {
        self.blocks.get(&address)
    }

    pub(super) fn keep(&self, address: BlockAddress, block: Arc<Block>) {
        self.blocks.insert(address, block);
        metrics::gauge!("stratum_index_cache_bytes").set(self.blocks.weight() as f64);
    }

    pub(super) fn forget(&self, address: BlockAddress) {
        self.blocks.remove(&address);
    }

    #[cfg(test)]
    pub(super) fn forget_all(&self) {
        self.blocks.clear();
    }

    /// Keeps a filter in memory, if there is room for it.
    pub(super) fn filter(self: &Arc<Memory>, filter: BloomFilter) -> Option<Filter> {
        let bytes = size_of_val(filter.as_slice()) as u64;
        let before = self.filters.fetch_add(bytes, Ordering::Relaxed);
        let kept = Filter { filter, bytes, memory: self.clone() };
        metrics::gauge!("stratum_index_filter_bytes").set((before + bytes) as f64);
        (before + bytes <= FILTERS_BYTES).then_some(kept)
    }
}

/// A Bloom filter of the keys in a range, which recognises most keys that aren't in it.
pub(super) struct Filter {
    filter: BloomFilter,
    bytes: u64,
    memory: Arc<Memory>,
}

impl Filter {
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.filter.contains_hash(hash)
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.memory.filters.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
