//! AbortMultipartUpload: removes the upload and its parts.

use crate::context::Context;
use crate::error::S3Result;
use crate::key::ObjectKey;
use crate::multipart;
use crate::ops::no_content;
use stratum_metadata::command::{Command, Outcome};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let upload = multipart::upload_id(&ctx.query)?;
    let command = Command::AbortUpload { bucket: bucket.id, key: key.as_bytes().to_vec(), upload };
    if let Outcome::Refused(refusal) = ctx.commit(command).await? {
        return Err(refusal.into());
    }
    Ok(no_content())
}
