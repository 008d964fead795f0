//! Builds the state from whatever is left of a store, without opening the store.
//!
//! [`Metadata::open`](crate::Metadata::open) needs the journal's end and a checkpoint from which the journal goes on;
//! a store that lacks either doesn't start. Here the state is built beside the store, in a tree of its own. Its basis
//! is what reaches furthest: a whole checkpoint, a checkpoint with the server's own trees over it, or nothing; then
//! the journal is applied as far as it goes without a gap. What the journal has after a gap is kept for what it says
//! of objects ([`apply_loosely`]). [`Salvaged::doubts`] says what can't be known; without doubts it is the state that
//! a start would have come to.

mod anew;
mod former;
mod looks;
mod reads;

pub use crate::checkpoint::{AuditedCopy, audit, copy_checkpoint, remove_bad_copies, remove_other_histories};

pub use anew::{MadeAnew, lost_files, make_lost_anew};
pub use former::{check_index, remove_index};
pub use reads::{SalvagedBucket, SalvagedObject, SalvagedVersion};

use crate::buckets;
use crate::check::{self, Bodies, Checked, Finding};
use crate::checkpoint::{self, Checkpoint, Files, Sizes};
use crate::command::Proposed;
use crate::machine::{Entry, Machine, ReadError};
use crate::record::{Applied, DecodeError, Level, Owner};
use crate::stack::Below;
use crate::state::{ApplyError, View, apply_loosely};
use crate::tree::{Base, Tree, TreeError};
use std::path::PathBuf;
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, Roster};
use stratum_storage::journal::{self, EntryHash, History, Replayed};

/// Entries that are applied as one batch.
const GROUP_ENTRIES: usize = 512;

/// Where the state is built, and what from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A directory that doesn't exist yet, for the new index.
    pub index: PathBuf,
    /// The drives that may hold checkpoints, and the index that the server kept.
    pub drives: Vec<Arc<Drive>>,
    /// The home of the server's own index, which is copied and never opened in its place.
    pub former: Option<PathBuf>,
}

/// What the state is built on, before the journal is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The journal begins with the first entry of all.
    Nothing,
    Checkpoint(Index),
    /// The server's own index.
    Index(Index),
}

/// What can't be known of the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error(transparent)]
    Journal(#[from] journal::Doubt),
    #[error("the checkpoint at entry {index} is not whole in its copies: {problem}")]
    Checkpoint { index: Index, problem: String },
    #[error(
        "what the entries {first} to {last} of the journal said is not known; what follows them was read without it, \
         so that objects may be missing, and deleted ones be back"
    )]
    Gap { first: Index, last: Index },
    #[error(
        "no checkpoint reaches the journal and the server's own index was taken: it is as of entry {index} and can't \
         be proven"
    )]
    Unproven { index: Index },
    #[error(
        "the journal ends at entry {end}, and the checkpoint at entry {index} was taken after that, so that what was \
         written later may be missing"
    )]
    Behind { end: Index, index: Index },
    #[error("the server's own index can't be used: {problem}")]
    Index { problem: String },
    #[error(
        "{block}: about {about} keys are not known, from {keys}; what the journal said of these was kept as it came"
    )]
    Lost { block: String, about: u64, keys: String },
}

/// Why no state could be built.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    #[error("{0}")]
    Newer(String),
    #[error("entry {index} of the journal can't be read: {error}")]
    Command {
        index: Index,
        #[source]
        error: DecodeError,
    },
    #[error("the state can't be built in {dir}: {problem}")]
    Build { dir: PathBuf, problem: String },
}

/// The state as far as it is known. It is only read.
#[derive(Debug)]
pub struct Salvaged {
    machine: Arc<Machine>,
    basis: Basis,
    /// The last entry that was applied before the first gap.
    reached: Index,
    doubts: Vec<Doubt>,
}

