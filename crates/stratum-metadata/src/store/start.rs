//! Brings the state from what is on the disks to the journal's end.

use super::OpenError;
use crate::checkpoint::{self, Checkpoint, Closed, Files, LoadError};
use crate::command::Proposed;
use crate::index_dir::IndexDir;
use crate::log::{LocalLog, Replayed};
use crate::machine::{AppliedGroup, Entry, Machine};
use crate::record::Applied;
use crate::stack::{self, Below};
use crate::state::ApplyError;
use crate::tree::{Tree, TreeError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::journal::Verify;

/// Entries that are applied as one batch.
const REPLAY_GROUP_ENTRIES: usize = 512;

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RebuildStep {
    /// The failed index is being given up.
    #[default]
    Begins,
    /// Replays the journal: the last entry that was applied, and the last one of the journal.
    Replays { entry: Index, of: Index },
}

/// What the state is built from.
pub(super) struct Sources<'a> {
    pub(super) log: &'a dyn LocalLog,
    pub(super) checkpoints: &'a Files,
    pub(super) clock: Arc<dyn Clock>,
    /// The last entry to be replayed.
    pub(super) until: Index,
    /// Called with the progress.
    pub(super) note: &'a dyn Fn(RebuildStep),
}

/// The state at the journal's end: from the existing trees if the journal confirms them, else rebuilt.
pub(super) fn recover(index: &IndexDir, sources: &Sources<'_>) -> Result<Machine, OpenError> {
    check_end(sources)?;
    index.clean();
    let checkpoint = newest(sources)?;
    match continue_from(&index.current(), checkpoint.as_ref(), sources) {
        Ok(Some(machine)) => return Ok(machine),
        Ok(None) => tracing::info!("the journal doesn't confirm the index: rebuilding it"),
        Err(error) if error.is_of_a_higher_level() => return Err(error),
        Err(error) => tracing::warn!(%error, "the index can't be used: rebuilding it"),
    }
    anew(index, 0, sources)
}

/// The checkpoints on which the state can be built: those without a known lost block first, and the newest first
/// among them. `None` stands for a store without checkpoints.
fn candidates(sources: &Sources<'_>) -> Result<Vec<Option<Arc<Checkpoint>>>, OpenError> {
    let whole = checkpoint::whole(sources.checkpoints);
    let mut whole = whole.map_err(|error| OpenError::Newer(error.to_string()))?;
    whole.sort_by_key(|checkpoint| checkpoint.has_lost());
    Ok(if whole.is_empty() { vec![None] } else { whole.into_iter().map(Some).collect() })
}

/// The checkpoint that the state is to lie on.
fn newest(sources: &Sources<'_>) -> Result<Option<Arc<Checkpoint>>, OpenError> {
    checkpoint::newest(sources.checkpoints).map_err(|error| OpenError::Newer(error.to_string()))
}

/// Refuses if a checkpoint reaches beyond the journal's end. A checkpoint holds only what the journal held when it
/// was taken, so the journal's end was lost, and perhaps more entries than the checkpoint knows of.
fn check_end(sources: &Sources<'_>) -> Result<(), OpenError> {
    let (checkpoints, reached) = (sources.checkpoints, sources.log.last());
    // Usually the file names alone show that there is nothing to check.
    if checkpoints.indexes().last().is_none_or(|newest| *newest <= reached) {
        return Ok(());
    }
    match checkpoint::readable(checkpoints) {
        Ok(readable) => {
            let newest = readable.iter().map(|reader| reader.applied().index).max().unwrap_or_default();
            if newest <= reached { Ok(()) } else { Err(OpenError::Behind { reached, served: newest }) }
        }
        Err(error @ LoadError::Newer(_)) => Err(OpenError::Newer(error.to_string())),
    }
}

/// Continues from existing trees, the open one last; `None` if this journal over this checkpoint can't have led to
/// them.
fn continue_from(
    dirs: &[PathBuf],
    checkpoint: Option<&Arc<Checkpoint>>,
    sources: &Sources<'_>,
) -> Result<Option<Machine>, OpenError> {
    let Some((open, below)) = trees(dirs, checkpoint)? else { return Ok(None) };
    let machine = Machine::open(open, below, sources.clock.clone())?;
    if !confirms(sources.log, &machine.applied()) {
        return Ok(None);
    }
    replay(&machine, sources, |_| {})?;
    Ok(Some(machine))
}

