//! The checksums of S3: their names, their form on the wire, and a digester that computes all that a body needs in one
//! pass.
//!
//! Source: Amazon S3 User Guide, "Checking object integrity". All values travel in base64, those of the CRCs and
//! XXHashes big-endian.

use crate::error::{Code, S3Error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use stratum_metadata::record::{Checksum, ChecksumAlgorithm, ChecksumType};
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

/// All algorithms, each with its name and the header that carries its values. Any other header `x-amz-checksum-*` that
/// would carry a value is unknown to S3.
pub const ALGORITHMS: [(ChecksumAlgorithm, &str, &str); 10] = [
    (ChecksumAlgorithm::Crc32, "CRC32", "x-amz-checksum-crc32"),
    (ChecksumAlgorithm::Crc32c, "CRC32C", "x-amz-checksum-crc32c"),
    (ChecksumAlgorithm::Crc64Nvme, "CRC64NVME", "x-amz-checksum-crc64nvme"),
    (ChecksumAlgorithm::Sha1, "SHA1", "x-amz-checksum-sha1"),
    (ChecksumAlgorithm::Sha256, "SHA256", "x-amz-checksum-sha256"),
    (ChecksumAlgorithm::Sha512, "SHA512", "x-amz-checksum-sha512"),
    (ChecksumAlgorithm::Md5, "MD5", "x-amz-checksum-md5"),
    (ChecksumAlgorithm::XxHash64, "XXHASH64", "x-amz-checksum-xxhash64"),
    (ChecksumAlgorithm::XxHash3, "XXHASH3", "x-amz-checksum-xxhash3"),
    (ChecksumAlgorithm::XxHash128, "XXHASH128", "x-amz-checksum-xxhash128"),
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
        ChecksumAlgorithm::Sha512 => &ALGORITHMS[5],
        ChecksumAlgorithm::Md5 => &ALGORITHMS[6],
        ChecksumAlgorithm::XxHash64 => &ALGORITHMS[7],
        ChecksumAlgorithm::XxHash3 => &ALGORITHMS[8],
        ChecksumAlgorithm::XxHash128 => &ALGORITHMS[9],
    }
}

/// The algorithm of that name, in upper or lower case.
pub fn by_name(name: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.iter().find(|entry| entry.1.eq_ignore_ascii_case(name)).map(|entry| entry.0)
}

/// The algorithm that the value of a header names.
///
/// # Errors
/// `InvalidRequest`, with the names of all algorithms.
pub fn asked_for(name: &str) -> Result<ChecksumAlgorithm, S3Error> {
    by_name(name).ok_or_else(|| {
        let names: Vec<_> = ALGORITHMS.iter().map(|entry| entry.1).collect();
        S3Error::new(Code::InvalidRequest).message(format!(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{}]",
            names.join(", ")
        ))
    })
}

/// The algorithm whose values this header carries.
pub fn by_header(header: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.iter().find(|entry| entry.2.eq_ignore_ascii_case(header)).map(|entry| entry.0)
}

/// The length of a value in bytes.
pub fn length(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme | ChecksumAlgorithm::XxHash64 | ChecksumAlgorithm::XxHash3 => 8,
        ChecksumAlgorithm::Md5 | ChecksumAlgorithm::XxHash128 => 16,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
        ChecksumAlgorithm::Sha512 => 64,
    }
}

/// How an object with parts may be checksummed: the type that counts where none is named, and the other type if S3
/// allows it. Only a CRC of the whole object can be computed from those of its parts, and S3 has no composite
/// CRC64NVME.
pub fn types(algorithm: ChecksumAlgorithm) -> (ChecksumType, Option<ChecksumType>) {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => (ChecksumType::FullObject, None),
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => {
            (ChecksumType::Composite, Some(ChecksumType::FullObject))
        }
        ChecksumAlgorithm::Sha1
        | ChecksumAlgorithm::Sha256
        | ChecksumAlgorithm::Sha512
        | ChecksumAlgorithm::Md5
        | ChecksumAlgorithm::XxHash64
        | ChecksumAlgorithm::XxHash3
        | ChecksumAlgorithm::XxHash128 => (ChecksumType::Composite, None),
    }
}

/// `FULL_OBJECT` or `COMPOSITE`.
pub fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// The type of that name, in upper or lower case.
///
/// # Errors
/// `InvalidRequest`.
pub fn type_named(name: &str) -> Result<ChecksumType, S3Error> {
    [ChecksumType::Composite, ChecksumType::FullObject]
        .into_iter()
        .find(|kind| type_name(*kind).eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            S3Error::new(Code::InvalidRequest).message("Value for x-amz-checksum-type header is invalid.")
        })
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