impl Salvaged {
    /// Builds the state. Blocks, for about as long as a start that rebuilds its index.
    pub fn build(
        sources: &Sources,
        history: &History,
        clock: Arc<dyn Clock>,
    ) -> Result<Salvaged, SalvageError> {
        let building = |error: &dyn std::fmt::Display| SalvageError::Build {
            dir: sources.index.clone(),
            problem: error.to_string(),
        };
        let mut doubts: Vec<Doubt> = history.doubts().iter().cloned().map(Doubt::from).collect();
        let Found { tree, below, basis, is_partial } = base(sources, history, &mut doubts)?;
        let machine =
            Machine::open(tree.clone(), below.clone(), clock.clone()).map_err(|error| building(&error))?;
        let mut reached = machine.applied().index;
        // A start refuses this case: the journal's end was lost.
        if let Some(end) = history.runs().last().map(|run| run.last).filter(|end| *end < reached) {
            doubts.push(Doubt::Behind { end, index: reached });
        }
        // Nothing can be applied in order over a part of a state.
        let following = (!is_partial).then(|| groups(history, reached + 1));
        for group in following.into_iter().flatten() {
            let group = group?;
            reached = group.last().map_or(reached, |entry| entry.index);
            machine.apply(group).and_then(|_| Ok(machine.drain()?)).map_err(|error| building(&error))?;
        }
        let mut known = reached;
        for run in history.runs().into_iter().filter(|run| run.last > reached) {
            let first = run.first.max(known + 1);
            if first > known + 1 {
                doubts.push(Doubt::Gap { first: known + 1, last: first - 1 });
            }
            for group in groups(history, first) {
                keep(&machine, &tree, group?).map_err(|error| building(&error))?;
            }
            known = run.last;
        }
        doubts.dedup();
        let machine = Machine::open(tree, below, clock).map_err(|error| building(&error))?;
        Ok(Salvaged { machine: Arc::new(machine), basis, reached, doubts })
    }

    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The last entry that is known to follow from the basis without a gap.
    pub fn reached(&self) -> Index {
        self.reached
    }

    /// That entry's hash.
    pub fn reached_hash(&self) -> EntryHash {
        EntryHash(self.machine.applied().hash)
    }

    /// What can't be known; empty if this is the state that a start would come to.
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Checks that the state is consistent, and that its bodies in the journal can be read.
    pub fn check(&self, history: &History, report: &mut dyn FnMut(Finding)) -> Result<Checked, ReadError> {
        check::check(self.machine.as_ref(), &self.machine.applied(), history, report)
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }
}

/// What was asked of a store after an entry of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedSince {
    Nothing,
    /// How many of the entries change something that somebody asked for.
    Entries(u64),
    /// Not all of these entries can be read any more.
    Unknown,
}

/// Looks at the journal's entries after `index`.
///
/// # Errors
/// An entry can't be understood.
pub fn asked_since(history: &History, index: Index) -> Result<AskedSince, SalvageError> {
    let end = history.runs().last().map_or(0, |run| run.last);
    let (mut read, mut asked) = (index, 0);
    for group in groups(history, index + 1) {
        for entry in group? {
            read = entry.index;
            asked += u64::from(entry.proposed.command.was_asked_for());
        }
    }
    Ok(match asked {
        _ if read < end => AskedSince::Unknown,
        0 => AskedSince::Nothing,
        asked => AskedSince::Entries(asked),
    })
}

impl Bodies for History {
    fn check(&self, _: &Owner, index: Index, length: u32, crc32c: u32) -> Result<(), String> {
        self.body(index, length, crc32c).map(drop).map_err(|error| error.to_string())
    }
}

/// How far the journal goes on from a state without a gap.
fn reach(history: &History, applied: &Applied) -> Index {
    let follows = match applied.index {
        0 => true,
        index => history.hash_at(index) == Some(EntryHash(applied.hash)),
    };
    let holds_next = |run: &journal::Run| (run.first..=run.last).contains(&(applied.index + 1));
    match history.runs().into_iter().find(holds_next) {
        Some(run) if follows => run.last,
        _ => applied.index,
    }
}

/// The basis: a tree that takes what the journal says, and what lies below it.
struct Found {
    tree: Tree,
    below: Below,
    basis: Basis,
    /// Whether some of it is lost.
    is_partial: bool,
}

