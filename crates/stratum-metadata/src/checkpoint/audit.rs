//! Every copy of every checkpoint, read from end to end by itself: with `m+1` copies a start never notices a bad one.

use super::files::{self, Files, Reader};
use super::read;
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, Roster};

/// A drive's copy of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedCopy {
    /// The journal entry that the checkpoint is as of.
    pub index: Index,
    /// The drive's label.
    pub drive: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Reads all checkpoints of these drives, the oldest first.
pub fn audit(drives: &[Arc<Drive>]) -> Vec<AuditedCopy> {
    let files = Files::new(Roster::new(drives.to_vec()), 1);
    let copies = files.list().into_iter().flat_map(|(index, holders)| {
        holders.into_iter().map(move |holder| {
            let drive = holder.label();
            let whole = Reader::open(index, &[holder])
                .map_err(|error| error.to_string())
                .and_then(|reader| read(reader, &mut |_| Ok(())).map_err(|error| error.to_string()));
            AuditedCopy { index, drive, problem: whole.err() }
        })
    });
    copies.collect()
}

/// Brings a checkpoint from wherever it is to `copies` of the drives in `to`. Says how many copies were made.
pub fn copy_checkpoint(
    index: Index,
    from: &[Arc<Drive>],
    to: &[Arc<Drive>],
    copies: usize,
) -> io::Result<usize> {
    let holders = Files::new(Roster::new(from.to_vec()), 1).list().remove(&index).unwrap_or_default();
    let holds = |drive: &Arc<Drive>| holders.iter().any(|holder| holder.id() == drive.id());
    let lacking = copies.saturating_sub(to.iter().filter(|drive| holds(drive)).count());
    let free = to.iter().filter(|drive| drive.is_healthy() && !holds(drive));
    let targets: Vec<Arc<Drive>> = free.take(lacking).cloned().collect();
    let made = targets.len();
    if made > 0 {
        files::copy(index, &holders, targets)?;
    }
    Ok(made)
}

/// Removes the copies that are bad, where another copy of the same checkpoint is sound: healing then makes new ones.
pub fn remove_bad_copies(drives: &[Arc<Drive>]) -> Vec<AuditedCopy> {
    let audited = audit(drives);
    let sound = |index: Index| audited.iter().any(|copy| copy.index == index && copy.problem.is_none());
    let bad = audited.iter().filter(|copy| copy.problem.is_some() && sound(copy.index));
    let removed = bad.filter(|copy| {
        let drive = drives.iter().find(|drive| drive.label() == copy.drive);
        drive.is_some_and(|drive| files::remove(drive, &files::name(copy.index)))
    });
    removed.cloned().collect()
}
