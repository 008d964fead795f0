//! The query APIs of IAM and STS, for programs: `POST /` with a form that names an action. Parameters may stand in the
//! query string, too.
//!
//! These requests come to S3's port. Their form tells them from S3's requests, since S3 has no `POST` whose path
//! names no bucket. As each operation of S3 is, each action is a row of a [table]: the kind of resource that the
//! action is about, the parameters that it takes, and its handler. The right that an action needs has the action's
//! name.
//!
//! Requests of strangers are refused early, so that they cost little: an unknown access key is refused before a byte
//! of the body is read, the length of a body is bounded, and a body is parsed only when its signature has been
//! verified.
//!
//! Sources: IAM API Reference (2010-05-08), STS API Reference (2011-06-15).

mod absent;
mod access_keys;
mod account;
mod answer;
mod attached;
mod boundary;
mod call;
mod edit;
mod error;
mod groups;
mod inline;
mod managed;
mod marker;
mod page;
mod roles;
mod session;
mod session_tags;
mod simulate;
mod table;
mod tagging;
mod users;
mod uses;
mod valid;

use crate::address::Address;
use crate::admission::Memory;
use crate::audit::Trail;
use crate::body::{Leftover, RequestBody};
use crate::context::{Account, Caller, Store};
use crate::error::S3Error;
use crate::headers;
use crate::identities::Keys;
use crate::on_behalf::OnBehalf;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::rights;
use axum::body::Body;
use call::Call;
use error::{Fault, IamError};
use http::header::CONTENT_TYPE;
use http::uri::Scheme;
use http::{HeaderMap, Method, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use stratum_auth::{Mechanism, Payload, Request, SignedForm};
use table::Row;

/// The longest form, in bytes. Percent-encoded, a policy of 10,240 characters takes up to three times as many bytes.
const MOST_FORM_BYTES: u64 = 64 << 10;

/// The response to a request, and what the log and the audit say of the request.
pub struct Answered {
    pub response: Response<Body>,
    /// The action's name; `Unknown` for a request that names no action of the table.
    pub operation: &'static str,
    pub is_write: bool,
    /// The ARN of the resource that the action was about.
    pub target: Option<String>,
    pub caller: Caller,
    /// A refusal's code, and its cause, which the client isn't told.
    pub error: Option<(&'static str, Option<String>)>,
}

/// Whether a request is meant for IAM or STS.
pub fn is_meant(method: &Method, address: Option<&Address>, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    method == Method::POST && matches!(address, Some(Address::Service)) && is_form
}

/// Answers a request that [`is_meant`].
pub async fn respond(
    store: &Arc<Store>,
    id: RequestId,
    head: http::request::Parts,
    leftover: &Leftover,
    memory: Memory,
    trail: Arc<Trail>,
) -> Answered {
    let mut seen = Seen { row: None, caller: Caller::Nobody, target: None };
    let answer = answer(store, &id, head, leftover, memory, trail, &mut seen).await;
    let (response, error) = match answer {
        Ok(response) => (response, None),
        Err(error) => {
            let told = (error.code(), error.cause().map(str::to_owned));
            (error.respond(&id, seen.row), Some(told))
        }
    };
    Answered {
        response,
        operation: seen.row.map_or("Unknown", |row| row.name),
        is_write: seen.row.is_some_and(|row| row.is_write()),
        target: seen.target,
        caller: seen.caller,
        error,
    }
}

/// What is found out of a request while it is answered. The log has it for a refused request as well.
struct Seen {
    row: Option<&'static Row>,
    caller: Caller,
    target: Option<String>,
}

/// Who sent a request, as far as that is known before its form has been read.
enum Signer {
    /// The owner of the access key that the signature names. The signature covers the form, so that it can be
    /// verified only when the form has been read.
    Form(SignedForm<Caller>),
    /// The user who is signed in to the console, which sends requests in their name without a signature.
    Inside(Caller),
}

impl Signer {
    /// The service that the request is signed for. A request of the console isn't signed, and names none.
    fn service(&self) -> Option<String> {
        match self {
            Signer::Form(form) => Some(form.service().to_owned()),
            Signer::Inside(_) => None,
        }
    }

    fn mechanism(&self) -> Option<Mechanism> {
        match self {
            Signer::Form(_) => Some(Mechanism::USUAL),
            Signer::Inside(_) => None,
        }
    }
}

async fn answer(
    store: &Arc<Store>,
    id: &RequestId,
    mut head: http::request::Parts,
    leftover: &Leftover,
    memory: Memory,
    trail: Arc<Trail>,
    seen: &mut Seen,
) -> Result<Response<Body>, IamError> {
    let keys = store.access_keys();
    store.members.open(&keys.view, store.keys.as_ref(), keys.now).await;
    let now_seconds = (keys.now / 1000).cast_signed();
    let request = Request::from(&head);
    let mut headers = head.headers.clone();
    headers::fold(&mut headers)?;
    let signer = match OnBehalf::of(&head) {
        Some(inside) => Signer::Inside(inside.caller(&head, &keys)?),
        None => {
            let form = store.verifier.find_signer(&request, &table::SERVICES, now_seconds, &keys)?;
            Signer::Form(form.ok_or(Fault::MissingAuthenticationToken)?)
        }
    };
    let (service, mechanism) = (signer.service(), signer.mechanism());
    let clock = store.clock.clone();
    let body = RequestBody::new(&head.headers, Payload::Unsigned, leftover.clone(), memory.clone(), clock)?;
    let body = body.document(MOST_FORM_BYTES).await?;
    let caller = match signer {
        Signer::Inside(caller) => caller,
        Signer::Form(form) => {
            store.verifier.verify_form::<Keys<'_>>(&request, form, body.bytes(), now_seconds)?
        }
    };
    seen.caller = caller.clone();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let form = body.read(move |bytes| Ok::<_, S3Error>(form_of(&query, bytes))).await??;
    let row = table::recognise(&form, service.as_deref())?;
    seen.row = Some(row);
    let view = store.metadata.fresh().await?;
    let call = Call {
        account: match rights::account(&caller, store) {
            Account::User(owner) => owner,
            Account::Nobody => return Err(Fault::MissingAuthenticationToken.into()),
        },
        store: store.clone(),
        caller,
        mechanism,
        view,
        row,
        form,
        scheme: head.extensions.remove::<Scheme>().unwrap_or(Scheme::HTTP),
        tls: head.extensions.get().copied(),
        peer: head.extensions.get::<SocketAddr>().map(SocketAddr::ip),
        headers,
        now: store.clock.now(),
        memory,
        trail,
    };
    row.check_parameters(&call.form)?;
    let about = call.about()?;
    seen.target.clone_from(&about);
    call.authorise(about.as_deref())?;
    let reply = (row.handler)(&call).await?;
    Ok(answer::respond(row, reply, id))
}

/// The parameters of a request. As at Amazon they may stand in its query string, too, which the signature covers as it
/// covers the body. A parameter that stands in both is there twice, which is refused later.
fn form_of(query: &str, body: &[u8]) -> Result<Query, IamError> {
    let body = std::str::from_utf8(body).map_err(|_| Fault::MalformedQueryString)?;
    let form = Query::parse(query).and_then(|form| Ok(form.followed_by(Query::parse(body)?)));
    form.map_err(|_| Fault::MalformedQueryString.into())
}

/// Whether a form names an action and has only parameters that the action takes. The fuzz target calls it, which has
/// no store.
pub fn is_taken(body: &[u8]) -> bool {
    let Ok(form) = form_of("", body) else { return false };
    for (name, value) in form.iter() {
        let _ = (
            valid::name(name, value, valid::MOST_TRUST_POLICY_CHARS),
            valid::path(value),
            valid::description(value),
        );
        let _ = valid::document(value, valid::MOST_TRUST_POLICY_CHARS, name);
    }
    let row = table::recognise(&form, None);
    row.and_then(|row| row.check_parameters(&form)).is_ok()
}
