//! Where bytes lie: payload in stripes, stripes in shard files. Arithmetic only.
//!
//! Everything follows from one rule: a stripe's payload is cut into `k` equal contiguous pieces, and each piece is
//! stored as 32 KiB blocks with their checksums beside them. So a small range is a single read of a single drive.

use crate::blob::{Extent, Geometry, PackedAt};
use std::ops::Range;

/// Bytes that one checksum covers.
pub const BLOCK_BYTES: u32 = 32 * 1024;
/// Data bytes of a full fragment.
pub const FULL_FRAGMENT_BYTES: u32 = 256 * 1024;
/// Fragments begin and end at multiples of this.
pub const PAGE: u64 = 4096;
/// The header page of a shard file; the first fragment follows it.
pub const FILE_HEADER: u64 = PAGE;
/// The header of a fragment.
pub const FRAGMENT_HEADER: usize = 64;
/// A checksum.
pub const CRC: usize = 4;
/// Payload bytes of a full volume, at most.
pub const VOLUME_PAYLOAD_BYTES: u64 = 1 << 30;
/// Payload bytes of an extent, at most.
pub const EXTENT_PAYLOAD_BYTES: u64 = 64 << 20;

/// Payload bytes of a full stripe.
pub fn full_payload(geometry: Geometry) -> u32 {
    u32::from(geometry.k.max(1)) * FULL_FRAGMENT_BYTES
}

/// Where the shard files of a full volume end, at the latest.
pub fn volume_end(geometry: Geometry) -> u64 {
    let stripes = VOLUME_PAYLOAD_BYTES / u64::from(full_payload(geometry));
    FILE_HEADER + stripes * Stripe::full(geometry).disk()
}

/// Payload bytes of the longest extent: whole stripes, at most 64 MiB.
pub fn longest_extent(geometry: Geometry) -> u64 {
    let full = u64::from(full_payload(geometry));
    (EXTENT_PAYLOAD_BYTES / full).max(1) * full
}

/// What `length` payload bytes in one extent take of each shard file.
pub fn extent_disk(geometry: Geometry, length: u64) -> u64 {
    let full = Stripe::full(geometry);
    let rest = (length % u64::from(full.payload)) as u32;
    let last = if rest == 0 { 0 } else { Stripe { geometry, payload: rest }.disk() };
    (length / u64::from(full.payload)).saturating_mul(full.disk()).saturating_add(last)
}

/// Where an extent ends in the shard files: what `VolumeRecord::high_water` is compared with.
pub fn extent_end(geometry: Geometry, extent: &Extent) -> u64 {
    extent.start.saturating_add(extent_disk(geometry, extent.length))
}

/// Where a packed stripe ends in the shard files.
pub fn packed_end(geometry: Geometry, at: &PackedAt) -> u64 {
    at.stripe.saturating_add(Stripe { geometry, payload: at.payload }.disk())
}

/// The shape of one stripe. `payload` is from 1 to [`full_payload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    pub geometry: Geometry,
    pub payload: u32,
}

impl Stripe {
    /// The largest one.
    pub fn full(geometry: Geometry) -> Stripe {
        Stripe { geometry, payload: full_payload(geometry) }
    }

    /// Whether a stripe of this payload can exist.
    pub fn is_valid(self) -> bool {
        self.geometry.k > 0 && self.payload > 0 && self.payload <= full_payload(self.geometry)
    }

    /// Data bytes of each fragment.
    pub fn fragment(self) -> u32 {
        self.payload.div_ceil(u32::from(self.geometry.k.max(1)))
    }

    /// What the stripe takes of each shard file: header, blocks and their checksums, padding.
    pub fn disk(self) -> u64 {
        let used =
            FRAGMENT_HEADER as u64 + u64::from(self.fragment()) + (CRC as u64) * u64::from(self.blocks());
        used.next_multiple_of(PAGE)
    }

    /// Blocks of each fragment.
    pub fn blocks(self) -> u32 {
        self.fragment().div_ceil(BLOCK_BYTES)
    }

    /// Data bytes of a block.
    pub fn block_len(self, block: u32) -> usize {
        let begin = block.saturating_mul(BLOCK_BYTES);
        self.fragment().saturating_sub(begin).min(BLOCK_BYTES) as usize
    }

    /// Where the data of a fragment's byte lies, from the fragment's beginning on the disk.
    pub fn position(in_fragment: u32) -> usize {
        let (block, rest) = ((in_fragment / BLOCK_BYTES) as usize, (in_fragment % BLOCK_BYTES) as usize);
        FRAGMENT_HEADER + block * (CRC + BLOCK_BYTES as usize) + CRC + rest
    }

    /// Where a payload byte lies: the data fragment, and the byte in it.
    pub fn locate(self, in_payload: u32) -> (u8, u32) {
        let fragment = self.fragment().max(1);
        ((in_payload / fragment) as u8, in_payload % fragment)
    }
}

/// A run of whole blocks of a fragment, and how to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    pub first: u32,
    /// Exclusive.
    pub end: u32,
}

impl Blocks {
    /// The blocks that hold these bytes of a fragment.
    pub fn covering(bytes: &Range<u32>) -> Blocks {
        Blocks { first: bytes.start / BLOCK_BYTES, end: bytes.end.div_ceil(BLOCK_BYTES) }
    }

    /// All blocks of a fragment.
    pub fn all(stripe: Stripe) -> Blocks {
        Blocks { first: 0, end: stripe.blocks() }
    }

    /// Where they and their checksums begin, from the fragment's beginning on the disk.
    pub fn offset(self) -> u64 {
        (FRAGMENT_HEADER + self.first as usize * (CRC + BLOCK_BYTES as usize)) as u64
    }

