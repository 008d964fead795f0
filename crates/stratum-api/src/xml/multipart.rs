//! The documents of multipart uploads.

use crate::checksum;
use crate::number;
use crate::text::{EncodingType, Name, Quoted, Timestamp};
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use crate::xml::listing::CommonPrefix;
use crate::xml::read::{self, Element, Malformed};
use serde::{Serialize, Serializer};
use stratum_metadata::record::ChecksumAlgorithm;

/// The most parts that an upload may have, and so the most that CompleteMultipartUpload may name.
pub const MAX_PARTS: usize = 10_000;

/// The longest body of CompleteMultipartUpload, in bytes: enough for [`MAX_PARTS`] parts with number, quoted ETag and
/// a SHA-256.
pub const MAX_BODY_BYTES: u64 = 4 * 1024 * 1024;

/// A checksum, as an element that is named after the algorithm. Its text is base64, and for a composite checksum a
/// dash and the number of parts behind that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumElement {
    algorithm: ChecksumAlgorithm,
    text: String,
}

impl ChecksumElement {
    pub fn new(algorithm: ChecksumAlgorithm, text: String) -> Self {
        Self { algorithm, text }
    }
}

impl Serialize for ChecksumElement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // For an element whose name depends on the value, serde has the variants of an enum.
        serializer.serialize_newtype_variant("Checksum", 0, element_name(self.algorithm), &self.text)
    }
}

/// The name of the element for a checksum of this algorithm.
fn element_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
        ChecksumAlgorithm::Sha512 => "ChecksumSHA512",
        ChecksumAlgorithm::Md5 => "ChecksumMD5",
        ChecksumAlgorithm::XxHash64 => "ChecksumXXHASH64",
        ChecksumAlgorithm::XxHash3 => "ChecksumXXHASH3",
        ChecksumAlgorithm::XxHash128 => "ChecksumXXHASH128",
    }
}

/// The answer to CreateMultipartUpload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InitiateMultipartUploadResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub bucket: &'a str,
    pub key: Name<'a>,
    pub upload_id: String,
}

/// The request of CompleteMultipartUpload.
#[derive(Debug, PartialEq, Eq)]
pub struct CompleteMultipartUpload {
    pub parts: Vec<CompletedPart>,
}

/// A part as the client names it in CompleteMultipartUpload.
#[derive(Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// As it was sent. A number that no part can have is refused later, when the parts are compared with the stored
    /// ones.
    pub number: i32,
    /// Without quotes.
    pub etag: String,
    /// The checksums that the client gave, in base64.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

impl CompleteMultipartUpload {
    /// Reads the request's body.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let root = read::document(body, "CompleteMultipartUpload").map_err(|malformed| match malformed {
            // SDKs send no document at all for a list without parts, and S3 calls that a list without parts.
            Malformed::Missing => Malformed::WrongCount,
            other => other,
        })?;
        root.only(&["Part"])?;
        let parts = root.all("Part").map(CompletedPart::read).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() || parts.len() > MAX_PARTS {
            return Err(Malformed::WrongCount);
        }
        Ok(Self { parts })
    }
}

impl CompletedPart {
    fn read(part: &Element) -> Result<Self, Malformed> {
        part.only_where(is_known)?;
        let number = part.trimmed("PartNumber")?.ok_or(Malformed::WrongElements)?;
        let etag = part.trimmed("ETag")?.ok_or(Malformed::WrongElements)?;
        let mut checksums = Vec::new();
        for (algorithm, ..) in checksum::ALGORITHMS {
            if let Some(value) = part.trimmed(element_name(algorithm))?.filter(|value| !value.is_empty()) {
                checksums.push((algorithm, value.to_owned()));
            }
        }
        Ok(Self {
            number: signed(number).ok_or(Malformed::WrongText)?,
            etag: etag.trim_matches('"').to_owned(),
            checksums,
        })
    }
}

/// Whether an element may be in a part: one of CompleteMultipartUpload, or one of ListParts, since some clients send
/// back what ListParts answered. Any other is refused, since it could be a checksum by an unknown algorithm, which
/// would go unchecked.
fn is_known(name: &str) -> bool {
    let mut checksums = checksum::ALGORITHMS.iter().map(|(algorithm, ..)| element_name(*algorithm));
    matches!(name, "PartNumber" | "ETag" | "Size" | "LastModified")
        || checksums.any(|checksum| checksum == name)
}

/// A number that may be negative. No part has a negative number, but the document isn't malformed.
fn signed(text: &str) -> Option<i32> {
    match text.strip_prefix('-') {
        Some(digits) => number::parse(digits).map(|number: i32| -number),
        None => number::parse(text),
    }
}

/// The answer to CompleteMultipartUpload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompleteMultipartUploadResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub location: String,
    pub bucket: &'a str,
    pub key: Name<'a>,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
    #[serde(rename = "$value", skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumElement>,
}

