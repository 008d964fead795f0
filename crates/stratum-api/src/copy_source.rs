//! The object that CopyObject and UploadPartCopy copy.

use crate::context::Context;
use crate::error::S3Error;
use crate::key::ObjectKey;
use crate::rights::{self, Asker, EXPECTED_SOURCE_OWNER, Resource};
use crate::source_name::SourceName;
use crate::tags::Tags;
use crate::version::{Purpose, Target};
use std::sync::Arc;
use stratum_metadata::record::{BucketRecord, VersionId};

/// The object to copy. Its bucket exists, and the caller may read the object.
#[derive(Debug)]
pub struct CopySource {
    pub bucket: Arc<BucketRecord>,
    pub key: ObjectKey,
    pub version: Option<VersionId>,
}

impl CopySource {
    /// Looks up the bucket of the source that the request names, and checks that the caller may read the source.
    ///
    /// # Errors
    /// As [`SourceName::of`]; `NoSuchBucket`, `AccessDenied`.
    pub fn of(ctx: &Context) -> Result<Self, S3Error> {
        let SourceName { bucket, key, version } = SourceName::of(&ctx.headers)?;
        let bucket = rights::expected_bucket(ctx, &bucket, EXPECTED_SOURCE_OWNER)?;
        let id = version.map(|version| version.to_string());
        for action in ctx.operation.source_actions(version.is_some()) {
            rights::authorise(&Asker::of(ctx), action, &Resource::Object(&bucket, &key, id.as_deref()))?;
        }
        Ok(Self { bucket, key, version })
    }

    /// The error for a source that can't be read, as far as the caller may know of it.
    pub fn masked(&self, ctx: &Context, error: S3Error) -> S3Error {
        rights::masked(&Asker::of(ctx), &self.bucket, &self.key, error)
    }

    /// Checks that the caller may give a copy these tags of the source.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn may_give_tags(&self, ctx: &Context, copy: &Resource<'_>, tags: &Tags) -> Result<(), S3Error> {
        let id = self.version.map(|version| version.to_string());
        let source = Resource::Object(&self.bucket, &self.key, id.as_deref());
        rights::authorise_copied_tags(ctx, &source, copy, tags)
    }

    /// What is looked up to read the source.
    pub fn target(&self) -> Target {
        Target::new(&self.bucket, &self.key, self.version, Purpose::CopySource)
    }
}