    /// How many bytes they take with their checksums.
    pub fn disk(self, stripe: Stripe) -> usize {
        (self.first..self.end).map(|block| CRC + stripe.block_len(block)).sum()
    }

    /// Where each block's data lies in the bytes that were read.
    pub fn data(self, stripe: Stripe) -> impl Iterator<Item = (u32, Range<usize>)> {
        (self.first..self.end).map(move |block| {
            let begin = (block - self.first) as usize * (CRC + BLOCK_BYTES as usize) + CRC;
            (block, begin..begin + stripe.block_len(block))
        })
    }
}

/// A contiguous range of one data fragment of one stripe: what a single read serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the stripe in the shard files.
    pub offset: u64,
    pub stripe: Stripe,
    /// The data shard.
    pub shard: u8,
    /// Bytes of the fragment.
    pub bytes: Range<u32>,
}

/// The piece at the front of `range` (bytes of one stripe's payload), or `None` if the range is empty or ends beyond
/// the payload.
pub fn first_piece(offset: u64, stripe: Stripe, range: &Range<u32>) -> Option<Piece> {
    if range.start >= range.end || range.end > stripe.payload {
        return None;
    }
    let (shard, begin) = stripe.locate(range.start);
    let end = (begin + (range.end - range.start)).min(stripe.fragment());
    Some(Piece { offset, stripe, shard, bytes: begin..end })
}

/// The stripe of an extent that holds the extent's payload byte `position`: its offset in the shard files, its shape
/// and where in it the byte lies. `None` if the extent ends before that byte.
pub fn stripe_at(geometry: Geometry, extent: &Extent, position: u64) -> Option<(u64, Stripe, u32)> {
    if position >= extent.length {
        return None;
    }
    let full = Stripe::full(geometry);
    let number = position / u64::from(full.payload);
    let begin = number * u64::from(full.payload);
    let payload = u64::from(full.payload).min(extent.length - begin) as u32;
    let offset = extent.start.checked_add(number.checked_mul(full.disk())?)?;
    Some((offset, Stripe { geometry, payload }, (position - begin) as u32))
}

/// The stripes of an extent, in order, each with its offset in the shard files.
pub fn stripes_of(geometry: Geometry, extent: &Extent) -> impl Iterator<Item = (u64, Stripe)> + use<> {
    let (extent, full) = (*extent, u64::from(full_payload(geometry)));
    (0..extent.length.div_ceil(full)).map_while(move |number| {
        stripe_at(geometry, &extent, number * full).map(|(offset, stripe, _)| (offset, stripe))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::VolumeId;
    use proptest::prelude::*;

    const G: Geometry = Geometry { k: 4, m: 2 };

    #[test]
    fn the_figures_of_the_format_page() {
        assert_eq!(Stripe::full(G).disk(), 266_240);
        assert_eq!(Stripe { geometry: G, payload: 40 * 1024 }.disk(), 12_288);
        assert_eq!(Stripe { geometry: G, payload: 1 }.disk(), 4096);
        assert_eq!(full_payload(G), 1 << 20, "a 1 MiB object is one stripe");
        assert_eq!(volume_end(G), 4096 + 1024 * 266_240);
        assert_eq!(longest_extent(G), 64 << 20);
        assert_eq!(longest_extent(Geometry { k: 3, m: 1 }) % (3 * 262_144), 0);
        assert_eq!(extent_disk(G, (3 << 20) + 1), 3 * 266_240 + 4096);
        assert_eq!(extent_disk(G, 0), 0);
    }

    #[test]
    fn a_range_of_64_kib_reads_at_most_128_kib() {
        let stripe = Stripe::full(G);
        for begin in [0, 1, 32_767, 32_768, 100_000, 196_608] {
            let blocks = Blocks::covering(&(begin..begin + 65_536));
            assert!(blocks.disk(stripe) <= 98_316 && blocks.disk(stripe) <= 128 * 1024);
        }
    }

    proptest! {
        /// Pieces tile a range in order, and say where the format page says.
        #[test]
        fn pieces_tile_a_range(k in 1u8..9, length in 1u64..9_000_000, begin in 0u64..9_000_000, len in 0u64..9_000_000) {
            let geometry = Geometry { k, m: 2 };
            let extent = Extent { volume: VolumeId(1), start: 4096, length };
            let begin = begin.min(length);
            let end = (begin + len).min(length);
            let mut at = begin;
            while at < end {
                let (offset, stripe, within) = stripe_at(geometry, &extent, at).unwrap();
                let stop = stripe.payload.min(within + (end - at) as u32);
                let piece = first_piece(offset, stripe, &(within..stop)).unwrap();
                prop_assert!(piece.shard < k && piece.bytes.end <= stripe.fragment());
                let in_stripe = u32::from(piece.shard) * stripe.fragment() + piece.bytes.start;
                prop_assert_eq!(in_stripe, within);
                prop_assert!(offset + stripe.disk() <= extent_end(geometry, &extent));
                at += u64::from(piece.bytes.end - piece.bytes.start);
            }
            prop_assert_eq!(at, end);
            prop_assert!(stripe_at(geometry, &extent, length).is_none());
        }

        #[test]
        fn blocks_lie_where_positions_say(payload in 1u32..2_097_152, at in 0u32..262_144) {
            let stripe = Stripe { geometry: Geometry { k: 8, m: 4 }, payload };
            let at = at % stripe.fragment();
            let blocks = Blocks::covering(&(at..at + 1));
            let (number, data) = blocks.data(stripe).next().unwrap();
            let position = blocks.offset() as usize + data.start + (at - number * BLOCK_BYTES) as usize;
            prop_assert_eq!(position, Stripe::position(at));
            prop_assert!(Stripe::position(stripe.fragment() - 1) < stripe.disk() as usize);
        }
    }
}
