//! RestoreObject: refused, since objects of every storage class are readable at any time.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::version::Target;
use stratum_metadata::record::BucketRecord;

/// Answers what S3 answers for objects of storage classes that are readable at once.
pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    Target::of(bucket, key, &ctx.query, ctx.operation.method)?.look_up(&ctx.view)?;
    let message = "Restore is not allowed for the object's current storage class: it is readable as it is.";
    Err(S3Error::new(Code::InvalidObjectState).message(message))
}
