//! GetObjectLockConfiguration, PutObjectLockConfiguration, and retention and legal hold of a version.

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
use stratum_metadata::record::{Attributes, BucketRecord};

/// More than any of these documents ever needs, in bytes.
const MAX_BODY: u64 = 4 * 1024;

pub async fn get_configuration(_: &Context, bucket: &BucketRecord) -> S3Result {
    let lock = bucket.configuration.object_lock.as_ref();
    xml::answer(&ObjectLockConfiguration::of(lock.ok_or(Code::ObjectLockConfigurationNotFoundError)?))
}

pub async fn put_configuration(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let lock = xml::lock::read_configuration(&body.document(MAX_BODY).await?)?;
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
    let retention = xml::lock::read_retention(&body.document(MAX_BODY).await?)?;
    let retention = retention.map(|retention| lock::in_future(retention, ctx.now)).transpose()?;
    let lock = Lock { retention, ..Lock::default() };
    rights::authorise_said(ctx, bucket, key, &Said { lock, ..Said::default() })?;
    attributes(ctx, bucket, key)?;
    let bypass_governance = bypasses_governance(ctx, bucket, key);
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
    let hold = xml::lock::read_legal_hold(&body.document(MAX_BODY).await?)?;
    let lock = Lock { legal_hold: Some(hold), ..Lock::default() };
    rights::authorise_said(ctx, bucket, key, &Said { lock, ..Said::default() })?;
    attributes(ctx, bucket, key)?;
    configure_object(ctx, bucket, key, ObjectChange::LegalHold(hold)).await?;
    Ok(Response::new(Body::empty()))
}

/// What the version has that the request is about, in a bucket with object lock.
fn attributes(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> Result<Attributes, S3Error> {
    lock::require(bucket)?;
    let Looked { object, .. } =
        Target::of(bucket, key, &ctx.query, ctx.operation.method)?.look_up(&ctx.view)?;
    Ok(object.attributes)
}

/// Whether a retention in governance mode doesn't bind this request: it says so, and its caller may.
pub fn bypasses_governance(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> bool {
    let resource = Resource::Object(bucket, key, ctx.query.get(version::PARAMETER));
    rights::bypasses_governance(&Asker::of(ctx), &resource)
}
