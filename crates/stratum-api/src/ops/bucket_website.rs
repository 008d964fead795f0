//! GetBucketWebsite, PutBucketWebsite and DeleteBucketWebsite. The website endpoint (`service::website`) serves the
//! website.

use crate::body::RequestBody;
use crate::context::Context;
use crate::documents::Document;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset_document};
use crate::website::Website;
use crate::xml;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind};

/// S3's bound on the document, in bytes.
const MAX_BODY_BYTES: u64 = 128 * 1024;

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let website = ctx.store.websites.of(&ctx.view, bucket)?;
    let website = website
        .ok_or_else(|| S3Error::new(Code::NoSuchWebsiteConfiguration).with("BucketName", &bucket.name))?;
    xml::document(xml::website::text(&website)?)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let website = document.read(xml::website::read).await?;
    level::require(ctx, "A website")?;
    let document = Some(BucketDocument(xml::website::text(&website)?));
    configure(ctx, bucket, BucketChange::Document { kind: DocumentKind::Website, document }).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset_document(ctx, bucket, DocumentKind::Website).await
}

impl Document for Website {
    const KIND: DocumentKind = DocumentKind::Website;

    fn parse(text: &str, _: &BucketRecord) -> Result<Self, S3Error> {
        xml::website::read(text.as_bytes())
    }
}
