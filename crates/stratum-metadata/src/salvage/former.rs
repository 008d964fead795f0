//! The trees that the server kept, as a last resort: no journal confirms them, but they may know what nothing else
//! does.
//!
//! They are copied and the copies are opened, since opening a tree changes its files. They count only if they lie
//! over a checkpoint that exists, and if the content of both has the recorded fingerprint: trees that lost keys are
//! no state.

use super::{Basis, Doubt, Found, Sources, reach};
use crate::checkpoint::{self, Checkpoint, Files, Sizes};
use crate::fingerprint::fingerprint;
use crate::index_dir::IndexDir;
use crate::keys;
use crate::record::Applied;
use crate::stack::{self, Below, Stack};
use crate::store::trees;
use crate::tree::{Base, Tree};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, Roster};
use stratum_storage::journal::{EntryHash, History};

/// The server's trees over that checkpoint, if they are sound and reach further than entry `than`.
pub(super) fn better(
    sources: &Sources,
    checkpoint: Option<&Arc<Checkpoint>>,
    than: Index,
    history: &History,
    doubts: &mut Vec<Doubt>,
) -> Option<Found> {
    let former = current(sources.former.as_ref()?, &sources.drives);
    match open_copy(&former, &sources.index, checkpoint) {
        Ok(None) => None,
        Ok(Some((tree, below, applied))) => {
            let reached = reach(history, &applied);
            if reached <= than {
                return None;
            }
            if reached == applied.index {
                doubts.push(Doubt::Unproven { index: applied.index });
            }
            Some(Found { tree, below, basis: Basis::Index(applied.index), is_partial: false })
        }
        Err(problem) => {
            doubts.push(Doubt::Index { problem });
            None
        }
    }
}

/// Whether the next start can go on from the server's trees: over the newest checkpoint they hold what was applied,
/// and the journal confirms their last entry. `home` is where they lie, unless they were begun on one of the drives.
/// They are copied to `copy`; the error says what is wrong. A start doesn't go on from trees over another checkpoint,
/// so those are no error.
pub fn check_index(home: &Path, drives: &[Arc<Drive>], copy: &Path, history: &History) -> Result<(), String> {
    let files = Files::new(Roster::new(drives.to_vec()), 1, Sizes::default());
    let checkpoint = checkpoint::newest(&files).map_err(|error| error.to_string())?;
    let Some((_, _, applied)) = open_copy(&current(home, drives), copy, checkpoint.as_ref())? else {
        return Ok(());
    };
    match applied.index == 0 || history.hash_at(applied.index) == Some(EntryHash(applied.hash)) {
        true => Ok(()),
        false => Err(format!("the journal doesn't confirm entry {}, where it stands", applied.index)),
    }
}

/// Removes the index, wherever it lies, and what is left of former ones: the next start builds it anew.
pub fn remove_index(home: &Path, drives: &[Arc<Drive>]) -> io::Result<()> {
    IndexDir::new(home, Roster::new(drives.to_vec())).remove()
}

/// The directories in which the next start would look for the trees; empty if there are none.
fn current(home: &Path, drives: &[Arc<Drive>]) -> Vec<PathBuf> {
    let current = IndexDir::new(home, Roster::new(drives.to_vec())).current();
    current.into_iter().filter(|dir| dir.is_dir()).collect()
}

/// Copies of the trees, what they lie over, and what has been applied to all of it; `None` if they don't lie over
/// that checkpoint.
fn open_copy(
    former: &[PathBuf],
    beside: &Path,
    checkpoint: Option<&Arc<Checkpoint>>,
) -> Result<Option<(Tree, Below, Applied)>, String> {
    let copy = |(number, former): (usize, &PathBuf)| {
        let mut name = beside.as_os_str().to_owned();
        name.push(format!("-former-{number}"));
        let copy = PathBuf::from(name);
        copy_dir(former, &copy).map(|()| copy).map_err(|error| error.to_string())
    };
    let copies: Result<Vec<PathBuf>, String> = former.iter().enumerate().map(copy).collect();
    let found = trees(&copies?, checkpoint).map_err(|error| error.to_string())?;
    let Some((tree, below)) = found else { return Ok(None) };
    let applied = stack::applied(&tree).map_err(|error| error.to_string())?.unwrap_or_default();
    let stack = Stack { open: tree, below };
    let (mark, mut sum) = (keys::applied(), 0u128);
    let add = &mut |key: &[u8], value: &crate::tree::Value| {
        if key != mark {
            sum = sum.wrapping_add(fingerprint(key, value));
        }
        ControlFlow::Continue(())
    };
    stack.scan(&[], &[0xff], add).map_err(|error| error.to_string())?;
    match sum == applied.fingerprint {
        true => Ok(Some((stack.open, stack.below, applied))),
        false => Err("its content is not what was applied".into()),
    }
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_dir(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
