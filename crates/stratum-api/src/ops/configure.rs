//! Changes one part of a bucket's configuration, or of a version's attributes. Many operations end in that.

use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::key::ObjectKey;
use crate::ops::{no_content, notices};
use crate::version;
use stratum_metadata::command::{BucketChange, Command, ObjectChange, Outcome, Proposed};
use stratum_metadata::record::{BucketRecord, DocumentKind, EventKind, Notice, ObjectRecord};

/// Changes a bucket.
///
/// # Errors
/// `NoSuchBucket`, and failures of the store.
pub async fn configure(ctx: &Context, bucket: &BucketRecord, change: BucketChange) -> Result<(), S3Error> {
    configure_telling(ctx, bucket, change, None).await
}

/// Takes a part of its configuration from a bucket: `change` does, if the bucket `has` the part. Where it hasn't, nothing is
/// changed, so that nothing is asked of the store that one of an older level refuses.
///
/// # Errors
/// As [`configure`].
pub async fn unset(ctx: &Context, bucket: &BucketRecord, has: bool, change: BucketChange) -> S3Result {
    if has {
        configure(ctx, bucket, change).await?;
    }
    Ok(no_content())
}

/// Takes the document of a kind from a bucket, if the bucket has one.
///
/// # Errors
/// As [`configure`].
pub async fn unset_document(ctx: &Context, bucket: &BucketRecord, kind: DocumentKind) -> S3Result {
    let has = bucket.configuration.documents.contains_key(&kind);
    unset(ctx, bucket, has, BucketChange::Document { kind, document: None }).await
}

/// Changes a bucket, and tells those whom the notice names.
///
/// # Errors
/// `NoSuchBucket`, and failures of the store.
pub async fn configure_telling(
    ctx: &Context,
    bucket: &BucketRecord,
    change: BucketChange,
    notice: Option<Box<Notice>>,
) -> Result<(), S3Error> {
    let command = Command::ConfigureBucket { bucket: bucket.id, change };
    match ctx.commit(Proposed::telling(command, notice)).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// The event by which notifications tell of a change of a version; none where they don't.
fn told(change: &ObjectChange) -> Option<EventKind> {
    match change {
        ObjectChange::Tags(Some(_)) => Some(EventKind::ObjectTaggingPut),
        ObjectChange::Tags(None) => Some(EventKind::ObjectTaggingDelete),
        ObjectChange::Acl(_) => Some(EventKind::ObjectAclPut),
        ObjectChange::StorageClass { .. } => Some(EventKind::LifecycleTransition),
        ObjectChange::Retention { .. } | ObjectChange::LegalHold(_) => None,
    }
}

/// Changes the version that the request names, or else the current object.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, `NoSuchBucket`, and failures of the store.
pub async fn configure_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    change: ObjectChange,
) -> Result<ObjectRecord, S3Error> {
    let version = version::asked(&ctx.query)?;
    let notice = notices::of_object(ctx, bucket, key, version, told(&change).as_slice())?;
    let key = key.as_bytes().to_vec();
    let command = Command::ConfigureObject { bucket: bucket.id, key, version, change };
    match ctx.commit(Proposed::telling(command, notice)).await? {
        Outcome::Object(object) => Ok(*object),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => {
            Err(S3Error::new(Code::InternalError)
                .because(format_args!("the outcome of a change was: {other}")))
        }
    }
}
