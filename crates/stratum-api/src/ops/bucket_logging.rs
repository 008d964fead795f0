//! GetBucketLogging and PutBucketLogging.

use crate::access_log::Logging;
use crate::acl;
use crate::body::RequestBody;
use crate::context::Context;
use crate::documents::Document;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure;
use crate::ownership;
use crate::rights;
use crate::xml;
use crate::xml::acl::Grantees;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind, ObjectOwnership};

/// The longest document that is read, in bytes: enough for a name, a prefix and a hundred grants.
const MAX_BODY_BYTES: u64 = 64 * 1024;
/// How many characters the prefix of a log may have, as at S3.
const MOST_PREFIX_CHARS: usize = 800;

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let logging = ctx.store.logging.of(&ctx.view, bucket)?;
    xml::document(xml::logging::text(logging.as_deref(), &ctx.store.identities)?)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let store = ctx.store.clone();
    let read = move |bytes: &[u8]| xml::logging::read(bytes, Grantees::Asked(&store.identities));
    let logging = document.read(read).await?;
    // As at Amazon, a policy can't give this right to anybody else.
    if bucket.owner != ctx.account.id() {
        return Err(
            S3Error::new(Code::AccessDenied).because("only the bucket's owner may have its requests logged")
        );
    }
    if let Some(logging) = &logging {
        check(ctx, bucket, logging)?;
        level::require(ctx, "Logging of requests")?;
    } else if !bucket.configuration.documents.contains_key(&DocumentKind::Logging) {
        return Ok(Response::new(Body::empty()));
    }
    let document = match &logging {
        Some(logging) => Some(BucketDocument(xml::logging::text(Some(logging), &ctx.store.identities)?)),
        None => None,
    };
    configure(ctx, bucket, BucketChange::Document { kind: DocumentKind::Logging, document }).await?;
    Ok(Response::new(Body::empty()))
}

/// Refuses a configuration whose logs could not be delivered to the target bucket.
fn check(ctx: &Context, bucket: &BucketRecord, logging: &Logging) -> Result<(), S3Error> {
    if logging.prefix.chars().count() > MOST_PREFIX_CHARS {
        let message = format!("The prefix of a log has up to {MOST_PREFIX_CHARS} characters");
        return Err(S3Error::invalid_argument("TargetPrefix", logging.prefix.clone(), message));
    }
    let wrong = |message: &'static str| S3Error::new(Code::InvalidTargetBucketForLogging).message(message);
    let target = ctx.view.bucket(&logging.target)?;
    let target = target.ok_or_else(|| wrong("The target bucket for logging does not exist"))?;
    if target.configuration.object_lock.is_some_and(|lock| lock.default.is_some()) {
        return Err(wrong("The target bucket for logging has a default retention"));
    }
    check_grants(ctx, bucket, &target, logging)?;
    match rights::may_deliver_logs(&ctx.store, &ctx.view, bucket, &target, &logging.prefix)? {
        true => Ok(()),
        false => Err(S3Error::new(Code::AccessDenied).because(
            "neither the target's policy nor its access control list lets logging.s3.amazonaws.com put objects there",
        )),
    }
}

/// Refuses grants on the objects of a log that the target bucket doesn't allow. Grants need a target of the same
/// owner: by a policy that lets logs be delivered, another owner doesn't agree that the logs are given to others.
fn check_grants(
    ctx: &Context,
    bucket: &BucketRecord,
    target: &BucketRecord,
    logging: &Logging,
) -> Result<(), S3Error> {
    if logging.grants.is_empty() {
        return Ok(());
    }
    if target.owner != bucket.owner {
        let message = "The owner for the bucket to be logged and the target bucket must be the same.";
        return Err(S3Error::new(Code::InvalidTargetBucketForLogging).message(message));
    }
    if ownership::of(target, &ctx.store.settings) == ObjectOwnership::BucketOwnerEnforced {
        let message = "Target grants not allowed for bucket owner enforced buckets";
        return Err(S3Error::new(Code::AccessControlListNotSupported).message(message));
    }
    acl::check_public(target, Some(&logging.grants))
}

impl Document for Logging {
    const KIND: DocumentKind = DocumentKind::Logging;

    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error> {
        xml::logging::read(text.as_bytes(), Grantees::Kept)?.ok_or_else(|| {
            let cause = format!("the logging of the bucket {} can't be read", bucket.name);
            S3Error::new(Code::InternalError).because(cause)
        })
    }
}
