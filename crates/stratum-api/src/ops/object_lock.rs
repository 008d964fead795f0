//! GetObjectLockConfiguration and PutObjectLockConfiguration of a bucket; GetObjectRetention, PutObjectRetention,
//! GetObjectLegalHold and PutObjectLegalHold of a version.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::level;
use crate::lock::{self, Lock};
use crate::ops::configure::{configure, configure_object};
use crate::rights::{self, Asker, Resource, Said};
use crate::version::{self, Looked, Target};
use crate::xml;
use crate::xml::lock::{LegalHoldDocument, ObjectLockConfiguration, RetentionDocument};
use axum::body::Body;
use http::Response;
use stratum_metadata::command::{BucketChange, ObjectChange};
use stratum_metadata::record::{Attributes, BucketRecord, VersionId};

/// The longest document that is read, in bytes: more than any of these takes.
const MAX_BODY_BYTES: u64 = 4 * 1024;

pub async fn get_configuration(_: &Context, bucket: &BucketRecord) -> S3Result {
    let lock = bucket.configuration.object_lock.as_ref();
    xml::answer(&ObjectLockConfiguration::of(lock.ok_or(Code::ObjectLockConfigurationNotFoundError)?))
}

pub async fn put_configuration(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let lock = document.read(xml::lock::read_configuration).await?;
    level::require(ctx, "Locking objects")?;
    configure(ctx, bucket, BucketChange::ObjectLock(lock)).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn get_retention(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let retention = attributes(ctx, bucket, key)?.retention;
    xml::answer(&RetentionDocument::of(retention.ok_or(Code::NoSuchObjectLockConfiguration)?))
}

pub async fn put_retention(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    body: RequestBody,
) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let retention = document.read(xml::lock::read_retention).await?;
    let retention = retention.map(|retention| lock::in_future(retention, ctx.now)).transpose()?;
    let lock = Lock { retention, ..Lock::default() };
    rights::authorise_said(ctx, bucket, key, &Said { lock, ..Said::default() })?;
    attributes(ctx, bucket, key)?;
    let bypass_governance = bypasses_governance(ctx, bucket, key, version::asked(&ctx.query)?);
    let change = ObjectChange::Retention { retention, now: ctx.now, bypass_governance };
    configure_object(ctx, bucket, key, change).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn get_legal_hold(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let hold = attributes(ctx, bucket, key)?.legal_hold;
    xml::answer(&LegalHoldDocument::of(hold.ok_or(Code::NoSuchObjectLockConfiguration)?))
}

pub async fn put_legal_hold(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    body: RequestBody,
) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let hold = document.read(xml::lock::read_legal_hold).await?;
    let lock = Lock { legal_hold: Some(hold), ..Lock::default() };
    rights::authorise_said(ctx, bucket, key, &Said { lock, ..Said::default() })?;
    attributes(ctx, bucket, key)?;
    configure_object(ctx, bucket, key, ObjectChange::LegalHold(hold)).await?;
    Ok(Response::new(Body::empty()))
}

/// The attributes of the version that the request is about.
///
/// # Errors
/// `InvalidRequest` in a bucket without object lock; those of [`Target::look_up`].
fn attributes(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> Result<Attributes, S3Error> {
    lock::require(bucket)?;
    let Looked { object, .. } =
        Target::of(bucket, key, &ctx.query, ctx.operation.method)?.look_up(&ctx.view)?;
    Ok(object.attributes)
}

/// Whether this request may delete or shorten what a retention in governance mode protects: its header asks to bypass
/// the retention, and its caller has the right to. `version` is the one that it names, in its query or its body.
pub fn bypasses_governance(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> bool {
    let version = version.map(|version| version.to_string());
    let resource = Resource::Object(bucket, key, version.as_deref());
    rights::bypasses_governance(&Asker::of(ctx), &resource)
}
