//! Reads the records that a command changes before it is proposed, so that the applying thread, for which every other
//! commit waits, finds them in memory.
//!
//! It is a guess, and a wrong one does no harm: `apply` decides what a command really reads.

use crate::command::{Command, LifecycleAction};
use crate::keys;
use crate::machine::Machine;
use crate::record::Owner;
use stratum_storage::blocking;

/// Reads those of the command's records that only the checkpoint has; on a blocking thread if that takes a drive.
pub(super) fn read_ahead(machine: &Machine, command: &Command) {
    let Some(checkpoint) = machine.checkpoint() else { return };
    let waiting: Vec<Vec<u8>> =
        keys_of(command).into_iter().filter(|key| checkpoint.must_read(key)).collect();
    if waiting.is_empty() {
        return;
    }
    blocking::in_place(|| {
        for key in waiting {
            // An error comes up again when the command is applied, or when the record is read.
            let _ = checkpoint.touch(&key);
        }
    });
}

fn keys_of(command: &Command) -> Vec<Vec<u8>> {
    match command {
        Command::PutObject { bucket, key, .. }
        | Command::CompleteUpload { bucket, key, .. }
        | Command::CompleteMultipartUpload { bucket, key, .. } => vec![keys::object(*bucket, key)],
        Command::DeleteObject(deletion)
        | Command::FollowLifecycle { action: LifecycleAction::Delete(deletion), .. } => {
            vec![keys::object(deletion.bucket, &deletion.key)]
        }
        Command::DecideTiers(changes) => {
            changes.iter().map(|change| keys::object(change.bucket, &change.key)).collect()
        }
        Command::Relocate { moves, .. } => moves.iter().map(|one| key_of(&one.owner)).collect(),
        _ => Vec::new(),
    }
}

fn key_of(owner: &Owner) -> Vec<u8> {
    match owner {
        Owner::Object { bucket, key, .. } => keys::object(*bucket, key),
        Owner::Part { upload, number } => keys::part(*upload, *number),
    }
}
