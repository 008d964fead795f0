//! Finds out who sent a request, by its signature.

use crate::address;
use crate::context::{Caller, Store};
use crate::error::S3Error;
use crate::on_behalf::OnBehalf;
use http::header::HOST;
use http::request::Parts;
use stratum_auth::{Mechanism, Payload, Request};

/// Who sent a request, and what its signature says of the payload.
pub struct Authenticated {
    pub caller: Caller,
    /// How the request was signed; `None` if it wasn't.
    pub mechanism: Option<Mechanism>,
    pub payload: Payload,
}

/// Checks the signature of a request against its raw path and query as they were sent. The caller of an unsigned
/// request is nobody, and [`rights`](crate::rights) decides what nobody may do. A request from inside the process has
/// no signature to check; only its access key is looked up.
///
/// # Errors
/// The errors of `stratum_auth`.
pub async fn authenticate(store: &Store, head: &Parts) -> Result<Authenticated, S3Error> {
    let keys = store.access_keys();
    store.members.open(&keys.view, store.keys.as_ref(), keys.now).await;
    if let Some(inside) = OnBehalf::of(head) {
        let caller = inside.caller(head, &keys)?;
        return Ok(Authenticated { caller, mechanism: None, payload: Payload::Unsigned });
    }
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let bucket = host.and_then(|host| address::bucket_of_host(host, &store.settings.domains));
    // The address has the bucket in lower case, too.
    let bucket = bucket.map(str::to_ascii_lowercase);
    let request = Request { virtual_bucket: bucket.as_deref(), ..Request::from(head) };
    let now_seconds = (keys.now / 1000).cast_signed();
    let answer = store.verifier.authenticate(&request, now_seconds, &keys)?;
    let mechanism = answer.signer.as_ref().map(|signer| signer.mechanism);
    let caller = answer.signer.map_or(Caller::Nobody, |signer| signer.holder);
    Ok(Authenticated { caller, mechanism, payload: answer.payload })
}
