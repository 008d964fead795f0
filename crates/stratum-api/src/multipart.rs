//! The rules of multipart uploads, as functions without side effects: part numbers and upload ids, which parts
//! CompleteMultipartUpload may name, and the ETag and checksum of an object from those of its parts.
//!
//! Sources: Amazon S3 User Guide, "Multipart upload limits" and "Checking object integrity for multipart uploads";
//! API Reference, CompleteMultipartUpload.

mod assemble;

pub use assemble::{Assembled, assemble};

use crate::checksum;
use crate::error::{Code, S3Error};
use crate::key::ObjectKey;
use crate::number;
use crate::query::Query;
use md5::{Digest as _, Md5};
use stratum_metadata::ReadView;
use stratum_metadata::record::{
    BucketRecord, Checksum, ChecksumAlgorithm, ChecksumType, ETag, UploadId, UploadRecord,
};

/// The least size of a part, in bytes. The last part may be smaller.
pub const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// The highest part number.
const MAX_PART_NUMBER: u16 = 10_000;

/// Reads `partNumber`: 1 to 10,000.
///
/// # Errors
/// `InvalidArgument`.
pub fn part_number(query: &Query) -> Result<u16, S3Error> {
    parse_part_number(query.get("partNumber").unwrap_or_default())
}

/// Reads a part number from the text of a parameter: 1 to 10,000.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_part_number(text: &str) -> Result<u16, S3Error> {
    match number::parse(text) {
        Some(number @ 1..=MAX_PART_NUMBER) => Ok(number),
        _ => Err(S3Error::invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )),
    }
}

/// Reads the number after which a page of parts begins, of the header or parameter `name`. A marker above all part
/// numbers gives an empty page.
///
/// # Errors
/// `InvalidArgument`.
pub fn marker(name: &'static str, text: Option<&str>) -> Result<u16, S3Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(0) };
    let marker = number::parse::<i32>(text).ok_or_else(|| {
        let message = format!("Argument {name} must be an integer between 0 and 2147483647");
        S3Error::invalid_argument(name, text, message)
    })?;
    Ok(u16::try_from(marker).unwrap_or(u16::MAX))
}

/// Reads `uploadId`. A text that can't be the id of an upload names one that doesn't exist.
///
/// # Errors
/// `NoSuchUpload`.
pub fn upload_id(query: &Query) -> Result<UploadId, S3Error> {
    let text = query.get("uploadId").unwrap_or_default();
    parse_upload_id(text).ok_or_else(|| S3Error::new(Code::NoSuchUpload).with("UploadId", text))
}

/// The upload id of a text of 32 lower-case hex digits; `None` for any other text.
pub fn parse_upload_id(text: &str) -> Option<UploadId> {
    let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u128::from_str_radix(text, 16).ok().map(UploadId) } else { None }
}

/// The upload in progress of that id, if it is one of that key in that bucket.
pub fn find(
    view: &ReadView,
    bucket: &BucketRecord,
    key: &ObjectKey,
    upload: UploadId,
) -> Result<Option<UploadRecord>, S3Error> {
    let record = view.upload(upload)?;
    Ok(record.filter(|record| record.bucket == bucket.id && record.key == key.as_bytes()))
}

/// As [`find`], where it is an error that there is no such upload.
///
/// # Errors
/// `NoSuchUpload`.
pub fn existing(
    view: &ReadView,
    bucket: &BucketRecord,
    key: &ObjectKey,
    upload: UploadId,
) -> Result<UploadRecord, S3Error> {
    let missing = || S3Error::new(Code::NoSuchUpload).with("UploadId", upload.to_string());
    find(view, bucket, key, upload)?.ok_or_else(missing)
}

/// The ETag of an object of parts: the MD5 of the parts' MD5s, and the number of parts.
pub fn etag(md5s: impl ExactSizeIterator<Item = [u8; 16]>) -> ETag {
    let parts = u16::try_from(md5s.len()).unwrap_or(u16::MAX);
    let mut hash = Md5::new();
    md5s.for_each(|md5| hash.update(md5));
    ETag::Multipart { md5: hash.finalize().into(), parts }
}

/// The checksum of an object of parts, from the sizes and checksums of the parts. One of the full object is the
/// parts' CRCs combined; a composite one is the checksum of the parts' checksums. None where a part has no checksum
/// of that algorithm, and where the algorithm has no checksum of that type.
pub fn checksum_of_parts(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: &[(u64, Option<&Checksum>)],
) -> Option<Checksum> {
    let mut values = Vec::with_capacity(parts.len());
    for (size, checksum) in parts {
        values.push((*size, checksum.filter(|checksum| checksum.algorithm == algorithm)?.value.as_slice()));
    }
    let value = match kind {
        ChecksumType::Composite => composite(algorithm, &values)?,
        ChecksumType::FullObject => combined(algorithm, &values)?,
    };
    Some(Checksum { algorithm, kind, value })
}

