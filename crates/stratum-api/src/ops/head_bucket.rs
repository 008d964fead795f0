//! HeadBucket: whether the bucket is there and the caller's, and its region.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};
use stratum_metadata::record::BucketRecord;

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

pub async fn handle(_: &Context, bucket: &BucketRecord) -> S3Result {
    let region = HeaderValue::try_from(&bucket.region);
    let region = region.map_err(|error| S3Error::new(Code::InternalError).because(error))?;
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(BUCKET_REGION, region);
    Ok(response)
}
