//! What is lost of a range file, written anew from elsewhere: from another copy of the very file, or made of pairs that are known.
//!
//! That it is what was lost is proven, or nothing is written. A copy of the file must come to the record that the manifest has of it. Pairs
//! must be, with those of the file's other blocks, as many as the manifest says, and add up to its fingerprint; and a block of them must
//! take just the room that the lost one took. So what is written is what a sound drive would have, and it doesn't matter what became of
//! the keys since: that lies over it, as before.

use super::{HEADER_LEN, Part, RUN_NUMBERS, Range, RangeRecord, header, part_of};
use crate::checkpoint::block::{self, Builder};
use crate::checkpoint::copies::NoFrame;
use crate::checkpoint::frame::FRAME_HEADER_LEN;
use crate::fingerprint::fingerprint;
use std::io;
use std::ops::ControlFlow;
use stratum_storage::drive::OpenHow;

/// Gives all pairs with `from <= key < to` that are known elsewhere, in the order of their keys.
pub(crate) type Elsewhere<'a> = dyn Fn(&[u8], &[u8]) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> + 'a;

/// Why lost blocks weren't made anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMade {
    #[error(
        "it holds what changed since the last whole merge, deletions too, and only a copy of it says which"
    )]
    Run,
    #[error("it can't be told any more where its blocks begin")]
    Index,
    #[error("what is known elsewhere of these keys isn't what was in it: something changed in between")]
    Otherwise,
    #[error(
        "what is known elsewhere is what was in it, but would be written otherwise: another version wrote it"
    )]
    Longer,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a block was made of, and how it is stored.
struct Made {
    part: Part,
    stored: (Vec<u8>, bool),
}

impl Range {
    /// Writes what no drive gives of the file as it is in these bytes, which should be another copy of all of it; says how many frames
    /// that were. Nothing is written, and nothing said, if they are something else.
    pub(in crate::checkpoint) fn put_back(&self, file: &[u8]) -> io::Result<Option<usize>> {
        let (RangeRecord { id, hash, .. }, salt) = (&self.record, self.copies.salt());
        let frames = || salt.frames(file, HEADER_LEN);
        let read = RangeRecord::of_frames(*id, *hash, file.len() as u64, frames());
        if !file.starts_with(&header(*id, *hash)) || read.ok().as_ref() != Some(&self.record) {
            return Ok(None);
        }
        let mut written = 0;
        for frame in frames() {
            let (offset, framed) = frame?;
            if let Err(NoFrame::Lost { .. }) = self.copies.frame(offset, framed.stored_bytes()) {
                let header = salt.header(offset, &framed.bytes, framed.is_packed);
                self.write_anew(offset, &[&header, &framed.bytes])?;
                written += 1;
            }
        }
        self.read_anew()?;
        Ok(Some(written))
    }

    /// Makes its lost blocks anew and writes them to every drive that has the file; says how many there were.
    pub(in crate::checkpoint) fn make_anew(&self, elsewhere: &Elsewhere<'_>) -> Result<usize, NotMade> {
        if self.record.id.number >= RUN_NUMBERS {
            return Err(NotMade::Run);
        }
        let made = self.made_of(elsewhere)?;
        for Made { part, stored: (bytes, is_packed) } in &made {
            let header = self.copies.salt().header(part.offset, bytes, *is_packed);
            self.write_anew(part.offset, &[&header, bytes])?;
        }
        self.read_anew()?;
        Ok(made.len())
    }

    /// Reads what was lost and is written.
    fn read_anew(&self) -> io::Result<()> {
        self.retry();
        match self.lost() {
            None => Ok(()),
            Some(_) => Err(io::Error::other("it was written, and can't be read")),
        }
    }

    /// The lost blocks of what is known elsewhere, if that is what was in them.
    fn made_of(&self, elsewhere: &Elsewhere<'_>) -> Result<Vec<Made>, NotMade> {
        let lost: Vec<u64> = self.lost_blocks().iter().map(|block| block.offset).collect();
        let (mut made, mut pairs, mut sum) = (Vec::new(), 0u64, 0u128);
        let mut count = |key: &[u8], value: &[u8]| {
            pairs += 1;
            sum = sum.wrapping_add(fingerprint(key, value));
        };
        let blocks = self.blocks()?;
        for (number, (first, part)) in blocks.iter().enumerate() {
            if !lost.contains(&part.offset) {
                let block = self.read(*part).map_err(io::Error::from)?;
                let seen = block.visit(&[], &mut |key, value| {
                    count(key, value);
                    ControlFlow::Continue(())
                });
                let _ = seen.ok_or(NotMade::Index)?;
                continue;
            }
            let behind = || [self.record.last.as_slice(), &[0]].concat();
            let to = blocks.get(number + 1).map_or_else(behind, |(next, _)| next.clone());
            let mut builder = Builder::default();
            for (key, value) in elsewhere(first, &to)? {
                count(&key, &value);
                builder.push(&key, &value);
            }
            made.push(Made { part: *part, stored: block::compressed(builder.take().0) });
        }
        if (pairs, sum) != (self.record.pairs, self.record.fingerprint) {
            return Err(NotMade::Otherwise);
        }
        let fits = |made: &Made| FRAME_HEADER_LEN + made.stored.0.len() == made.part.length as usize;
        if made.iter().all(fits) { Ok(made) } else { Err(NotMade::Longer) }
    }

    /// Its blocks, each with its first key.
    fn blocks(&self) -> Result<Vec<(Vec<u8>, Part)>, NotMade> {
        let index = self.index().ok().flatten().ok_or(NotMade::Index)?;
        let mut blocks = Vec::new();
        let seen = index.visit(&[], &mut |first, place| {
            blocks.extend(part_of(place).ok().map(|part| (first.to_vec(), part)));
            ControlFlow::Continue(())
        });
        seen.map(|_| blocks).ok_or(NotMade::Index)
    }

    /// Over what is bad there. One drive that takes it is enough: the others are healed from it.
    fn write_anew(&self, offset: u64, bytes: &[&[u8]]) -> io::Result<()> {
        let (mut written, mut failed) = (0, io::Error::other("no drive holds the file"));
        for drive in self.copies.holders() {
            let write = || {
                let file = drive.io().open(self.copies.path(), OpenHow::Write)?;
                file.write_at(bytes, offset)?;
                file.sync()
            };
            match write() {
                Ok(()) => written += 1,
                Err(error) => failed = error,
            }
        }
        if written > 0 { Ok(()) } else { Err(failed) }
    }
}
