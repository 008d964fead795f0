//! From whatever is on the disks to the state at the journal's end.

use super::OpenError;
use crate::checkpoint::{self, Files, LoadError};
use crate::command::Command;
use crate::index_dir::IndexDir;
use crate::keys;
use crate::log::{Log, Replayed};
use crate::machine::{Entry, Machine};
use crate::record::{Applied, encode};
use crate::tree::{Tree, TreeError, Value};
use std::path::Path;
use std::sync::Arc;
use stratum_storage::ambient::Clock;
use stratum_storage::journal::Verify;

/// Entries that are applied as one batch.
const REPLAY_GROUP: usize = 512;

/// What an index says of itself while it is being filled: no journal confirms it.
pub(crate) const UNFINISHED: Applied = Applied { index: u64::MAX, hash: 0, fingerprint: 0 };

/// The state at the journal's end: the index as it is if the journal confirms it, else rebuilt.
pub(super) fn recover(
    dir: &Path,
    log: &dyn Log,
    checkpoints: &Files,
    clock: Arc<dyn Clock>,
) -> Result<Machine, OpenError> {
    let directory = |error| OpenError::Directory { path: dir.to_owned(), error };
    let index = IndexDir::new(dir);
    index.clean().map_err(directory)?;
    match continue_from(&index.current(), log, clock.clone()) {
        Ok(Some(machine)) => return Ok(machine),
        Ok(None) => tracing::info!("the journal doesn't confirm the index: rebuilding it"),
        Err(error) => tracing::warn!(%error, "the index can't be used: rebuilding it"),
    }
    discard(dir)?;
    rebuild(dir, log, checkpoints, clock)
}

/// Goes on from the index that is there; `None` if it is not one that this journal led to.
fn continue_from(dir: &Path, log: &dyn Log, clock: Arc<dyn Clock>) -> Result<Option<Machine>, OpenError> {
    let machine = Machine::open(Tree::open(dir)?, clock)?;
    if !confirms(log, &machine.applied()) {
        return Ok(None);
    }
    replay(&machine, log)?;
    Ok(Some(machine))
}

/// Starts anew from the newest whole checkpoint, or from nothing if the journal still has all of it.
fn rebuild(
    dir: &Path,
    log: &dyn Log,
    checkpoints: &Files,
    clock: Arc<dyn Clock>,
) -> Result<Machine, OpenError> {
    let tree = Tree::open(dir)?;
    load(&tree, checkpoints)?;
    let machine = Machine::open(tree, clock)?;
    let applied = machine.applied();
    let beside = log.hash_at(applied.index).is_some_and(|hash| hash != applied.hash);
    if log.first() > applied.index + 1 || beside {
        return Err(OpenError::NoCheckpoint { first: log.first() });
    }
    replay(&machine, log)?;
    Ok(machine)
}

/// Fills an index from the newest whole checkpoint, and leaves it empty if there is none.
fn load(tree: &Tree, checkpoints: &Files) -> Result<(), OpenError> {
    let anew = || {
        tree.clear()?;
        mark(tree, &UNFINISHED)
    };
    let insert = |pairs: &[(&[u8], &[u8])]| {
        let values: Vec<Value> = pairs.iter().map(|(_, value)| Value::from(*value)).collect();
        tree.apply(pairs.iter().zip(&values).map(|((key, _), value)| (*key, Some(value))))
    };
    match checkpoint::load(checkpoints, anew, insert) {
        Ok(Some(applied)) => {
            tracing::info!(index = applied.index, "loaded the checkpoint");
            Ok(mark(tree, &applied)?)
        }
        Ok(None) => Ok(()),
        Err(error @ LoadError::Newer(_)) => Err(OpenError::Newer(error.to_string())),
        Err(error) => {
            tracing::error!(%error, "no checkpoint can be read");
            Ok(tree.clear()?)
        }
    }
}

/// Says in an index what it holds.
pub(crate) fn mark(tree: &Tree, applied: &Applied) -> Result<(), TreeError> {
    let value = Value::from(encode(applied).as_slice());
    tree.apply(std::iter::once((keys::applied().as_slice(), Some(&value))))
}

/// Whether the journal holds the very entry that the index saw last, and all that follow it.
fn confirms(log: &dyn Log, applied: &Applied) -> bool {
    match applied.index {
        0 => log.first() == 1,
        index => log.hash_at(index) == Some(applied.hash),
    }
}

/// Applies everything that the journal has beyond the state. Bodies are verified with it: what the index lacks may be
/// the end of the journal, which a crash could have torn.
fn replay(machine: &Machine, log: &dyn Log) -> Result<(), OpenError> {
    let mut group = Vec::with_capacity(REPLAY_GROUP);
    for replayed in log.replay(machine.applied_index() + 1, Verify::Bodies) {
        group.push(entry(replayed?)?);
        if group.len() == REPLAY_GROUP {
            machine.apply(std::mem::take(&mut group))?;
            machine.drain()?;
        }
    }
    if !group.is_empty() {
        machine.apply(group)?;
    }
    machine.drain()?;
    Ok(())
}

fn entry(replayed: Replayed) -> Result<Entry, OpenError> {
    let Replayed { index, hash, command } = replayed;
    let command = Command::decode(&command).map_err(|error| OpenError::Command { index, error })?;
    Ok(Entry { index, hash, command })
}

/// Takes a useless index out of the way.
fn discard(dir: &Path) -> Result<(), OpenError> {
    let outcome = match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    };
    outcome.map_err(|error| OpenError::Directory { path: dir.to_owned(), error })
}
