//! A copy of a segment, read in large pieces and never past its end; and the copies of several drives, side by side.
//!
//! A start reads every segment, and a drive that is slow takes as long for a page as for a hundred of them. So what was
//! read is kept until something else is wanted, what follows is read with it, and where a file ends is known before it
//! is read. Each drive reads on threads of its own: one that is slow holds up nobody else's reads.

use super::format::GROUPS_AT;
use crate::drive::{Drive, FileIo};
use crate::panics;
use bytes::Bytes;
use std::sync::Arc;

/// What is read at least, in bytes, if the file holds so much. Twice as much as before where a piece follows another,
/// up to [`LONGEST_PIECE_BYTES`].
pub(super) const SHORTEST_PIECE_BYTES: usize = 128 << 10;
const LONGEST_PIECE_BYTES: usize = 1 << 20;

/// A file, and the piece of it that was read last.
#[derive(Clone, Debug)]
pub(super) struct SegmentReader {
    file: Arc<dyn FileIo>,
    /// The file's length; without end where the drive doesn't say.
    end: u64,
    piece: Bytes,
    piece_at: u64,
}

impl SegmentReader {
    /// Of a file as long as it is now; nothing is read yet.
    pub(super) fn new(file: Arc<dyn FileIo>) -> SegmentReader {
        let end = file.len().unwrap_or(u64::MAX);
        SegmentReader { file, end, piece: Bytes::new(), piece_at: 0 }
    }

    /// The two pages before the groups, as far as they are there; what follows is read with them.
    pub(super) fn front(&mut self) -> Bytes {
        self.read_piece(0, GROUPS_AT as usize);
        self.piece.slice(..self.piece.len().min(GROUPS_AT as usize))
    }

    /// [`SegmentReader::front`] once more, and from the drive.
    pub(super) fn front_anew(&self) -> Bytes {
        read_some(self.file.as_ref(), 0, self.bounded(0, GROUPS_AT as usize))
    }

    /// All of those bytes; `None` if the file ends before, or the drive doesn't give them.
    pub(super) fn read(&mut self, at: u64, len: usize) -> Option<Bytes> {
        if self.at_hand(at, len).is_none() && self.bounded(at, len) == len {
            self.read_piece(at, len);
        }
        self.at_hand(at, len)
    }

    /// All of those bytes, if they are in the piece that was read last.
    pub(super) fn at_hand(&self, at: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(at.checked_sub(self.piece_at)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.piece.len()).then(|| self.piece.slice(start..end))
    }

    /// All of those bytes and no others, from the drive: what is at hand may have been read wrong.
    pub(super) fn read_anew(&self, at: u64, len: usize) -> Option<Bytes> {
        if self.bounded(at, len) < len {
            return None;
        }
        let bytes = read_some(self.file.as_ref(), at, len);
        (bytes.len() == len).then_some(bytes)
    }

    /// Bytes of the piece that was read last.
    pub(super) fn kept(&self) -> usize {
        self.piece.len()
    }

    /// Lets go of the piece that was read last.
    pub(super) fn forget(&mut self) {
        self.piece = Bytes::new();
    }

    fn read_piece(&mut self, at: u64, len: usize) {
        // Some may have been passed over: bodies that nobody asked for.
        let follows = at.checked_sub(self.piece_at).is_some_and(|step| step <= 2 * self.piece.len() as u64);
        let ahead = if follows {
            (2 * self.piece.len()).clamp(SHORTEST_PIECE_BYTES, LONGEST_PIECE_BYTES)
        } else {
            SHORTEST_PIECE_BYTES
        };
        self.piece = read_some(self.file.as_ref(), at, self.bounded(at, len.max(ahead)));
        self.piece_at = at;
        if self.piece.is_empty() {
            // Perhaps it is only what follows those bytes that can't be read.
            self.piece = read_some(self.file.as_ref(), at, self.bounded(at, len));
        }
    }

    /// How many of so many bytes the file can hold there.
    fn bounded(&self, at: u64, len: usize) -> usize {
        usize::try_from(self.end.saturating_sub(at)).map_or(len, |left| left.min(len))
    }
}

/// Reads up to `len` bytes at `offset`: fewer at the file's end, none where the drive doesn't answer.
pub(super) fn read_some(file: &dyn FileIo, offset: u64, len: usize) -> Bytes {
    if len == 0 {
        return Bytes::new();
    }
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, offset).unwrap_or_default();
    bytes.truncate(read);
    bytes.into()
}

/// Has drives read on threads of their own, all at once, and waits for all of them. The answers come with the place of
/// the question, in the order in which they were there: the quickest drive's first. A panic fails its drive and gives
/// no answer.
pub(super) fn side_by_side<T, R>(
    asked: impl IntoIterator<Item = (Arc<Drive>, R)>,
) -> impl Iterator<Item = (usize, T)>
where
    T: Send + 'static,
    R: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = crossbeam_channel::unbounded();
    for (place, (drive, read)) in asked.into_iter().enumerate() {
        let (sender, asked) = (sender.clone(), drive.clone());
        let read = move || {
            match panics::caught(read) {
                // The receiver waits for it.
                Ok(answer) => drop(sender.send((place, answer))),
                Err(words) => asked.fail(&format!(
                    "the server itself failed while it read there; please report it with the log: {words}"
                )),
            }
            Ok(())
        };
        drop(drive.reading(read));
    }
    drop(sender);
    receiver.into_iter()
}