/// The open tree and what it lies over, from trees of which each follows the one before. That is the last tree over
/// the checkpoint; or the last tree over a closed one over the checkpoint; or, if the last tree was never begun, the
/// one before it.
pub(crate) fn trees(
    dirs: &[PathBuf],
    checkpoint: Option<&Arc<Checkpoint>>,
) -> Result<Option<(Tree, Below)>, ApplyError> {
    let base = checkpoint.map(|checkpoint| checkpoint.applied()).unwrap_or_default();
    let below = || Below::from(checkpoint.cloned());
    let (Some(last), before) = (dirs.last(), dirs.iter().rev().nth(1)) else { return Ok(None) };
    let last = Tree::open(last)?;
    let over = stack::over(&last)?;
    if over == Some(base) {
        return Ok(Some((last, below())));
    }
    let Some(before) = before else { return Ok(None) };
    let before = Tree::open(before)?;
    if stack::over(&before)? != Some(base) {
        return Ok(None);
    }
    let applied = stack::applied(&before)?.unwrap_or_default();
    Ok(match over {
        None => Some((before, below())),
        Some(over) if over == applied => {
            let closed = Closed { tree: before, applied, over: checkpoint.cloned() };
            Some((last, Below::Closed(closed)))
        }
        Some(_) => None,
    })
}

/// Builds the state in a new index, in the first place that can hold it. `first` says which place is tried first,
/// since the one that has just failed need not be.
pub(super) fn anew(index: &IndexDir, first: usize, sources: &Sources<'_>) -> Result<Machine, OpenError> {
    let mut problem = None;
    for checkpoint in candidates(sources)? {
        match anew_on(checkpoint.as_ref(), index, first, sources) {
            // Another checkpoint may have what this one lost, as long as the journal goes on from it.
            Err(error) if error.is_of_the_checkpoint() => {
                tracing::warn!(%error, "the state can't be built on a checkpoint");
                problem = problem.or(Some(error));
            }
            outcome => return outcome,
        }
    }
    Err(problem.unwrap_or_else(|| TreeError::Away.into()))
}

/// [`anew`], over this checkpoint.
fn anew_on(
    checkpoint: Option<&Arc<Checkpoint>>,
    index: &IndexDir,
    first: usize,
    sources: &Sources<'_>,
) -> Result<Machine, OpenError> {
    let mut places = index.places();
    let count = places.len();
    places.rotate_left(first % count);
    let mut problem = TreeError::Away.into();
    for place in places {
        match build_in(checkpoint, index, &place, sources) {
            Err(error) if error.is_of_the_place() => {
                tracing::warn!(place = %place.display(), %error, "the index can't be built here");
                problem = error;
            }
            outcome => return outcome,
        }
    }
    Err(problem)
}

/// Starts anew over a checkpoint, or from nothing if the journal still has all entries. `current` is switched first,
/// so that from then on no start continues from the former trees.
fn build_in(
    checkpoint: Option<&Arc<Checkpoint>>,
    index: &IndexDir,
    place: &Path,
    sources: &Sources<'_>,
) -> Result<Machine, OpenError> {
    let directory = |error| OpenError::Directory { path: place.to_owned(), error };
    let next = index.begin(place).map_err(directory)?;
    next.switch().map_err(directory)?;
    index.clean();
    let below = Below::from(checkpoint.cloned());
    let machine = Machine::open(Tree::open(&next.path())?, below, sources.clock.clone())?;
    let (applied, log) = (machine.applied(), sources.log);
    let beside = log.hash_at(applied.index).is_some_and(|hash| hash != applied.hash);
    if log.first() > applied.index + 1 || beside {
        return Err(OpenError::NoCheckpoint { first: log.first() });
    }
    replay(&machine, sources, |_| {})?;
    Ok(machine)
}

/// Whether the journal holds the very entry that the index applied last, and all that follow it.
fn confirms(log: &dyn LocalLog, applied: &Applied) -> bool {
    match applied.index {
        0 => log.first() == 1,
        index => log.hash_at(index) == Some(applied.hash),
    }
}

/// Applies the journal's entries after the state's last one, and gives each group's result to `applied`. Bodies are
/// verified, too: what the index lacks may be the end of the journal, which a crash could have torn.
pub(super) fn replay(
    machine: &Machine,
    sources: &Sources<'_>,
    mut applied: impl FnMut(AppliedGroup),
) -> Result<(), OpenError> {
    let mut apply = |group: Vec<Entry>| -> Result<(), OpenError> {
        applied(machine.apply(group)?);
        machine.drain()?;
        let (entry, of) = (machine.applied_index(), sources.log.last().min(sources.until));
        (sources.note)(RebuildStep::Replays { entry, of });
        Ok(())
    };
    let mut group = Vec::with_capacity(REPLAY_GROUP_ENTRIES);
    for replayed in sources.log.replay(machine.applied_index() + 1, Verify::Bodies) {
        let entry = entry(replayed?)?;
        if entry.index > sources.until {
            break;
        }
        group.push(entry);
        if group.len() == REPLAY_GROUP_ENTRIES {
            apply(std::mem::take(&mut group))?;
        }
    }
    if group.is_empty() { Ok(()) } else { apply(group) }
}

fn entry(replayed: Replayed) -> Result<Entry, OpenError> {
    let Replayed { index, hash, command } = replayed;
    let proposed = Proposed::decode(&command).map_err(|error| OpenError::Command { index, error })?;
    Ok(Entry { index, hash, proposed })
}
