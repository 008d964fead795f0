//! Who sent a request.

use crate::context::{Caller, Store};
use crate::error::S3Error;
use http::request::Parts;
use stratum_auth::{Payload, Request};

/// Checks the request's signature against the raw path and query as they were sent. Who signs nothing is nobody:
/// whether nobody may do anything is asked of [`rights`](crate::rights).
///
/// # Errors
/// What `stratum_auth` refuses.
pub fn authenticate(store: &Store, head: &Parts, now_seconds: i64) -> Result<(Caller, Payload), S3Error> {
    let request = Request::from(head);
    let answer = store.verifier.authenticate(&request, now_seconds, &store.identities)?;
    Ok((answer.user.map_or(Caller::Nobody, Caller::User), answer.payload))
}
