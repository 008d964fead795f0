//! [`Metadata`], the handle through which all others read and commit.
//!
//! Opening it brings the index up to the journal's end. An index that the journal does not confirm is thrown away and
//! rebuilt: the journal and its checkpoints are the truth, never the index.

mod bucket_cache;
mod identities;
mod loss;
mod outage;
mod reads;
mod start;

pub use crate::ballast::Ballast;
pub use loss::{Loss, LossError};
pub use outage::{IndexState, IndexStatus};
pub use reads::{PartsToComplete, ReadView};
pub use start::RebuildStep;
pub(crate) use start::trees;

use crate::ballast::Room;
use crate::checkpoint::{self, Checkpoint, CheckpointError, LostFile, Sizes};
use crate::command::{Command, Outcome, Proposed};
use crate::committer::{Committer, Headroom};
use crate::fate::{CommitError, NewBytes, NotWritten};
use crate::index_dir::IndexDir;
use crate::keys;
use crate::log::{LocalLog, LogError};
use crate::lost::LostBlock;
use crate::machine::{Machine, ReadError};
use crate::order::Order;
use crate::order::single::Single;
use crate::record::{BucketId, DecodeError, HighestIds, Level, decode};
use crate::space::{self, Space};
use crate::state::ApplyError;
use crate::tree::{Base, TreeError};
use crate::upkeep::Upkeep;
use bucket_cache::BucketCache;
use bytes::Bytes;
use outage::Outage;
use serde::{Deserialize, Serialize};
use start::Sources;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::{Index, VolumeId};
use stratum_storage::drive::{Roster, Threads};
use stratum_storage::set::Finding;
use stratum_storage::volume::{LiveStripe, Table, VolumeEvent, VolumeLog, VolumeLogError, VolumeRecord};
use tracing_mutex::parkinglot::Mutex;

/// Why the state could not be built.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the journal can't be replayed: {0}")]
    Log(#[from] LogError),
    #[error("entry {index} of the journal can't be read: {error}")]
    Command {
        index: Index,
        #[source]
        error: DecodeError,
    },
    #[error(
        "the state can't be rebuilt: the journal begins at entry {first}, and no checkpoint reaches that far; \
         bring back the drives that hold a newer checkpoint"
    )]
    NoCheckpoint { first: Index },
    #[error("{0}")]
    Newer(String),
    #[error("the index's directory {path} can't be used: {error}")]
    Directory {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error(
        "the journal reaches to entry {reached} only, and entry {served} was served already: bring back the drives that \
         hold the rest; if there are none, `stratum rescue` takes out what is known"
    )]
    Behind { reached: Index, served: Index },
    #[error("the committer's threads can't be started: {0}")]
    Threads(#[source] std::io::Error),
    /// A bug.
    #[error(
        "the server panicked while it brought the state up: {0}; please report it with the log, and restart the server"
    )]
    Panicked(String),
}

impl OpenError {
    /// Whether a newer binary wrote the store: then whatever the state could be built from is newer, too.
    fn is_of_a_higher_level(&self) -> bool {
        matches!(
            self,
            OpenError::Newer(_)
                | OpenError::Command { error: DecodeError::Level { .. }, .. }
                | OpenError::Apply(ApplyError::Record(DecodeError::Level { .. }))
        )
    }

    /// Whether the error is about the place of the index, so that another place may do.
    fn is_of_the_place(&self) -> bool {
        !self.is_of_a_lost_block()
            && matches!(
                self,
                OpenError::Tree(_) | OpenError::Directory { .. } | OpenError::Apply(ApplyError::Tree(_))
            )
    }

    /// Whether the error is about the checkpoint, so that another checkpoint may do, or a copy of what is lost of it.
    pub fn is_of_the_checkpoint(&self) -> bool {
        self.is_of_a_lost_block() || matches!(self, OpenError::NoCheckpoint { .. })
    }

