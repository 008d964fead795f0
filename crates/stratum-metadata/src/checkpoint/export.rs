//! A checkpoint copied out: the file's bytes, each block from a copy in which it verifies.

use super::files::{self, Reader};
use super::format;
use std::io;
use stratum_storage::blob::Index;

/// Gives a checkpoint's bytes, a block at a time.
pub struct Export {
    reader: Reader,
    offset: u64,
    stage: Stage,
}

enum Stage {
    Header,
    Blocks,
    Done,
}

impl Export {
    /// Of an opened checkpoint: it stays readable when the file is removed meanwhile.
    pub(crate) fn new(reader: Reader) -> Export {
        Export { reader, offset: 0, stage: Stage::Header }
    }

    /// The entry that the checkpoint is as of.
    pub fn index(&self) -> Index {
        self.reader.applied().index
    }

    /// The file's name in the directory `checkpoint`.
    pub fn name(&self) -> String {
        files::name(self.index())
    }
}

impl Iterator for Export {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = match self.stage {
            Stage::Done => return None,
            Stage::Header => {
                self.stage = Stage::Blocks;
                format::header(&self.reader.applied()).to_vec()
            }
            Stage::Blocks => match self.reader.next_block() {
                Ok(Some(block)) => {
                    let frame = format::frame(self.index(), self.offset, &block);
                    [frame.as_slice(), &block].concat()
                }
                Ok(None) => {
                    self.stage = Stage::Done;
                    format::end(self.index(), self.offset, self.reader.pairs()).to_vec()
                }
                Err(error) => {
                    self.stage = Stage::Done;
                    return Some(Err(error));
                }
            },
        };
        self.offset += bytes.len() as u64;
        Some(Ok(bytes))
    }
}
