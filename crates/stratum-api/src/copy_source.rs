//! `x-amz-copy-source`: the object that CopyObject and UploadPartCopy read.

use crate::authenticate::authorise;
use crate::context::Context;
use crate::error::{Code, S3Error};
use crate::key::{self, ObjectKey};
use stratum_metadata::record::BucketRecord;

/// An object to copy from, in a bucket that the caller owns.
#[derive(Debug)]
pub struct CopySource {
    pub bucket: BucketRecord,
    pub key: ObjectKey,
}

impl CopySource {
    /// Reads the header `[/]bucket/key[?versionId=null]`, percent-encoded.
    ///
    /// # Errors
    /// `InvalidArgument` when it isn't that, `NoSuchBucket`, `AccessDenied`.
    pub fn of(ctx: &Context) -> Result<Self, S3Error> {
        let header = ctx.headers.get("x-amz-copy-source");
        let text = header.and_then(|header| std::str::from_utf8(header.as_bytes()).ok()).unwrap_or_default();
        let (bucket, key) = parse(text)?;
        let bucket = ctx.bucket(&bucket)?;
        let expected = ctx.headers.get("x-amz-source-expected-bucket-owner");
        if expected.is_some_and(|owner| owner.as_bytes() != bucket.owner.as_bytes()) {
            return Err(Code::AccessDenied.into());
        }
        authorise(ctx, &bucket)?;
        Ok(Self { bucket, key })
    }
}

fn parse(text: &str) -> Result<(String, ObjectKey), S3Error> {
    let wrong = |message| S3Error::invalid_argument("x-amz-copy-source", text, message);
    // An encoded question mark belongs to the key.
    let (path, version) = match text.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    if version.is_some_and(|version| version != "null") {
        return Err(wrong("Invalid version id specified"));
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    // The slash between them may be encoded too.
    let at = path.find('/').map(|at| (at, at + 1));
    let encoded = path.to_ascii_lowercase().find("%2f").map(|at| (at, at + 3));
    let split = [at, encoded].into_iter().flatten().min();
    let (bucket, key) = split
        .and_then(|(end, start)| Some((path.get(..end)?, path.get(start..)?)))
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| {
            wrong("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        })?;
    Ok((bucket.to_owned(), key::from_path(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<(String, String), Code> {
        let parsed = parse(text).map_err(|error| error.code())?;
        Ok((parsed.0, parsed.1.as_str().to_owned()))
    }

    #[test]
    fn a_source_is_a_bucket_and_an_encoded_key() {
        let is = |bucket: &str, key: &str| Ok((bucket.to_owned(), key.to_owned()));
        assert_eq!(source("b/k"), is("b", "k"));
        assert_eq!(source("/b/k/l"), is("b", "k/l"));
        assert_eq!(source("b%2Fk"), is("b", "k"));
        assert_eq!(source("b/%25"), is("b", "%"));
        assert_eq!(source("b/%2525"), is("b", "%25"));
        assert_eq!(source("b/a+b%20c"), is("b", "a+b c"));
        assert_eq!(source("b/%3FversionId"), is("b", "?versionId"));
        assert_eq!(source("b/k?versionId=null"), is("b", "k"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "b", "b/", "/b", "/b/", "b/k?versionId=1"] {
            assert_eq!(source(text), Err(Code::InvalidArgument), "{text}");
        }
    }
}
