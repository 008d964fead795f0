//! DeleteObjects: deletes up to a thousand objects or versions. Each is authorised, and deleted or refused, by
//! itself.
//!
//! Each deletion is a command. Many of them are proposed at a time, so that they share group commits instead of each
//! waiting for a sync of its own. They aren't all proposed at once, so that other requests' commands come in between.

use crate::audit::Touched;
use crate::body::RequestBody;
use crate::conditions;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::ops::delete_object;
use crate::rights::{self, Asker, Resource};
use crate::xml;
use crate::xml::Namespace;
use crate::xml::delete::{Delete, DeleteError, DeleteResult, MAX_BODY_BYTES, ObjectIdentifier};
use crate::xml::read::Malformed;
use futures_util::{StreamExt, stream};
use stratum_metadata::command::{Deleted, WriteCondition};
use stratum_metadata::record::{BucketRecord, VersionId};

/// How many deletions of one request are proposed at a time.
const DELETIONS_AT_ONCE: usize = 256;

pub async fn handle(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    if !body.expected().is_declared() {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(S3Error::new(Code::InvalidRequest).message(message));
    }
    let document = body.document(MAX_BODY_BYTES).await?;
    let delete = document.read(Delete::read).await?;
    let conditions = delete.objects.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let deletions = delete.objects.iter().zip(conditions);
    let deletions: Vec<_> =
        deletions.map(|(object, condition)| delete_one(ctx, bucket, object, condition)).collect();
    let outcomes: Vec<_> = stream::iter(deletions).buffered(DELETIONS_AT_ONCE).collect().await;
    xml::long::answer(outcomes.len(), move || xml::text(&result(delete, outcomes))).await
}

/// The condition under which an object is deleted.
fn condition(object: &ObjectIdentifier) -> Result<WriteCondition, S3Error> {
    let time = object.last_modified_time.as_deref().map(|text| time(text).ok_or(Malformed::WrongText));
    Ok(WriteCondition {
        if_match: object.etag.as_deref().map(conditions::strong_etags),
        if_none_match: None,
        if_modified_at: time.transpose()?,
        if_size: object.size,
    })
}

/// A time in whole seconds since the epoch: an HTTP date, which SDKs send, or one of ISO 8601, which S3's schema has.
fn time(text: &str) -> Option<u64> {
    let iso = || {
        let at = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
        u64::try_from(at.unix_timestamp()).ok()
    };
    headers::parse_http_date(text).or_else(iso)
}

/// Deletes one object, and notes that in the request's trail for the audit.
async fn delete_one(
    ctx: &Context,
    bucket: &BucketRecord,
    object: &ObjectIdentifier,
    condition: WriteCondition,
) -> Result<Deleted, S3Error> {
    let outcome = delete_allowed(ctx, bucket, object, condition).await;
    ctx.trail.touched(|| Touched {
        key: object.key.clone(),
        version: object.version_id.clone(),
        refused: outcome.as_ref().err().map(S3Error::code),
    });
    outcome
}

/// Deletes one object if the caller may.
async fn delete_allowed(
    ctx: &Context,
    bucket: &BucketRecord,
    object: &ObjectIdentifier,
    condition: WriteCondition,
) -> Result<Deleted, S3Error> {
    let key = ObjectKey::parse(object.key.clone().into_bytes())?;
    let version = object.version_id.as_deref();
    // Policies may take a millisecond for each object. Other requests have their turn in between.
    tokio::task::yield_now().await;
    let resource = Resource::Object(bucket, &key, version);
    for action in ctx.operation.actions_on_each(version.is_some()) {
        rights::authorise(&Asker::of(ctx), action, &resource)?;
    }
    if conditions::is_of_content(&condition) {
        rights::authorise_reading(&Asker::of(ctx), &resource)?;
    }
    let no_such_version = || S3Error::new(Code::NoSuchVersion);
    let version = version.map(|id| VersionId::parse(id).ok_or_else(no_such_version)).transpose()?;
    Ok(delete_object::delete(ctx, bucket, &key, version, condition).await??)
}

fn result(delete: Delete, outcomes: Vec<Result<Deleted, S3Error>>) -> DeleteResult {
    let mut result = DeleteResult::default();
    for (object, outcome) in delete.objects.into_iter().zip(outcomes) {
        let ObjectIdentifier { key, version_id, .. } = object;
        match outcome {
            Ok(_) if delete.quiet => {}
            Ok(deleted) => {
                let marker = match deleted {
                    Deleted::Marked(marker) => Some(marker.to_string()),
                    Deleted::Marker => version_id.clone(),
                    Deleted::Nothing | Deleted::Current | Deleted::NonCurrent => None,
                };
                let delete_marker = marker.is_some();
                result.deleted.push(xml::delete::Deleted {
                    key,
                    version_id,
                    delete_marker,
                    delete_marker_version_id: marker,
                });
            }
            Err(error) => result.errors.push(DeleteError {
                key,
                version_id,
                code: error.code().name().to_owned(),
                message: error.text().to_owned(),
            }),
        }
    }
    result.xmlns = Namespace;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_http_date_or_one_of_iso_8601() {
        assert_eq!(time("Thu, 01 Jan 2015 00:00:00 GMT"), Some(1_420_070_400));
        assert_eq!(time("2015-01-01T00:00:00.000Z"), Some(1_420_070_400));
        assert_eq!(time("2015-01-01T00:00:00Z"), Some(1_420_070_400));
        assert_eq!(time("last week"), None);
    }

    #[test]
    fn a_quiet_answer_has_only_the_errors() {
        let object = |key: &str| ObjectIdentifier {
            key: key.into(),
            version_id: Some("null".into()),
            etag: None,
            last_modified_time: None,
            size: None,
        };
        let answer = |quiet| {
            let delete = Delete { quiet, objects: vec![object("a"), object("b")] };
            let answer = result(delete, vec![Ok(Deleted::Current), Err(Code::PreconditionFailed.into())]);
            let codes: Vec<_> = answer.errors.iter().map(|error| error.code.clone()).collect();
            (answer.deleted.len(), codes)
        };
        assert_eq!(answer(false), (1, vec!["PreconditionFailed".to_owned()]));
        assert_eq!(answer(true), (0, vec!["PreconditionFailed".to_owned()]));
    }
}
