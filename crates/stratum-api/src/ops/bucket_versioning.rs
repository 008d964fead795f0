//! GetBucketVersioning and PutBucketVersioning.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure;
use crate::xml;
use crate::xml::buckets::VersioningConfiguration;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than the configuration takes.
const MAX_BODY_BYTES: u64 = 4 * 1024;

/// A bucket that was never versioned has no status, and the answer says none.
pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    xml::answer(&VersioningConfiguration::of(bucket.configuration.versioning))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let wanted = document.read(VersioningConfiguration::read).await?;
    if wanted.mfa_delete {
        return Err(S3Error::not_implemented("MFA delete"));
    }
    let versioning = wanted.versioning.ok_or(Code::IllegalVersioningConfigurationException)?;
    level::require(ctx, "Keeping versions")?;
    configure(ctx, bucket, BucketChange::Versioning(versioning)).await?;
    Ok(Response::new(Body::empty()))
}