    /// Whether the error is that no drive can give a block of the checkpoint.
    fn is_of_a_lost_block(&self) -> bool {
        matches!(
            self,
            OpenError::Tree(TreeError::Lost(_)) | OpenError::Apply(ApplyError::Tree(TreeError::Lost(_)))
        )
    }
}

/// Why the state isn't copied out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "a part of the index is lost, and a backup would lack it: {0}. Bring back any drive that may have a sound copy, or give \
         up what is lost (`stratum lost show` says what that is)"
    )]
    Lost(Arc<LostBlock>),
    #[error("what was lost is given up, and no checkpoint was taken since: try again in a minute")]
    GivenUp,
}

/// Keys that can't be looked up, because no drive can give the block that holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostKeys {
    /// The file's path in a drive's folder, and the offset of the block in it.
    pub file: String,
    pub offset: u64,
    /// The drives that have the file, but gave wrong bytes or none.
    pub drives: Vec<String>,
    /// About how many keys there are in the block.
    pub about: u64,
    /// The first and the last of them, in words.
    pub keys: String,
}

/// Where the index and the checkpoints are.
#[derive(Clone, Debug)]
pub struct Options {
    /// The index's own directory; if it is lost or damaged, the index is rebuilt.
    pub index: PathBuf,
    /// The drives that hold checkpoints, which are the journal's.
    pub drives: Roster,
    /// On how many drives each checkpoint is: one more than may be lost.
    pub copies: usize,
    /// The sizes of a checkpoint's pieces.
    pub sizes: Sizes,
}

/// What the store knows. A cheap handle.
#[derive(Clone)]
pub struct Metadata {
    inner: Arc<Inner>,
}

struct Inner {
    machine: Arc<Machine>,
    committer: Committer,
    space: Arc<Space>,
    log: Arc<dyn LocalLog>,
    upkeep: Upkeep,
    index: IndexDir,
    /// What is kept free for the index on the disk of its home.
    room: Room,
    outage: Outage,
    clock: Arc<dyn Clock>,
    bucket_cache: BucketCache,
    bucket_ids: AtomicU64,
    volume_ids: AtomicU64,
    provisional: AtomicBool,
    /// Held by who gives back what nobody names.
    reclaiming: Mutex<()>,
    /// Held by who sets or removes a quota.
    quotas: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata at entry {}", self.inner.machine.applied_index())
    }
}

impl Metadata {
    /// Brings the index up to the journal's end and starts the committer. Blocks, for as long as a rebuild takes
    /// if one is needed.
    pub fn open(
        options: &Options,
        log: Arc<dyn LocalLog>,
        clock: Arc<dyn Clock>,
    ) -> Result<Metadata, OpenError> {
        Metadata::open_on(options, log, clock, Threads::Own)
    }

    /// [`Metadata::open`], with a choice whether threads do the commits or the callers themselves.
    pub fn open_on(
        options: &Options,
        log: Arc<dyn LocalLog>,
        clock: Arc<dyn Clock>,
        threads: Threads,
    ) -> Result<Metadata, OpenError> {
        let order = Arc::new(Single::new(log.clone()));
        Metadata::open_in_order(options, log, order, clock, threads)
    }

