//! GetBucketVersioning and PutBucketVersioning.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Error, S3Result};
use crate::xml;
use crate::xml::buckets::VersioningConfiguration;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use stratum_metadata::VERSIONS_SINCE;
use stratum_metadata::command::{BucketChange, Command, Outcome};
use stratum_metadata::record::BucketRecord;

/// More than the configuration ever needs, in bytes.
const MAX_BODY: u64 = 4 * 1024;

/// Of a bucket that was never versioned there is no status.
pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    xml::answer(&VersioningConfiguration::of(bucket.configuration.versioning))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let wanted = VersioningConfiguration::read(&body.document(MAX_BODY).await?)?;
    if wanted.mfa_delete {
        return Err(S3Error::not_implemented("MFA delete"));
    }
    let versioning = wanted.versioning.ok_or(Code::IllegalVersioningConfigurationException)?;
    let level = ctx.store.metadata.level();
    if level < VERSIONS_SINCE {
        let problem = format!(
            "Keeping versions takes a store of level {VERSIONS_SINCE}, and this one is of level {level}: its operator can run \
             `stratum level raise`."
        );
        return Err(S3Error::new(Code::NotImplemented).message(problem));
    }
    let change = BucketChange::Versioning(versioning);
    let command = Command::ConfigureBucket { bucket: bucket.id, change };
    match ctx.store.metadata.commit(command, Bytes::new()).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok(Response::new(Body::empty())),
    }
}