fn composite(algorithm: ChecksumAlgorithm, parts: &[(u64, &[u8])]) -> Option<Vec<u8>> {
    let (usual, other) = checksum::types(algorithm);
    if usual != ChecksumType::Composite && other != Some(ChecksumType::Composite) {
        return None;
    }
    let mut all = checksum::Hasher::new(algorithm);
    parts.iter().for_each(|(_, value)| all.update(value));
    Some(all.finish())
}

fn combined(algorithm: ChecksumAlgorithm, parts: &[(u64, &[u8])]) -> Option<Vec<u8>> {
    use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
    let (crc, width) = match algorithm {
        ChecksumAlgorithm::Crc32 => (Crc32IsoHdlc, 4),
        ChecksumAlgorithm::Crc32c => (Crc32Iscsi, 4),
        ChecksumAlgorithm::Crc64Nvme => (Crc64Nvme, 8),
        ChecksumAlgorithm::Sha1
        | ChecksumAlgorithm::Sha256
        | ChecksumAlgorithm::Sha512
        | ChecksumAlgorithm::Md5
        | ChecksumAlgorithm::XxHash64
        | ChecksumAlgorithm::XxHash3
        | ChecksumAlgorithm::XxHash128 => return None,
    };
    let number = |value: &[u8]| value.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (first, rest) = parts.split_first()?;
    let all = rest.iter().fold(number(first.1), |all, (size, value)| {
        crc_fast::checksum_combine(crc, all, number(value), *size)
    });
    all.to_be_bytes().get(8 - width..).map(<[u8]>::to_vec)
}

/// A checksum as S3 writes it: base64, and for a composite one the number of parts behind a dash.
pub fn checksum_text(checksum: &Checksum, parts: usize) -> String {
    let value = checksum::encode(&checksum.value);
    match checksum.kind {
        ChecksumType::FullObject => value,
        ChecksumType::Composite => format!("{value}-{parts}"),
    }
}

