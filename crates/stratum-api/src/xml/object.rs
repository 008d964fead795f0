//! Documents about objects: the answers to CopyObject and PostObject.

use crate::text::{Quoted, Timestamp};
use crate::xml::Namespace;
use crate::xml::multipart::ChecksumElement;
use serde::Serialize;

/// The answer to CopyObject.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CopyObjectResult {
    #[serde(rename = "@xmlns")]
    pub xmlns: Namespace,
    pub last_modified: Timestamp,
    #[serde(rename = "ETag")]
    pub etag: Quoted,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<&'static str>,
    #[serde(rename = "$value", skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumElement>,
}

/// The answer to PostObject, where the form asks for a document (`success_action_status` 201).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PostResponse<'a> {
    pub location: &'a str,
    pub bucket: &'a str,
    pub key: &'a str,
    #[serde(rename = "ETag")]
    pub etag: &'a str,
}
