//! Turns plaintext into frames, behind the body that comes.

use crate::BodyError;
use crate::behind::{BATCH_BYTES, Work};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use stratum_cipher::DataKey;
use stratum_frames::{Cipher, Coding, Compression, Decoder, Encoder, Form as Coded, FrameError, Table};
use stratum_storage::blob::Form;

/// Turns plaintext into stored bytes.
pub(crate) struct Framer {
    encoder: Encoder,
    stored: Vec<Bytes>,
}

impl Framer {
    /// How much memory a framer holds at most, in bytes, with the frames that it has made and nobody has taken.
    pub fn memory(compression: Option<Compression>) -> u64 {
        Coding::memory(compression) + 2 * BATCH_BYTES as u64
    }

    /// # Errors
    /// `Memory`.
    pub fn new(coding: Coding) -> Result<Self, FrameError> {
        Ok(Self { encoder: Encoder::new(coding)?, stored: Vec::new() })
    }
}

impl Work for Framer {
    type Made = Vec<Bytes>;
    /// What the stored bytes are, and the last of them.
    type Done = Result<(Form, Vec<Bytes>), FrameError>;

    fn take(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        Ok(self.encoder.push(piece, &mut self.stored)?)
    }

    fn made(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.stored)
    }

    fn finish(mut self) -> Result<(Form, Vec<Bytes>), FrameError> {
        let form = match self.encoder.finish(&mut self.stored)? {
            Coded::Plaintext => Form::Plaintext,
            Coded::Frames => Form::Frames,
            Coded::Sealed => Form::Sealed,
        };
        Ok((form, self.stored))
    }
}

/// The stored bytes of a whole body: sealed frames if it is to be sealed, else frames if they are fewer, else what
/// was given. Takes the processor's time.
///
/// # Errors
/// `Memory`, `TooLong`, and `Unsealable`.
pub(crate) fn code(coding: impl Into<Coding>, plaintext: &Bytes) -> Result<(Form, Bytes), FrameError> {
    let mut encoder = Encoder::new(coding)?;
    let mut stored = Vec::new();
    encoder.push(plaintext, &mut stored)?;
    let form = encoder.finish(&mut stored)?;
    let stored = stored.concat();
    Ok(match form {
        Coded::Sealed => (Form::Sealed, stored.into()),
        Coded::Frames if stored.len() < plaintext.len() => (Form::Frames, stored.into()),
        Coded::Frames | Coded::Plaintext => (Form::Plaintext, plaintext.clone()),
    })
}

/// What frames of a body in that form are sealed with.
pub(crate) fn cipher_of(form: Form) -> Cipher {
    match form {
        Form::Plaintext | Form::Frames => Cipher::None,
        Form::Sealed => Cipher::Aes256Gcm,
    }
}

