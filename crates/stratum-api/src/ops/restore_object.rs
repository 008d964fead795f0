//! RestoreObject: nothing here has to be restored, whatever its storage class.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::version::Target;
use stratum_metadata::record::BucketRecord;

/// As S3 answers for classes that are readable at once.
pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    Target::of(bucket, key, &ctx.query, ctx.operation.method)?.look_up(&ctx.view)?;
    let message = "Restore is not allowed for the object's current storage class: it is readable as it is.";
    Err(S3Error::new(Code::InvalidObjectState).message(message))
}
