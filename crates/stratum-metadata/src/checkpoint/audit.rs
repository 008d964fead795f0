//! Reads every drive's copy of every checkpoint from its beginning to its end. A start takes whichever of the `m+1`
//! copies is good, so it doesn't notice a bad one.

use super::files::{self, Files, Listing, Sizes};
use super::single;
use super::stored::Stored;
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, Roster};
use stratum_storage::journal::{EntryHash, History};

/// A drive's copy of a checkpoint: its manifest, and all range files that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedCopy {
    /// The journal entry that the checkpoint is as of.
    pub index: Index,
    /// The drive's label.
    pub drive: String,
    /// What is wrong with the copy, if anything is.
    pub problem: Option<String>,
}

fn files_on(drives: &[Arc<Drive>]) -> Files {
    Files::new(Roster::new(drives.to_vec()), 1, Sizes::default())
}

/// Reads all checkpoints of these drives, the oldest first.
pub fn audit(drives: &[Arc<Drive>]) -> Vec<AuditedCopy> {
    let files = files_on(drives);
    let listing = files.listing();
    let copies =
        listing.checkpoints.iter().flat_map(|(index, holders)| holders.iter().map(|holder| (*index, holder)));
    let audited = copies.map(|(index, holder)| {
        let problem = bad_file(&files, &listing, index, holder).map(|(_, problem)| problem);
        AuditedCopy { index, drive: holder.label(), problem }
    });
    audited.collect()
}

/// The first file of a drive's copy that is bad, and what is wrong with it.
fn bad_file(files: &Files, listing: &Listing, index: Index, holder: &Arc<Drive>) -> Option<(String, String)> {
    let of_this_drive = files_on(std::slice::from_ref(holder));
    let whole = files::name(index);
    let ranges = match of_this_drive.stored(&of_this_drive.listing(), index) {
        Err(error) => return Some((whole, error.to_string())),
        Ok(Stored::SingleFile(_)) => {
            let problem = single::read_through(index, holder).err()?;
            return Some((whole, problem.to_string()));
        }
        Ok(stored) => stored.ranges(),
    };
    ranges.iter().find_map(|record| {
        let name = record.id.name();
        match listing.holders(record).iter().any(|drive| drive.id() == holder.id()) {
            true => Some((name, files.verify_copy(record, holder).err()?.to_string())),
            false => Some((
                name.clone(),
                format!("{name}, which the manifest names, is missing or has the wrong length"),
            )),
        }
    })
}

/// Copies a checkpoint from the drives in `from` to `copies` of the drives in `to`. Gives how many files were written.
pub fn copy_checkpoint(
    index: Index,
    from: &[Arc<Drive>],
    to: &[Arc<Drive>],
    copies: usize,
) -> io::Result<usize> {
    // The same drives may be in both, opened read-only in `from`.
    let (sources, targets) = (files_on(from), files_on(to));
    let listing = sources.listing();
    let stored = sources.stored(&listing, index)?;
    let holders = targets.holders(&targets.listing(), &stored);
    let mut healthy: Vec<Arc<Drive>> = to.iter().filter(|drive| drive.is_healthy()).cloned().collect();
    healthy.sort_by_key(|drive| !holders.iter().any(|holder| holder.id() == drive.id()));
    healthy.truncate(copies);
    sources.bring(&listing, &stored, &healthy)
}

/// Removes the checkpoints that are of another history than this one up to its entry `last`: beside a journal that ends
/// before a checkpoint, no start is possible.
pub fn remove_other_histories(history: &History, last: Index, drives: &[Arc<Drive>]) -> io::Result<()> {
    let files = files_on(drives);
    let listing = files.listing();
    let readable = super::readable(&files).map_err(|error| io::Error::other(error.to_string()))?;
    let others = readable.iter().map(Stored::applied).filter(|applied| {
        let hash = history.hash_at(applied.index);
        applied.index > last || hash.is_some_and(|hash| hash != EntryHash(applied.hash))
    });
    for applied in others {
        for holder in listing.checkpoints.get(&applied.index).into_iter().flatten() {
            let name = files::name(applied.index);
            if !files::remove(holder, &name) {
                return Err(io::Error::other(format!("{name} on {} can't be removed", holder.label())));
            }
        }
    }
    Ok(())
}

/// Removes bad files, where another copy of the same checkpoint is sound. Healing then makes new ones.
pub fn remove_bad_copies(drives: &[Arc<Drive>]) -> Vec<AuditedCopy> {
    let mut removed: Vec<AuditedCopy> = Vec::new();
    // A copy may have several bad files, and a bad file may belong to several checkpoints, so all is read again until
    // nothing bad is left.
    loop {
        let (files, audited) = (files_on(drives), audit(drives));
        let listing = files.listing();
        let sound = |index: Index| audited.iter().any(|copy| copy.index == index && copy.problem.is_none());
        let bad = audited.iter().filter(|copy| copy.problem.is_some() && sound(copy.index));
        let gone = bad.filter(|copy| {
            let Some(drive) = drives.iter().find(|drive| drive.label() == copy.drive) else { return false };
            let file = bad_file(&files, &listing, copy.index, drive);
            file.is_some_and(|(name, _)| files::remove(drive, &name))
        });
        let gone: Vec<AuditedCopy> = gone.cloned().collect();
        if gone.is_empty() {
            return removed;
        }
        let is_new = |copy: &AuditedCopy| {
            !removed.iter().any(|seen| (seen.index, &seen.drive) == (copy.index, &copy.drive))
        };
        let gone: Vec<AuditedCopy> = gone.into_iter().filter(is_new).collect();
        removed.extend(gone);
    }
}