/// Computes one of the checksums over bytes that come in pieces.
#[derive(Clone)]
pub enum Hasher {
    /// A CRC, and the length of its value in bytes, which tells a CRC-32 from a CRC-64.
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
    XxHash64(Xxh64),
    /// An XXH3, and the length of its value in bytes, which tells XXHash3 from XXHash128. Boxed, since its state is
    /// half a kilobyte.
    XxHash3(Box<Xxh3>, usize),
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
            ChecksumAlgorithm::Sha512 => Hasher::Sha512(Sha512::new()),
            ChecksumAlgorithm::Md5 => Hasher::Md5(Md5::new()),
            ChecksumAlgorithm::XxHash64 => Hasher::XxHash64(Xxh64::new(0)),
            ChecksumAlgorithm::XxHash3 | ChecksumAlgorithm::XxHash128 => {
                Hasher::XxHash3(Box::new(Xxh3::new()), length(algorithm))
            }
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc(digest, _) => digest.update(bytes),
            Hasher::Sha1(digest) => digest.update(bytes),
            Hasher::Sha256(digest) => digest.update(bytes),
            Hasher::Sha512(digest) => digest.update(bytes),
            Hasher::Md5(digest) => digest.update(bytes),
            Hasher::XxHash64(digest) => digest.update(bytes),
            Hasher::XxHash3(digest, _) => digest.update(bytes),
        }
    }

    /// The value as bytes, numbers big-endian.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc(digest, length) => {
                let value = digest.finalize().to_be_bytes();
                value.get(8 - length..).unwrap_or_default().to_vec()
            }
            Hasher::Sha1(digest) => digest.finalize().to_vec(),
            Hasher::Sha256(digest) => digest.finalize().to_vec(),
            Hasher::Sha512(digest) => digest.finalize().to_vec(),
            Hasher::Md5(digest) => digest.finalize().to_vec(),
            Hasher::XxHash64(digest) => digest.digest().to_be_bytes().to_vec(),
            Hasher::XxHash3(digest, 8) => digest.digest().to_be_bytes().to_vec(),
            Hasher::XxHash3(digest, _) => digest.digest128().to_be_bytes().to_vec(),
        }
    }
}

/// Computes a checksum over bytes that are all in memory.
#[cfg(test)]
pub fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The CRC-32C that a body in the journal is kept with.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(bytes);
    digest.finalize() as u32
}

/// Computes all that is needed over a body: its MD5, one checksum, and the SHA-256 where the signature declared one.
#[derive(Clone)]
pub struct Digester {
    md5: Md5,
    algorithm: ChecksumAlgorithm,
    checksum: Hasher,
    sha256: Option<Sha256>,
}

/// What a [`Digester`] has computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub md5: [u8; 16],
    pub checksum: Checksum,
    pub sha256: Option<[u8; 32]>,
}

impl Digester {
    /// With `signed`, the SHA-256 is computed as well.
    pub fn new(algorithm: ChecksumAlgorithm, signed: bool) -> Self {
        Self {
            md5: Md5::new(),
            algorithm,
            checksum: Hasher::new(algorithm),
            // A checksum that is a SHA-256 itself serves as both.
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
    fn checksums_have_their_published_check_values() {
        let of = |algorithm| hex::encode(of(algorithm, b"123456789"));
        assert_eq!(of(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(of(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(of(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(of(ChecksumAlgorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
        assert_eq!(
            of(ChecksumAlgorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(
            of(ChecksumAlgorithm::Sha512),
            "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455\
             b6b5bb503acf574fba8ffe85"
        );
        assert_eq!(of(ChecksumAlgorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Values of xxHash's reference implementation (XXH64, XXH3 and XXH128 with the seed 0), big-endian as its
    /// canonical form is. The first is what an SDK's own documentation sends to S3.
    #[test]
    fn xxhash_is_big_endian() {
        let sent = |algorithm, text: &str| encode(&of(algorithm, text.as_bytes()));
        assert_eq!(sent(ChecksumAlgorithm::XxHash64, "hello world"), "RatnNLIeaWg=");
        let of = |algorithm, text: &str| hex::encode(of(algorithm, text.as_bytes()));
        assert_eq!(of(ChecksumAlgorithm::XxHash64, ""), "ef46db3751d8e999");
        assert_eq!(of(ChecksumAlgorithm::XxHash3, ""), "2d06800538d394c2");
        assert_eq!(of(ChecksumAlgorithm::XxHash128, ""), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn every_value_has_its_algorithms_length_however_the_bytes_are_split() {
        let bytes: Vec<u8> = (0..5000_u32).map(|at| (at * 7) as u8).collect();
        for (algorithm, name, header) in ALGORITHMS {
            let whole = of(algorithm, &bytes);
            assert_eq!(whole.len(), length(algorithm), "{name}");
            let mut split = Hasher::new(algorithm);
            bytes.chunks(77).for_each(|piece| split.update(piece));
            assert_eq!(split.finish(), whole, "{name}");
            assert_eq!((by_name(name), by_header(header)), (Some(algorithm), Some(algorithm)));
            assert_eq!((super::name(algorithm), super::header(algorithm)), (name, header));
        }
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
