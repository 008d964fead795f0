//! The answers to ListObjects, ListObjectsV2 and ListObjectVersions.

use crate::text::{EncodingType, Name, Quoted, Timestamp};
use crate::xml::Namespace;
use crate::xml::buckets::Owner;
use serde::Serialize;
use std::borrow::Cow;

/// An object in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Contents<'a> {
    pub key: Name<'a>,
    pub last_modified: Timestamp,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Cow<'a, Owner>>,
    pub storage_class: &'static str,
}

/// A common prefix in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommonPrefix<'a> {
    pub prefix: Name<'a>,
}

/// The answer to ListObjects (version 1).
#[derive(Debug, Serialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
pub struct ListObjectsResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub name: &'a str,
    pub prefix: Name<'a>,
    pub marker: Name<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<Name<'a>>,
    pub max_keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<EncodingType>,
    pub is_truncated: bool,
    pub contents: Vec<Contents<'a>>,
    pub common_prefixes: Vec<CommonPrefix<'a>>,
}

/// The answer to ListObjectsV2.
#[derive(Debug, Serialize)]
#[serde(rename = "ListBucketResult", rename_all = "PascalCase")]
pub struct ListObjectsV2Result<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub name: &'a str,
    pub prefix: Name<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_after: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_continuation_token: Option<String>,
    pub key_count: usize,
    pub max_keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<EncodingType>,
    pub is_truncated: bool,
    pub contents: Vec<Contents<'a>>,
    pub common_prefixes: Vec<CommonPrefix<'a>>,
}

/// An object version in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version<'a> {
    pub key: Name<'a>,
    pub version_id: String,
    pub is_latest: bool,
    pub last_modified: Timestamp,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
    pub size: u64,
    pub storage_class: &'static str,
    pub owner: Cow<'a, Owner>,
}

/// A delete marker in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMarker<'a> {
    pub key: Name<'a>,
    pub version_id: String,
    pub is_latest: bool,
    pub last_modified: Timestamp,
    pub owner: Cow<'a, Owner>,
}

/// An entry of ListObjectVersions. Versions and delete markers are mixed, in the order of the list.
#[derive(Debug, Serialize)]
pub enum VersionLine<'a> {
    Version(Version<'a>),
    DeleteMarker(DeleteMarker<'a>),
}

/// The answer to ListObjectVersions.
#[derive(Debug, Serialize)]
#[serde(rename = "ListVersionsResult", rename_all = "PascalCase")]
pub struct ListVersionsResult<'a> {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub name: &'a str,
    pub prefix: Name<'a>,
    pub key_marker: Name<'a>,
    pub version_id_marker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_marker: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_version_id_marker: Option<String>,
    pub max_keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Name<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<EncodingType>,
    pub is_truncated: bool,
    #[serde(rename = "$value")]
    pub versions: Vec<VersionLine<'a>>,
    pub common_prefixes: Vec<CommonPrefix<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::ETag;

    #[test]
    fn a_page_of_list_objects_v2_has_its_elements_in_the_order_of_s3() {
        let url = Some(EncodingType::Url);
        let owner = Owner { id: "o".into(), display_name: "O".into() };
        let contents = Contents {
            key: Name::new(b"a b", url),
            last_modified: Timestamp(0),
            etag: Quoted(ETag::Md5([1; 16])),
            checksum_algorithm: Some("CRC32"),
            checksum_type: Some("FULL_OBJECT"),
            size: 3,
            owner: Some(Cow::Borrowed(&owner)),
            storage_class: "STANDARD",
        };
        let page = ListObjectsV2Result {
            xmlns: Namespace,
            name: "bucket",
            prefix: Name::new(b"", url),
            start_after: None,
            continuation_token: Some("t0"),
            next_continuation_token: Some("t1".into()),
            key_count: 2,
            max_keys: 2,
            delimiter: Some(Name::new(b"/", url)),
            encoding_type: url,
            is_truncated: true,
            contents: vec![contents],
            common_prefixes: vec![CommonPrefix { prefix: Name::new(b"p+/", url) }],
        };
        let text = String::from_utf8(crate::xml::write(&page).expect("serialises").to_vec()).expect("UTF-8");
        let expected = "<Name>bucket</Name><Prefix/><ContinuationToken>t0</ContinuationToken>\
            <NextContinuationToken>t1</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>\
            <Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>a%20b</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
            <ETag>\"01010101010101010101010101010101\"</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>\
            <ChecksumType>FULL_OBJECT</ChecksumType><Size>3</Size><Owner><ID>o</ID><DisplayName>O</DisplayName></Owner>\
            <StorageClass>STANDARD</StorageClass></Contents>\
            <CommonPrefixes><Prefix>p%2B/</Prefix></CommonPrefixes></ListBucketResult>";
        assert!(text.ends_with(expected), "{text}");
    }
}
