//! Version 1 of the header page and of the fragment header, and the checksum of a block. Frozen once released.
//!
//! A block's checksum is seeded with the checksum of its fragment's header (the *address*): a block written for any
//! other place or shape never verifies, and a reader need not read the header to know that.

use super::layout::{CRC, FILE_HEADER, FRAGMENT_HEADER, Stripe};
use super::{FormatError, u16_at, u32_at, u64_at, u128_at};
use crate::blob::{Geometry, Tier, VolumeId};
use crate::drive::DriveId;

/// The version that this module reads and writes.
pub const VERSION: u16 = 1;

const FILE_MAGIC: &[u8; 8] = b"STRMvol\n";
const FRAGMENT_MAGIC: &[u8; 8] = b"STRMfrg\n";
const PAGE: usize = FILE_HEADER as usize;

/// What the header page of a shard file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardHeader {
    pub volume: VolumeId,
    pub tier: Tier,
    pub geometry: Geometry,
    pub shard: u8,
    pub generation: u32,
    /// The drive that the file was made on.
    pub drive: DriveId,
}

impl ShardHeader {
    /// The page.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[..8].copy_from_slice(FILE_MAGIC);
        page[8..10].copy_from_slice(&VERSION.to_le_bytes());
        page[10] = tier_byte(self.tier);
        page[11] = self.geometry.k;
        page[12] = self.geometry.m;
        page[13] = self.shard;
        page[16..24].copy_from_slice(&self.volume.0.to_le_bytes());
        page[24..28].copy_from_slice(&self.generation.to_le_bytes());
        page[32..48].copy_from_slice(&self.drive.0.to_le_bytes());
        let crc = crc32c::crc32c(&page[..PAGE - CRC]);
        page[PAGE - CRC..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// Reads a page (its first 4096 bytes; more is ignored).
    pub fn decode(bytes: &[u8]) -> Result<ShardHeader, FormatError> {
        const WHAT: &str = "shard file";
        check_version(bytes, FILE_MAGIC, WHAT)?;
        let damaged = FormatError::Damaged { what: WHAT };
        let parse = || -> Option<ShardHeader> {
            let page = bytes.get(..PAGE)?;
            if u32_at(page, PAGE - CRC)? != crc32c::crc32c(&page[..PAGE - CRC]) {
                return None;
            }
            Some(ShardHeader {
                volume: VolumeId(u64_at(page, 16)?),
                tier: Tier::ALL.into_iter().find(|tier| tier_byte(*tier) == page[10])?,
                geometry: Geometry { k: page[11], m: page[12] },
                shard: page[13],
                generation: u32_at(page, 24)?,
                drive: DriveId(u128_at(page, 32)?),
            })
        };
        parse().ok_or(damaged)
    }
}

fn tier_byte(tier: Tier) -> u8 {
    match tier {
        Tier::Hot => 0,
        Tier::Warm => 1,
        Tier::Cold => 2,
    }
}

/// What a stripe holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of one body.
    Plain,
    /// Many bodies and a directory.
    Packed,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Plain => 1,
            Kind::Packed => 2,
        }
    }
}

/// Where a fragment lies and what it is: its header's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub volume: VolumeId,
    pub generation: u32,
    pub shard: u8,
    /// In the shard file.
    pub offset: u64,
    pub stripe: Stripe,
    pub kind: Kind,
}

impl Fragment {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; FRAGMENT_HEADER] {
        let mut header = [0; FRAGMENT_HEADER];
        header[..8].copy_from_slice(FRAGMENT_MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[10] = self.kind.byte();
        header[12] = self.stripe.geometry.k;
        header[13] = self.stripe.geometry.m;
        header[14] = self.shard;
        header[16..24].copy_from_slice(&self.volume.0.to_le_bytes());
        header[24..28].copy_from_slice(&self.generation.to_le_bytes());
        header[32..40].copy_from_slice(&self.offset.to_le_bytes());
        header[40..44].copy_from_slice(&self.stripe.fragment().to_le_bytes());
        header[44..48].copy_from_slice(&self.stripe.payload.to_le_bytes());
        let crc = crc32c::crc32c(&header[..FRAGMENT_HEADER - CRC]);
        header[FRAGMENT_HEADER - CRC..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// Reads a header (the first 64 bytes; more is ignored).
    pub fn decode(bytes: &[u8]) -> Result<Fragment, FormatError> {
        const WHAT: &str = "fragment";
        check_version(bytes, FRAGMENT_MAGIC, WHAT)?;
        let parse = || -> Option<Fragment> {
            let header = bytes.get(..FRAGMENT_HEADER)?;
            let body = FRAGMENT_HEADER - CRC;
            if u32_at(header, body)? != crc32c::crc32c(&header[..body]) {
                return None;
            }
            let geometry = Geometry { k: header[12], m: header[13] };
            let stripe = Stripe { geometry, payload: u32_at(header, 44)? };
            let unused = header[11] == 0 && u32_at(header, 28)? == 0;
            if !unused || !stripe.is_valid() || stripe.fragment() != u32_at(header, 40)? {
                return None;
            }
            Some(Fragment {
                volume: VolumeId(u64_at(header, 16)?),
                generation: u32_at(header, 24)?,
                shard: header[14],
                offset: u64_at(header, 32)?,
                stripe,
                kind: [Kind::Plain, Kind::Packed].into_iter().find(|kind| kind.byte() == header[10])?,
            })
        };
        parse().ok_or(FormatError::Damaged { what: WHAT })
    }

    /// What the checksums of the fragment's blocks start from.
    pub fn seed(&self) -> Seed {
        let header = self.encode();
        Seed(crc32c::crc32c(&header[FRAGMENT_HEADER - CRC..]))
    }
}

/// The state of CRC-32C after a fragment's address checksum; the block's number and data follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u32);

impl Seed {
    /// The checksum of a block of that number and data.
    pub fn checksum(self, block: u32, data: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &block.to_le_bytes()), data)
    }

