//! PutObject.

use crate::context::Context;
use crate::error::{S3Error, S3Result};
use crate::body::RequestBody;
use crate::key::ObjectKey;
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, body: RequestBody) -> S3Result {
    let _ = (ctx, bucket, key, body);
    Err(S3Error::not_implemented("PutObject"))
}
