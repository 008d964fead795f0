//! GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus. GetBucketPolicy answers the very
//! text that was put.

use crate::acl;
use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset_document};
use crate::ops::no_content;
use crate::ownership;
use crate::xml;
use crate::xml::acl::PolicyStatus;
use axum::body::Body;
use http::{HeaderValue, Response, header};
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::{BucketDocument, BucketRecord, DocumentKind, ObjectOwnership};
use stratum_policy::Policy;

/// The longest policy, in bytes.
const MAX_POLICY_BYTES: usize = 20 * 1024;

/// How much of a body is read, in bytes. This is more than a policy may have, so that the refusal of one that is too
/// long can say so.
const MAX_BODY_BYTES: u64 = 64 * 1024;

pub async fn get(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let stored = ctx.view.document(bucket.id, DocumentKind::Policy)?;
    let text =
        stored.ok_or_else(|| S3Error::new(Code::NoSuchBucketPolicy).with("BucketName", &bucket.name))?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let malformed = |message: String| S3Error::new(Code::MalformedPolicy).message(message);
    if document.bytes().len() > MAX_POLICY_BYTES {
        let message = format!(
            "Normalized policy document exceeds the maximum allowed size of {MAX_POLICY_BYTES} bytes."
        );
        return Err(malformed(message));
    }
    let name = bucket.name.clone();
    let parse = move |bytes: &[u8]| {
        let policy = Policy::parse(bytes, &name)?;
        policy.check_conditions().map(|()| policy)
    };
    let parse = move |bytes: &[u8]| parse(bytes).map_err(|error| malformed(error.to_string()));
    let policy = document.read(parse).await?;
    let blocks = bucket.configuration.public_access.is_some_and(|block| block.block_public_policy);
    if blocks && policy.is_public() {
        return Err(S3Error::new(Code::AccessDenied)
            .because("the bucket's public access block refuses public policies"));
    }
    level::require(ctx, "A bucket policy")?;
    // Nothing is lost: the document has been parsed as JSON, and so is UTF-8.
    let text = String::from_utf8_lossy(document.bytes()).into_owned();
    let document = Some(BucketDocument(text));
    configure(ctx, bucket, BucketChange::Document { kind: DocumentKind::Policy, document }).await?;
    Ok(no_content())
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset_document(ctx, bucket, DocumentKind::Policy).await
}

/// Whether the bucket is public, by its policy or by its access control list.
pub async fn status(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let policy = ctx.store.policies.of(&ctx.view, bucket)?;
    let has_lists = ownership::of(bucket, &ctx.store.settings) != ObjectOwnership::BucketOwnerEnforced;
    let ignores = bucket.configuration.public_access.is_some_and(|block| block.ignore_public_acls);
    let list = bucket.configuration.acl.as_deref().filter(|_| has_lists && !ignores);
    let is_public = policy.is_some_and(|policy| policy.is_public()) || list.is_some_and(acl::is_public);
    xml::answer(&PolicyStatus { xmlns: xml::Namespace, is_public })
}
