//! DeleteObject: removes the object under a key, if there is one. In a bucket with versioning the versions stay, and
//! a delete marker becomes current. A version that the request names is removed for good.

use crate::conditions;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::ops::notices;
use crate::ops::object_lock::bypasses_governance;
use crate::ownership;
use crate::version;
use axum::body::Body;
use http::{Response, StatusCode};
use stratum_metadata::command::{Command, Deleted, Deletion, Outcome, Proposed, Refusal, WriteCondition};
use stratum_metadata::record::{BucketRecord, EventKind, VersionId};

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let version = version::asked(&ctx.query)?;
    let condition = conditions::on_delete(&ctx.headers)?;
    let deleted = delete(ctx, bucket, key, version, condition).await?.map_err(conditions::refused)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    match (deleted, version) {
        (Deleted::Marked(marker), _) => version::deleted(marker, true, response.headers_mut()),
        (_, Some(version)) if bucket.configuration.versioning.is_some() => {
            version::deleted(version, deleted == Deleted::Marker, response.headers_mut());
        }
        (_, _) => {}
    }
    Ok(response)
}

/// Deletes the object under a key, or a version of it, if the condition holds. It is no error that the object doesn't
/// exist, whatever the condition is.
///
/// # Errors
/// Failures of the store; the inner error is the state's refusal of the command.
pub async fn delete(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    version: Option<VersionId>,
    condition: WriteCondition,
) -> Result<Result<Deleted, Refusal>, S3Error> {
    // A bucket that was never versioned has no version but `null`. It may lie in a store of a level without versions,
    // whose command can't name one.
    if bucket.configuration.versioning.is_none() && version.is_some_and(|version| version != VersionId::NULL)
    {
        return Ok(Ok(Deleted::Nothing));
    }
    let kinds = [EventKind::ObjectRemovedDelete, EventKind::ObjectRemovedDeleteMarkerCreated];
    let notice = notices::of_object(ctx, bucket, key, version, &kinds)?;
    let owner = ownership::of_writer(ctx, bucket).map(str::to_owned);
    let deletion = Deletion {
        version,
        condition,
        owner,
        bypass_governance: version.is_some() && bypasses_governance(ctx, bucket, key, version),
        ..Deletion::of(bucket.id, key.as_bytes().to_vec(), ctx.now)
    };
    let deletion = Proposed::telling(Command::DeleteObject(deletion), notice);
    let deleted = match ctx.commit(deletion).await? {
        Outcome::Deleted(deleted) => deleted,
        Outcome::Refused(Refusal::NoSuchKey) => Deleted::Nothing,
        Outcome::Refused(refusal) => return Ok(Err(refusal)),
        other => {
            let what = format_args!("the outcome of DeleteObject was: {other}");
            return Err(S3Error::new(Code::InternalError).because(what));
        }
    };
    let is_used_no_more = match deleted {
        Deleted::Current | Deleted::Marked(_) => true,
        Deleted::Nothing => version.is_none(),
        Deleted::NonCurrent | Deleted::Marker => false,
    };
    if is_used_no_more {
        ctx.store.usage.remove(bucket.id.0, key.as_str());
    }
    Ok(Ok(deleted))
}
