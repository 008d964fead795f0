//! The index that the server kept, as a last resort: no journal confirms it, but it may know what nothing else does.
//!
//! It is copied and the copy opened, since opening an index changes its files. A copy counts only if its content has
//! the fingerprint that it says: an index that lost keys is no state.

use super::{Basis, Doubt, Sources, reach};
use crate::index_dir::IndexDir;
use crate::keys;
use crate::machine::fingerprint;
use crate::record::{Applied, decode};
use crate::tree::{Base, Tree};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, Roster};
use stratum_storage::journal::{EntryHash, History};

/// The former index, if it is sound and reaches further than `than`.
pub(super) fn better(
    sources: &Sources,
    than: Index,
    history: &History,
    doubts: &mut Vec<Doubt>,
) -> Option<(Tree, Basis, Applied)> {
    let former = current(sources.former.as_ref()?, &sources.drives)?;
    match open_copy(&former, &sources.index) {
        Ok((tree, applied)) => {
            let reached = reach(history, &applied);
            if reached <= than {
                return None;
            }
            if reached == applied.index {
                doubts.push(Doubt::Unproven { index: applied.index });
            }
            Some((tree, Basis::Index(applied.index), applied))
        }
        Err(problem) => {
            doubts.push(Doubt::Index { problem });
            None
        }
    }
}

/// Whether the index that the server kept is one that the next start may go on from: its content is what was applied,
/// and the journal confirms where it stands. `home` is where it lies unless it was built on one of the drives. It is
/// copied to `copy`; the text says what is wrong.
pub fn check_index(home: &Path, drives: &[Arc<Drive>], copy: &Path, history: &History) -> Result<(), String> {
    let Some(former) = current(home, drives) else { return Ok(()) };
    let (_, applied) = open_copy(&former, copy)?;
    match applied.index == 0 || history.hash_at(applied.index) == Some(EntryHash(applied.hash)) {
        true => Ok(()),
        false => Err(format!("the journal doesn't confirm entry {}, where it stands", applied.index)),
    }
}

/// Removes the index wherever it lies, and what is left of those before it: the next start builds it anew, and goes on
/// from none of them.
pub fn remove_index(home: &Path, drives: &[Arc<Drive>]) -> io::Result<()> {
    IndexDir::new(home, Roster::new(drives.to_vec())).remove()
}

/// Where the next start would look for the index; nothing if there is none.
fn current(home: &Path, drives: &[Arc<Drive>]) -> Option<PathBuf> {
    let current = IndexDir::new(home, Roster::new(drives.to_vec())).current();
    current.is_dir().then_some(current)
}

fn open_copy(former: &Path, beside: &Path) -> Result<(Tree, Applied), String> {
    let mut name = beside.as_os_str().to_owned();
    name.push("-former");
    let copy = PathBuf::from(name);
    copy_dir(former, &copy).map_err(|error| error.to_string())?;
    let tree = Tree::open(&copy).map_err(|error| error.to_string())?;
    let mark = keys::applied();
    let stored = tree.get(&mark).map_err(|error| error.to_string())?.ok_or("it is empty")?;
    let applied: Applied = decode(&stored).map_err(|error| error.to_string())?;
    let mut sum = 0u128;
    let add = &mut |key: &[u8], value: &crate::tree::Value| {
        if key != mark {
            sum = sum.wrapping_add(fingerprint(key, value));
        }
        ControlFlow::Continue(())
    };
    tree.scan(&[], &[0xff], add).map_err(|error| error.to_string())?;
    match sum == applied.fingerprint {
        true => Ok((tree, applied)),
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
