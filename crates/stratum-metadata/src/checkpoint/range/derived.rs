//! A range file's filter and index hold nothing that its blocks don't. So where no copy gives one of the two it is made anew, nothing is
//! lost, and a copy that is written anew is whole.

use super::writer::filter;
use super::{HEADER_LEN, Part, Range, block_of, senseless};
use crate::checkpoint::block::{self, Builder};
use crate::checkpoint::copies::NoFrame;
use crate::checkpoint::frame::{FRAME_HEADER_LEN, Framed};
use std::ops::ControlFlow;
use xxhash_rust::xxh3::xxh3_64;

impl Range {
    /// Reads a frame from a copy, or makes it anew.
    pub(super) fn frame(&self, part: Part) -> Result<Framed, NoFrame> {
        match self.copies.frame(part.offset, part.length as usize) {
            Err(lost @ NoFrame::Lost { .. }) => self.made_of_blocks(part).ok_or(lost),
            framed => framed,
        }
    }

    /// The filter or the index as it was written; nothing of another part, or if a block is lost, or if this version would write it
    /// otherwise.
    fn made_of_blocks(&self, part: Part) -> Option<Framed> {
        let (bytes, is_packed) = match part {
            part if part == self.record.filter => (self.filter_of_blocks().ok()?, false),
            part if part == self.record.index => block::compressed(self.index_bytes().ok()?),
            _ => return None,
        };
        let is_as_long = FRAME_HEADER_LEN + bytes.len() == part.length as usize;
        is_as_long.then_some(Framed { bytes, is_packed })
    }

    /// The bytes of an index of the blocks.
    pub(super) fn index_bytes(&self) -> Result<Vec<u8>, NoFrame> {
        let mut index = Builder::default();
        for frame in self.block_frames() {
            let (offset, framed) = frame?;
            let part = Part { offset, length: (FRAME_HEADER_LEN + framed.bytes.len()) as u32 };
            let first = block_of(framed).map_err(makes_no_sense)?.first();
            index.push(&first.ok_or_else(|| makes_no_sense(senseless()))?, &part.encode());
        }
        Ok(index.take().0)
    }

    fn filter_of_blocks(&self) -> Result<Vec<u8>, NoFrame> {
        let mut hashes = Vec::new();
        for frame in self.block_frames() {
            let (_, framed) = frame?;
            let seen = block_of(framed).map_err(makes_no_sense)?.visit(&[], &mut |key, _| {
                hashes.push(xxh3_64(key));
                ControlFlow::Continue(())
            });
            let _ = seen.ok_or_else(|| makes_no_sense(senseless()))?;
        }
        Ok(filter(&hashes))
    }

    /// The frames of the blocks, one after the other.
    pub(super) fn block_frames(&self) -> impl Iterator<Item = Result<(u64, Framed), NoFrame>> + '_ {
        self.copies.frames(HEADER_LEN as u64, self.record.blocks_end())
    }
}

fn makes_no_sense(error: impl std::fmt::Display) -> NoFrame {
    NoFrame::Away(error.to_string())
}
