//! HeadObject.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::key::ObjectKey;
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let _ = (ctx, bucket, key);
    Err(S3Error::not_implemented("HeadObject"))
}