/// The answer to UploadPartCopy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CopyPartResult {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub last_modified: Timestamp,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    #[serde(rename = "$value", skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumElement>,
}

/// A part in ListParts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Part {
    pub part_number: u16,
    pub last_modified: Timestamp,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    pub size: u64,
    #[serde(rename = "$value", skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumElement>,
}

/// The answer to ListParts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPartsResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub bucket: &'a str,
    pub key: Name<'a>,
    pub upload_id: String,
    pub initiator: Owner,
    pub owner: Owner,
    pub storage_class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
    pub part_number_marker: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_part_number_marker: Option<u16>,
    pub max_parts: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<EncodingType>,
    pub is_truncated: bool,
    #[serde(rename = "Part")]
    pub parts: &'a [Part],
}

/// An upload in ListMultipartUploads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Upload<'a> {
    pub key: Name<'a>,
    pub upload_id: String,
    pub initiator: Owner,
    pub owner: Owner,
    pub storage_class: &'static str,
    pub initiated: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
}

/// The answer to ListMultipartUploads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMultipartUploadsResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub bucket: &'a str,
    pub key_marker: Name<'a>,
    pub upload_id_marker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_marker: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_upload_id_marker: Option<String>,
    pub prefix: Name<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<EncodingType>,
    pub max_uploads: usize,
    pub is_truncated: bool,
    #[serde(rename = "Upload")]
    pub uploads: Vec<Upload<'a>>,
    pub common_prefixes: Vec<CommonPrefix<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::ETag;

    #[test]
    fn complete_is_read_with_and_without_quotes_and_namespace() {
        let xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Part><ETag>&quot;aa&quot;</ETag><PartNumber> 1 </PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>\
            <Part><PartNumber>10000</PartNumber><ETag>bb</ETag><Size>7</Size><LastModified/></Part></CompleteMultipartUpload>";
        let complete = CompleteMultipartUpload::read(xml.as_bytes()).expect("parses");
        let crc32 = (ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned());
        let first = CompletedPart { number: 1, etag: "aa".into(), checksums: vec![crc32] };
        let second = CompletedPart { number: 10000, etag: "bb".into(), checksums: vec![] };
        assert_eq!(complete.parts, [first, second]);
    }

    #[test]
    fn complete_needs_parts_with_numbers_and_etags() {
        let part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
        let with = |parts: &str| {
            let xml = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
            CompleteMultipartUpload::read(xml.as_bytes()).map(|complete| complete.parts.len())
        };
        assert_eq!(with(""), Err(Malformed::WrongCount));
        assert_eq!(with(&part.repeat(10_000)), Ok(10_000));
        assert_eq!(with(&part.repeat(10_001)), Err(Malformed::WrongCount));
        assert_eq!(with("<Part><PartNumber>1</PartNumber></Part>"), Err(Malformed::WrongElements));
        let unknown = part.replace("</Part>", "<ChecksumSHA3>a</ChecksumSHA3></Part>");
        assert_eq!(with(&unknown), Err(Malformed::Unknown("ChecksumSHA3".into())));
        assert!(with(&format!("{part}<Except/>")).is_err());
        assert_eq!(with("<Part><PartNumber>-1</PartNumber><ETag>a</ETag></Part>"), Ok(1));
        for wrong in ["+1", "--1", "-", "1.0", "one", "9999999999"] {
            let part = format!("<Part><PartNumber>{wrong}</PartNumber><ETag>a</ETag></Part>");
            assert_eq!(with(&part), Err(Malformed::WrongText), "{wrong}");
        }
        assert_eq!(CompleteMultipartUpload::read(b""), Err(Malformed::WrongCount));
    }

    #[test]
    fn the_answer_to_complete_has_an_element_named_after_the_checksums_algorithm() {
        let answer = CompleteMultipartUploadResult {
            xmlns: Namespace,
            location: "http://h/b/k".into(),
            bucket: "b",
            key: Name::new(b"k", None),
            etag: Quoted(ETag::Multipart { md5: [0; 16], parts: 2 }),
            checksum_type: Some("COMPOSITE"),
            checksum: Some(ChecksumElement::new(ChecksumAlgorithm::Sha256, "c2hh-2".into())),
        };
        let text =
            String::from_utf8(crate::xml::write(&answer).expect("serialises").to_vec()).expect("UTF-8");
        let expected = "<Location>http://h/b/k</Location><Bucket>b</Bucket><Key>k</Key>\
            <ETag>\"00000000000000000000000000000000-2\"</ETag><ChecksumType>COMPOSITE</ChecksumType>\
            <ChecksumSHA256>c2hh-2</ChecksumSHA256></CompleteMultipartUploadResult>";
        assert!(text.ends_with(expected), "{text}");
    }
}
