//! An index that takes several times what it holds is rebuilt beside itself, while the store serves.

use super::Metadata;
use super::outage::let_go;
use crate::index_dir::IndexDir;
use crate::machine::{Machine, RebuildError};
use crate::tree::{Tree, TreeError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An index below this is left alone, in bytes.
const LEAST: u64 = 256 << 20;
/// How many times its live data, which is what a checkpoint holds, it may take.
const TIMES: u64 = 3;
/// How long the old index may stay in somebody's hands.
const LETTING_GO: Duration = Duration::from_secs(10);

/// What the index took when it was last rebuilt.
#[derive(Debug, Default)]
pub(super) struct Bloat {
    rebuilt: AtomicU64,
}

impl Bloat {
    /// Whether a rebuild is worth it: it must also have grown by half since the last one.
    fn is_due(&self, bytes: u64, live: u64) -> bool {
        let rebuilt = self.rebuilt.load(Ordering::Relaxed);
        live > 0 && bytes > LEAST.max(live.saturating_mul(TIMES)) && bytes > rebuilt + rebuilt / 2
    }

    /// Blocks for about a second for every four mebibytes of keys and values.
    fn rebuild(&self, machine: &Machine, dir: &IndexDir) -> Result<u64, RebuildError> {
        let next = dir.begin(dir.home())?;
        let old = machine.rebuild_index(Tree::open(&next.path())?, || next.switch())?;
        // Whoever still reads the old one needs its files; then the next start removes them.
        if let_go(old, LETTING_GO) {
            dir.clean();
        }
        let bytes = machine.index_bytes()?;
        self.rebuilt.store(bytes, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Metadata {
    /// Rebuilds the index beside itself if it has bloated. Blocks, for as long as that takes.
    pub(super) fn look_for_bloat(&self) {
        let (machine, live) = (&self.inner.machine, self.checkpoint_bytes());
        let is_due = |bytes: &u64| self.inner.bloat.is_due(*bytes, live);
        let Some(before) = machine.index_bytes().ok().filter(is_due) else { return };
        match self.rebuild_index() {
            Ok(after) => tracing::info!(before, after, live, "rebuilt the index beside itself"),
            Err(error) => tracing::warn!(%error, "the index was not rebuilt; it goes on as it is"),
        }
    }

    /// Rebuilds the index beside itself, in its home, and says what it takes now. Blocks.
    pub fn rebuild_index(&self) -> Result<u64, TreeError> {
        self.inner.bloat.rebuild(&self.inner.machine, &self.inner.index).map_err(|error| match error {
            RebuildError::Tree(error) => error,
            RebuildError::Directory(error) => TreeError::Failed(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_must_be_worth_it() {
        let bloat = Bloat::default();
        let mib = |count: u64| count << 20;
        assert!(bloat.is_due(mib(400), mib(100)));
        assert!(!bloat.is_due(mib(300), mib(100)) && !bloat.is_due(mib(200), mib(1)));
        assert!(!bloat.is_due(mib(900), 0), "nothing is known of what it holds");
        bloat.rebuilt.store(mib(390), Ordering::Relaxed);
        assert!(!bloat.is_due(mib(500), mib(100)) && bloat.is_due(mib(600), mib(100)));
    }
}
