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

/// An owner may do everything with their own buckets, and nobody else anything. A request may name the owner that
/// it expects, which then has to be right.
///
/// # Errors
/// `AccessDenied`.
pub fn authorise(ctx: &Context, bucket: &BucketRecord) -> Result<(), S3Error> {
    let expected = ctx.headers.get("x-amz-expected-bucket-owner");
    let as_expected = expected.is_none_or(|owner| owner.as_bytes() == bucket.owner.as_bytes());
    if bucket.owner == ctx.caller.user().id && as_expected { Ok(()) } else { Err(Code::AccessDenied.into()) }
}
