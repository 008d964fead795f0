//! Plaintext in, stored bytes out.

use crate::codec::{Codec, Compression, Compressor};
use crate::seal::Seal;
use crate::table::{ENTRY_BYTES, MAX_TABLE_BYTES, TRAILER_BYTES, TableWriter};
use crate::{FRAME_BYTES, FrameError, MAX_BODY_BYTES};
use bytes::Bytes;
use stratum_cipher::{Salt, TAG_BYTES};

/// What is done with each frame of a body: it is compressed, then sealed.
#[derive(Debug, Default)]
pub struct Coding {
    pub compression: Option<Compression>,
    pub seal: Option<Seal>,
}

impl Coding {
    /// Nothing is: a body's stored bytes are its plaintext.
    pub fn is_none(&self) -> bool {
        self.compression.is_none() && self.seal.is_none()
    }

    /// What an [`Encoder`] holds at most, in bytes: a frame of plaintext, what codes it, and the entries of the table.
    pub fn memory(compression: Option<Compression>) -> u64 {
        compression.map_or((FRAME_BYTES + MAX_TABLE_BYTES) as u64, Compression::memory)
    }
}

impl From<Compression> for Coding {
    fn from(compression: Compression) -> Coding {
        Coding { compression: Some(compression), seal: None }
    }
}

/// What an encoder made of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The stored bytes are the plaintext, and there is no table: no frame became shorter, or there are no bytes.
    Plaintext,
    /// Frames, and the table behind them.
    Frames,
    /// The same, each frame sealed.
    Sealed,
}

/// Turns the plaintext of one body into its stored bytes, frame by frame. Coding takes the processor's time, so this
/// is for threads that may take it.
#[derive(Debug)]
pub struct Encoder {
    compressor: Option<Compressor>,
    seal: Option<Seal>,
    /// Plaintext of the next frame: all of it, until more comes.
    pending: Vec<u8>,
    table: TableWriter,
    plaintext: u64,
    /// What the frames so far make it.
    form: Form,
}

impl Encoder {
    /// # Errors
    /// `Memory`.
    pub fn new(coding: impl Into<Coding>) -> Result<Self, FrameError> {
        let Coding { compression, seal } = coding.into();
        Ok(Self {
            compressor: compression.map(Compressor::new).transpose()?,
            seal,
            pending: room(),
            table: TableWriter::default(),
            plaintext: 0,
            form: Form::Plaintext,
        })
    }

    /// Takes the body's next plaintext and appends each frame that it fills, as it is stored, but for the last: beyond
    /// what seals add, never more than what has been taken so far.
    ///
    /// # Errors
    /// `TooLong`, before anything is taken; `Unsealable`.
    pub fn push(&mut self, mut plaintext: &[u8], stored: &mut Vec<Bytes>) -> Result<(), FrameError> {
        let total = self.plaintext.saturating_add(plaintext.len() as u64);
        if total > MAX_BODY_BYTES {
            return Err(FrameError::TooLong);
        }
        self.plaintext = total;
        while !plaintext.is_empty() {
            // A seal says whether its frame is the last.
            if self.pending.len() == FRAME_BYTES {
                self.close_frame(false, stored)?;
            }
            let room = FRAME_BYTES - self.pending.len();
            let (taken, rest) = plaintext.split_at(room.min(plaintext.len()));
            self.pending.extend_from_slice(taken);
            plaintext = rest;
        }
        Ok(())
    }

    /// Appends the rest: the last frame, which may be short, and the table if there is to be one.
    ///
    /// # Errors
    /// `Unsealable`.
    pub fn finish(mut self, stored: &mut Vec<Bytes>) -> Result<Form, FrameError> {
        if !self.pending.is_empty() {
            self.close_frame(true, stored)?;
        }
        if self.form != Form::Plaintext {
            stored.push(self.table.finish(self.plaintext, self.seal.as_ref()).into());
        }
        Ok(self.form)
    }

    fn close_frame(&mut self, is_last: bool, stored: &mut Vec<Bytes>) -> Result<(), FrameError> {
        let compressed = self.compressor.as_mut().and_then(|compressor| compressor.compress(&self.pending));
        let (codec, mut frame) = match compressed {
            Some((codec, bytes)) => {
                self.form = Form::Frames;
                let mut frame = Vec::with_capacity(bytes.len() + TAG_BYTES);
                frame.extend_from_slice(bytes);
                self.pending.clear();
                (codec, frame)
            }
            // The plaintext itself becomes the frame, without a copy.
            None => {
                (Codec::None, std::mem::replace(&mut self.pending, if is_last { Vec::new() } else { room() }))
            }
        };
        if let Some(seal) = &self.seal {
            self.form = Form::Sealed;
            let tag = seal.close(self.table.count(), codec, is_last, &mut frame)?;
            frame.extend_from_slice(&tag);
        }
        self.table.add(codec, &frame);
        stored.push(frame.into());
        Ok(())
    }
}

/// Room for a frame and its tag.
fn room() -> Vec<u8> {
    Vec::with_capacity(FRAME_BYTES + TAG_BYTES)
}

impl Seal {
    /// Stored bytes of a sealed body of `plaintext` bytes, at most.
    pub fn stored_bytes(plaintext: u64) -> u64 {
        let frames = plaintext.div_ceil(FRAME_BYTES as u64);
        let once = (Salt::BYTES + TRAILER_BYTES) as u64;
        plaintext.saturating_add(frames.saturating_mul((TAG_BYTES + ENTRY_BYTES) as u64)).saturating_add(once)
    }
}
