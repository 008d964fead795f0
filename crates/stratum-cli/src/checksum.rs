//! Checksums of bodies: CRCs, which are made piece by piece and combined, and MD5, which must be made in one pass.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use std::fmt;

/// A checksum of which those of pieces can be combined to that of the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crc {
    Crc64Nvme,
    Crc32c,
    Crc32,
}

impl Crc {
    /// All of them, the one that is preferred first.
    pub const ALL: [Crc; 3] = [Crc::Crc64Nvme, Crc::Crc32c, Crc::Crc32];

    pub fn header(self) -> &'static str {
        match self {
            Crc::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Crc::Crc32c => "x-amz-checksum-crc32c",
            Crc::Crc32 => "x-amz-checksum-crc32",
        }
    }

    /// The algorithm's name in S3.
    pub fn name(self) -> &'static str {
        match self {
            Crc::Crc64Nvme => "CRC64NVME",
            Crc::Crc32c => "CRC32C",
            Crc::Crc32 => "CRC32",
        }
    }

    fn algorithm(self) -> CrcAlgorithm {
        match self {
            Crc::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
            Crc::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Crc::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        }
    }

    fn width(self) -> usize {
        if self == Crc::Crc64Nvme { 8 } else { 4 }
    }
}

/// The checksum of some bytes. Its `Display` is the base64 of S3's headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    crc: Crc,
    value: u64,
}

impl Sum {
    /// The checksum of these bytes.
    pub fn of(crc: Crc, bytes: &[u8]) -> Sum {
        Sum { crc, value: crc_fast::checksum(crc.algorithm(), bytes) }
    }

    /// The checksum of this one's bytes followed by `length` bytes whose checksum is `next`. It takes as long as to
    /// sum up some tens of KiB.
    fn and(self, next: Sum, length: u64) -> Sum {
        let value = crc_fast::checksum_combine(self.crc.algorithm(), self.value, next.value, length);
        Sum { crc: self.crc, value }
    }

    /// The checksum of all pieces in their order, from the checksum and length of each.
    pub fn of_pieces(crc: Crc, pieces: impl IntoIterator<Item = (Sum, u64)>) -> Sum {
        pieces.into_iter().fold(Sum::of(crc, b""), |sum, (next, length)| sum.and(next, length))
    }

    /// Reads the base64 of S3's headers.
    pub fn parse(crc: Crc, text: &str) -> Option<Sum> {
        let bytes = BASE64_STANDARD.decode(text).ok().filter(|bytes| bytes.len() == crc.width())?;
        Some(Sum { crc, value: bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) })
    }

    pub fn crc(self) -> Crc {
        self.crc
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.value.to_be_bytes();
        f.write_str(&BASE64_STANDARD.encode(&bytes[8 - self.crc.width()..]))
    }
}

/// The checksum of bytes that come one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Summing {
    crc: Crc,
    digest: Digest,
}

impl Summing {
    pub fn new(crc: Crc) -> Summing {
        Summing { crc, digest: Digest::new(crc.algorithm()) }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The checksum of the bytes that were added until now.
    pub fn sum(&self) -> Sum {
        Sum { crc: self.crc, value: self.digest.finalize() }
    }
}

/// By what a body is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    Sum(Sum),
    Md5([u8; 16]),
    /// Nothing is known of the body but its length.
    Length,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_pieces_combine_to_that_of_the_whole() {
        let body: Vec<u8> = (0..100_000u32).map(|number| (number * 7 + number / 251) as u8).collect();
        for crc in Crc::ALL {
            for cut in [0, 1, 4096, 99_999, 100_000] {
                let pieces =
                    [&body[..cut], &body[cut..]].map(|piece| (Sum::of(crc, piece), piece.len() as u64));
                assert_eq!(Sum::of_pieces(crc, pieces), Sum::of(crc, &body), "{} at {cut}", crc.name());
                let mut summing = Summing::new(crc);
                summing.add(&body[..cut]);
                summing.add(&body[cut..]);
                assert_eq!(summing.sum(), Sum::of(crc, &body), "{} at {cut}", crc.name());
            }
        }
    }

    #[test]
    fn sums_are_written_as_s3_writes_them() {
        for (crc, text) in
            [(Crc::Crc64Nvme, "rosUhgp5mIg="), (Crc::Crc32c, "4waSgw=="), (Crc::Crc32, "y/Q5Jg==")]
        {
            let sum = Sum::of(crc, b"123456789");
            assert_eq!(sum.to_string(), text);
            assert_eq!(Sum::parse(crc, text), Some(sum));
        }
        assert_eq!(Sum::parse(Crc::Crc32, "AAAAAAAAAAA="), None);
    }
}
