//! What keeps the journal short and whole: checkpoints, letting go of segments, and healing.
//!
//! None of this waits for a request, and none takes turns at the pace of background work: the journal's room depends on it, and an
//! acknowledgement is only as durable as the entries before it.

use crate::awaited::Waiting;
use crate::checkpoint::{self, Checkpoint, CheckpointError, Files, Sizes, Void};
use crate::index_dir::IndexDir;
use crate::log::{ClosedSegment, LocalLog, LogError};
use crate::machine::Machine;
use crate::rests::{PRESSED_FROM, Rests, is_pressed};
use crate::stack;
use crate::tree::{Tree, TreeError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::drive::{DriveId, Roster};
use stratum_storage::set::Finding;
use tracing_mutex::parkinglot::{Mutex, MutexGuard};

/// The part of the cap after which a checkpoint is due. The journal since the older of two is kept, so two of these
/// parts, and what is not packed yet, are the journal's usual length.
const DUE_DIVISOR: u64 = 4;
/// How long a closed tree may stay in somebody's hands.
const LETTING_GO_TIMEOUT: Duration = Duration::from_secs(10);

/// The journal's housekeeping.
pub(crate) struct Upkeep {
    drives: Roster,
    files: Files,
    /// The least that a member of the journal may hold, in bytes: the cap that the journal was opened with.
    least_cap: u64,
    /// The indexes of the last checkpoints, at most [`checkpoint::KEPT`], oldest first.
    taken: Mutex<VecDeque<Index>>,
    /// The newest checkpoint that the drives named at the start, whether or not all of its files were there.
    newest_at_start: AtomicU64,
    /// The size of the last checkpoint, in bytes, a copy.
    bytes: AtomicU64,
    /// Every entry up to this has no live body left in the journal.
    packed: AtomicU64,
    /// What keeps the packer from going on.
    waiting: Mutex<Waiting>,
    /// The drives that the journal and the checkpoints were last made whole on, and the journal's epoch since then: a
    /// drive that joined and left between two looks left no other trace.
    whole_on: Mutex<(Vec<DriveId>, u64)>,
    /// How packing and merging leave the processors to requests.
    rests: Rests,
    /// Held by whoever takes a checkpoint, or reads the copies of those that are kept: one is merged
    /// at a time, and a new checkpoint takes an old one away.
    checkpoints: Mutex<()>,
    /// Of which checkpoint, and how many lost blocks of it, it was asked whether they are in the one before.
    asked_of_lost: Mutex<Option<(Index, usize)>>,
    /// What is noted of what is lost.
    noted_lost: Mutex<Void>,
}

impl Upkeep {
    /// `copies` is one more than the drives that may be lost.
    pub(crate) fn new(
        drives: Roster,
        copies: usize,
        sizes: Sizes,
        least_cap: u64,
        clock: Arc<dyn Clock>,
    ) -> Upkeep {
        let files = Files::new(drives.clone(), copies, sizes);
        Upkeep {
            drives,
            newest_at_start: AtomicU64::new(0),
            taken: Mutex::new(files.whole().into()),
            files,
            least_cap,
            bytes: AtomicU64::new(0),
            rests: Rests::new(clock),
            packed: AtomicU64::new(0),
            waiting: Mutex::default(),
            whole_on: Mutex::default(),
            checkpoints: Mutex::default(),
            asked_of_lost: Mutex::default(),
            noted_lost: Mutex::default(),
        }
    }

    /// The state was brought up on that checkpoint.
    pub(crate) fn begin_on(&self, checkpoint: Option<&Checkpoint>, log: &dyn LocalLog) {
        let noted = self.files.noted_lost();
        if let Some(checkpoint) = checkpoint {
            checkpoint.look_at(&noted);
        }
        *self.noted_lost.lock() = noted;
        // What is beyond the journal's end is of another history.
        let named = self.files.indexes().into_iter().rfind(|index| *index <= log.last());
        self.newest_at_start.store(named.unwrap_or_default(), Ordering::Relaxed);
        let bytes = checkpoint.map_or(0, Checkpoint::bytes);
        self.set_bytes(bytes);
        log.set_cap(log.usage().cap.max(bytes));
    }

    fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        metrics::gauge!("stratum_checkpoint_bytes").set(bytes as f64);
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// The last checkpoint.
    pub(crate) fn newest_checkpoint(&self) -> Index {
        self.taken.lock().back().copied().unwrap_or_default()
    }

    /// The newest checkpoint of which anything is known, whole or not.
    pub(crate) fn newest_named(&self) -> Index {
        self.newest_checkpoint().max(self.newest_at_start.load(Ordering::Relaxed))
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

    /// Whether enough has been appended or changed since the last checkpoint, or the journal is pressed for room that only a
    /// further one gives: a packed segment goes when the older one, too, lies behind it. So is one whose merge was cut off,
    /// the first one of range files, one where the state lies on an older one, since of the newest something is lost or a file
    /// isn't there, and one after something of it was given up.
    pub(crate) fn is_due(&self, machine: &Machine, log: &dyn LocalLog) -> bool {
        let (older, newest) = (self.older_checkpoint().unwrap_or_default(), self.newest_checkpoint());
        let (segments, usage) = (log.closed_segments(), log.usage());
        let since: u64 = segments.iter().filter(|part| part.last > newest).map(|part| part.bytes).sum();
        let waits = |part: &ClosedSegment| older < part.last && part.last <= self.packed();
        let lies_on_an_older = lies_on(machine) < self.newest_named();
        since >= usage.cap / DUE_DIVISOR
            || lies_on_an_older
            || machine.checkpoint().is_some_and(|checkpoint| !checkpoint.void().is_empty())
            || machine.changed_bytes() >= self.files.changes_bytes()
            || machine.closed().is_some()
            || machine.checkpoint().is_some_and(|checkpoint| checkpoint.is_single_file())
            || usage.share() >= PRESSED_FROM && segments.iter().any(waits)
    }

    /// Whether what is lost of the checkpoint that the state lies on is in the one before, from which the journal leads on.
    /// Asked again, the answer is no until something else is lost.
    pub(crate) fn has_what_is_lost_in_the_one_before(&self, machine: &Machine, log: &dyn LocalLog) -> bool {
        let Some((checkpoint, lost)) = self.not_asked_of(machine) else { return false };
        *self.asked_of_lost.lock() = Some(lost);
        self.is_in_the_one_before(&checkpoint, log)
    }

    /// The checkpoint that the state lies on, and what identifies the loss, where something of it is lost and nobody has asked yet
    /// whether the one before has it.
    fn not_asked_of(&self, machine: &Machine) -> Option<(Arc<Checkpoint>, (Index, usize))> {
        let checkpoint = machine.checkpoint().filter(|checkpoint| checkpoint.has_lost())?;
        let lost = (checkpoint.applied().index, checkpoint.lost_blocks().len());
        (*self.asked_of_lost.lock() != Some(lost)).then_some((checkpoint, lost))
    }

    /// Whether the next checkpoint may be taken although something is lost of the one that the state lies on: the one before, which goes
    /// then, doesn't have it, or the index was built anew for it already.
    fn may_go_around_lost(&self, machine: &Machine, log: &dyn LocalLog) -> bool {
        self.not_asked_of(machine).is_none_or(|(checkpoint, _)| !self.is_in_the_one_before(&checkpoint, log))
    }

    fn is_in_the_one_before(&self, checkpoint: &Checkpoint, log: &dyn LocalLog) -> bool {
        let index = checkpoint.applied().index;
        let leads_on = |former: &Checkpoint| {
            let applied = former.applied();
            log.first() <= applied.index + 1
                && log.hash_at(applied.index).is_none_or(|hash| hash == applied.hash)
        };
        // One of a newer build isn't passed over.
        let whole = checkpoint::whole(&self.files).unwrap_or_default();
        whole.iter().any(|one| one.applied().index < index && !one.has_lost() && leads_on(one))
    }

    /// Takes a checkpoint, and lets go of what it makes superfluous. Blocks, for as long as merging the state takes.
    pub(crate) fn checkpoint(
        &self,
        machine: &Machine,
        log: &dyn LocalLog,
        index: &IndexDir,
    ) -> Result<(), CheckpointError> {
        let _alone = self.checkpoints.lock();
        self.take(machine, log, index)
    }

    /// No checkpoint is merged while this lives.
    pub(crate) fn between_checkpoints(&self) -> MutexGuard<'_, ()> {
        self.checkpoints.lock()
    }

    /// The state as it is at some moment of this call, as a checkpoint: the last one if nothing was applied since, else a
    /// new one.
    pub(crate) fn current(
        &self,
        machine: &Machine,
        log: &dyn LocalLog,
        index: &IndexDir,
    ) -> Result<Arc<Checkpoint>, CheckpointError> {
        let _alone = self.checkpoints.lock();
        if machine.closed().is_some() {
            // Of a moment before this call.
            self.take(machine, log, index)?;
        }
        if machine.checkpoint().is_none_or(|checkpoint| checkpoint.applied().index != machine.applied_index())
        {
            self.take(machine, log, index)?;
        }
        machine.checkpoint().ok_or_else(|| TreeError::Away.into())
    }

    /// Reads all copies of the kept checkpoints, and writes anew those that are damaged, and files that aren't there. Blocks.
    pub(crate) fn check(&self, machine: &Machine) -> Vec<Finding> {
        let _alone = self.checkpoints.lock();
        let lies_on = lies_on(machine);
        let findings = checkpoint::check(&self.files, lies_on);
        // A file that somebody removed is no bad copy, and healing looks again only when the drives are others.
        let brought = checkpoint::heal(&self.files, lies_on);
        match &brought {
            Ok(0) => {}
            Ok(written) => {
                tracing::warn!(written, "files of checkpoints were not there and were written anew")
            }
            Err(error) => {
                tracing::warn!(%error, "checkpoints could not be brought to as many drives as they should be")
            }
        }
        if !findings.is_empty() || brought.is_ok_and(|written| written > 0) {
            self.reopen(machine);
        }
        findings
    }

    /// What was written anew is read from now on.
    fn reopen(&self, machine: &Machine) {
        if let Some(checkpoint) = machine.checkpoint() {
            checkpoint.reopen(&self.files);
        }
    }

    fn take(&self, machine: &Machine, log: &dyn LocalLog, index: &IndexDir) -> Result<(), CheckpointError> {
        let may_go_around = || self.may_go_around_lost(machine, log);
        if !may_go_around() {
            return Err(CheckpointError::InTheOneBefore);
        }
        let closed = match machine.closed() {
            Some(closed) => closed,
            None => {
                let next = next_tree(index)?;
                machine.close(next)?
            }
        };
        let is_pressed = || is_pressed(log) || machine.changed_bytes() >= self.files.changes_bytes() / 2;
        let merging = self.rests.begin_merge(&is_pressed);
        let turn = |bytes| merging.rest_after(bytes);
        let checkpoint = Arc::new(checkpoint::merge(&closed, &self.files, &turn, &may_go_around)?);
        drop(merging);
        let (bytes, applied) = (checkpoint.bytes(), checkpoint.applied().index);
        drop(closed);
        let former = machine.adopt(checkpoint);
        self.set_bytes(bytes);
        metrics::counter!("stratum_checkpoints_total").increment(1);
        tracing::info!(index = applied, bytes, "took a checkpoint");
        log.set_cap(self.least_cap.max(bytes));
        let mut kept = self.taken.lock();
        // Taken again at the same entry, it takes the place of the one that was there.
        if kept.back() != Some(&applied) {
            kept.push_back(applied);
        }
        while kept.len() > checkpoint::KEPT {
            kept.pop_front();
        }
        drop(kept);
        // Whoever still reads the closed tree needs its files; then the next checkpoint, or start, removes them.
        if former.is_some_and(|former| stack::let_go(former, LETTING_GO_TIMEOUT))
            && let Err(error) = index.settle()
        {
            tracing::warn!(%error, "what is left of former trees can't be removed");
        }
        self.files.retain(checkpoint::KEPT);
        self.release(log);
        Ok(())
    }

    pub(crate) fn rests(&self) -> &Rests {
        &self.rests
    }

    /// The packer has moved every live body up to this entry.
    pub(crate) fn packed_through(&self, index: Index, log: &dyn LocalLog) {
        self.packed.fetch_max(index, Ordering::AcqRel);
        self.release(log);
    }

    pub(crate) fn packed(&self) -> Index {
        self.packed.load(Ordering::Acquire)
    }

    /// What keeps the packer from going on.
    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Lets go of what is packed and lies below the older of the kept checkpoints.
    fn release(&self, log: &dyn LocalLog) {
        if let Some(older) = self.older_checkpoint() {
            log.release(self.packed(), older);
        }
    }

    /// After drives were lost, joined, or are on their way out: brings journal and checkpoints back to full number on
    /// those that stay, if that is not done yet, and lets the others leave the journal's set. Blocks.
    pub(crate) fn heal(&self, machine: &Machine, log: &dyn LocalLog) -> Result<(), HealError> {
        if let Some(checkpoint) = machine.checkpoint() {
            checkpoint.retry_lost();
            self.note_lost(&checkpoint);
        }
        if self.files.has_bad() {
            let _alone = self.checkpoints.lock();
            if self.files.mend() > 0 {
                self.reopen(machine);
            }
        }
        let staying: Vec<DriveId> = self.drives.open_to_new().iter().map(|drive| drive.id()).collect();
        if *self.whole_on.lock() == (staying.clone(), log.epoch()) {
            return Ok(());
        }
        log.join(&self.drives.now())?;
        let short = log.heal()?;
        let copied = self.heal_checkpoints(machine)?;
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

impl Upkeep {
    /// Notes what is lost, so that the next start knows of it, too.
    fn note_lost(&self, checkpoint: &Checkpoint) {
        let (mut noted, lost) = (self.noted_lost.lock(), checkpoint.lost());
        if *noted == lost {
            return;
        }
        match self.files.note_lost(&lost) {
            Ok(()) => *noted = lost,
            Err(error) => tracing::warn!(%error, "what is lost of the index can't be noted; trying again"),
        }
    }

    fn heal_checkpoints(&self, machine: &Machine) -> std::io::Result<usize> {
        let _alone = self.checkpoints.lock();
        let copied = checkpoint::heal(&self.files, lies_on(machine))?;
        self.reopen(machine);
        Ok(copied)
    }
}

/// The checkpoint that the state lies on; 0 if there is none.
fn lies_on(machine: &Machine) -> Index {
    machine.checkpoint().map_or(0, |checkpoint| checkpoint.applied().index)
}

/// An empty tree, in the first place that takes it, beside the one that is open.
fn next_tree(index: &IndexDir) -> Result<Tree, CheckpointError> {
    let mut problem = TreeError::Away.into();
    for place in index.places() {
        let opened = index.begin_after(&place).map_err(CheckpointError::from).and_then(|next| {
            let tree = Tree::open(&next.path())?;
            next.switch()?;
            Ok(tree)
        });
        match opened {
            Ok(tree) => return Ok(tree),
            Err(error) => {
                tracing::warn!(place = %place.display(), %error, "no tree can be opened here");
                problem = error;
            }
        }
    }
    Err(problem)
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