/// The plaintext of a whole small body of `size` bytes, checked. A sealed one takes its object's key. Takes the processor's
/// time.
///
/// # Errors
/// Stored bytes that aren't what was written; `NoKey`.
pub fn decode(form: Form, stored: &Bytes, size: u64, key: Option<&DataKey>) -> Result<Bytes, FrameError> {
    match form {
        Form::Plaintext if stored.len() as u64 == size => Ok(stored.clone()),
        Form::Plaintext => Err(FrameError::CutOff(0)),
        Form::Frames | Form::Sealed => {
            let (length, cipher) = (stored.len() as u64, cipher_of(form));
            let within = |range: std::ops::Range<u64>| {
                let bytes = stored.get(range.start as usize..range.end as usize);
                bytes.map(|bytes| stored.slice_ref(bytes)).ok_or(FrameError::CutOff(0))
            };
            let table = within(Table::place(size, length, cipher)?)?;
            let table = Table::decode(&table, size, length, cipher)?;
            let mut decoder = Decoder::new(Arc::new(table), 0..size, key)?;
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

/// Whether a codec makes a body much shorter, judged by its first bytes and the codec's fastest level. Takes the
/// processor's time.
pub fn shrinks(sample: &[u8], compression: Compression) -> bool {
    let coded = code(compression.quickest(), &Bytes::copy_from_slice(sample));
    coded.is_ok_and(|(_, stored)| stored.len() < sample.len() / 16 * 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behind::tests::{body, push_all};
    use stratum_cipher::Salt;
    use stratum_frames::{FRAME_BYTES, Seal};

    #[tokio::test]
    async fn what_is_made_behind_comes_in_order() {
        let framer = Framer::new(Compression::default().into()).unwrap();
        let (made, done) = push_all(framer, body()).await;
        let (form, last) = done.unwrap();
        let (at_once, stored) = code(Compression::default(), &body()).unwrap();
        assert_eq!((form, at_once), (Form::Frames, Form::Frames));
        let made: Vec<Bytes> = made.into_iter().flatten().chain(last).collect();
        assert!(made.concat() == stored);
    }

    #[test]
    fn a_small_body_is_coded_only_if_that_is_less_with_its_table() {
        let text = Bytes::from("the same words again, ".repeat(100));
        let (form, stored) = code(Compression::default(), &text).unwrap();
        assert_eq!(form, Form::Frames);
        assert!(stored.len() < text.len() / 4);
        let size = text.len() as u64;
        assert_eq!(decode(form, &stored, size, None).unwrap(), text);
        assert_eq!(decode(Form::Plaintext, &text, size, None).unwrap(), text);
        assert!(decode(Form::Plaintext, &text, size + 1, None).is_err());
        assert!(decode(form, &stored, size - 1, None).is_err());
        assert!(decode(form, &stored.slice(1..), size, None).is_err());
        for plaintext in
            [Bytes::new(), Bytes::from_static(b"aaaaaaaaaaaaaaaaaaaaaaaaa"), Bytes::from_static(b"x")]
        {
            assert_eq!(code(Compression::default(), &plaintext).unwrap(), (Form::Plaintext, plaintext));
        }
    }

    #[test]
    fn a_body_that_is_to_be_sealed_is_whatever_its_length() {
        let (key, other) = (DataKey::new([1; 32]), DataKey::new([2; 32]));
        for compression in [None, Some(Compression::default())] {
            for text in [Bytes::from_static(b"x"), Bytes::from("the same words again, ".repeat(100))] {
                let seal = Some(Seal::new(&key, Salt([3; 32])));
                let (form, stored) = code(Coding { compression, seal }, &text).unwrap();
                let size = text.len() as u64;
                assert_eq!(form, Form::Sealed);
                assert_eq!(decode(form, &stored, size, Some(&key)).unwrap(), text);
                assert_eq!(decode(form, &stored, size, None), Err(FrameError::NoKey));
                assert_eq!(decode(form, &stored, size, Some(&other)), Err(FrameError::Frame(0)));
                assert!(decode(Form::Frames, &stored, size, Some(&key)).is_err());
            }
        }
    }

    #[test]
    fn what_hardly_shrinks_is_told_by_its_first_bytes() {
        let by_zstd = |sample: &[u8]| shrinks(sample, Compression::default());
        let by_lz4 = |sample: &[u8]| shrinks(sample, Compression::Lz4);
        let lines = "GET /index.html HTTP/1.1\n".repeat(99);
        assert!(by_zstd(lines.as_bytes()) && by_lz4(lines.as_bytes()));
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = (0..FRAME_BYTES).map(|_| noise()).collect();
        assert!(!by_zstd(&noise) && !by_lz4(&noise));
        assert!(!by_zstd(b"") && !by_lz4(b""));
        // Where nothing is there twice, but some bytes are rarer than others, lz4 finds nothing.
        let digits: Vec<u8> = noise.iter().map(|byte| byte & 0x3f).collect();
        assert!(by_zstd(&digits) && !by_lz4(&digits));
    }
}
