//! The blocks of range files that no copy gives, for as long as they are known and aren't read again.
//!
//! Whoever needs one is told so ([`TreeError::Lost`](crate::tree::TreeError)); everybody else goes on. What is known here is
//! what somebody asked for: a start knows of nothing yet.

use super::range::RangeId;
use crate::lost::LostBlock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// The blocks by file and offset.
#[derive(Debug, Default)]
pub(super) struct Lost {
    any: AtomicBool,
    blocks: Mutex<BTreeMap<(RangeId, u64), Arc<LostBlock>>>,
}

impl Lost {
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    pub(super) fn all(&self) -> Vec<(RangeId, Arc<LostBlock>)> {
        self.blocks.lock().iter().map(|((id, _), block)| (*id, block.clone())).collect()
    }

    /// One of a file.
    pub(super) fn of(&self, id: RangeId) -> Option<Arc<LostBlock>> {
        if !self.any() {
            return None;
        }
        let blocks = self.blocks.lock();
        blocks.iter().find(|((of, _), _)| *of == id).map(|(_, block)| block.clone())
    }

    /// Where those of a file begin.
    pub(super) fn offsets(&self, id: RangeId) -> Vec<u64> {
        self.blocks.lock().keys().filter(|(of, _)| *of == id).map(|(_, offset)| *offset).collect()
    }

    /// Adds one; says whether it wasn't known.
    pub(super) fn enter(&self, id: RangeId, block: Arc<LostBlock>) -> bool {
        let mut blocks = self.blocks.lock();
        let is_new = blocks.insert((id, block.offset), block).is_none();
        self.note(&blocks);
        is_new
    }

    /// It was read after all.
    pub(super) fn found(&self, id: RangeId, offset: u64) {
        let mut blocks = self.blocks.lock();
        if let Some(block) = blocks.remove(&(id, offset)) {
            tracing::info!(file = block.file, offset, "a block that was lost can be read again");
        }
        self.note(&blocks);
    }

    /// Forgets those of other files: nobody will ask for them again.
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
