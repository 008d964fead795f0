//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration and DeleteBucketLifecycle, and the headers by
//! which answers tell when a rule will expire an object or abort an upload.

use crate::body::RequestBody;
use crate::context::Context;
use crate::documents::Document;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::level;
use crate::ops::configure::{configure, unset_document};
use crate::xml;
use crate::xml::lifecycle::LifecycleConfiguration;
use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use stratum_lifecycle::{Current, Rules, TransitionMinimum};
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind, ObjectRecord};
use stratum_storage::ambient::UnixMillis;

/// The longest document that is read, in bytes: enough for a thousand rules.
const MAX_BODY_BYTES: u64 = 2 * 1024 * 1024;

const EXPIRATION: HeaderName = HeaderName::from_static("x-amz-expiration");
/// The header that says which objects are too small for a transition.
const MINIMUM: HeaderName = HeaderName::from_static("x-amz-transition-default-minimum-object-size");
/// The values of that header.
const MINIMA: [(TransitionMinimum, &str); 2] = [
    (TransitionMinimum::AllClasses, "all_storage_classes_128K"),
    (TransitionMinimum::VariesByClass, "varies_by_storage_class"),
];

const ABORT_DATE: HeaderName = HeaderName::from_static("x-amz-abort-date");
const ABORT_RULE: HeaderName = HeaderName::from_static("x-amz-abort-rule-id");

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let rules = ctx.store.lifecycle.of(&ctx.view, bucket)?.ok_or(Code::NoSuchLifecycleConfiguration)?;
    let told = rules.clone();
    let write = move || xml::text(&LifecycleConfiguration::of(&told));
    let mut response = xml::long::answer(rules.rules.len(), write).await?;
    tell_minimum(&rules, response.headers_mut());
    Ok(response)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let entropy = ctx.store.entropy.clone();
    let new_id = move || format!("{:032x}", entropy.next_u128());
    let document = body.document(MAX_BODY_BYTES).await?;
    let minimum = minimum(&ctx.headers)?;
    let read = move |bytes: &[u8]| {
        let rules = Rules { minimum, ..xml::lifecycle::read(bytes, new_id)? };
        let text = rules.to_document().map_err(|error| S3Error::new(Code::InternalError).because(error))?;
        Ok::<_, S3Error>((rules, text))
    };
    let (rules, text) = document.read(read).await?;
    level::require(ctx, "A lifecycle")?;
    let document = Some(BucketDocument(text));
    configure(ctx, bucket, BucketChange::Document { kind: DocumentKind::Lifecycle, document }).await?;
    let mut response = Response::new(Body::empty());
    tell_minimum(&rules, response.headers_mut());
    Ok(response)
}

fn minimum(headers: &HeaderMap) -> Result<Option<TransitionMinimum>, S3Error> {
    let Some(asked) = headers.get(MINIMUM) else { return Ok(None) };
    match MINIMA.into_iter().find(|(_, name)| asked.as_bytes() == name.as_bytes()) {
        Some((minimum, _)) => Ok(Some(minimum)),
        None => {
            Err(S3Error::new(Code::InvalidRequest)
                .message("Invalid TransitionDefaultMinimumObjectSize found"))
        }
    }
}

fn tell_minimum(rules: &Rules, out: &mut HeaderMap) {
    if let Some((_, name)) = MINIMA.into_iter().find(|(minimum, _)| rules.minimum == Some(*minimum)) {
        out.insert(MINIMUM, HeaderValue::from_static(name));
    }
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset_document(ctx, bucket, DocumentKind::Lifecycle).await
}

impl Document for Rules {
    const KIND: DocumentKind = DocumentKind::Lifecycle;

    fn parse(text: &str, bucket: &BucketRecord) -> Result<Self, S3Error> {
        Rules::from_document(text).map_err(|error| {
            let cause = format_args!("the lifecycle of the bucket {} can't be read: {error}", bucket.name)
                .to_string();
            S3Error::new(Code::InternalError).because(cause)
        })
    }
}

/// Writes the header that says when the current object expires, and by which rule.
///
/// # Errors
/// Failures of the store.
pub fn tell_expiration(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    object: &ObjectRecord,
    out: &mut HeaderMap,
) -> Result<(), S3Error> {
    let Some(rules) = ctx.store.lifecycle.of(&ctx.view, bucket)? else { return Ok(()) };
    let current = Current { key: key.as_bytes(), object };
    if let Some((due, rule)) = rules.expiry(current, ctx.store.settings.lifecycle_days) {
        let rule = utf8_percent_encode(rule, NON_ALPHANUMERIC);
        let due = headers::http_date(due);
        let text = format!("expiry-date=\"{}\", rule-id=\"{rule}\"", headers::text(&due));
        out.insert(EXPIRATION, headers::value(&text));
    }
    Ok(())
}

/// Writes the headers that say when an upload will be aborted if it isn't completed, and by which rule.
///
/// # Errors
/// Failures of the store.
pub fn tell_abortion(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    initiated: UnixMillis,
    out: &mut HeaderMap,
) -> Result<(), S3Error> {
    let Some(rules) = ctx.store.lifecycle.of(&ctx.view, bucket)? else { return Ok(()) };
    if let Some((due, rule)) = rules.abortion(key.as_bytes(), initiated, ctx.store.settings.lifecycle_days) {
        out.insert(ABORT_DATE, headers::http_date(due));
        out.insert(ABORT_RULE, headers::value(&utf8_percent_encode(rule, NON_ALPHANUMERIC).to_string()));
    }
    Ok(())
}