    /// Opens the state of what the order has committed; `log` is this machine's journal of it.
    pub(crate) fn open_in_order(
        options: &Options,
        log: Arc<dyn LocalLog>,
        order: Arc<dyn Order>,
        clock: Arc<dyn Clock>,
        threads: Threads,
    ) -> Result<Metadata, OpenError> {
        let (drives, cap) = (options.drives.clone(), log.usage().cap);
        let upkeep = Upkeep::new(drives, options.copies, options.sizes, cap, clock.clone());
        let index = IndexDir::new(&options.index, options.drives.clone());
        let sources = Sources {
            log: log.as_ref(),
            checkpoints: upkeep.files(),
            clock: clock.clone(),
            until: order.committed(),
            note: &|_| {},
        };
        let room = Room::beside(&options.index, options.sizes.changes_bytes);
        let machine = match start::recover(&index, &sources) {
            Err(error) if index.home_is_there() && room.make_way() => {
                tracing::warn!(%error, "the index could not be opened; trying again with the room that was kept for it");
                start::recover(&index, &sources)?
            }
            recovered => recovered?,
        };
        let machine = Arc::new(machine);
        upkeep.begin_on(machine.checkpoint().as_deref(), log.as_ref());
        let highest = match machine.get(&keys::highest_ids())? {
            Some(value) => decode(&value).map_err(ApplyError::from)?,
            None => HighestIds::default(),
        };
        let space = Arc::new(Space::default());
        let committer = Committer::start(machine.clone(), order, space.clone(), threads, log.last())
            .map_err(OpenError::Threads)?;
        let inner = Inner {
            machine,
            committer,
            space,
            log,
            upkeep,
            index,
            room,
            outage: Outage::default(),
            clock,
            bucket_cache: BucketCache::default(),
            bucket_ids: highest.bucket.into(),
            volume_ids: highest.volume.into(),
            provisional: AtomicBool::new(false),
            reclaiming: Mutex::default(),
            quotas: tokio::sync::Mutex::default(),
        };
        Ok(Metadata { inner: Arc::new(inner) })
    }