/// How many parts made the object with that ETag; 1 for an object that wasn't made of parts.
pub fn parts_of(etag: &ETag) -> usize {
    match etag {
        ETag::Multipart { parts, .. } => usize::from(*parts),
        ETag::Md5(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use proptest::prelude::*;

    fn value(algorithm: ChecksumAlgorithm, text: &str) -> Checksum {
        Checksum { algorithm, kind: ChecksumType::FullObject, value: BASE64.decode(text).unwrap() }
    }

    /// Three parts of 5 MiB, of the letters A, B and C.
    fn of_abc(algorithm: ChecksumAlgorithm, kind: ChecksumType, parts: [&str; 3]) -> String {
        let parts = parts.map(|text| value(algorithm, text));
        let sized: Vec<_> = parts.iter().map(|part| (MIN_PART_BYTES, Some(part))).collect();
        checksum_text(&checksum_of_parts(algorithm, kind, &sized).unwrap(), 3)
    }

    #[test]
    fn a_composite_checksum_is_that_of_the_parts_checksums() {
        let sha256 = [
            "275VF5loJr1YYawit0XSHREhkFXYkkPKGuoK0x9VKxI=",
            "mrHwOfjTL5Zwfj74F05HOQGLdUb7E5szdCbxgUSq6NM=",
            "Vw7oB/nKQ5xWb3hNgbyfkvDiivl+U+/Dft48nfJfDow=",
        ];
        let all = of_abc(ChecksumAlgorithm::Sha256, ChecksumType::Composite, sha256);
        assert_eq!(all, "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=-3");
        let sha1 =
            ["iIaTCGbm+vdVjNqIMF2S0T7ibMk=", "LS/TJ32bAVKEwRu+sE3X7awh/lk=", "6DDwovUaHwrKNXDMzOGbuvj9kxI="];
        let all = of_abc(ChecksumAlgorithm::Sha1, ChecksumType::Composite, sha1);
        assert_eq!(all, "sizjvY4eud3MrcHdZM3cQ/ol39o=-3");
        // Every algorithm but CRC64NVME has a composite checksum: the checksum of the parts' checksums.
        for (algorithm, name, _) in checksum::ALGORITHMS {
            let parts = [b"one", b"two"].map(|part| Checksum {
                algorithm,
                kind: ChecksumType::FullObject,
                value: checksum::of(algorithm, part),
            });
            let sized: Vec<_> = parts.iter().map(|part| (3, Some(part))).collect();
            let made = checksum_of_parts(algorithm, ChecksumType::Composite, &sized).map(|made| made.value);
            let joined = parts.map(|part| part.value).concat();
            let expected =
                (algorithm != ChecksumAlgorithm::Crc64Nvme).then(|| checksum::of(algorithm, &joined));
            assert_eq!(made, expected, "{name}");
        }
    }

    #[test]
    fn crcs_of_parts_make_the_crc_of_the_full_object() {
        let crc32 =
            of_abc(ChecksumAlgorithm::Crc32, ChecksumType::FullObject, ["JRTCyQ==", "QoZTGg==", "YAgjqw=="]);
        assert_eq!(crc32, "WgDhBQ==");
        let crc32c =
            of_abc(ChecksumAlgorithm::Crc32c, ChecksumType::FullObject, ["MDaLrw==", "TH4EZg==", "Z7mBIQ=="]);
        assert_eq!(crc32c, "xU+Krw==");
        let nvme = ["L/E4WYn8v98=", "xW1l19VobYM=", "cK5MnNaWrW4="];
        assert_eq!(of_abc(ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, nvme), "i+6LR0y3eFo=");
    }

    #[test]
    fn there_is_no_checksum_where_parts_lack_it_or_the_algorithm_has_no_such_type() {
        let sha = value(ChecksumAlgorithm::Sha256, "275VF5loJr1YYawit0XSHREhkFXYkkPKGuoK0x9VKxI=");
        let crc = value(ChecksumAlgorithm::Crc64Nvme, "L/E4WYn8v98=");
        assert_eq!(
            checksum_of_parts(ChecksumAlgorithm::Sha256, ChecksumType::FullObject, &[(1, Some(&sha))]),
            None
        );
        assert_eq!(
            checksum_of_parts(ChecksumAlgorithm::Crc64Nvme, ChecksumType::Composite, &[(1, Some(&crc))]),
            None
        );
        assert_eq!(
            checksum_of_parts(
                ChecksumAlgorithm::Crc64Nvme,
                ChecksumType::FullObject,
                &[(1, Some(&crc)), (1, None)]
            ),
            None
        );
        assert_eq!(
            checksum_of_parts(ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, &[(1, Some(&sha))]),
            None
        );
        assert_eq!(checksum_of_parts(ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, &[]), None);
    }

    #[test]
    fn the_etag_is_the_md5_of_md5s() {
        let md5s = [b"hello", b"world"].map(|part| <[u8; 16]>::from(Md5::digest(part)));
        assert_eq!(etag(md5s.into_iter()).to_string(), "065947336a2f2a95ba8899f3675c3be6-2");
    }

    #[test]
    fn part_numbers_go_from_1_to_10000() {
        let number = |text: &str| part_number(&Query::parse(text).unwrap());
        assert_eq!(number("partNumber=1").unwrap(), 1);
        assert_eq!(number("partNumber=10000").unwrap(), 10_000);
        for wrong in [
            "",
            "partNumber=0",
            "partNumber=10001",
            "partNumber=70000",
            "partNumber=-1",
            "partNumber=%2B1",
            "partNumber=x",
        ] {
            assert_eq!(number(wrong).unwrap_err().code(), Code::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn a_marker_above_all_part_numbers_is_one() {
        let of = |text| marker("m", Some(text)).map_err(|error| error.code());
        assert_eq!(
            (of(""), of("7"), of("65536"), of("2147483647")),
            (Ok(0), Ok(7), Ok(u16::MAX), Ok(u16::MAX))
        );
        for wrong in ["-1", "x", "2147483648"] {
            assert_eq!(of(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
    }

    #[test]
    fn upload_ids_are_32_hex_digits() {
        let id = UploadId(0xab << 100);
        assert_eq!(parse_upload_id(&id.to_string()), Some(id));
        for wrong in [
            "",
            "abc1234def",
            &"G".repeat(32),
            &"A".repeat(32),
            &"0".repeat(33),
            "+0000000000000000000000000000001",
        ] {
            assert_eq!(parse_upload_id(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn combining_is_the_checksum_of_the_whole(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6)) {
            let whole = parts.concat();
            let crcs: Vec<_> = parts.iter().map(|part| Checksum {
                algorithm: ChecksumAlgorithm::Crc64Nvme,
                kind: ChecksumType::FullObject,
                value: crc_fast::crc64_nvme(part).to_be_bytes().to_vec(),
            }).collect();
            let sized: Vec<_> = parts.iter().zip(&crcs).map(|(part, crc)| (part.len() as u64, Some(crc))).collect();
            let all = checksum_of_parts(ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject, &sized).unwrap();
            prop_assert_eq!(all.value, crc_fast::crc64_nvme(&whole).to_be_bytes().to_vec());
        }
    }
}
