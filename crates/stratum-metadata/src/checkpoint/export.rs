//! Exports a checkpoint as a single file, whatever its own form is. Backups hold checkpoints in that form, and every
//! server can start from it.

use super::Checkpoint;
use super::files;
use super::format::{self, Form};
use crate::tree::Base;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::blob::Index;

/// An iterator over the single file's bytes, a block at a time.
pub struct Export {
    checkpoint: Arc<Checkpoint>,
    /// How many bytes were given.
    offset: u64,
    pairs: u64,
    stage: Stage,
}

enum Stage {
    Header,
    /// The keys from this one on.
    Blocks(Vec<u8>),
    Done,
}

impl Export {
    pub(crate) fn new(checkpoint: Arc<Checkpoint>) -> Export {
        Export { checkpoint, offset: 0, pairs: 0, stage: Stage::Header }
    }

    /// The journal entry that the checkpoint is as of.
    pub fn index(&self) -> Index {
        self.checkpoint.applied().index
    }

    /// The file's name in the directory `checkpoint`.
    pub fn name(&self) -> String {
        files::name(self.index())
    }

    /// The bytes of a stage, and the stage that follows.
    fn step(&mut self, stage: Stage) -> io::Result<(Option<Vec<u8>>, Stage)> {
        let from = match stage {
            Stage::Done => return Ok((None, Stage::Done)),
            Stage::Header => {
                let header = format::header(&self.checkpoint.applied(), Form::SingleFile);
                return Ok((Some(header.to_vec()), Stage::Blocks(Vec::new())));
            }
            Stage::Blocks(from) => from,
        };
        let (mut block, mut next) = (Vec::new(), None);
        let push = &mut |key: &[u8], value: &crate::tree::Value| {
            self.pairs += 1;
            format::push_pair(&mut block, key, value);
            if block.len() < format::BLOCK_BYTES {
                return ControlFlow::Continue(());
            }
            next = Some([key, &[0]].concat());
            ControlFlow::Break(())
        };
        self.checkpoint.scan(&from, &[0xff], push).map_err(|error| io::Error::other(error.to_string()))?;
        if block.is_empty() {
            let end = format::end(self.index(), self.offset, self.pairs);
            return Ok((Some(end.to_vec()), Stage::Done));
        }
        let frame = format::frame(self.index(), self.offset, &block);
        // If the scan didn't break, this was the last block, and only the end follows.
        Ok((Some([frame.as_slice(), &block].concat()), Stage::Blocks(next.unwrap_or(vec![0xff]))))
    }
}

impl Iterator for Export {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let (bytes, stage) = match self.step(stage) {
            Ok(step) => step,
            Err(error) => return Some(Err(error)),
        };
        self.stage = stage;
        self.offset += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        bytes.map(Ok)
    }
}
