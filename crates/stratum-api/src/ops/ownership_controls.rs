//! GetBucketOwnershipControls, PutBucketOwnershipControls and DeleteBucketOwnershipControls. A bucket without any has what the
//! server is configured to have.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure;
use crate::ops::no_content;
use crate::xml;
use crate::xml::acl::OwnershipControls;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketRecord, ObjectOwnership};

/// More than one rule ever needs, in bytes.
const MAX_BODY: u64 = 16 * 1024;

pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    xml::answer(&OwnershipControls::of(
        bucket.configuration.ownership.ok_or(Code::OwnershipControlsNotFoundError)?,
    ))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let ownership = OwnershipControls::read(&body.document(MAX_BODY).await?)?;
    check(ownership, bucket)?;
    level::require(ctx, "Object ownership")?;
    configure(ctx, bucket, BucketChange::Ownership(Some(ownership))).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    check(ctx.store.settings.object_ownership, bucket)?;
    level::require(ctx, "Object ownership")?;
    configure(ctx, bucket, BucketChange::Ownership(None)).await?;
    Ok(no_content())
}

/// Grants that were given must be taken back before there are no lists, so that nobody loses by it unawares.
fn check(ownership: ObjectOwnership, bucket: &BucketRecord) -> Result<(), S3Error> {
    match (ownership, &bucket.configuration.acl) {
        (ObjectOwnership::BucketOwnerEnforced, Some(_)) => {
            Err(Code::InvalidBucketAclWithObjectOwnership.into())
        }
        (_, _) => Ok(()),
    }
}
