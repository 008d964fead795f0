//! Copies range files to more drives, or out of the store.

use super::{HEADER_LEN, PIECE_BYTES, Part, Range, header, part_of};
use crate::checkpoint::copies::NoFrame;
use crate::checkpoint::frame::Framed;
use crate::checkpoint::output::Output;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::drive::Drive;

/// The bytes of a range file, piece by piece.
pub(in crate::checkpoint) struct Pieces {
    range: Arc<Range>,
    parts: std::vec::IntoIter<Part>,
    is_begun: bool,
}

impl Pieces {
    pub(in crate::checkpoint) fn of(range: Arc<Range>) -> Pieces {
        Pieces { range, parts: Vec::new().into_iter(), is_begun: false }
    }

    /// The next piece, of at least `bytes` bytes unless it is the last. After the last one it is empty. A frame that
    /// no copy gives is an error.
    pub(in crate::checkpoint) fn next(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        if !self.is_begun {
            self.is_begun = true;
            self.parts = self.range.parts().into_iter();
            piece.extend(header(self.range.record.id, self.range.record.hash));
        }
        while piece.len() < bytes
            && let Some(part) = self.parts.next()
        {
            let Framed { bytes, is_packed } = self.range.frame(part)?;
            piece.extend(self.range.copies.salt().header(part.offset, &bytes, is_packed));
            piece.extend(bytes);
        }
        Ok(piece)
    }
}

impl Range {
    /// Where the file's frames lie, in order. If the index is lost, the file is cut into pieces of equal length
    /// instead.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let place = &mut |_: &[u8], place: &[u8]| {
            parts.extend(part_of(place));
            ControlFlow::Continue(())
        };
        if let Ok(Some(index)) = self.index()
            && index.visit(&[], place).is_some()
        {
            parts.extend([self.record.filter, self.record.index]);
            return parts;
        }
        let pieces = (HEADER_LEN as u64..self.record.bytes).step_by(PIECE_BYTES as usize);
        let piece = |offset| Part { offset, length: (self.record.bytes - offset).min(PIECE_BYTES) as u32 };
        pieces.map(piece).collect()
    }

    /// Writes the same bytes to more drives. A frame that no copy gives is written as the first copy has it, since a
    /// later read of another copy may succeed. Gives how many frames that were.
    pub(in crate::checkpoint) fn copy_to(
        &self,
        dir: &'static str,
        targets: Vec<Arc<Drive>>,
    ) -> io::Result<usize> {
        let mut output = Output::create(dir, self.record.id.name(), targets)?;
        let mut lost = 0;
        let mut write = || {
            output.append(&[&header(self.record.id, self.record.hash)])?;
            for part @ Part { offset, length } in self.parts() {
                match self.frame(part) {
                    Ok(Framed { bytes, is_packed }) => {
                        output.append(&[&self.copies.salt().header(offset, &bytes, is_packed), &bytes])?;
                    }
                    Err(NoFrame::Lost { .. }) => {
                        lost += 1;
                        output.append(&[&self.copies.raw(offset, length as usize)])?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        };
        match write() {
            Ok(()) => output.finish().map(|_| lost),
            Err(error) => {
                output.abandon();
                Err(error)
            }
        }
    }
}
