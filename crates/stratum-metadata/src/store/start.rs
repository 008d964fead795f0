//! From whatever is on the disks to the state at the journal's end.

use super::OpenError;
use crate::command::Command;
use crate::log::{Log, Replayed};
use crate::machine::{Entry, Machine};
use crate::record::Applied;
use crate::tree::Tree;
use std::path::Path;
use std::sync::Arc;
use stratum_storage::ambient::Clock;

/// Entries that are applied as one batch.
const REPLAY_GROUP: usize = 512;

/// The state at the journal's end: the index as it is if the journal confirms it, else rebuilt.
pub(super) fn recover(dir: &Path, log: &dyn Log, clock: Arc<dyn Clock>) -> Result<Machine, OpenError> {
    match continue_from(dir, log, clock.clone()) {
        Ok(Some(machine)) => return Ok(machine),
        Ok(None) => tracing::info!("the journal doesn't confirm the index: rebuilding it"),
        Err(error) => tracing::warn!(%error, "the index can't be used: rebuilding it"),
    }
    discard(dir)?;
    rebuild(dir, log, clock)
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

fn rebuild(dir: &Path, log: &dyn Log, clock: Arc<dyn Clock>) -> Result<Machine, OpenError> {
    let machine = Machine::open(Tree::open(dir)?, clock)?;
    if log.first() > machine.applied_index() + 1 {
        return Err(OpenError::NoCheckpoint { first: log.first() });
    }
    replay(&machine, log)?;
    Ok(machine)
}

/// Whether the journal holds the very entry that the index saw last, and all that follow it.
fn confirms(log: &dyn Log, applied: &Applied) -> bool {
    match applied.index {
        0 => log.first() == 1,
        index => log.hash_at(index) == Some(applied.hash),
    }
}

/// Applies everything that the journal has beyond the state.
fn replay(machine: &Machine, log: &dyn Log) -> Result<(), OpenError> {
    let mut group = Vec::with_capacity(REPLAY_GROUP);
    for replayed in log.replay(machine.applied_index() + 1) {
        group.push(entry(replayed?)?);
        if group.len() == REPLAY_GROUP {
            machine.apply(std::mem::take(&mut group))?;
        }
    }
    if !group.is_empty() {
        machine.apply(group)?;
    }
    Ok(())
}

fn entry(replayed: Replayed) -> Result<Entry, OpenError> {
    let Replayed { index, hash, command, .. } = replayed;
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
