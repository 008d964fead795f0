//! Who sent a request.

use crate::context::{Caller, Store};
use crate::error::S3Error;
use crate::on_behalf::OnBehalf;
use http::request::Parts;
use stratum_auth::{Payload, Request};

/// Checks the request's signature against the raw path and query as they were sent. Who signs nothing is nobody:
/// whether nobody may do anything is asked of [`rights`](crate::rights). Of a request from inside the process its key is
/// looked up alike, and there is no signature to check.
///
/// # Errors
/// What `stratum_auth` refuses.
pub async fn authenticate(store: &Store, head: &Parts) -> Result<(Caller, Payload), S3Error> {
    let (keys, request) = (store.access_keys(), Request::from(head));
    store.members.open(&keys.view, store.keys.as_ref(), keys.now).await;
    if let Some(inside) = OnBehalf::of(head) {
        return Ok((inside.caller(head, &keys)?, Payload::Unsigned));
    }
    let now_seconds = (keys.now / 1000).cast_signed();
    let answer = store.verifier.authenticate(&request, now_seconds, &keys)?;
    Ok((answer.user.unwrap_or(Caller::Nobody), answer.payload))
}
