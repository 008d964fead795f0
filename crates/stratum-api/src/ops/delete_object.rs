//! DeleteObject: nothing is left under the key, whether or not there was something.

use crate::conditions;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::selection;
use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use stratum_metadata::command::{Command, Outcome, Refusal};
use stratum_metadata::record::BucketRecord;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    selection::check_version(&ctx.query)?;
    let condition = conditions::on_delete(&ctx.headers)?;
    let named = conditions::first(&condition);
    let command = Command::DeleteObject { bucket: bucket.id, key: key.as_bytes().to_vec(), condition };
    match ctx.store.metadata.commit(command, Bytes::new()).await? {
        // A condition on what isn't there guards nothing: it is as deleted as it can be.
        Outcome::Deleted { .. } | Outcome::Refused(Refusal::NoSuchKey) => {
            ctx.store.usage.remove(bucket.id.0, key.as_str());
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        Outcome::Refused(refusal) => Err(conditions::refused(refusal, named)),
        other => Err(S3Error::new(Code::InternalError).because(format_args!("DeleteObject came to {other}"))),
    }
}
