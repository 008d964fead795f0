//! GetBucketAcl, GetObjectAcl, and their Put: every bucket and object has the one list, its owner's full control.
//!
//! So asking for it has a true answer, and putting the canned ACL that says just that changes nothing. Headers that
//! ask for another were refused before; a list in the body isn't built.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::key::ObjectKey;
use crate::version::Target;
use crate::xml;
use crate::xml::acl::AccessControlPolicy;
use crate::xml::buckets::Owner;
use axum::body::Body;
use http::Response;
use stratum_metadata::record::BucketRecord;

/// A list in a body is refused unread; this is enough to see that there is none.
const MAX_BODY: u64 = 64 * 1024;

pub fn get(ctx: &Context, bucket: &BucketRecord, key: Option<&ObjectKey>) -> S3Result {
    exists(ctx, bucket, key)?;
    xml::answer(&AccessControlPolicy::private(Owner::by_id(&ctx.store.identities, &bucket.owner)))
}

pub async fn put(
    ctx: &Context,
    bucket: &BucketRecord,
    key: Option<&ObjectKey>,
    body: RequestBody,
) -> S3Result {
    exists(ctx, bucket, key)?;
    let is_canned = ctx.header("x-amz-acl").is_some();
    if !is_canned || !body.document(MAX_BODY).await?.is_empty() {
        return Err(S3Error::not_implemented("An access control list in a body"));
    }
    Ok(Response::new(Body::empty()))
}

fn exists(ctx: &Context, bucket: &BucketRecord, key: Option<&ObjectKey>) -> Result<(), S3Error> {
    let Some(key) = key else { return Ok(()) };
    Target::of(bucket, key, &ctx.query, ctx.operation.method)?.look_up(&ctx.view).map(drop)
}
