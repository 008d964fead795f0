//! What a client says of an object beside its bytes: content type, caching, user metadata, as headers carry it.

use super::client::Call;
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
    /// The attributes of an answer's headers.
    ///
    /// # Errors
    /// One of them isn't UTF-8, so that no copy can have it. Why, in words.
    pub(super) fn of(headers: &HeaderMap) -> Result<Attributes, String> {
        let read = |name: &str, value: &HeaderValue| {
            String::from_utf8(value.as_bytes().into())
                .map_err(|_| format!("its {name} isn't UTF-8, which no copy can have"))
        };
        let said = |name: &str| match headers.get(name) {
            Some(value) if !value.is_empty() => read(name, value).map(Some),
            _ => Ok(None),
        };
        let metadata = headers.iter().filter_map(|(name, value)| {
            let meant = name.as_str().strip_prefix(METADATA)?;
            Some(read(name.as_str(), value).map(|value| (meant.to_owned(), value)))
        });
        Ok(Attributes {
            content_type: said("content-type")?,
            cache_control: said("cache-control")?,
            content_disposition: said("content-disposition")?,
            content_encoding: said("content-encoding")?,
            content_language: said("content-language")?,
            expires: said("expires")?,
            storage_class: said("x-amz-storage-class")?,
            metadata: metadata.collect::<Result<_, _>>()?,
        })
    }

    /// Whether no attribute is set.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// The attributes, each taken from `other` where it isn't set here.
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
        call = match (header, HeaderValue::from_bytes(value.as_bytes())) {
            (Ok(name), Ok(value)) => call.named_header(name, value),
            _ => call.unsendable(),
        };
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_copy_can_have_is_refused_by_name() {
        let of = |value: &[u8]| {
            let name = HeaderName::from_static("x-amz-meta-who");
            Attributes::of(&HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())]))
        };
        assert_eq!(of("ü".as_bytes()).unwrap().metadata, [("who".to_owned(), "ü".to_owned())]);
        assert!(of(b"\xfc").unwrap_err().contains("x-amz-meta-who"));
    }
}
