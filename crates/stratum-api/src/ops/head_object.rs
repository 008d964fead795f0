//! HeadObject: what GetObject would say, without the bytes.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::rights;
use crate::selection::{self, Selection};
use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};
use stratum_metadata::record::BucketRecord;

const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    selection::check_query(&ctx.query)?;
    rights::check_overrides(&ctx.caller, &ctx.query)?;
    let object = ctx.view.object(bucket.id, key.as_bytes())?;
    let object = object.ok_or_else(|| {
        // A bucket that keeps no versions has no markers of deleted ones.
        S3Error::new(Code::NoSuchKey).header(DELETE_MARKER, HeaderValue::from_static("false"))
    })?;
    let selection = Selection::of_read(&ctx.headers, &ctx.query, &object)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = selection.status();
    selection.describe(&ctx.headers, &ctx.query, &object, response.headers_mut());
    headers::write_tier(ctx.store.bodies.tier_of(&ctx.view, &object)?, response.headers_mut());
    Ok(response)
}
