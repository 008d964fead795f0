//! Where a volume's bytes lie in its object in the remote store. Arithmetic only.
//!
//! The object is a header page and then the data fragments, stripe by stripe, each as it would lie in a shard file of
//! generation 0. There is no parity: that the bytes last is the remote store's business. Stripes lie as dense as they
//! do in the shard files, so an offset in those gives the offset in the object, and a run of a body's stripes is one
//! range: the place that the body's record names is all that is needed to read it. Where nothing was live there are
//! zeros.

use super::layout::{Blocks, CRC, FILE_HEADER, Piece, Stripe};
use crate::blob::{Geometry, VolumeId};
use std::ops::Range;

/// How long the parts are in which an object is written, and read again.
pub const PART_BYTES: usize = 8 << 20;
/// The generation that the fragments of an object have in their headers.
pub const GENERATION: u32 = 0;

const MAGIC: &[u8; 8] = b"STRMrem\n";
const VERSION: u16 = 1;
const PAGE: usize = FILE_HEADER as usize;

/// How many bytes the object of a volume has whose shard files were sealed at `sealed` bytes.
pub fn object_length(geometry: Geometry, sealed: u64) -> u64 {
    sealed.saturating_sub(FILE_HEADER).saturating_mul(geometry.k.into()).saturating_add(FILE_HEADER)
}

/// Where a stripe lies in the object.
pub fn stripe_range(offset: u64, stripe: Stripe) -> Range<u64> {
    let start = object_length(stripe.geometry, offset);
    start..start.saturating_add(stripe.disk().saturating_mul(stripe.geometry.k.into()))
}

/// Where the blocks lie in the object that hold a piece, with their checksums.
pub fn piece_range(piece: &Piece) -> Range<u64> {
    let blocks = Blocks::covering(&piece.bytes);
    let start = stripe_range(piece.offset, piece.stripe)
        .start
        .saturating_add(u64::from(piece.shard).saturating_mul(piece.stripe.disk()))
        .saturating_add(blocks.offset());
    start..start.saturating_add(blocks.disk(piece.stripe) as u64)
}

/// What the header page of an object says, to whoever has an older state than that which names the object. Others need none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    pub volume: VolumeId,
    pub geometry: Geometry,
    /// How many bytes each shard file had.
    pub sealed: u64,
    pub upload: u64,
}

impl ObjectHeader {
    /// The page.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[..8].copy_from_slice(MAGIC);
        page[8..10].copy_from_slice(&VERSION.to_le_bytes());
        page[11] = self.geometry.k;
        page[12] = self.geometry.m;
        page[16..24].copy_from_slice(&self.volume.0.to_le_bytes());
        page[24..32].copy_from_slice(&self.sealed.to_le_bytes());
        page[32..40].copy_from_slice(&self.upload.to_le_bytes());
        let crc = crc32c::crc32c(&page[..PAGE - CRC]);
        page[PAGE - CRC..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// What a page says; nothing if it isn't one, or one of a later version.
    pub fn decode(page: &[u8]) -> Option<ObjectHeader> {
        let (page, crc) = page.get(..PAGE)?.split_last_chunk::<CRC>()?;
        let u64_at = |at: usize| Some(u64::from_le_bytes(*page.get(at..)?.first_chunk()?));
        let header = ObjectHeader {
            volume: VolumeId(u64_at(16)?),
            geometry: Geometry { k: *page.get(11)?, m: *page.get(12)? },
            sealed: u64_at(24)?,
            upload: u64_at(32)?,
        };
        // Bytes of the header that have no meaning are zero, and nothing else is understood.
        let is_sound = crc32c::crc32c(page) == u32::from_le_bytes(*crc);
        (is_sound && header.geometry.k > 0 && header.encode().get(..PAGE - CRC)? == page).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::{first_piece, full_payload};

    const G: Geometry = Geometry { k: 4, m: 2 };
    const HEADER: ObjectHeader =
        ObjectHeader { volume: VolumeId(42), geometry: G, sealed: 270_336, upload: 7 };

    #[test]
    fn stripes_lie_one_after_the_other() {
        let full = Stripe::full(G);
        let first = stripe_range(FILE_HEADER, full);
        assert_eq!(first, 4096..4096 + 4 * 266_240, "after the header");
        assert_eq!(stripe_range(FILE_HEADER + full.disk(), full).start, first.end);
        assert_eq!(object_length(G, FILE_HEADER + full.disk()), first.end);
        assert_eq!(object_length(G, 0), 4096);
    }

    #[test]
    fn a_piece_lies_in_its_fragment() {
        let full = Stripe::full(G);
        let whole = 0..full_payload(G);
        let second = first_piece(FILE_HEADER, full, &(262_144 + 40_000..whole.end)).unwrap();
        assert_eq!(second.shard, 1);
        // The second block of the second fragment, behind headers and checksums.
        let range = piece_range(&second);
        assert_eq!(range.start, 4096 + 266_240 + 64 + 32_772);
        assert_eq!(range.end, 4096 + 266_240 + 64 + 8 * 32_772);
    }

    /// As a damaged record may name them: the remote store refuses the range, nothing wraps.
    #[test]
    fn offsets_beyond_all_objects_are_harmless() {
        let full = Stripe::full(G);
        let piece = first_piece(FILE_HEADER, full, &(300_000..full_payload(G))).unwrap();
        for offset in [u64::MAX, u64::MAX / 4, u64::MAX / 4 + FILE_HEADER - 1] {
            assert!(object_length(G, offset) >= offset);
            let range = piece_range(&Piece { offset, ..piece.clone() });
            assert!(range.start <= range.end && range.start >= offset, "{range:?}");
        }
    }

    #[test]
    fn the_header_is_as_the_format_page_says() {
        let page = HEADER.encode();
        let said = [b"STRMrem\n".as_slice(), &[1, 0, 0, 4, 2, 0, 0, 0], &[42, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(page[..24], said);
        assert_eq!(page[24..40], [270_336_u64.to_le_bytes(), 7_u64.to_le_bytes()].concat());
        assert!(page[40..4092].iter().all(|byte| *byte == 0));
        assert_eq!(page[4092..], crc32c::crc32c(&page[..4092]).to_le_bytes());
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_nothing_else_is() {
        let page = HEADER.encode();
        assert_eq!(ObjectHeader::decode(&page), Some(HEADER));
        assert_eq!(ObjectHeader::decode(&page[..4095]), None);
        for at in [0, 8, 11, 20, 40, 4091, 4095] {
            let mut other = page.clone();
            other[at] ^= 1;
            assert_eq!(ObjectHeader::decode(&other), None, "{at}");
        }
        // Sound, and of a later version.
        let mut later = page;
        later[8] = 2;
        let crc = crc32c::crc32c(&later[..4092]).to_le_bytes();
        later[4092..].copy_from_slice(&crc);
        assert_eq!(ObjectHeader::decode(&later), None);
    }
}
