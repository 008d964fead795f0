//! Fragments that were found bad, for heal to write anew.

use crate::blob::VolumeId;
use std::collections::BTreeSet;
use tracing_mutex::parkinglot::Mutex;

/// How many are remembered; scrub finds the rest.
const MAX_REPAIRS: usize = 16 * 1024;

/// A fragment that could not be read or didn't verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadFragment {
    pub volume: VolumeId,
    pub shard: u8,
    /// Of the stripe, in the shard files.
    pub offset: u64,
}

/// The bad fragments that wait for repair, each once.
#[derive(Debug, Default)]
pub struct Repairs {
    waiting: Mutex<BTreeSet<BadFragment>>,
}

impl Repairs {
    /// Remembers one; says whether it is news.
    pub(crate) fn add(&self, bad: BadFragment) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.len() < MAX_REPAIRS && waiting.insert(bad)
    }

    /// All that wait, in the order of volumes and offsets.
    pub fn waiting(&self) -> Vec<BadFragment> {
        self.waiting.lock().iter().copied().collect()
    }

    /// Forgets all of these stripes.
    pub(crate) fn forget(&self, volume: VolumeId, offsets: &BTreeSet<u64>) {
        self.waiting.lock().retain(|bad| bad.volume != volume || !offsets.contains(&bad.offset));
    }

    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
