//! Versions as requests name them and as answers tell of them. This is the one place that finds the record for a key,
//! and for a `versionId` if the request has one, or S3's error where there is no such record.
//!
//! Sources: Amazon S3 User Guide, "Working with delete markers" and "Retrieving object versions from a
//! versioning-enabled bucket"; API Reference, GetObject.

use crate::error::{Code, S3Error};
use crate::headers;
use crate::key::ObjectKey;
use crate::operation::Method;
use crate::query::Query;
use http::header::{ALLOW, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use stratum_metadata::record::{
    BucketId, BucketRecord, DeleteMarker, ObjectRecord, Version, VersionId, Versioning,
};
use stratum_metadata::{KeyVersion, ReadView};

/// The query parameter that names a version.
pub const PARAMETER: &str = "versionId";

const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
const SOURCE_VERSION_ID: HeaderName = HeaderName::from_static("x-amz-copy-source-version-id");
const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// The version that a request names; none where the request is about the current object.
///
/// # Errors
/// `InvalidArgument` for a text that no version can have as its id.
pub fn asked(query: &Query) -> Result<Option<VersionId>, S3Error> {
    query.get(PARAMETER).map(|text| parse(PARAMETER, text)).transpose()
}

/// Reads a version's id from the text of an argument.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse(argument: &'static str, text: &str) -> Result<VersionId, S3Error> {
    VersionId::parse(text).ok_or_else(|| {
        let message = match text {
            "" => "Version id cannot be the empty string",
            _ => "Invalid version id specified",
        };
        S3Error::invalid_argument(argument, text, message)
    })
}

/// Why an object is looked up. S3's error for a delete marker depends on it.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The request, which has this method, names the object by its path.
    Own(Method),
    /// The object is the source of a copy.
    CopySource,
}

/// What a request is about: the current object under a key, or a version of it.
#[derive(Clone, Debug)]
pub struct Target {
    bucket: BucketId,
    versioning: Option<Versioning>,
    key: ObjectKey,
    version: Option<VersionId>,
    purpose: Purpose,
}

/// A record, and whether it is its key's current object.
#[derive(Clone, Debug)]
pub struct Looked {
    pub object: ObjectRecord,
    pub is_current: bool,
}

impl Target {
    pub fn new(
        bucket: &BucketRecord,
        key: &ObjectKey,
        version: Option<VersionId>,
        purpose: Purpose,
    ) -> Target {
        let (bucket, versioning) = (bucket.id, bucket.configuration.versioning);
        Target { bucket, versioning, key: key.clone(), version, purpose }
    }

    /// The object or version that a request names by its path and query.
    ///
    /// # Errors
    /// As [`asked`].
    pub fn of(
        bucket: &BucketRecord,
        key: &ObjectKey,
        query: &Query,
        method: Method,
    ) -> Result<Target, S3Error> {
        Ok(Target::new(bucket, key, asked(query)?, Purpose::Own(method)))
    }

    /// The bucket's id and the key.
    pub fn name(&self) -> (BucketId, &ObjectKey) {
        (self.bucket, &self.key)
    }

    /// Finds the record.
    ///
    /// # Errors
    /// `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed` for a delete marker, and failures of the store.
    pub fn look_up(&self, view: &ReadView) -> Result<Looked, S3Error> {
        match self.version {
            None => self.current(view),
            Some(id) => self.version(view, id),
        }
    }

    fn current(&self, view: &ReadView) -> Result<Looked, S3Error> {
        if let Some(object) = view.object(self.bucket, self.key.as_bytes())? {
            return Ok(Looked { object, is_current: true });
        }
        let marker = match self.versioning {
            Some(_) => view.delete_marker(self.bucket, self.key.as_bytes())?,
            None => None,
        };
        let error = S3Error::new(Code::NoSuchKey).with("Key", self.key.as_str());
        Err(match marker {
            Some(marker) => hidden(error, &marker),
            None => error.header(DELETE_MARKER, HeaderValue::from_static("false")),
        })
    }

    fn version(&self, view: &ReadView, id: VersionId) -> Result<Looked, S3Error> {
        let found = view.version(self.bucket, self.key.as_bytes(), id)?;
        match found {
            Some(KeyVersion { version: Version::Object(object), is_current }) => {
                Ok(Looked { object: *object, is_current })
            }
            Some(KeyVersion { version: Version::DeleteMarker(marker), .. }) => Err(self.marker(&marker)),
            None => Err(S3Error::new(Code::NoSuchVersion)
                .with("Key", self.key.as_str())
                .with("VersionId", id.to_string())),
        }
    }

    /// The error for a request that names a delete marker: a marker can be deleted, and nothing else can be done with
    /// it.
    fn marker(&self, marker: &DeleteMarker) -> S3Error {
        match self.purpose {
            Purpose::Own(method) => hidden(S3Error::new(Code::MethodNotAllowed), marker)
                .with("Method", method.name())
                .with("ResourceType", "DeleteMarker")
                .header(ALLOW, HeaderValue::from_static("DELETE"))
                .header(LAST_MODIFIED, headers::http_date(marker.modified)),
            Purpose::CopySource => S3Error::new(Code::InvalidRequest).message(
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            ),
        }
    }

    /// Writes the header that says which version an answer is about, where the bucket has versions.
    pub fn describe(&self, object: &ObjectRecord, out: &mut HeaderMap) {
        if self.versioning.is_some() {
            let name = match self.purpose {
                Purpose::Own(_) => VERSION_ID,
                Purpose::CopySource => SOURCE_VERSION_ID,
            };
            out.insert(name, value(object.version));
        }
    }
}

/// Adds the headers that say that a delete marker is the reason for an error.
fn hidden(error: S3Error, marker: &DeleteMarker) -> S3Error {
    error.header(DELETE_MARKER, HeaderValue::from_static("true")).header(VERSION_ID, value(marker.version))
}

/// Writes the header that says which version a write made. For the null version S3 sends none.
pub fn made(version: VersionId, out: &mut HeaderMap) {
    if version != VersionId::NULL {
        out.insert(VERSION_ID, value(version));
    }
}

/// Writes the headers that say which version was deleted, or which delete marker was made or deleted.
pub fn deleted(version: VersionId, is_marker: bool, out: &mut HeaderMap) {
    out.insert(VERSION_ID, value(version));
    if is_marker {
        out.insert(DELETE_MARKER, HeaderValue::from_static("true"));
    }
}

fn value(version: VersionId) -> HeaderValue {
    headers::value(&version.to_string())
}
