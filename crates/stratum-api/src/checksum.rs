//! The checksums of S3: their names, their wire form, and one digester that computes all that a body needs in one
//! pass.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity". The CRCs travel big-endian, all of them in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;
use stratum_metadata::record::{Checksum, ChecksumAlgorithm, ChecksumType};

/// All algorithms, with what S3 calls them.
pub const ALGORITHMS: [(ChecksumAlgorithm, &str, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "CRC32", "x-amz-checksum-crc32"),
    (ChecksumAlgorithm::Crc32c, "CRC32C", "x-amz-checksum-crc32c"),
    (ChecksumAlgorithm::Crc64Nvme, "CRC64NVME", "x-amz-checksum-crc64nvme"),
    (ChecksumAlgorithm::Sha1, "SHA1", "x-amz-checksum-sha1"),
    (ChecksumAlgorithm::Sha256, "SHA256", "x-amz-checksum-sha256"),
];

/// The algorithm's name in headers and documents, such as `CRC32C`.
pub fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    entry(algorithm).1
}

/// The header that carries a value, such as `x-amz-checksum-crc32c`.
pub fn header(algorithm: ChecksumAlgorithm) -> &'static str {
    entry(algorithm).2
}

fn entry(algorithm: ChecksumAlgorithm) -> &'static (ChecksumAlgorithm, &'static str, &'static str) {
    match algorithm {
        ChecksumAlgorithm::Crc32 => &ALGORITHMS[0],
        ChecksumAlgorithm::Crc32c => &ALGORITHMS[1],
        ChecksumAlgorithm::Crc64Nvme => &ALGORITHMS[2],
        ChecksumAlgorithm::Sha1 => &ALGORITHMS[3],
        ChecksumAlgorithm::Sha256 => &ALGORITHMS[4],
    }
}

/// The algorithm of that name, in either case.
pub fn by_name(name: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.iter().find(|entry| entry.1.eq_ignore_ascii_case(name)).map(|entry| entry.0)
}

/// The algorithm whose values that header carries.
pub fn by_header(header: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.iter().find(|entry| entry.2.eq_ignore_ascii_case(header)).map(|entry| entry.0)
}

/// Bytes of a value.
pub fn length(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// `FULL_OBJECT` or `COMPOSITE`.
pub fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// A value as the wire has it.
pub fn encode(value: &[u8]) -> String {
    BASE64.encode(value)
}

/// A value off the wire; `None` when it can't be a value of that algorithm.
pub fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    let value = BASE64.decode(text).ok()?;
    (value.len() == length(algorithm)).then_some(value)
}

/// `Content-MD5` off the wire.
pub fn decode_md5(text: &str) -> Option<[u8; 16]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Computes one of the algorithms over bytes that come in pieces.
#[derive(Clone)]
pub enum Hasher {
    /// The length in bytes is what tells a CRC-32 from a CRC-64.
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |crc| Hasher::Crc(crc_fast::Digest::new(crc), length(algorithm));
        match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => Hasher::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc(digest, _) => digest.update(bytes),
            Hasher::Sha1(digest) => digest.update(bytes),
            Hasher::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The raw value, big-endian.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc(digest, length) => {
                let value = digest.finalize().to_be_bytes();
                value.get(8 - length..).unwrap_or_default().to_vec()
            }
            Hasher::Sha1(digest) => digest.finalize().to_vec(),
            Hasher::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// One algorithm over bytes that are all there.
pub fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The CRC-32C that a journaled body is kept under.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(bytes);
    digest.finalize() as u32
}

/// All that is computed over a body: its MD5, one checksum, and the SHA-256 where the signature declared one.
#[derive(Clone)]
pub struct Digester {
    md5: Md5,
    algorithm: ChecksumAlgorithm,
    checksum: Hasher,
    sha256: Option<Sha256>,
}

/// What a [`Digester`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub md5: [u8; 16],
    pub checksum: Checksum,
    pub sha256: Option<[u8; 32]>,
}

impl Digester {
    /// `signed` asks for the SHA-256 besides.
    pub fn new(algorithm: ChecksumAlgorithm, signed: bool) -> Self {
        Self {
            md5: Md5::new(),
            algorithm,
            checksum: Hasher::new(algorithm),
            // Where the checksum is a SHA-256 itself, one computation serves both.
            sha256: (signed && algorithm != ChecksumAlgorithm::Sha256).then(Sha256::new),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksum.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    pub fn finish(self) -> Digests {
        let value = self.checksum.finish();
        let sha256 = match self.sha256 {
            Some(sha256) => Some(sha256.finalize().into()),
            None => value.as_slice().try_into().ok(),
        };
        let checksum = Checksum { algorithm: self.algorithm, kind: ChecksumType::FullObject, value };
        Digests { md5: self.md5.finalize().into(), checksum, sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published check values over "123456789" (reveng CRC catalogue; FIPS 180 digests of the same string).
    #[test]
    fn check_values() {
        let of = |algorithm| hex::encode(of(algorithm, b"123456789"));
        assert_eq!(of(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(of(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(of(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(of(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            of(ChecksumAlgorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn one_pass_computes_everything_however_the_bytes_are_split() {
        let mut split = Digester::new(ChecksumAlgorithm::Crc64Nvme, true);
        split.update(b"1234");
        split.update(b"");
        split.update(b"56789");
        let digests = split.finish();
        assert_eq!(hex::encode(digests.md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(
            digests.sha256.map(|value| value.to_vec()),
            Some(of(ChecksumAlgorithm::Sha256, b"123456789"))
        );
        assert_eq!(digests.checksum.value, of(ChecksumAlgorithm::Crc64Nvme, b"123456789"));
    }

    #[test]
    fn a_sha256_checksum_serves_the_signature_too() {
        let mut digester = Digester::new(ChecksumAlgorithm::Sha256, true);
        digester.update(b"123456789");
        let digests = digester.finish();
        assert_eq!(digests.sha256.map(|value| value.to_vec()), Some(digests.checksum.value));
    }

    #[test]
    fn a_value_of_the_wrong_length_is_no_value() {
        assert!(decode(ChecksumAlgorithm::Crc32, "y/Q5Jg==").is_some());
        for wrong in ["bad", "", "y/Q5", "y/Q5JgA=", "####"] {
            assert_eq!(decode(ChecksumAlgorithm::Crc32, wrong), None, "{wrong}");
        }
    }
}
