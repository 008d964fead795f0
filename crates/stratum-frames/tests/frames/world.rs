//! Plaintexts that anybody can compute, and the two ways through the crate.

use bytes::Bytes;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use stratum_cipher::{DataKey, Salt};
use stratum_frames::{
    Cipher, Coding, Compression, Decoder, Encoder, Form, FrameError, Seal, Table, ZstdLevel,
};

pub const FRAME: usize = stratum_frames::FRAME_BYTES;

/// One of each codec.
pub const COMPRESSIONS: [Compression; 2] = [Compression::Lz4, Compression::Zstd(ZstdLevel::FASTEST)];

/// A piece of a plaintext.
#[derive(Clone, Debug)]
pub enum Stretch {
    /// Shrinks a lot.
    Pattern(usize),
    /// Doesn't shrink.
    Noise(usize),
}

/// Plaintexts of up to a little more than three frames, of both kinds.
pub fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let length = prop_oneof![0usize..100, 0usize..FRAME / 2, FRAME - 2..FRAME + 3];
    let stretch = (length, any::<bool>())
        .prop_map(|(length, noise)| if noise { Stretch::Noise(length) } else { Stretch::Pattern(length) });
    proptest::collection::vec(stretch, 0..4)
}

pub fn plaintext(stretches: &[Stretch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (seed, stretch) in (1u64..).zip(stretches) {
        match stretch {
            Stretch::Pattern(length) => bytes.extend((0..*length).map(|at| (at * 7 % 251) as u8)),
            Stretch::Noise(length) => bytes.extend(noise(seed, *length)),
        }
    }
    bytes
}

pub fn noise(seed: u64, length: usize) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// The stored bytes of a plaintext that comes in pieces of `piece` bytes.
pub fn encode(plaintext: &[u8], piece: usize) -> (Form, Vec<u8>) {
    encode_so(Compression::default(), plaintext, piece)
}

/// As [`encode`], coded otherwise.
pub fn encode_so(coding: impl Into<Coding>, plaintext: &[u8], piece: usize) -> (Form, Vec<u8>) {
    let mut encoder = Encoder::new(coding).expect("memory");
    let mut stored = Vec::new();
    for piece in plaintext.chunks(piece.max(1)) {
        encoder.push(piece, &mut stored).expect("not too long");
    }
    (encoder.finish(&mut stored).expect("it can be sealed"), stored.concat())
}

/// As [`encode`], of a plaintext that shrinks somewhere.
pub fn frames(plaintext: &[u8]) -> Vec<u8> {
    frames_of(Compression::default(), plaintext)
}

/// As [`frames`], coded otherwise.
pub fn frames_of(compression: Compression, plaintext: &[u8]) -> Vec<u8> {
    let (form, stored) = encode_so(compression, plaintext, FRAME);
    assert_eq!(form, Form::Frames);
    stored
}

/// The key that bodies are sealed with here.
pub fn key() -> DataKey {
    DataKey::new([7; 32])
}

/// How a sealed body is coded.
pub fn sealed(compression: Option<Compression>) -> Coding {
    Coding { compression, seal: Some(Seal::new(&key(), Salt([9; 32]))) }
}

/// A range of the plaintext that some stored bytes hold, fetched as a store does: the table, then the frames' bytes in
/// pieces of `piece` bytes.
pub fn decode(stored: &[u8], plaintext: u64, range: Range<u64>, piece: usize) -> Result<Vec<u8>, FrameError> {
    open(stored, Cipher::None, None, plaintext, range, piece)
}

/// As [`decode`], of a sealed body and with a key.
pub fn unseal(
    stored: &[u8],
    key: Option<&DataKey>,
    plaintext: u64,
    range: Range<u64>,
    piece: usize,
) -> Result<Vec<u8>, FrameError> {
    open(stored, Cipher::Aes256Gcm, key, plaintext, range, piece)
}

fn open(
    stored: &[u8],
    cipher: Cipher,
    key: Option<&DataKey>,
    plaintext: u64,
    range: Range<u64>,
    piece: usize,
) -> Result<Vec<u8>, FrameError> {
    let of = |range: &Range<u64>| stored[range.start as usize..range.end as usize].to_vec();
    let table = of(&Table::place(plaintext, stored.len() as u64, cipher)?);
    let table = Arc::new(Table::decode(&table, plaintext, stored.len() as u64, cipher)?);
    let mut decoder = Decoder::new(table, range, key)?;
    let mut out = Vec::new();
    for piece in of(&decoder.stored()).chunks(piece.max(1)) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(bytes) = decoder.next_plaintext()? {
            assert!(!bytes.is_empty() && bytes.len() <= FRAME);
            out.extend_from_slice(&bytes);
        }
    }
    decoder.finish().map(|()| out)
}
