//! `x-amz-copy-source`: the object that CopyObject and UploadPartCopy copy.
//!
//! Source: API Reference, CopyObject and UploadPartCopy: `bucket/key` or `/bucket/key`, percent-encoded, with
//! `?versionId=` behind it.

use crate::authenticate::{EXPECTED_SOURCE_OWNER, authorised_bucket};
use crate::context::Context;
use crate::error::{Code, S3Error};
use crate::key::{self, ObjectKey};
use stratum_metadata::record::BucketRecord;

const HEADER: &str = "x-amz-copy-source";

/// The object to copy, in a bucket that exists and that the caller may read.
#[derive(Debug)]
pub struct CopySource {
    pub bucket: BucketRecord,
    pub key: ObjectKey,
}

/// The source's name, as the header has it.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    bucket: String,
    key: ObjectKey,
}

impl CopySource {
    /// Reads the header and looks its bucket up.
    ///
    /// # Errors
    /// `InvalidArgument` when it names no bucket and key, `NoSuchVersion` for a version other than `null`,
    /// `NoSuchBucket`, `AccessDenied`.
    pub fn of(ctx: &Context) -> Result<Self, S3Error> {
        let Named { bucket, key } = Named::parse(ctx.header(HEADER).unwrap_or_default())?;
        let bucket = authorised_bucket(ctx, &bucket, EXPECTED_SOURCE_OWNER)?;
        Ok(Self { bucket, key })
    }
}

impl Named {
    fn parse(text: &str) -> Result<Self, S3Error> {
        // The version stands behind a raw question mark; one that belongs to the key is encoded.
        let (path, version) = match text.split_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let wrong = || {
            let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
            S3Error::invalid_argument(HEADER, text, message)
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let separator = path.find('/').map(|at| (at, 1));
        // Some clients encode the slash between bucket and key too.
        let encoded = || path.to_ascii_lowercase().find("%2f").map(|at| (at, 3));
        let (at, length) = separator.or_else(encoded).ok_or_else(wrong)?;
        let (bucket, rest) = path.split_at(at);
        let raw_key = rest.get(length..).unwrap_or_default();
        if bucket.is_empty() || raw_key.is_empty() {
            return Err(wrong());
        }
        if version.is_some_and(|version| version != "null") {
            return Err(Code::NoSuchVersion.into());
        }
        let bucket = percent_encoding::percent_decode_str(bucket).decode_utf8().map_err(|_| wrong())?;
        Ok(Self { bucket: bucket.into_owned(), key: key::from_path(raw_key)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), Code> {
        let source = Named::parse(text).map_err(|error| error.code())?;
        Ok((source.bucket, source.key.as_str().to_owned()))
    }

    fn names(bucket: &str, key: &str) -> Result<(String, String), Code> {
        Ok((bucket.into(), key.into()))
    }

    #[test]
    fn a_source_is_a_bucket_and_an_encoded_key() {
        assert_eq!(parse("b/k"), names("b", "k"));
        assert_eq!(parse("/b/a/k"), names("b", "a/k"));
        assert_eq!(parse("b//k"), names("b", "/k"));
        assert_eq!(parse("b/a%20b%25+c"), names("b", "a b%+c"));
        assert_eq!(parse("b%2Fk%2Fl"), names("b", "k/l"));
        assert_eq!(parse("b/%3FversionId"), names("b", "?versionId"));
        assert_eq!(parse("b/k?versionId=null"), names("b", "k"));
        assert_eq!(parse("b/k?versionId=3L4kqtJl"), Err(Code::NoSuchVersion));
        for wrong in ["", "/", "b", "b/", "/b", "//k"] {
            assert_eq!(parse(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
        assert_eq!(parse("b/%ff"), Err(Code::InvalidURI));
    }
}
