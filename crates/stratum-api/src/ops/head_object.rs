//! HeadObject: the status and the headers that GetObject would answer, without the bytes.

use crate::context::Context;
use crate::encryption::Opening;
use crate::error::S3Result;
use crate::headers;
use crate::key::ObjectKey;
use crate::ops::bucket_lifecycle::tell_expiration;
use crate::rights;
use crate::selection::{self, Selection};
use crate::version::{Looked, Target};
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    selection::check_query(&ctx.query)?;
    rights::check_overrides(&ctx.caller, &ctx.query)?;
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let opening = Opening::of_read(ctx)?;
    let Looked { mut object, is_current } = target.look_up(&ctx.view)?;
    let selection = Selection::of_read(&ctx.headers, &ctx.query, &object)?;
    opening.unlock(ctx, &target, &mut object).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = selection.status();
    selection.describe(&ctx.headers, &ctx.query, &object, response.headers_mut());
    rights::withhold(ctx, bucket, key, response.headers_mut())?;
    target.describe(&object, response.headers_mut());
    opening.describe(ctx, &object, response.headers_mut());
    headers::write_tier(ctx.store.bodies.tier_of(&ctx.view, &object)?, response.headers_mut());
    if is_current {
        tell_expiration(ctx, bucket, key, &object, response.headers_mut())?;
    }
    Ok(response)
}
