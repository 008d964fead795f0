//! GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption: how an object is encrypted whose request
//! doesn't ask for any encryption.
//!
//! Sources: API Reference, PutBucketEncryption and ServerSideEncryptionByDefault. PutBucketEncryption takes the name
//! of a key without asking whether there is such a key, as S3 does. A write that uses the default finds that out.

use crate::body::RequestBody;
use crate::context::Context;
use crate::encryption;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset};
use crate::xml;
use crate::xml::encryption::{BlockedEncryption, ServerSideEncryptionConfiguration};
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than the configuration takes.
const MAX_BODY_BYTES: u64 = 16 * 1024;

/// A bucket without a default encryption has no configuration, which is an error to S3.
pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    match &bucket.configuration.encryption {
        Some(default) => xml::answer(&ServerSideEncryptionConfiguration::of(default)),
        None => Err(S3Error::new(Code::ServerSideEncryptionConfigurationNotFoundError)
            .with("BucketName", &bucket.name)),
    }
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let wanted = document.read(ServerSideEncryptionConfiguration::read).await?;
    if wanted.blocked == BlockedEncryption::Customer {
        return Err(S3Error::not_implemented("Blocking SSE-C"));
    }
    level::require(ctx, encryption::ENCRYPTING)?;
    configure(ctx, bucket, BucketChange::Encryption(Some(wanted.default()?))).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset(ctx, bucket, bucket.configuration.encryption.is_some(), BucketChange::Encryption(None)).await
}
