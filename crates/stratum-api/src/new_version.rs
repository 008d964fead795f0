//! What a request says of the version that it makes, beside its bytes: headers, storage class, tags, owner, access
//! control list and lock. PutObject, PostObject, CopyObject and CreateMultipartUpload share it.

use crate::context::Context;
use crate::error::S3Error;
use crate::headers;
use crate::level;
use crate::lock::Lock;
use crate::ownership::Owned;
use crate::tags::{self, Tags};
use stratum_metadata::declared::Declared;
use stratum_metadata::record::{Attributes, BucketRecord, EventKind, ObjectHeaders, StorageClass};

/// Everything that a new version has beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    pub headers: ObjectHeaders,
    pub class: StorageClass,
    pub tags: Option<Tags>,
    pub owned: Owned,
    pub lock: Lock,
    /// The event that tells how the version was made.
    pub made: EventKind,
}

impl NewVersion {
    /// Reads a request's headers.
    ///
    /// # Errors
    /// As [`headers::object_headers`], [`headers::storage_class`], [`tags::of_header`], [`Owned::asked`] and
    /// [`Lock::asked`].
    pub fn asked(ctx: &Context, bucket: &BucketRecord) -> Result<NewVersion, S3Error> {
        Ok(NewVersion {
            headers: headers::object_headers(&ctx.headers)?,
            class: headers::storage_class(&ctx.headers)?,
            tags: tags::of_header(&ctx.headers)?,
            owned: Owned::asked(ctx, bucket)?,
            lock: Lock::asked(&ctx.headers, bucket, ctx.now)?,
            made: EventKind::ObjectCreatedPut,
        })
    }

    /// What the headers and the storage class declare about the tier in which the bytes are to lie.
    ///
    /// # Errors
    /// As [`headers::declared`].
    pub fn declared(&self) -> Result<Declared, S3Error> {
        headers::declared(&self.headers, self.class)
    }

    /// The attributes of the new version's record; `placed` has those that say where its bytes lie.
    ///
    /// # Errors
    /// As [`level::require`], where the store's level has no tags.
    pub fn attributes(&self, ctx: &Context, placed: Attributes) -> Result<Attributes, S3Error> {
        if self.tags.is_some() {
            level::require(ctx, "Tagging an object")?;
        }
        let Owned { owner, acl } = self.owned.clone();
        let Lock { retention, legal_hold } = self.lock;
        Ok(Attributes { tags: self.tags.clone(), owner, acl, retention, legal_hold, ..placed })
    }
}
