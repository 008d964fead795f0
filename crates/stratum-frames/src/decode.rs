//! Stored bytes in, plaintext out.

use crate::codec::{Codec, DECOMPRESSOR_BYTES, Decompressor};
use crate::seal::Seal;
use crate::table::{Frame, Table};
use crate::{FRAME_BYTES, FrameError, start};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use stratum_cipher::{DataKey, TAG_BYTES};

/// Reads a range of one body's plaintext, frame by frame. It waits for nothing: it says which stored bytes it needs
/// ([`Decoder::stored`]), is given them in order and in pieces of any length, and gives plaintext. Decoding takes the
/// processor's time, about a quarter of a millisecond a frame.
#[derive(Debug)]
pub struct Decoder {
    table: Arc<Table>,
    range: Range<u64>,
    /// Not decoded yet.
    frames: Range<u32>,
    fed: VecDeque<Bytes>,
    fed_bytes: usize,
    seal: Option<Seal>,
    decompressor: Decompressor,
}

impl Decoder {
    /// What a decoder of a body of `plaintext` bytes holds at most, in bytes, if it is asked for plaintext until there is
    /// none before it is given more stored bytes: those of a frame as they came and in one piece, the frame's plaintext,
    /// what decodes it, and the table as it is stored and as it is used.
    pub fn memory(plaintext: u64) -> u64 {
        let table = Table::memory_for(plaintext);
        (3 * (FRAME_BYTES + TAG_BYTES) + DECOMPRESSOR_BYTES) as u64 + table
    }

    /// `key` is that of the object: a sealed body takes it, and another body makes no use of it.
    ///
    /// # Errors
    /// `Range` if the body ends before the range does; `NoKey`.
    pub fn new(table: Arc<Table>, range: Range<u64>, key: Option<&DataKey>) -> Result<Self, FrameError> {
        let seal = match (table.salt(), key) {
            (None, _) => None,
            (Some(salt), Some(key)) => Some(Seal::new(key, *salt)),
            (Some(_), None) => return Err(FrameError::NoKey),
        };
        Ok(Self {
            frames: table.touched(&range)?,
            seal,
            table,
            range,
            fed: VecDeque::new(),
            fed_bytes: 0,
            decompressor: Decompressor::default(),
        })
    }

    /// The stored bytes of the frames that are still to be decoded, without those that it was given already.
    pub fn stored(&self) -> Range<u64> {
        let Range { start, end } = self.table.stored(&self.frames);
        (start + self.fed_bytes as u64).min(end)..end
    }

    /// Takes the next stored bytes.
    pub fn push(&mut self, stored: Bytes) {
        if !stored.is_empty() {
            self.fed_bytes += stored.len();
            self.fed.push_back(stored);
        }
    }

    /// Whether [`Decoder::next_plaintext`] has a frame to decode.
    pub fn is_ready(&self) -> bool {
        self.ready().is_some()
    }

    /// Whether the next frame was not compressed: it is checked, opened if it is sealed, and given, in less time than
    /// another thread takes to be woken for it.
    pub fn is_quick(&self) -> bool {
        self.ready().is_some_and(|frame| frame.codec == Codec::None)
    }

    /// The next frame, if all of its stored bytes are there.
    fn ready(&self) -> Option<Frame> {
        let next = self.table.frame(self.frames.start).filter(|_| !self.frames.is_empty());
        next.filter(|frame| self.fed_bytes >= frame.stored)
    }

    /// [`Decoder::next_plaintext_in`] memory that is asked for each time.
    ///
    /// # Errors
    /// As [`Decoder::next_plaintext_in`].
    pub fn next_plaintext(&mut self) -> Result<Option<Bytes>, FrameError> {
        self.next_plaintext_in(|length| vec![0; length])
    }

    /// The next plaintext of the range, checked, at most a frame and never empty; `None` when more stored bytes are
    /// needed, or at the end. `buffer` gives memory of the length that it is told, in which the frame's pieces are
    /// joined: large memory that is used again is still in the processor's caches, and new memory isn't.
    ///
    /// # Errors
    /// `Frame` for what isn't the frame that was written, or was sealed with another key; after it there is nothing more.
    pub fn next_plaintext_in<B>(
        &mut self,
        buffer: impl FnOnce(usize) -> B,
    ) -> Result<Option<Bytes>, FrameError>
    where
        B: AsRef<[u8]> + AsMut<[u8]> + Send + 'static,
    {
        let Some(frame) = self.ready() else { return Ok(None) };
        let number = self.frames.start;
        self.frames.start += 1;
        let plaintext = self.open(number, &frame, buffer).ok_or_else(|| {
            self.frames.start = self.frames.end;
            FrameError::Frame(number)
        })?;
        let begin = start(number);
        let within = |position: u64| (position.saturating_sub(begin) as usize).min(plaintext.len());
        Ok(Some(plaintext.slice(within(self.range.start)..within(self.range.end))))
    }

    /// Whether all of the range was given. Ask when there are no more stored bytes.
    ///
    /// # Errors
    /// `CutOff`.
    pub fn finish(self) -> Result<(), FrameError> {
        if self.frames.is_empty() { Ok(()) } else { Err(FrameError::CutOff(self.frames.start)) }
    }

    fn open<B>(&mut self, number: u32, frame: &Frame, buffer: impl FnOnce(usize) -> B) -> Option<Bytes>
    where
        B: AsRef<[u8]> + AsMut<[u8]> + Send + 'static,
    {
        if self.seal.is_none()
            && let Some(stored) = self.take_piece(frame.stored)
        {
            return self.decode(frame, stored);
        }
        let mut gathered = buffer(frame.stored);
        self.gather(gathered.as_mut());
        let Some(seal) = &self.seal else { return self.decode(frame, Bytes::from_owner(gathered)) };
        // A seal proves more than a checksum does, so the checksum isn't looked at.
        let length = seal.open(number, frame.codec, frame.is_last, gathered.as_mut())?;
        let coded = Bytes::from_owner(gathered).slice(..length);
        self.decompressor.decompress(coded, frame.codec, frame.plaintext)
    }

    /// The plaintext of a frame that isn't sealed.
    fn decode(&mut self, frame: &Frame, stored: Bytes) -> Option<Bytes> {
        if crc32c::crc32c(&stored) != frame.crc32c {
            return None;
        }
        self.decompressor.decompress(stored, frame.codec, frame.plaintext)
    }

    /// The next `length` stored bytes, if they came in one piece.
    fn take_piece(&mut self, length: usize) -> Option<Bytes> {
        let first = self.fed.front_mut().filter(|first| first.len() >= length)?;
        let taken = first.split_to(length);
        if first.is_empty() {
            self.fed.pop_front();
        }
        self.fed_bytes = self.fed_bytes.saturating_sub(length);
        Some(taken)
    }

    /// As many of the stored bytes as there is room for.
    fn gather(&mut self, mut into: &mut [u8]) {
        while !into.is_empty()
            && let Some(first) = self.fed.front()
            && let Some(piece) = self.take_piece(first.len().min(into.len()))
        {
            let (filled, rest) = into.split_at_mut(piece.len());
            filled.copy_from_slice(&piece);
            into = rest;
        }
    }
}
