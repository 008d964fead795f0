//! Reads a checkpoint that is a single file from its copies, from the beginning to the end.

use super::files;
use super::format::{self, END_LEN, FRAME_LEN, Form, FormatError, HEADER_LEN};
use super::output::Output;
use crate::record::Applied;
use std::io;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::drive::{Drive, FileIo, OpenHow};

/// Reads one checkpoint from all its copies: each block from the first copy in which it verifies.
pub(crate) struct Reader {
    applied: Applied,
    copies: Vec<(String, Arc<dyn FileIo>)>,
    offset: u64,
    /// The count of pairs in the file's end, known once `next_block` has given `None`.
    pairs: u64,
}

impl Reader {
    pub(super) fn open(index: Index, holders: &[Arc<Drive>]) -> io::Result<Reader> {
        let path = files::path(index);
        let (mut copies, mut found, mut problem) = (Vec::new(), None, damaged(FormatError::Damaged(0)));
        for drive in holders {
            let mut bytes = [0; HEADER_LEN];
            let opened = drive.io().open(&path, OpenHow::Read).and_then(|file| {
                read_exact(&*file, &mut bytes, 0)?;
                Ok(file)
            });
            match opened.and_then(|file| Ok((file, format::parse_header(&bytes).map_err(damaged)?))) {
                Ok((file, (applied, Form::SingleFile))) if applied.index == index => {
                    copies.push((drive.label(), file));
                    found = Some(applied);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(drive = drive.label(), index, %error, "a copy of a checkpoint cannot be read");
                    problem = error;
                }
            }
        }
        let applied = found.ok_or(problem)?;
        Ok(Reader { applied, copies, offset: HEADER_LEN as u64, pairs: 0 })
    }

    pub(super) fn applied(&self) -> Applied {
        self.applied
    }

    /// The count of pairs in the file's end, once that was read.
    pub(super) fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The next block's pairs, or `None` at the end. Fails when no copy has the whole block.
    pub(super) fn next_block(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(match self.block_at(self.offset)? {
            Block::Pairs(payload) => {
                self.offset += (FRAME_LEN + payload.len()) as u64;
                Some(payload)
            }
            Block::End { pairs } => {
                self.pairs = pairs;
                None
            }
        })
    }

    /// The offset of the next block.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The block at `offset`, from the first copy in which it verifies.
    pub(super) fn block_at(&self, offset: u64) -> io::Result<Block> {
        let mut problem = damaged(FormatError::Damaged(offset));
        for (label, file) in &self.copies {
            match read_block(&**file, self.applied.index, offset) {
                Ok(block) => return Ok(block),
                Err(error) => {
                    let index = self.applied.index;
                    tracing::warn!(drive = label, index, %error, "a block of a checkpoint is bad in this copy");
                    problem = error;
                }
            }
        }
        Err(problem)
    }
}

/// A verified block.
pub(super) enum Block {
    Pairs(Vec<u8>),
    End { pairs: u64 },
}

fn read_block(file: &dyn FileIo, index: Index, offset: u64) -> io::Result<Block> {
    let mut frame = [0; FRAME_LEN];
    read_exact(file, &mut frame, offset)?;
    let (length, crc) = format::parse_frame(frame, offset).map_err(damaged)?;
    let counted = END_LEN - FRAME_LEN;
    let mut payload = vec![0; if length == 0 { counted } else { length }];
    read_exact(file, &mut payload, offset + FRAME_LEN as u64)?;
    format::verify(index, offset, &payload, crc).map_err(damaged)?;
    match (length, payload.first_chunk()) {
        (0, Some(count)) => Ok(Block::End { pairs: u64::from_le_bytes(*count) }),
        _ => Ok(Block::Pairs(payload)),
    }
}

/// Reads a drive's copy from its beginning to its end, to see whether it is good.
pub(super) fn read_through(index: Index, holder: &Arc<Drive>) -> io::Result<()> {
    let mut reader = Reader::open(index, std::slice::from_ref(holder))?;
    while reader.next_block()?.is_some() {}
    Ok(())
}

/// Writes the same bytes to more drives.
pub(super) fn copy(index: Index, holders: &[Arc<Drive>], targets: Vec<Arc<Drive>>) -> io::Result<()> {
    let mut reader = Reader::open(index, holders)?;
    let mut output = Output::create(files::DIR, files::name(index), targets)?;
    let mut write = || {
        output.append(&[&format::header(&reader.applied, Form::SingleFile)])?;
        while let Some(block) = reader.next_block()? {
            let frame = format::frame(index, output.offset(), &block);
            output.append(&[&frame, &block])?;
        }
        let end = format::end(index, output.offset(), reader.pairs);
        output.append(&[&end])
    };
    match write() {
        Ok(()) => output.finish().map(drop),
        Err(error) => {
            output.abandon();
            Err(error)
        }
    }
}

pub(super) fn read_exact(file: &dyn FileIo, buf: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buf, offset)? == buf.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

pub(super) fn damaged(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