    /// Whether `stored` (a checksum's 4 bytes) belongs to this block.
    pub fn verifies(self, block: u32, stored: &[u8], data: &[u8]) -> bool {
        u32_at(stored, 0).is_some_and(|stored| stored == self.checksum(block, data))
    }
}

fn check_version(bytes: &[u8], magic: &[u8; 8], what: &'static str) -> Result<(), FormatError> {
    if bytes.get(..8) != Some(magic) {
        return Err(FormatError::NotOurs { what });
    }
    match u16_at(bytes, 8) {
        Some(VERSION) => Ok(()),
        Some(found) => Err(FormatError::UnknownVersion { what, found, known: VERSION }),
        None => Err(FormatError::Damaged { what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: ShardHeader = ShardHeader {
        volume: VolumeId(42),
        tier: Tier::Warm,
        geometry: Geometry { k: 4, m: 2 },
        shard: 3,
        generation: 7,
        drive: DriveId(0x0123_4567_89ab_cdef_0011_2233_4455_6677),
    };

    const FRAGMENT: Fragment = Fragment {
        volume: VolumeId(42),
        generation: 7,
        shard: 5,
        offset: 4096,
        stripe: Stripe { geometry: Geometry { k: 4, m: 2 }, payload: 100_000 },
        kind: Kind::Packed,
    };

    #[test]
    fn headers_come_back_as_they_were() {
        assert_eq!(ShardHeader::decode(&HEADER.encode()), Ok(HEADER));
        assert_eq!(Fragment::decode(&FRAGMENT.encode()), Ok(FRAGMENT));
    }

    #[test]
    fn an_unknown_version_is_refused_naming_both() {
        let mut page = HEADER.encode();
        page[8] = 9;
        let error = ShardHeader::decode(&page).unwrap_err().to_string();
        assert!(error.contains("version 9") && error.contains("version 1"), "{error}");
        let mut header = FRAGMENT.encode();
        header[9] = 1;
        assert!(matches!(Fragment::decode(&header), Err(FormatError::UnknownVersion { found: 257, .. })));
        assert!(matches!(Fragment::decode(&page), Err(FormatError::NotOurs { .. })));
    }

    #[test]
    fn a_block_verifies_only_at_its_own_address() {
        let data = [0xA5; 1000];
        let stored = FRAGMENT.seed().checksum(2, &data).to_le_bytes();
        assert!(FRAGMENT.seed().verifies(2, &stored, &data));
        assert!(!FRAGMENT.seed().verifies(1, &stored, &data));
        let others = [
            Fragment { volume: VolumeId(43), ..FRAGMENT },
            Fragment { generation: 8, ..FRAGMENT },
            Fragment { shard: 4, ..FRAGMENT },
            Fragment { offset: 8192, ..FRAGMENT },
            Fragment { stripe: Stripe { payload: 100_001, ..FRAGMENT.stripe }, ..FRAGMENT },
            Fragment { kind: Kind::Plain, ..FRAGMENT },
        ];
        for other in others {
            assert!(!other.seed().verifies(2, &stored, &data), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_never_accepted(at in 0usize..PAGE, bit in 0u8..8) {
            let mut page = HEADER.encode();
            page[at] ^= 1 << bit;
            prop_assert!(ShardHeader::decode(&page).is_err());
            let mut header = FRAGMENT.encode();
            header[at % FRAGMENT_HEADER] ^= 1 << bit;
            prop_assert!(Fragment::decode(&header).is_err());
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..5000), ours in any::<bool>()) {
            let mut bytes = bytes;
            if ours && bytes.len() >= 10 {
                bytes[..8].copy_from_slice(FRAGMENT_MAGIC);
                bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
            }
            prop_assert!(ShardHeader::decode(&bytes).is_err());
            prop_assert!(Fragment::decode(&bytes).is_err());
        }
    }
}
