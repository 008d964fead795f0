//! The answer to GetObjectAttributes.

use crate::xml::Namespace;
use crate::xml::multipart::ChecksumElement;
use serde::Serialize;

/// The attributes that the request asked for; the others are left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetObjectAttributesResponse {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    /// Without quotes, unlike the ETags in S3's other documents.
    #[serde(rename = "ETag", skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_parts: Option<ObjectParts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_size: Option<u64>,
}

/// An object's checksum and its type.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checksum {
    #[serde(rename = "$value")]
    pub value: ChecksumElement,
    pub checksum_type: &'static str,
}

/// A page of the parts that made an object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectParts {
    /// The number of all parts, which the API reference calls `TotalPartsCount`.
    pub parts_count: usize,
    pub part_number_marker: u16,
    pub next_part_number_marker: u16,
    pub max_parts: usize,
    pub is_truncated: bool,
    #[serde(rename = "Part")]
    pub parts: Vec<ObjectPart>,
}

/// A part in that page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectPart {
    pub part_number: u16,
    pub size: u64,
    #[serde(rename = "$value", skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumElement>,
}
