//! What a client says of an object beside its bytes: content type, caching, user metadata, as headers carry it.

use super::client::Call;
use super::objects::text;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

const METADATA: &str = "x-amz-meta-";

/// What a client says of an object when it writes it, and gets back when it reads it.
#[derive(Serialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<String>,
    pub storage_class: Option<String>,
    pub metadata: Vec<(String, String)>,
}

impl Attributes {
    pub(super) fn of(headers: &HeaderMap) -> Attributes {
        let metadata = headers.iter().filter_map(|(name, value)| {
            Some((
                name.as_str().strip_prefix(METADATA)?.to_owned(),
                String::from_utf8(value.as_bytes().into()).ok()?,
            ))
        });
        Attributes {
            content_type: text(headers, "content-type"),
            cache_control: text(headers, "cache-control"),
            content_disposition: text(headers, "content-disposition"),
            content_encoding: text(headers, "content-encoding"),
            content_language: text(headers, "content-language"),
            expires: text(headers, "expires"),
            storage_class: text(headers, "x-amz-storage-class"),
            metadata: metadata.collect(),
        }
    }

    /// Whether no attribute is set.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// These attributes, and those of `other` where these have none.
    pub fn or(&self, other: &Attributes) -> Attributes {
        let pick = |one: &Option<String>, two: &Option<String>| one.clone().or_else(|| two.clone());
        Attributes {
            content_type: pick(&self.content_type, &other.content_type),
            cache_control: pick(&self.cache_control, &other.cache_control),
            content_disposition: pick(&self.content_disposition, &other.content_disposition),
            content_encoding: pick(&self.content_encoding, &other.content_encoding),
            content_language: pick(&self.content_language, &other.content_language),
            expires: pick(&self.expires, &other.expires),
            storage_class: pick(&self.storage_class, &other.storage_class),
            metadata: if self.metadata.is_empty() { other.metadata.clone() } else { self.metadata.clone() },
        }
    }
}

/// Adds the attributes to a request.
pub(super) fn attributed<'a>(mut call: Call<'a>, attributes: &Attributes) -> Call<'a> {
    for (name, value) in [
        ("content-type", &attributes.content_type),
        ("cache-control", &attributes.cache_control),
        ("content-disposition", &attributes.content_disposition),
        ("content-encoding", &attributes.content_encoding),
        ("content-language", &attributes.content_language),
        ("expires", &attributes.expires),
        ("x-amz-storage-class", &attributes.storage_class),
    ] {
        if let Some(value) = value {
            call = call.header(name, value);
        }
    }
    for (name, value) in &attributes.metadata {
        let header = HeaderName::from_bytes(format!("{METADATA}{name}").as_bytes());
        if let (Ok(name), Ok(value)) = (header, HeaderValue::from_bytes(value.as_bytes())) {
            call = call.named_header(name, value);
        }
    }
    call
}
