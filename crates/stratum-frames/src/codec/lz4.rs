//! lz4's part in coding a frame: far quicker than zstd both ways, and more is left.
//!
//! A block of lz4 has no checksum and no end of its own, so the CRC-32C of the plaintext lies behind it.

use bytes::Bytes;
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

/// Bytes of the checksum behind a block.
const SUM_BYTES: usize = 4;
/// What lz4 notes of a frame while it codes it. It takes and frees this with each.
const SEEN_BYTES: usize = 32 << 10;

/// Codes frames, with the memory for it: at most [`compressor_bytes`].
#[derive(Default)]
pub(crate) struct Compressor {
    scratch: Vec<u8>,
}

/// What a compressor holds at most.
pub(super) fn compressor_bytes() -> usize {
    scratch_bytes(crate::FRAME_BYTES) + SEEN_BYTES
}

fn scratch_bytes(plaintext: usize) -> usize {
    get_maximum_output_size(plaintext) + SUM_BYTES
}

impl Compressor {
    /// A frame's stored bytes, if they are fewer than the plaintext's.
    pub fn compress(&mut self, plaintext: &[u8]) -> Option<&[u8]> {
        let needed = scratch_bytes(plaintext.len());
        if self.scratch.len() < needed {
            self.scratch = vec![0; needed];
        }
        let block = compress_into(plaintext, &mut self.scratch).ok()?;
        let stored = block + SUM_BYTES;
        self.scratch.get_mut(block..stored)?.copy_from_slice(&crc32c::crc32c(plaintext).to_le_bytes());
        self.scratch.get(..stored).filter(|stored| stored.len() < plaintext.len())
    }
}

/// A frame's plaintext, which has `length` bytes. `None` if the stored bytes are something else.
pub(super) fn decompress(stored: &[u8], length: usize) -> Option<Bytes> {
    let (block, sum) = stored.split_last_chunk()?;
    // lz4 writes no further than the room it is given.
    let mut plaintext = vec![0; length];
    let decoded = decompress_into(block, &mut plaintext).ok()?;
    let is_right = decoded == length && crc32c::crc32c(&plaintext) == u32::from_le_bytes(*sum);
    is_right.then(|| plaintext.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_BYTES;

    #[test]
    fn a_block_is_held_to_its_checksum() {
        let text: Vec<u8> = b"stripe shard drive journal ".iter().copied().cycle().take(1000).collect();
        let mut compressor = Compressor::default();
        let stored = compressor.compress(&text).unwrap().to_vec();
        assert_eq!(decompress(&stored, 1000).unwrap(), text);
        // Other bytes may be a block of lz4 as well, of as many bytes.
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut other = stored.clone();
                other[at] ^= 1 << bit;
                assert!(
                    decompress(&other, 1000).is_none_or(|plaintext| plaintext == text),
                    "bit {bit} of byte {at}"
                );
            }
        }
        for cut in 0..stored.len() {
            assert_eq!(decompress(&stored[..cut], 1000), None);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = (0..FRAME_BYTES).map(|_| noise()).collect();
        let mut compressor = Compressor::default();
        assert_eq!(compressor.compress(&noise), None);
        assert!(compressor.scratch.capacity() + SEEN_BYTES <= compressor_bytes());
    }
}
