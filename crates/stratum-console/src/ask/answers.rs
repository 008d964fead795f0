//! The documents that S3 answers with, as far as pages read them.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// Decodes a key or prefix that came percent-encoded because of `encoding-type=url`.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct BucketList {
    pub continuation_token: String,
    pub buckets: Listed,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Listed {
    pub bucket: Vec<Bucket>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Bucket {
    pub name: String,
    pub creation_date: String,
}

/// A page of objects, and of prefixes.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectList {
    pub contents: Vec<Object>,
    pub common_prefixes: Vec<CommonPrefix>,
    pub is_truncated: bool,
    pub next_continuation_token: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Object {
    /// Encoded.
    pub key: String,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
    pub storage_class: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct CommonPrefix {
    /// Encoded.
    pub prefix: String,
}

/// A page of versions.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionList {
    #[serde(rename = "$value")]
    pub entries: Vec<VersionEntry>,
}

/// An element of a list of versions. They are read one by one, since versions and delete markers come mixed in the
/// order of keys.
#[derive(Deserialize, Debug)]
pub enum VersionEntry {
    Version(VersionOf),
    DeleteMarker(VersionOf),
    CommonPrefixes(CommonPrefix),
    IsTruncated(bool),
    NextKeyMarker(String),
    NextVersionIdMarker(String),
    #[serde(other)]
    Other,
}

#[derive(Deserialize, Default, Debug, Clone)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionOf {
    /// Encoded.
    pub key: String,
    pub version_id: String,
    pub is_latest: bool,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Versioning {
    pub status: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tagging {
    pub tag_set: TagSet,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagSet {
    pub tag: Vec<Tag>,
}

#[derive(Deserialize, Default, Debug, Clone)]
#[serde(rename_all = "PascalCase", default)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct UploadBegun {
    pub upload_id: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct PartList {
    pub part: Vec<Part>,
    pub is_truncated: bool,
    pub next_part_number_marker: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Part {
    pub part_number: u32,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
}

/// The answer to a DeleteObjects with `Quiet`, which names only what wasn't deleted.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct Deleted {
    pub error: Vec<NotDeleted>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub struct NotDeleted {
    pub key: String,
    pub code: String,
    pub message: String,
}
