//! The query APIs of IAM and STS, for programs: `POST /` with a form that names an action.
//!
//! They are on S3's port, and told from S3's requests by their form, since S3 has no `POST` to the service itself. As
//! with S3's operations, each action is a row of a [table]: what it is about, the parameters that it takes, and the
//! function that does it; the right that it needs has the action's name. The order of the checks keeps strangers cheap:
//! an unknown access key is refused before a byte of the body is read, the body is bounded, and it is looked at only if
//! its signature covers it.
//!
//! Sources: IAM API Reference (2010-05-08), STS API Reference (2011-06-15).

mod absent;
mod access_keys;
mod account;
mod answer;
mod attached;
mod call;
mod edit;
mod error;
mod groups;
mod inline;
mod managed;
mod marker;
mod roles;
mod session;
mod simulate;
mod table;
mod tagging;
mod users;
mod valid;

use crate::address::Address;
use crate::admission::Memory;
use crate::audit::Trail;
use crate::body::{Leftover, RequestBody};
use crate::context::{Account, Caller, Store};
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

/// The longest form, in bytes. A policy of 10,240 characters takes up to three times as many bytes in a form.
const MOST_FORM_BYTES: u64 = 64 << 10;

/// The answer, and what is told of the request in logs.
pub struct Answered {
    pub response: Response<Body>,
    /// The name of the action, or `Unknown`.
    pub operation: &'static str,
    pub is_write: bool,
    /// The ARN of what the action was about.
    pub target: Option<String>,
    pub caller: Caller,
    /// The code of an error, and its real cause.
    pub error: Option<(&'static str, Option<String>)>,
}

/// Whether a request is for one of these APIs.
pub fn is_meant(method: &Method, address: Option<&Address>, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    method == Method::POST && matches!(address, Some(Address::Service)) && is_form
}

/// Answers a request for which [`is_meant`] holds.
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

struct Seen {
    row: Option<&'static Row>,
    caller: Caller,
    target: Option<String>,
}

/// Who sends a request, as far as that is known before the form has been read.
enum Signer {
    /// Whoever the form says has signed it. Whether that is so shows when the form has been read.
    Form(SignedForm<Caller>),
    /// The user in whose name the console works.
    Inside(Caller),
}

impl Signer {
    /// The service that the request is signed for. A request that isn't signed is for the service that its action
    /// belongs to.
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
    let signer = match OnBehalf::of(&head) {
        Some(inside) => Signer::Inside(inside.caller(&head, &keys)?),
        None => {
            let form = store.verifier.find_signer(&request, &table::SERVICES, now_seconds, &keys)?;
            Signer::Form(form.ok_or(Fault::MissingAuthenticationToken)?)
        }
    };
    let (service, mechanism) = (signer.service(), signer.mechanism());
    let clock = store.clock.clone();
    let body = RequestBody::new(&head.headers, Payload::Unsigned, leftover.clone(), memory, clock)?;
    let body = body.document(MOST_FORM_BYTES).await?;
    let caller = match signer {
        Signer::Inside(caller) => caller,
        Signer::Form(form) => store.verifier.verify_form::<Keys<'_>>(&request, form, &body, now_seconds)?,
    };
    seen.caller = caller.clone();
    let form = form_of(&body)?;
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
        headers: head.headers,
        now: store.clock.now(),
        trail,
    };
    row.check_parameters(&call.form)?;
    let about = call.about()?;
    seen.target.clone_from(&about);
    call.authorise(about.as_deref())?;
    let reply = (row.handler)(&call).await?;
    answer::respond(row, reply, id)
}

fn form_of(body: &[u8]) -> Result<Query, IamError> {
    let form = std::str::from_utf8(body).ok().and_then(|text| Query::parse(text).ok());
    Ok(form.ok_or(Fault::MalformedQueryString)?)
}

/// Whether a form is one that an action takes, as far as that shows without a store. For the fuzz target.
pub fn is_taken(body: &[u8]) -> bool {
    let Ok(form) = form_of(body) else { return false };
    for (name, value) in form.iter() {
        let _ = (valid::name(name, value, valid::MOST_TRUST), valid::path(value), valid::description(value));
        let _ = valid::document(value, valid::MOST_TRUST, name);
    }
    let row = table::recognise(&form, None);
    row.and_then(|row| row.check_parameters(&form)).is_ok()
}
