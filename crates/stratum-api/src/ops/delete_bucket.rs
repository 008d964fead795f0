//! DeleteBucket.

use crate::context::Context;
use crate::error::S3Result;
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use stratum_metadata::command::{Command, Outcome};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let command = Command::DeleteBucket { bucket: bucket.id };
    if let Outcome::Refused(refusal) = ctx.store.metadata.commit(command, Bytes::new()).await? {
        return Err(refusal.into());
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
