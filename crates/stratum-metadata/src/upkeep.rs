//! What keeps the journal short and whole: checkpoints, letting go of segments, and healing.
//!
//! None of this waits for a request, and none runs at a pace: the journal's room depends on it, and an
//! acknowledgement is only as durable as the entries before it.

use crate::checkpoint::{self, CheckpointError, Files, Reader};
use crate::log::{ClosedSegment, LocalLog, LogError};
use crate::machine::Machine;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use stratum_storage::blob::Index;
use stratum_storage::drive::{DriveId, Roster};
use stratum_storage::set::Finding;

/// The part of the cap after which a checkpoint is due. The journal since the older of two is kept, so two of these
/// parts, and what is not packed yet, are the journal's usual length.
const DUE_PART: u64 = 4;
/// From this share of the cap on, a checkpoint is taken whenever a packed segment waits for it.
const PRESSED_FROM: f32 = 0.5;

/// The journal's housekeeping.
pub(crate) struct Upkeep {
    drives: Roster,
    files: Files,
    /// The least that a member of the journal may hold, in bytes: the cap that the journal was opened with.
    least_cap: u64,
    /// The indexes of the last checkpoints, at most [`checkpoint::KEPT`], oldest first.
    taken: Mutex<VecDeque<Index>>,
    /// The size of the last checkpoint, in bytes, a copy.
    bytes: AtomicU64,
    /// Every entry up to this has no live body left in the journal.
    packed: AtomicU64,
    /// The drives that the journal and the checkpoints were last made whole on, and the journal's epoch since then: a
    /// drive that joined and left between two looks left no other trace.
    whole_on: Mutex<(Vec<DriveId>, u64)>,
    /// Held by whoever takes a checkpoint, or reads the copies of those that are kept: there is one scan of the state
    /// at a time, and a new checkpoint takes an old one away.
    checkpoints: Mutex<()>,
}

impl Upkeep {
    /// `copies` is one more than the drives that may be lost.
    pub(crate) fn new(drives: Roster, copies: usize, least_cap: u64) -> Upkeep {
        let files = Files::new(drives.clone(), copies);
        let whole = files.list().into_iter().filter(|(_, holders)| holders.len() >= copies);
        let taken: VecDeque<Index> = whole.map(|(index, _)| index).collect();
        let bytes = taken.back().and_then(|newest| files.bytes(*newest)).unwrap_or_default();
        Upkeep {
            drives,
            files,
            least_cap,
            taken: Mutex::new(taken),
            bytes: bytes.into(),
            packed: AtomicU64::new(0),
            whole_on: Mutex::default(),
            checkpoints: Mutex::default(),
        }
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The last checkpoint.
    pub(crate) fn newest_checkpoint(&self) -> Index {
        self.taken.lock().back().copied().unwrap_or_default()
    }

    /// The size of the last checkpoint, in bytes, a copy.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The older of the checkpoints that are kept: the journal since it is kept, too.
    fn older_checkpoint(&self) -> Option<Index> {
        let taken = self.taken.lock();
        taken.front().filter(|_| taken.len() >= checkpoint::KEPT).copied()
    }

    /// Whether enough has been appended since the last checkpoint, or the journal is pressed for room that only a
    /// further one gives: a packed segment goes when the older one, too, lies behind it.
    pub(crate) fn is_due(&self, log: &dyn LocalLog) -> bool {
        let (older, newest) = (self.older_checkpoint().unwrap_or_default(), self.newest_checkpoint());
        let (segments, usage) = (log.closed_segments(), log.usage());
        let since: u64 = segments.iter().filter(|part| part.last > newest).map(|part| part.bytes).sum();
        let waits = |part: &ClosedSegment| older < part.last && part.last <= self.packed();
        since >= usage.cap / DUE_PART || usage.share() >= PRESSED_FROM && segments.iter().any(waits)
    }

    /// Takes a checkpoint, and lets go of what it makes superfluous. Blocks, for as long as writing the state takes.
    pub(crate) fn checkpoint(&self, machine: &Machine, log: &dyn LocalLog) -> Result<(), CheckpointError> {
        let _alone = self.checkpoints.lock();
        self.take(machine, log)
    }

    /// The state as it is at some moment of this call, as a checkpoint that can be read: the last one if nothing was
    /// applied since, else a new one.
    pub(crate) fn current(&self, machine: &Machine, log: &dyn LocalLog) -> Result<Reader, CheckpointError> {
        let _alone = self.checkpoints.lock();
        if self.newest_checkpoint() != machine.applied_index() {
            self.take(machine, log)?;
        }
        let index = self.newest_checkpoint();
        let holders = self.files.list().remove(&index).unwrap_or_default();
        Ok(Reader::open(index, &holders)?)
    }

    /// Reads all copies of the kept checkpoints, and writes anew those that are damaged.
    pub(crate) fn check(&self) -> Vec<Finding> {
        let _alone = self.checkpoints.lock();
        checkpoint::check(&self.files)
    }

    fn take(&self, machine: &Machine, log: &dyn LocalLog) -> Result<(), CheckpointError> {
        let taken = checkpoint::take(machine, &self.files)?;
        self.bytes.store(taken.bytes, Ordering::Relaxed);
        metrics::gauge!("stratum_checkpoint_bytes").set(taken.bytes as f64);
        metrics::counter!("stratum_checkpoints_total").increment(1);
        tracing::info!(index = taken.applied.index, bytes = taken.bytes, "took a checkpoint");
        log.set_cap(self.least_cap.max(taken.bytes));
        let mut kept = self.taken.lock();
        // Taken again at the same entry, it takes the place of the one that was there.
        if kept.back() != Some(&taken.applied.index) {
            kept.push_back(taken.applied.index);
        }
        while kept.len() > checkpoint::KEPT {
            kept.pop_front();
        }
        drop(kept);
        self.release(log);
        Ok(())
    }

    /// The packer has moved every live body up to this entry.
    pub(crate) fn packed_through(&self, index: Index, log: &dyn LocalLog) {
        self.packed.fetch_max(index, Ordering::AcqRel);
        self.release(log);
    }

    pub(crate) fn packed(&self) -> Index {
        self.packed.load(Ordering::Acquire)
    }

    /// Lets go of what is packed and lies below the older of the kept checkpoints.
    fn release(&self, log: &dyn LocalLog) {
        if let Some(older) = self.older_checkpoint() {
            log.release(self.packed(), older);
        }
    }

    /// After drives were lost, joined, or are on their way out: brings journal and checkpoints back to full number on
    /// those that stay, if that is not done yet, and lets the others leave the journal's set. Blocks.
    pub(crate) fn heal(&self, log: &dyn LocalLog) -> Result<(), HealError> {
        let staying: Vec<DriveId> = self.drives.open_to_new().iter().map(|drive| drive.id()).collect();
        if *self.whole_on.lock() == (staying.clone(), log.epoch()) {
            return Ok(());
        }
        log.join(&self.drives.now())?;
        let short = log.heal()?;
        let copied = checkpoint::heal(&self.files)?;
        if short > 0 {
            return Err(HealError::Short(short));
        }
        // Only now: an acknowledgement is as durable as the entries and the checkpoint before it.
        let left = log.forget_lost()?;
        let drives = staying.len();
        tracing::info!(drives, copied, left, "the journal and its checkpoints are whole on these drives");
        *self.whole_on.lock() = (staying, log.epoch());
        Ok(())
    }
}

/// Why the journal is not whole yet; tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HealError {
    #[error("{0} segments of the journal are on too few drives")]
    Short(usize),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a checkpoint could not be copied: {0}")]
    Checkpoint(#[from] std::io::Error),
}
