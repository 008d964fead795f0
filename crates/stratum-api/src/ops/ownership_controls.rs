//! GetBucketOwnershipControls, PutBucketOwnershipControls and DeleteBucketOwnershipControls. A bucket without
//! ownership controls has the object ownership of the server's configuration.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset};
use crate::xml;
use crate::xml::acl::OwnershipControls;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketRecord, ObjectOwnership};

/// The longest document that is read, in bytes: more than one rule takes.
const MAX_BODY_BYTES: u64 = 16 * 1024;

pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    xml::answer(&OwnershipControls::of(
        bucket.configuration.ownership.ok_or(Code::OwnershipControlsNotFoundError)?,
    ))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let ownership = document.read(OwnershipControls::read).await?;
    check(ownership, bucket)?;
    level::require(ctx, "Object ownership")?;
    configure(ctx, bucket, BucketChange::Ownership(Some(ownership))).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    check(ctx.store.settings.object_ownership, bucket)?;
    let has = bucket.configuration.ownership.is_some();
    unset(ctx, bucket, has, BucketChange::Ownership(None)).await
}

/// Refuses to disable access control lists while the bucket has one that gives grants. The grants must be taken back
/// first, so that nobody loses a right unawares.
fn check(ownership: ObjectOwnership, bucket: &BucketRecord) -> Result<(), S3Error> {
    match (ownership, &bucket.configuration.acl) {
        (ObjectOwnership::BucketOwnerEnforced, Some(_)) => {
            Err(Code::InvalidBucketAclWithObjectOwnership.into())
        }
        (_, _) => Ok(()),
    }
}
