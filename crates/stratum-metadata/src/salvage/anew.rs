//! Blocks of checkpoints that no drive gives, made anew of what a backup knows of their keys, or put back from copies of their files.

use super::Salvaged;
use crate::checkpoint::{self, Checkpoint, Files, LostFile, Sizes};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::drive::{Drive, Roster};

/// A range file with lost blocks, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeAnew {
    /// Under a drive's folder.
    pub file: String,
    /// Blocks of it that are whole again.
    pub blocks: usize,
    /// Why none is.
    pub why_not: Option<String>,
}

/// Makes what is lost of these drives' checkpoints anew, file by file, where it is proven that the backup has what was in it. Blocks.
pub fn make_lost_anew(drives: &[Arc<Drive>], backup: &Salvaged) -> io::Result<Vec<MadeAnew>> {
    let mut made: Vec<MadeAnew> = Vec::new();
    for checkpoint in read_through(drives)? {
        for (file, outcome) in checkpoint.make_anew(&|from, to| backup.pairs(from, to)) {
            if made.iter().any(|known| known.file == file) {
                continue;
            }
            let (blocks, why_not) = match outcome {
                Ok(blocks) => (blocks, None),
                Err(error) => (0, Some(error.to_string())),
            };
            made.push(MadeAnew { file, blocks, why_not });
        }
    }
    Ok(made)
}

/// The files of these drives' checkpoints of which something is lost. Reads all of them; blocks.
pub fn lost_files(drives: &[Arc<Drive>]) -> io::Result<Vec<LostFile>> {
    let mut lost: Vec<LostFile> = Vec::new();
    for checkpoint in read_through(drives)? {
        for file in LostFile::all_of(&checkpoint) {
            if lost.iter().all(|known| known.file() != file.file()) {
                lost.push(file);
            }
        }
    }
    Ok(lost)
}

/// The checkpoints of these drives, the newest first, all of which was read: what is lost of them is known.
fn read_through(drives: &[Arc<Drive>]) -> io::Result<Vec<Arc<Checkpoint>>> {
    let files = Files::new(Roster::new(drives.to_vec()), 1, Sizes::default());
    // One that isn't all there is the drives' affair.
    let whole = checkpoint::whole(&files).map_err(io::Error::other)?;
    whole.iter().for_each(|checkpoint| checkpoint.look_for_lost());
    Ok(whole)
}

impl Salvaged {
    /// All pairs with `from <= key < to`.
    fn pairs(&self, from: &[u8], to: &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut pairs = Vec::new();
        let scanned = self.machine().scan(from, to, |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        scanned.map(|_| pairs).map_err(io::Error::other)
    }
}