/// The basis that reaches furthest; of several, the newest.
fn base(sources: &Sources, history: &History, doubts: &mut Vec<Doubt>) -> Result<Found, SalvageError> {
    let files = Files::new(Roster::new(sources.drives.clone()), 1, Sizes::default());
    let mut checkpoints =
        checkpoint::readable(&files).map_err(|error| SalvageError::Newer(error.to_string()))?;
    checkpoints.sort_by_key(|stored| (reach(history, &stored.applied()), stored.applied().index));
    let end = history.runs().last().map_or(0, |run| run.last);
    let nothing = reach(history, &Applied::default());
    let mut damaged = None;
    while let Some(stored) = checkpoints.pop() {
        let applied = stored.applied();
        if reach(history, &applied) < nothing {
            break;
        }
        let opened = checkpoint::open(&files, stored).map_err(|error| error.to_string());
        let whole = opened.and_then(|checkpoint| match checkpoint.verify() {
            Ok(()) => Ok(Arc::new(checkpoint)),
            Err(error) => Err(error.to_string()),
        });
        match whole {
            Ok(checkpoint) if reach(history, &applied) >= end => return on(sources, Some(checkpoint)),
            Ok(checkpoint) => {
                let than = reach(history, &applied);
                let better = former::better(sources, Some(&checkpoint), than, history, doubts);
                return better.map_or_else(|| on(sources, Some(checkpoint)), Ok);
            }
            Err(problem) => {
                doubts.push(Doubt::Checkpoint { index: applied.index, problem });
                damaged = damaged.or(Some(applied.index));
            }
        }
    }
    if (nothing < end || end == 0)
        && let Some(better) = former::better(sources, None, nothing, history, doubts)
    {
        return Ok(better);
    }
    if let Some(part) = damaged.filter(|_| nothing == 0).and_then(|index| part_of(sources, index, doubts)) {
        return Ok(Found { is_partial: true, ..on(sources, Some(part))? });
    }
    on(sources, None)
}

/// The readable part of a checkpoint that has lost blocks. Adds a doubt for each of those.
fn part_of(sources: &Sources, index: Index, doubts: &mut Vec<Doubt>) -> Option<Arc<Checkpoint>> {
    let files = Files::new(Roster::new(sources.drives.clone()), 1, Sizes::default()).passing_over_lost();
    let stored =
        checkpoint::readable(&files).ok()?.into_iter().find(|stored| stored.applied().index == index)?;
    let part = Arc::new(checkpoint::open(&files, stored).ok()?);
    part.look_for_lost();
    let name =
        |id| buckets::by_id(id, |key| Ok::<_, ReadError>(part.get(key)?)).ok()?.map(|bucket| bucket.name);
    for block in part.lost_blocks() {
        let (about, keys) = (block.keys, block.in_words(&name));
        doubts.push(Doubt::Lost { block: block.to_string(), about, keys });
    }
    Some(part)
}

/// An empty tree over a checkpoint, or over nothing.
fn on(sources: &Sources, checkpoint: Option<Arc<Checkpoint>>) -> Result<Found, SalvageError> {
    let failed =
        |error: TreeError| SalvageError::Build { dir: sources.index.clone(), problem: error.to_string() };
    let basis = checkpoint
        .as_ref()
        .map_or(Basis::Nothing, |checkpoint| Basis::Checkpoint(checkpoint.applied().index));
    let tree = Tree::open(&sources.index).map_err(failed)?;
    Ok(Found { tree, below: checkpoint.into(), basis, is_partial: false })
}

/// The entries from `from` to the end of their run, a few at a time.
fn groups(history: &History, from: Index) -> impl Iterator<Item = Result<Vec<Entry>, SalvageError>> {
    let mut entries = history.replay(from).into_iter().flatten();
    std::iter::from_fn(move || {
        // A gap here means that a drive failed after the run was found; what was read before it counts.
        let group = entries.by_ref().take(GROUP_ENTRIES).map_while(Result::ok).map(entry);
        let group: Result<Vec<Entry>, SalvageError> = group.collect();
        match group {
            Ok(group) if group.is_empty() => None,
            group => Some(group),
        }
    })
}

fn entry(replayed: Replayed) -> Result<Entry, SalvageError> {
    let Replayed { index, hash, command, .. } = replayed;
    let proposed = Proposed::decode(&command).map_err(|error| SalvageError::Command { index, error })?;
    Ok(Entry { index, hash: hash.0, proposed })
}

/// Keeps what these entries say, without knowing what came before them.
fn keep(machine: &Machine, tree: &Tree, group: Vec<Entry>) -> Result<(), ApplyError> {
    // The state is for this rescue alone, so it may hold anything.
    let mut view = View::at(machine, Level::NEWEST);
    for entry in group {
        apply_loosely(&mut view, entry.index, entry.proposed.command)?;
    }
    Ok(tree.apply(view.changes().map(|change| (change.key, change.after)))?)
}
