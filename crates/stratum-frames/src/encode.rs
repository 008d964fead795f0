//! Plaintext in, stored bytes out.

use crate::codec::{Codec, Compression, Compressor};
use crate::table::TableWriter;
use crate::{FRAME_BYTES, FrameError, MAX_BODY_BYTES};

/// What an encoder made of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The stored bytes are the plaintext, and there is no table: no frame became shorter.
    Plaintext,
    /// Frames, and the table behind them.
    Frames,
}

/// Turns the plaintext of one body into its stored bytes, frame by frame. Coding takes the processor's time, so this
/// is for threads that may take it.
#[derive(Debug)]
pub struct Encoder {
    compressor: Compressor,
    /// Plaintext of the next frame.
    pending: Vec<u8>,
    table: TableWriter,
    plaintext: u64,
    /// That of the frames so far.
    form: Form,
}

impl Encoder {
    /// # Errors
    /// `Memory`.
    pub fn new(compression: Compression) -> Result<Self, FrameError> {
        Ok(Self {
            compressor: Compressor::new(compression)?,
            pending: Vec::with_capacity(FRAME_BYTES),
            table: TableWriter::default(),
            plaintext: 0,
            form: Form::Plaintext,
        })
    }

    /// Takes the body's next plaintext and appends the stored bytes of each frame that it fills: never more than
    /// what has been taken so far.
    ///
    /// # Errors
    /// `TooLong`, before anything is taken.
    pub fn push(&mut self, mut plaintext: &[u8], stored: &mut Vec<u8>) -> Result<(), FrameError> {
        let total = self.plaintext.saturating_add(plaintext.len() as u64);
        if total > MAX_BODY_BYTES {
            return Err(FrameError::TooLong);
        }
        self.plaintext = total;
        while !plaintext.is_empty() {
            let room = FRAME_BYTES - self.pending.len();
            let (taken, rest) = plaintext.split_at(room.min(plaintext.len()));
            self.pending.extend_from_slice(taken);
            plaintext = rest;
            if self.pending.len() == FRAME_BYTES {
                self.close_frame(stored);
            }
        }
        Ok(())
    }

    /// Appends the rest: the last frame, which may be short, and the table if there is to be one.
    pub fn finish(mut self, stored: &mut Vec<u8>) -> Form {
        if !self.pending.is_empty() {
            self.close_frame(stored);
        }
        if self.form == Form::Frames {
            stored.extend_from_slice(&self.table.finish(self.plaintext));
        }
        self.form
    }

    fn close_frame(&mut self, stored: &mut Vec<u8>) {
        let (codec, bytes) = match self.compressor.compress(&self.pending) {
            Some(bytes) => {
                self.form = Form::Frames;
                (Codec::Zstd, bytes)
            }
            None => (Codec::None, &self.pending[..]),
        };
        self.table.add(codec, bytes);
        stored.extend_from_slice(bytes);
        self.pending.clear();
    }
}