    /// The turn to set or remove a quota, after a look whether it is still to be done.
    pub(crate) async fn quota_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.quotas.lock().await
    }

    /// Makes a command durable, applies it and returns its outcome. `bytes` are those that the command is the first
    /// to name: in the same journal entry, or in volumes. They are freed if the command certainly has no effect,
    /// whether or not anybody waits for the answer.
    ///
    /// # Errors
    /// [`CommitError::Unknown`] doesn't say whether the command takes effect.
    pub fn commit(
        &self,
        proposed: impl Into<Proposed>,
        bytes: impl Into<NewBytes>,
    ) -> impl Future<Output = Result<Outcome, CommitError>> {
        let proposed = Box::new(self.completed_for_level(proposed.into()));
        self.inner.committer.commit(proposed, bytes.into(), None)
    }

    /// Sets what a proposer must choose in a state of level 1.
    fn completed_for_level(&self, mut proposed: Proposed) -> Proposed {
        if let (Level::FIRST, Command::CreateBucket(new)) = (self.level(), &mut proposed.command) {
            new.chosen.get_or_insert_with(|| self.next_bucket_id());
        }
        proposed
    }

    /// The level at which the state is written.
    pub fn level(&self) -> Level {
        self.inner.machine.level()
    }

    /// Makes an empty store begin at that level. To be called before anything is committed.
    pub async fn begin(&self, level: Level) -> Result<(), CommitError> {
        if self.applied_index() > 0 {
            return Ok(());
        }
        self.raise_level(level).await.map(drop)
    }

    /// Raises the state to that level, and returns the level that it then has: it is never lowered. Nothing is
    /// rewritten, and binaries that don't know the level can't open the store any more.
    pub async fn raise_level(&self, level: Level) -> Result<Level, CommitError> {
        if level > self.level() {
            self.commit(Command::SetLevel(level), Bytes::new()).await?;
        }
        Ok(self.level())
    }

    /// [`Metadata::commit`] of a body for which [`Metadata::headroom`] was granted before it was received.
    pub fn commit_received(
        &self,
        headroom: Headroom,
        proposed: impl Into<Proposed>,
        bytes: NewBytes,
    ) -> impl Future<Output = Result<Outcome, CommitError>> {
        self.inner.committer.commit(Box::new(proposed.into()), bytes, Some(headroom))
    }

    /// Asks whether one more body may be written, of which so many bytes go into its journal entry. To be called
    /// before the body is read. Waits a little when the journal is over three quarters full.
    ///
    /// # Errors
    /// What the command would be refused for: the journal is near its cap, the index failed, the server is stopping.
    pub async fn headroom(&self, in_entry: usize) -> Result<Headroom, NotWritten> {
        self.inner.committer.headroom(in_entry).await
    }

    /// An id for a bucket in a state of level 1, never returned twice.
    fn next_bucket_id(&self) -> BucketId {
        BucketId(self.inner.bucket_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// An id for a volume to be opened, never returned twice in the store's life.
    pub fn next_volume_id(&self) -> VolumeId {
        VolumeId(self.inner.volume_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// From now on tells the table of volumes of every change, and once of the space that no record names any more.
    /// To be called when the volumes are restored, before anything is served.
    pub fn attach(&self, table: Arc<Table>) -> Result<(), ReadError> {
        self.inner.space.attach(&self.inner.machine, table)
    }

    /// Says that the state was restored and may be older than the bytes on the drives: from now on no bytes are
    /// freed. To be called before the volumes are restored.
    pub fn hold_back(&self) {
        self.inner.provisional.store(true, Ordering::Release);
    }

    /// Accepts the restored state: from now on what it doesn't name is freed. Blocks, for as long as it takes to go
    /// over the volumes.
    pub fn accept(&self) -> Result<(), ReadError> {
        self.inner.provisional.store(false, Ordering::Release);
        if let Some(table) = self.inner.space.table() {
            table.catch_up();
        }
        self.inner.space.look_for_gaps(&self.inner.machine)
    }

    /// The last applied entry.
    pub fn applied_index(&self) -> Index {
        self.inner.machine.applied_index()
    }

    /// Whether reads and commits are served; false from a failure of the index until it is rebuilt.
    pub fn is_available(&self) -> bool {
        !self.inner.machine.has_failed()
    }

    /// One round of the journal's housekeeping: makes it whole after drives were lost, and takes a checkpoint when
    /// one is due. For a thread of its own, every second or so; blocks, for as long as that takes.
    pub fn tend_journal(&self) {
        self.heal_journal();
        self.take_due_checkpoint();
    }

    /// The first half of [`Metadata::tend_journal`].
    pub fn heal_journal(&self) {
        if let Err(error) = self.inner.upkeep.heal(&self.inner.machine, self.inner.log.as_ref()) {
            tracing::warn!(%error, "the journal is not whole yet; trying again");
        }
    }

    /// The second half of [`Metadata::tend_journal`], to be called more often: clients may fill a small journal
    /// within a second.
    pub fn take_due_checkpoint(&self) {
        let inner = &self.inner;
        if inner.machine.has_failed() || !inner.upkeep.is_due(&inner.machine, inner.log.as_ref()) {
            return;
        }
        // A full journal takes no entries from clients, and may have nothing to pack.
        match self.have_an_entry_since_the_last_checkpoint() {
            Ok(()) => self.take_checkpoint(),
            Err(error) => tracing::warn!(%error, "the journal waits for an entry; trying again"),
        }
    }

    /// Without an entry after the last checkpoint there would never be another one, so this makes one that changes nothing.
    fn have_an_entry_since_the_last_checkpoint(&self) -> Result<(), CommitError> {
        let inner = &self.inner;
        if inner.machine.applied_index() <= inner.upkeep.newest_named() {
            inner.committer.commit_blocking(Command::Sweep { now: 0 })?;
        }
        Ok(())
    }

    /// Takes so many checkpoints that none is kept of those that were. Blocks.
    fn replace_kept_checkpoints(&self) -> Result<(), ReadError> {
        for _ in 0..checkpoint::KEPT {
            let entry = self.have_an_entry_since_the_last_checkpoint();
            entry.map_err(|error| ReadError::Unavailable(error.to_string()))?;
            self.force_checkpoint()?;
        }
        Ok(())
    }

    /// The newest checkpoint that can be read, to be copied out; `None` if there is none yet. Blocks.
    ///
    /// # Errors
    /// Also while something of it is known to be lost.
    pub fn export_checkpoint(&self) -> Result<Option<checkpoint::Export>, ExportError> {
        let newest = checkpoint::newest(self.inner.upkeep.files());
        let newest = newest.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        if let Some(block) = newest.iter().find_map(|newest| newest.lost_blocks().into_iter().next()) {
            return Err(ExportError::Lost(block));
        }
        if self.inner.machine.checkpoint().is_some_and(|checkpoint| !checkpoint.void().is_empty()) {
            return Err(ExportError::GivenUp);
        }
        Ok(newest.map(checkpoint::Export::new))
    }

    /// The state as it is now, as a checkpoint whose files can be carried elsewhere. Blocks, for as long as merging the state
    /// takes.
    pub fn carry_state(&self) -> Result<checkpoint::CarriedCheckpoint, ReadError> {
        let carried = || {
            let state = self.current_state().map_err(|error| ReadError::Unavailable(error.to_string()))?;
            Ok::<_, ReadError>(checkpoint::CarriedCheckpoint::of(&state))
        };
        if let Some(carried) = carried()? {
            return Ok(carried);
        }
        // A single file, of an older server: the next one is of range files.
        self.force_checkpoint()?;
        carried()?.ok_or_else(|| ReadError::Unavailable("the checkpoint is a single file".into()))
    }

    /// The index of the last checkpoint; 0 if there is none.
    pub fn newest_checkpoint(&self) -> Index {
        self.inner.upkeep.newest_checkpoint()
    }

    /// Reads all copies of the kept checkpoints, and rewrites damaged ones. A checkpoint that is damaged in every
    /// copy is replaced by a new one. Blocks, for as long as reading them takes.
    pub fn check_checkpoints(&self) -> Vec<Finding> {
        let findings = self.inner.upkeep.check(&self.inner.machine);
        if findings.iter().any(|finding| !finding.repaired) {
            // It may be the one before that has what is lost of the newest, and goes with a further one.
            self.end_what_is_lost();
            if !self.inner.machine.has_failed() {
                self.take_checkpoint();
            }
        }
        findings
    }

    /// The size of a copy of the last checkpoint, in bytes.
    pub fn checkpoint_bytes(&self) -> u64 {
        self.inner.upkeep.checkpoint_bytes()
    }

    /// The keys of the index that no drive can give, as far as a read has needed them. Everything else is served.
    pub fn lost_keys(&self) -> Vec<LostKeys> {
        let Some(checkpoint) = self.inner.machine.checkpoint() else { return Vec::new() };
        self.told(checkpoint.lost_blocks().iter().map(Arc::as_ref))
    }

    /// The files of the index of which something is lost, as far as a read has needed it: copies of them may be elsewhere.
    pub fn lost_files(&self) -> Vec<LostFile> {
        let checkpoint = self.inner.machine.checkpoint();
        checkpoint.iter().flat_map(|checkpoint| LostFile::all_of(checkpoint)).collect()
    }

    fn told<'a>(&self, blocks: impl Iterator<Item = &'a LostBlock>) -> Vec<LostKeys> {
        let view = self.local();
        let name = |bucket| view.bucket_of(bucket).ok().flatten().map(|bucket| bucket.name);
        let told = |block: &LostBlock| LostKeys {
            file: block.file.clone(),
            offset: block.offset,
            drives: block.drives.clone(),
            about: block.keys,
            keys: block.in_words(&name),
        };
        blocks.map(told).collect()
    }

    /// Whether an entry of the journal needs a lost block, so that nothing is written until the block is readable
    /// again.
    pub fn is_halted(&self) -> bool {
        self.inner.machine.halted().is_some()
    }

    fn take_checkpoint(&self) {
        if let Err(error) = self.try_checkpoint() {
            tracing::warn!(%error, "no checkpoint was taken");
        }
    }

    /// Takes a checkpoint now, due or not. Blocks, for as long as merging the state takes.
    pub fn force_checkpoint(&self) -> Result<(), ReadError> {
        self.try_checkpoint().map_err(|error| ReadError::Unavailable(error.to_string()))
    }

    fn try_checkpoint(&self) -> Result<(), CheckpointError> {
        let Inner { upkeep, machine, log, index, .. } = self.inner.as_ref();
        self.believe(upkeep.checkpoint(machine, log.as_ref(), index))
    }

    /// Takes a checkpoint of the state as it is now. Blocks, for as long as merging the state takes.
    pub(crate) fn current_state(&self) -> Result<Arc<Checkpoint>, CheckpointError> {
        let Inner { upkeep, machine, log, index, .. } = self.inner.as_ref();
        self.believe(upkeep.current(machine, log.as_ref(), index))
    }

    /// Fails the index if a checkpoint showed that it lost something, or wasn't taken because the one before has what is lost.
    fn believe<T>(&self, taken: Result<T, CheckpointError>) -> Result<T, CheckpointError> {
        match &taken {
            Err(CheckpointError::Mismatch) => {
                self.inner.machine.fail("it holds something else than was applied");
            }
            Err(CheckpointError::InTheOneBefore) => self.end_what_is_lost(),
            Ok(_)
            | Err(CheckpointError::Tree(_) | CheckpointError::Drives(_) | CheckpointError::NotThere(_)) => {}
        }
        taken
    }

    /// Whether the state was restored and isn't accepted yet.
    pub(crate) fn is_held_back(&self) -> bool {
        self.inner.provisional.load(Ordering::Acquire)
    }

    pub(crate) fn reclaiming(&self) -> &Mutex<()> {
        &self.inner.reclaiming
    }

    /// [`Metadata::commit`] for a thread of its own, of a command without a body. Blocks.
    pub(crate) fn commit_blocking(&self, command: Command) -> Result<Outcome, CommitError> {
        self.inner.committer.commit_blocking(command)
    }

    pub(crate) fn state(&self) -> &Arc<Machine> {
        &self.inner.machine
    }

    pub(crate) fn log(&self) -> &Arc<dyn LocalLog> {
        &self.inner.log
    }

    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.inner.upkeep
    }

    /// Commits what is queued, ends the threads, writes the index out and detaches the volumes. Blocks.
    pub fn shutdown(&self) {
        self.inner.committer.stop();
        self.inner.space.detach();
        if let Err(error) = self.inner.machine.flush() {
            tracing::warn!(%error, "the index was not written out; the next start replays more of the journal");
        }
    }
}

impl VolumeLog for Metadata {
    fn record(
        &self,
        event: VolumeEvent,
    ) -> Pin<Box<dyn Future<Output = Result<(), VolumeLogError>> + Send + '_>> {
        Box::pin(async move {
            match self.commit(Command::Volume(event), Bytes::new()).await {
                Ok(Outcome::Refused(_)) => Err(VolumeLogError::Refused),
                Ok(_) => Ok(()),
                Err(CommitError::NotWritten(nothing)) => Err(VolumeLogError::NotWritten(nothing.to_string())),
                Err(CommitError::Unknown(unknown)) => Err(VolumeLogError::Unavailable(unknown.to_string())),
            }
        })
    }

    fn is_provisional(&self) -> bool {
        self.is_held_back()
    }

    fn takes_uploads(&self) -> bool {
        self.level() >= Level::SECOND
    }

    fn volume(&self, volume: VolumeId) -> Result<Option<VolumeRecord>, VolumeLogError> {
        space::volume(&self.inner.machine, volume).map_err(unavailable)
    }

    fn live_stripes(&self, volume: VolumeId) -> Result<Vec<LiveStripe>, VolumeLogError> {
        space::live_stripes(&self.inner.machine, volume).map_err(unavailable)
    }
}

fn unavailable(error: ReadError) -> VolumeLogError {
    VolumeLogError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
