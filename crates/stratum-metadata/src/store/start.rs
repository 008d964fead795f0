//! From whatever is on the disks to the state at the journal's end.

use super::OpenError;
use crate::checkpoint::{self, Files, LoadError};
use crate::command::Proposed;
use crate::index_dir::IndexDir;
use crate::log::{LocalLog, Replayed};
use crate::machine::{AppliedGroup, Entry, Machine, UNFINISHED, mark};
use crate::record::Applied;
use crate::tree::{Tree, TreeError, Value};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::journal::Verify;

/// Entries that are applied as one batch.
const REPLAY_GROUP: usize = 512;

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RebuildStep {
    /// What failed is let go of.
    #[default]
    Begins,
    /// Keys and values of the checkpoint, in bytes.
    Loads { bytes: u64 },
    /// The entry of the journal that was applied last, and the journal's last.
    Replays { entry: Index, of: Index },
}

/// What the state is built from.
pub(super) struct Sources<'a> {
    pub(super) log: &'a dyn LocalLog,
    pub(super) checkpoints: &'a Files,
    pub(super) clock: Arc<dyn Clock>,
    /// The last entry that is replayed.
    pub(super) until: Index,
    /// Is told how far it has come.
    pub(super) note: &'a dyn Fn(RebuildStep),
}

/// The state at the journal's end: the index as it is if the journal confirms it, else rebuilt.
pub(super) fn recover(index: &IndexDir, sources: &Sources<'_>) -> Result<Machine, OpenError> {
    check_end(sources)?;
    index.clean();
    match continue_from(&index.current(), sources) {
        Ok(Some(machine)) => return Ok(machine),
        Ok(None) => tracing::info!("the journal doesn't confirm the index: rebuilding it"),
        Err(error) if error.is_of_a_higher_level() => return Err(error),
        Err(error) => tracing::warn!(%error, "the index can't be used: rebuilding it"),
    }
    anew(index, 0, sources)
}

/// A checkpoint holds what the journal held when it was taken. One that reaches beyond the journal's end shows that the
/// end was lost, and with it perhaps more than the checkpoint knows.
fn check_end(sources: &Sources<'_>) -> Result<(), OpenError> {
    let (checkpoints, reached) = (sources.checkpoints, sources.log.last());
    // Most of the time the names say that there is nothing to read.
    if checkpoints.list().keys().next_back().is_none_or(|newest| *newest <= reached) {
        return Ok(());
    }
    match checkpoint::readable(checkpoints) {
        Ok(readable) => {
            let newest = readable.iter().map(|reader| reader.applied().index).max().unwrap_or_default();
            if newest <= reached { Ok(()) } else { Err(OpenError::Behind { reached, served: newest }) }
        }
        Err(error @ LoadError::Newer(_)) => Err(OpenError::Newer(error.to_string())),
        Err(_) => Ok(()),
    }
}

/// Goes on from the index that is there; `None` if it is not one that this journal led to.
fn continue_from(dir: &Path, sources: &Sources<'_>) -> Result<Option<Machine>, OpenError> {
    let machine = Machine::open(Tree::open(dir)?, sources.clock.clone())?;
    if !confirms(sources.log, &machine.applied()) {
        return Ok(None);
    }
    replay(&machine, sources, |_| {})?;
    Ok(Some(machine))
}

/// Builds the state in a new index, in the first place that takes it. `first` says which of them is asked first: one
/// that has just failed needn't be.
pub(super) fn anew(index: &IndexDir, first: usize, sources: &Sources<'_>) -> Result<Machine, OpenError> {
    let mut places = index.places();
    let count = places.len();
    places.rotate_left(first % count);
    let mut problem = TreeError::Away.into();
    for place in places {
        match build_in(index, &place, sources) {
            Err(error) if error.is_of_the_place() => {
                tracing::warn!(place = %place.display(), %error, "the index can't be built here");
                problem = error;
            }
            outcome => return outcome,
        }
    }
    Err(problem)
}

/// Starts anew from the newest whole checkpoint, or from nothing if the journal still has all of it. The place is
/// switched to first: from then on no start goes on from what was there before.
fn build_in(index: &IndexDir, place: &Path, sources: &Sources<'_>) -> Result<Machine, OpenError> {
    let directory = |error| OpenError::Directory { path: place.to_owned(), error };
    let next = index.begin(place).map_err(directory)?;
    next.switch().map_err(directory)?;
    index.clean();
    let tree = Tree::open(&next.path())?;
    load(&tree, sources)?;
    let machine = Machine::open(tree, sources.clock.clone())?;
    let (applied, log) = (machine.applied(), sources.log);
    let beside = log.hash_at(applied.index).is_some_and(|hash| hash != applied.hash);
    if log.first() > applied.index + 1 || beside {
        return Err(OpenError::NoCheckpoint { first: log.first() });
    }
    replay(&machine, sources, |_| {})?;
    Ok(machine)
}

/// Fills an index from the newest whole checkpoint, and leaves it empty if there is none.
fn load(tree: &Tree, sources: &Sources<'_>) -> Result<(), OpenError> {
    let mut loaded = 0u64;
    let anew = || {
        tree.clear()?;
        mark(tree, &UNFINISHED)
    };
    let insert = |pairs: &[(&[u8], &[u8])]| {
        loaded += pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        (sources.note)(RebuildStep::Loads { bytes: loaded });
        let values: Vec<Value> = pairs.iter().map(|(_, value)| Value::from(*value)).collect();
        tree.apply(pairs.iter().zip(&values).map(|((key, _), value)| (*key, Some(value))))
    };
    match checkpoint::load(sources.checkpoints, anew, insert) {
        Ok(Some(applied)) => {
            tracing::info!(index = applied.index, "loaded the checkpoint");
            Ok(mark(tree, &applied)?)
        }
        Ok(None) => Ok(()),
        Err(error @ LoadError::Newer(_)) => Err(OpenError::Newer(error.to_string())),
        Err(LoadError::Tree(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "no checkpoint can be read");
            Ok(tree.clear()?)
        }
    }
}

/// Whether the journal holds the very entry that the index saw last, and all that follow it.
fn confirms(log: &dyn LocalLog, applied: &Applied) -> bool {
    match applied.index {
        0 => log.first() == 1,
        index => log.hash_at(index) == Some(applied.hash),
    }
}

/// Applies what the journal has beyond the state, and hands out what came of it. Bodies are verified with
/// it: what the index lacks may be the end of the journal, which a crash could have torn.
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
    let mut group = Vec::with_capacity(REPLAY_GROUP);
    for replayed in sources.log.replay(machine.applied_index() + 1, Verify::Bodies) {
        let entry = entry(replayed?)?;
        if entry.index > sources.until {
            break;
        }
        group.push(entry);
        if group.len() == REPLAY_GROUP {
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
