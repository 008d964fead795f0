//! Who sent a request, and may they.

use crate::context::{Caller, Context, Store};
use crate::error::{Code, S3Error};
use http::request::Parts;
use std::sync::Arc;
use stratum_auth::{Payload, Request, User};
use stratum_metadata::record::BucketRecord;

/// Checks the request's signature against the raw path and query as they were sent.
///
/// # Errors
/// What `stratum_auth` refuses, and `AccessDenied` for a request without a signature unless the server serves such.
pub fn authenticate(store: &Store, head: &Parts, now_seconds: i64) -> Result<(Caller, Payload), S3Error> {
    let request = Request {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
    };
    let answer = store.verifier.authenticate(&request, now_seconds, &store.identities)?;
    let caller = match answer.user {
        Some(user) => Caller::User(user),
        None => Caller::Anonymous(anonymous(store)?),
    };
    Ok((caller, answer.payload))
}

fn anonymous(store: &Store) -> Result<Arc<User>, S3Error> {
    let root = store.identities.users().find(|user| user.root);
    match root {
        Some(root) if store.settings.anonymous => Ok(root.clone()),
        _ => Err(Code::AccessDenied.into()),
    }
}

/// The header that names the owner whom a request expects its bucket to have.
pub const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
/// The same of the bucket that is copied from.
pub const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// A bucket that the caller may touch: owners may do everything with their own, and nobody else anything. The header
/// `expected` may name the owner, and then has to be right.
///
/// # Errors
/// `NoSuchBucket`, `AccessDenied`.
pub fn authorised_bucket(ctx: &Context, name: &str, expected: &str) -> Result<BucketRecord, S3Error> {
    let bucket = ctx.bucket(name)?;
    let as_expected =
        ctx.headers.get(expected).is_none_or(|owner| owner.as_bytes() == bucket.owner.as_bytes());
    if bucket.owner == ctx.caller.user().id && as_expected {
        Ok(bucket)
    } else {
        Err(Code::AccessDenied.into())
    }
}
