//! Blocks of checkpoints that no drive gives, made anew of what a backup knows of their keys.

use super::Salvaged;
use crate::checkpoint::{self, Files, Sizes};
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
    let files = Files::new(Roster::new(drives.to_vec()), 1, Sizes::default());
    let readable = checkpoint::readable(&files).map_err(io::Error::other)?;
    let mut made: Vec<MadeAnew> = Vec::new();
    for stored in readable {
        // One that isn't all there is the drives' affair.
        let Ok(checkpoint) = checkpoint::open(&files, stored) else { continue };
        checkpoint.look_for_lost();
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
