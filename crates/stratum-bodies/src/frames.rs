//! Plaintext becomes frames, behind the body that comes.

use crate::BodyError;
use crate::behind::{BATCH, Work};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use stratum_frames::{Compression, Decoder, Encoder, Form as Coded, FrameError, Table, ZstdLevel};
use stratum_storage::blob::Form;

/// Turns plaintext into stored bytes.
pub(crate) struct Framer {
    encoder: Encoder,
    stored: Vec<u8>,
}

impl Framer {
    /// What it holds at most, in bytes, what it made and nobody took included.
    pub fn memory(compression: Compression) -> u64 {
        compression.memory() + 2 * BATCH as u64
    }

    /// # Errors
    /// `Memory`.
    pub fn new(compression: Compression) -> Result<Self, FrameError> {
        Ok(Self { encoder: Encoder::new(compression)?, stored: Vec::new() })
    }
}

impl Work for Framer {
    type Made = Vec<u8>;
    /// What the stored bytes are, and the last of them.
    type Done = (Form, Vec<u8>);

    fn take(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        Ok(self.encoder.push(piece, &mut self.stored)?)
    }

    fn made(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stored)
    }

    fn finish(mut self) -> (Form, Vec<u8>) {
        let form = match self.encoder.finish(&mut self.stored) {
            Coded::Plaintext => Form::Plaintext,
            Coded::Frames => Form::Frames,
        };
        (form, self.stored)
    }
}

/// The stored bytes of a whole body: frames if they are fewer, else what was given. Takes the processor's time.
///
/// # Errors
/// `Memory`, and `TooLong`.
pub(crate) fn code(compression: Compression, plaintext: &Bytes) -> Result<(Form, Bytes), FrameError> {
    let mut encoder = Encoder::new(compression)?;
    let mut stored = Vec::with_capacity(plaintext.len());
    encoder.push(plaintext, &mut stored)?;
    Ok(match encoder.finish(&mut stored) {
        Coded::Frames if stored.len() < plaintext.len() => (Form::Frames, stored.into()),
        Coded::Frames | Coded::Plaintext => (Form::Plaintext, plaintext.clone()),
    })
}

/// The plaintext of a whole small body of `size` bytes, checked. Takes the processor's time.
///
/// # Errors
/// Stored bytes that aren't what was written.
pub fn decode(form: Form, stored: &Bytes, size: u64) -> Result<Bytes, FrameError> {
    match form {
        Form::Plaintext if stored.len() as u64 == size => Ok(stored.clone()),
        Form::Plaintext => Err(FrameError::CutOff(0)),
        Form::Frames => {
            let length = stored.len() as u64;
            let within = |range: std::ops::Range<u64>| {
                let bytes = stored.get(range.start as usize..range.end as usize);
                bytes.map(|bytes| stored.slice_ref(bytes)).ok_or(FrameError::CutOff(0))
            };
            let table = Table::decode(&within(Table::place(size, length)?)?, size, length)?;
            let mut decoder = Decoder::new(Arc::new(table), 0..size)?;
            decoder.push(within(decoder.stored())?);
            let mut plaintext = BytesMut::with_capacity(size as usize);
            while let Some(piece) = decoder.next_plaintext()? {
                plaintext.extend_from_slice(&piece);
            }
            decoder.finish()?;
            Ok(plaintext.freeze())
        }
    }
}

/// Whether coding makes a body much shorter, judged by its first bytes and the fastest level. Takes the processor's time.
pub fn shrinks(sample: &[u8]) -> bool {
    let fastest = Compression::Zstd(ZstdLevel::FASTEST);
    let coded = code(fastest, &Bytes::copy_from_slice(sample));
    coded.is_ok_and(|(_, stored)| stored.len() < sample.len() / 16 * 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behind::tests::{body, push_all};
    use stratum_frames::FRAME_BYTES;

    #[tokio::test]
    async fn what_is_made_behind_comes_in_order() {
        let framer = Framer::new(Compression::default()).unwrap();
        let (made, (form, last)) = push_all(framer, body()).await;
        let (at_once, stored) = code(Compression::default(), &body()).unwrap();
        assert_eq!((form, at_once), (Form::Frames, Form::Frames));
        assert!([made.concat(), last].concat() == stored);
    }

    #[test]
    fn a_small_body_is_coded_only_if_that_is_less_with_its_table() {
        let text = Bytes::from("the same words again, ".repeat(100));
        let (form, stored) = code(Compression::default(), &text).unwrap();
        assert_eq!(form, Form::Frames);
        assert!(stored.len() < text.len() / 4);
        let size = text.len() as u64;
        assert_eq!(decode(form, &stored, size).unwrap(), text);
        assert_eq!(decode(Form::Plaintext, &text, size).unwrap(), text);
        assert!(decode(Form::Plaintext, &text, size + 1).is_err());
        assert!(decode(form, &stored, size - 1).is_err());
        assert!(decode(form, &stored.slice(1..), size).is_err());
        for plaintext in
            [Bytes::new(), Bytes::from_static(b"aaaaaaaaaaaaaaaaaaaaaaaaa"), Bytes::from_static(b"x")]
        {
            assert_eq!(code(Compression::default(), &plaintext).unwrap(), (Form::Plaintext, plaintext));
        }
    }

    #[test]
    fn what_hardly_shrinks_is_told_by_its_first_bytes() {
        assert!(shrinks("GET /index.html HTTP/1.1\n".repeat(99).as_bytes()));
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        assert!(!shrinks(&(0..FRAME_BYTES).map(|_| noise()).collect::<Vec<_>>()));
        assert!(!shrinks(b""));
    }
}
