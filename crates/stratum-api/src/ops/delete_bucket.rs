//! DeleteBucket: removes a bucket that is empty.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::ops::no_content;
use stratum_metadata::command::{Command, Outcome, Refusal};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let command = Command::DeleteBucket { bucket: bucket.id };
    match ctx.commit(command).await? {
        Outcome::Refused(Refusal::BucketNotEmpty) if bucket.configuration.versioning.is_some() => {
            let message =
                "The bucket you tried to delete is not empty. You must delete all versions in the bucket.";
            return Err(S3Error::new(Code::BucketNotEmpty).message(message));
        }
        Outcome::Refused(refusal) => return Err(refusal.into()),
        _ => {}
    }
    Ok(no_content())
}
