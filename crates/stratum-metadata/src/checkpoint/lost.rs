//! The blocks of range files that are known to be lost: no copy gave them when they were last read.
//!
//! A lookup or scan that needs a lost block fails with [`TreeError::Lost`](crate::tree::TreeError); all others go on.
//! A block is known to be lost only once somebody has read it, so none is known at a start.

use super::range::RangeId;
use crate::lost::LostBlock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// The lost blocks by file and offset.
#[derive(Debug, Default)]
pub(super) struct Lost {
    any: AtomicBool,
    blocks: Mutex<BTreeMap<(RangeId, u64), Arc<LostBlock>>>,
}

impl Lost {
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// The lost blocks of a file.
    pub(super) fn of(&self, id: RangeId) -> Vec<Arc<LostBlock>> {
        if !self.any() {
            return Vec::new();
        }
        let blocks = self.blocks.lock();
        blocks.range((id, 0)..=(id, u64::MAX)).map(|(_, block)| block.clone()).collect()
    }

    /// Adds a lost block. If it is known already, gives the known one. Also gives whether it wasn't known.
    pub(super) fn enter(&self, id: RangeId, block: LostBlock) -> (Arc<LostBlock>, bool) {
        let (mut blocks, place) = (self.blocks.lock(), (id, block.offset));
        let is_new = !blocks.contains_key(&place);
        let known = blocks.entry(place).or_insert_with(|| Arc::new(block)).clone();
        self.note(&blocks);
        (known, is_new)
    }

    /// Takes out a block that could be read again.
    pub(super) fn found(&self, id: RangeId, offset: u64) {
        let mut blocks = self.blocks.lock();
        if let Some(block) = blocks.remove(&(id, offset)) {
            tracing::info!(file = block.file, offset, "a block that was lost can be read again");
        }
        self.note(&blocks);
    }

    /// Takes out a block that nobody reads any more.
    pub(super) fn forget(&self, id: RangeId, offset: u64) {
        let mut blocks = self.blocks.lock();
        blocks.remove(&(id, offset));
        self.note(&blocks);
    }

    /// Forgets the blocks of files that no checkpoint names any more.
    pub(super) fn retain(&self, is_named: impl Fn(&RangeId) -> bool) {
        let mut blocks = self.blocks.lock();
        blocks.retain(|(id, _), _| is_named(id));
        self.note(&blocks);
    }

    fn note(&self, blocks: &BTreeMap<(RangeId, u64), Arc<LostBlock>>) {
        self.any.store(!blocks.is_empty(), Ordering::Release);
        metrics::gauge!("stratum_index_lost_blocks").set(blocks.len() as f64);
    }
}
