//! GetBucketEncryption, PutBucketEncryption and DeleteBucketEncryption: how new objects are encrypted whose request says
//! nothing of it.
//!
//! Sources: API Reference, PutBucketEncryption and ServerSideEncryptionByDefault. As S3 does, it takes a key's name without
//! asking whether there is such a key: a write does that.

use crate::body::RequestBody;
use crate::context::Context;
use crate::encryption;
use crate::error::{Code, S3Error, S3Result};
use crate::level;
use crate::ops::configure::configure;
use crate::ops::no_content;
use crate::xml;
use crate::xml::encryption::{BlockedEncryption, ServerSideEncryptionConfiguration};
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::BucketRecord;

/// More than the configuration ever needs, in bytes.
const MAX_BODY: u64 = 16 * 1024;

/// Of a bucket without a default there is none to tell: its objects are encrypted if their requests ask for it.
pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    match &bucket.configuration.encryption {
        Some(default) => xml::answer(&ServerSideEncryptionConfiguration::of(default)),
        None => Err(S3Error::new(Code::ServerSideEncryptionConfigurationNotFoundError)
            .with("BucketName", &bucket.name)),
    }
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let wanted = ServerSideEncryptionConfiguration::read(&body.document(MAX_BODY).await?)?;
    if wanted.blocked == BlockedEncryption::Customer {
        return Err(S3Error::not_implemented("Blocking SSE-C"));
    }
    level::require(ctx, encryption::ENCRYPTING)?;
    configure(ctx, bucket, BucketChange::Encryption(Some(wanted.default()?))).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    // Where there is none nothing changes, in a store of whatever level.
    if bucket.configuration.encryption.is_some() {
        configure(ctx, bucket, BucketChange::Encryption(None)).await?;
    }
    Ok(no_content())
}
