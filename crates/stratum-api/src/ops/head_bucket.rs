//! HeadBucket: says that the bucket exists and that the caller may list it, and its region.

use crate::context::Context;
use crate::error::{BUCKET_REGION, Code, S3Error, S3Result};
use axum::body::Body;
use http::{HeaderValue, Response};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, _: &BucketRecord) -> S3Result {
    let region = HeaderValue::try_from(&ctx.store.settings.region);
    let region = region.map_err(|error| S3Error::new(Code::InternalError).because(error))?;
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(BUCKET_REGION, region);
    Ok(response)
}
