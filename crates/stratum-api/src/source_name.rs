//! The header `x-amz-copy-source`, which names the object that is copied.
//!
//! Source: API Reference, CopyObject and UploadPartCopy: `bucket/key` or `/bucket/key`, percent-encoded, with
//! `?versionId=` behind it.

use crate::error::{Code, S3Error};
use crate::key::{self, ObjectKey};
use crate::version;
use http::HeaderMap;
use stratum_metadata::record::{BucketName, VersionId};

const HEADER: &str = "x-amz-copy-source";

/// The source's name, as the header has it.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceName {
    pub bucket: String,
    pub key: ObjectKey,
    pub version: Option<VersionId>,
}

impl SourceName {
    /// Reads the header. Its value isn't a list: a comma is a character of a key like any other.
    ///
    /// # Errors
    /// `InvalidArgument` for a value without a bucket or a key, and for one with a version id that no version can
    /// have; `KeyTooLongError`.
    pub fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        Self::parse(headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, S3Error> {
        // The version follows a question mark as such. A question mark that belongs to the key is percent-encoded.
        let (path, version) = match text.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let wrong = |message: &'static str| S3Error::invalid_argument(HEADER, text, message);
        let incomplete =
            || wrong("Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
        let path = path.strip_prefix('/').unwrap_or(path);
        let separator = path.find('/').map(|at| (at, 1));
        // Some clients encode the slash between bucket and key too.
        let encoded = || path.to_ascii_lowercase().find("%2f").map(|at| (at, 3));
        let (at, length) = separator.or_else(encoded).ok_or_else(incomplete)?;
        let (bucket, rest) = path.split_at(at);
        let raw_key = rest.get(length..).unwrap_or_default();
        if bucket.is_empty() || raw_key.is_empty() {
            return Err(incomplete());
        }
        if !is_encoded(path) {
            return Err(wrong("Invalid copy source encoding"));
        }
        let bucket = percent_encoding::percent_decode_str(bucket).decode_utf8();
        let bucket = bucket.ok().and_then(|name| BucketName::parse(&name).ok());
        let bucket = bucket.ok_or_else(|| wrong("Invalid copy source bucket name"))?;
        let version = version.map(|version| version::parse(HEADER, version)).transpose()?;
        let key = key::from_path(raw_key).map_err(|error| match error.code() {
            Code::KeyTooLongError => error,
            _ => wrong("Invalid copy source object key"),
        })?;
        Ok(Self { bucket: bucket.as_str().to_owned(), key, version })
    }
}

/// The two forms in which a policy's condition may name the source: bucket and key, decoded, with a slash before them
/// and without.
pub fn as_policies_name_it(headers: &HeaderMap) -> Option<[String; 2]> {
    if !headers.contains_key(HEADER) {
        return None;
    }
    let SourceName { bucket, key, .. } = SourceName::of(headers).ok()?;
    Some([format!("{bucket}/{}", key.as_str()), format!("/{bucket}/{}", key.as_str())])
}

/// Whether every percent sign begins an encoded byte.
fn is_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), Code> {
        let source = SourceName::parse(text).map_err(|error| error.code())?;
        Ok((source.bucket, source.key.as_str().to_owned()))
    }

    fn names(bucket: &str, key: &str) -> Result<(String, String), Code> {
        Ok((bucket.into(), key.into()))
    }

    #[test]
    fn a_source_is_a_bucket_and_an_encoded_key() {
        assert_eq!(parse("bkt/k"), names("bkt", "k"));
        assert_eq!(parse("/bkt/a/k"), names("bkt", "a/k"));
        assert_eq!(parse("bkt//k"), names("bkt", "/k"));
        assert_eq!(parse("bkt/a%20b%25+c"), names("bkt", "a b%+c"));
        assert_eq!(parse("bkt%2Fk%2Fl"), names("bkt", "k/l"));
        assert_eq!(parse("bkt/%3FversionId"), names("bkt", "?versionId"));
        assert_eq!(parse("bkt/k?versionId=null"), names("bkt", "k"));
        assert_eq!(parse("bkt/k?versionId=3L4kqtJl"), Err(Code::InvalidArgument));
        assert_eq!(parse("bkt/k?versionId="), Err(Code::InvalidArgument));
        assert_eq!(SourceName::parse("bkt/k?versionId=null").unwrap().version, Some(VersionId::NULL));
        assert_eq!(SourceName::parse("bkt/k").unwrap().version, None);
        assert_eq!(parse("bkt/a,b"), names("bkt", "a,b"));
        let wrong =
            ["", "/", "bkt", "bkt/", "/bkt", "//k", "bkt/%ZZ", "bkt/a%2", "bkt/%", "b/k", "B_K/k", "a..b/k"];
        for wrong in wrong {
            assert_eq!(parse(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
        assert_eq!(parse("bkt/%ff"), Err(Code::InvalidArgument));
        assert_eq!(parse(&format!("bkt/{}", "k".repeat(1025))), Err(Code::KeyTooLongError));
    }
}
