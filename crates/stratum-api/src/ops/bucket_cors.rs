//! GetBucketCors, PutBucketCors and DeleteBucketCors; the answers to preflights, and the headers that answers to
//! cross-origin requests have.

use crate::body::RequestBody;
use crate::context::{Context, Store};
use crate::cors::{CorsRules, CrossOrigin};
use crate::documents::Document;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset_document};
use crate::xml;
use axum::body::Body;
use http::{HeaderMap, Response};
use stratum_metadata::ReadView;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind};

/// S3's bound on the document, in bytes.
const MAX_BODY_BYTES: u64 = 64 * 1024;

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let rules = ctx.store.cors.of(&ctx.view, bucket)?.ok_or(Code::NoSuchCORSConfiguration)?;
    xml::document(xml::cors::text(&rules)?)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let rules = document.read(xml::cors::read).await?;
    level::require(ctx, "Rules for cross-origin requests")?;
    let document = Some(BucketDocument(xml::cors::text(&rules)?));
    configure(ctx, bucket, BucketChange::Document { kind: DocumentKind::Cors, document }).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset_document(ctx, bucket, DocumentKind::Cors).await
}

impl Document for CorsRules {
    const KIND: DocumentKind = DocumentKind::Cors;

    fn parse(text: &str, _: &BucketRecord) -> Result<Self, S3Error> {
        xml::cors::read(text.as_bytes())
    }
}

/// Answers a preflight: a browser's question whether a page of another origin may send a request.
///
/// # Errors
/// `BadRequest` for a preflight without an origin or without a method; `AccessForbidden` where no rule allows the
/// request, and just so where there is no such bucket.
pub fn preflight(store: &Store, view: &ReadView, bucket: Option<&str>, headers: &HeaderMap) -> S3Result {
    let insufficient = |what| {
        let message = format!("Insufficient information. {what} needed.");
        S3Error::new(Code::BadRequest).message(message)
    };
    let asked = CrossOrigin::of(headers).ok_or_else(|| insufficient("Origin request header"))?;
    if !asked.names_method() {
        return Err(insufficient("Access-Control-Request-Method request header"));
    }
    let bucket = bucket.map(|name| view.bucket(name)).transpose()?.flatten();
    let rules = bucket.map(|bucket| store.cors.of(view, &bucket)).transpose()?.flatten();
    let Some(rules) = rules else {
        let message = "CORSResponse: CORS is not enabled for this bucket.";
        return Err(S3Error::new(Code::AccessForbidden).message(message));
    };
    let allowed = rules.preflight(&asked).ok_or_else(|| {
        // The misspelt word is S3's own, which clients compare.
        let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
                       Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are \
                       not whitelisted by the resource's CORS spec.";
        S3Error::new(Code::AccessForbidden).message(message)
    })?;
    let mut response = Response::new(Body::empty());
    response.headers_mut().extend(allowed);
    Ok(response)
}

/// The headers that tell a browser whether a page of another origin may see an answer. None where no rule allows it,
/// and where the rules can't be read.
pub fn of_answer(
    store: &Store,
    view: &ReadView,
    bucket: &str,
    asked: &CrossOrigin,
    method: &http::Method,
) -> Option<HeaderMap> {
    let bucket = view.bucket(bucket).ok()??;
    store.cors.of(view, &bucket).ok()??.answer(asked, method)
}
