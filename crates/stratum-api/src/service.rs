//! The answer to one request to S3: parses it, authenticates, finds the operation, authorises, and calls the
//! operation's handler.
//!
//! The order keeps requests of strangers cheap. Everything that can be refused by a request's head is refused before
//! a byte of the body is read. The handler then admits the memory for the body before it reads the body.

mod logged;
mod website;

use crate::address::Address;
use crate::admission::{LEAST_MEMORY_BYTES, Memory, Origin, Party};
use crate::audit::{Asked, Came, Trail};
use crate::authenticate::{Authenticated, authenticate};
use crate::body::{Leftover, RequestBody};
use crate::channel::Tls;
use crate::connections::Connection;
use crate::context::{Account, Caller, Context, Store};
use crate::cors::CrossOrigin;
use crate::error::{BUCKET_REGION, Code, S3Error, S3Result};
use crate::headers;
use crate::iam;
use crate::in_flight::InFlight;
use crate::key::ObjectKey;
use crate::late::Late;
use crate::operation;
use crate::operations::{self, Handler};
use crate::ops;
use crate::preflight;
use crate::query::Query;
use crate::request_id::RequestId;
use crate::rights::{self, Asker, EXPECTED_OWNER, Resource};
use crate::telemetry::{self, Answered};
use crate::traces::{self, Trace};
use crate::version;
use axum::body::Body;
use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use logged::Logged;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use stratum_auth::{Mechanism, Payload, Place, Version, version_2};
use stratum_metadata::record::BucketRecord;
use stratum_storage::panics;
use tracing_mutex::parkinglot::Mutex;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// How many bytes of a refused request's body are read and thrown away, so that the answer reaches a client that is
/// still sending.
const DRAIN_BYTES: usize = 16 << 20;
/// How many bytes a piece of that body counts as at least. Each piece takes time, however few bytes it has, and a
/// stranger may have sent it.
const DRAINED_PIECE_BYTES: usize = 4 << 10;
/// For how long a refused body is read.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Answers one request to S3. It always gives an answer: an error is answered with its document. An answer that takes long
/// may be begun before it is known.
pub async fn respond(
    store: &Arc<Store>,
    id: RequestId,
    request: Request<Body>,
    in_flight: InFlight,
) -> Response<Body> {
    let late = Late::of(&request);
    if late.is_never() {
        return answered(store, id, request, late).await;
    }
    let across = Across::of(store, request.uri(), request.method(), request.headers());
    let expects_continue = request.headers().contains_key(EXPECT);
    let (method, of_head, patience) = (request.method().clone(), store.clone(), store.settings.late_after);
    let (store, of_work) = (store.clone(), late.clone());
    let work = async move { answered(&store, id, request, of_work).await };
    let head = |out: &mut HeaderMap| {
        identify(out, &id);
        if let Some(across) = across {
            across.tell(&of_head, &method, out);
        }
        // Whether a `100 Continue` was sent isn't known here. What follows from that is told in `answered`.
        if expects_continue {
            out.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    };
    late.answer(work, patience, in_flight, head).await
}

/// Answers one request when its answer is known.
pub(crate) async fn answered(
    store: &Arc<Store>,
    id: RequestId,
    request: Request<Body>,
    late: Late,
) -> Response<Body> {
    let began = store.clock.monotonic();
    let (head, wire) = request.into_parts();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let connection = head.extensions.get::<Arc<Connection>>().cloned();
    let has_body = !wire.is_end_stream();
    // An operation that takes a body takes it out of this, and puts back what it didn't read.
    let leftover = Leftover::new(Mutex::new(Some(wire)));
    let expects_continue = head.headers.contains_key(EXPECT);
    let across = Across::of(store, &uri, &method, &head.headers);

    let peer = head.extensions.get::<SocketAddr>().copied();
    let source = peer.map(|peer| peer.ip());
    let logged = Logged::of(store, &head);
    let asked = store.audit.is_kept().then(|| Asked::of(&method, &uri, &head.headers, source));
    let trail = Trail::of(asked.is_some() || logged.is_some());
    let mut seen = Seen::new(trail, store.traces.begin(&head.headers), late);
    let result = caught(answer(store, id, head, &leftover, &mut seen)).await;
    // A client that asked for a `100 Continue` and gets the answer without one can't tell whether the server still
    // waits for the body on this connection: RFC 9110, 10.1.1 says to close it. awscli would take the connection's
    // next answer for a body without an end.
    let is_refused = result.is_err() || seen.error.is_some();
    let unasked = expects_continue && (is_refused || !has_body);
    if is_refused && !expects_continue && is_coming(&leftover) {
        if let Some(connection) = &connection {
            connection.refuses();
        }
        drain(&leftover).await;
    }

    let (mut response, error) = match result {
        Ok(response) => (response, seen.error.take()),
        Err(error) => {
            let told = (error.code().name(), error.cause().map(str::to_owned));
            (error.respond(&id, uri.path(), method == Method::HEAD), Some(told))
        }
    };
    identify(response.headers_mut(), &id);
    if let Some(across) = across {
        across.tell(store, &method, response.headers_mut());
    }
    if unasked {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let told = error.as_ref().map(|(code, cause)| (*code, cause.as_deref()));
    let sent = response.body().size_hint().exact().or_else(|| announced(&response)).unwrap_or(0);
    let now = store.clock.monotonic();
    let took = now.saturating_sub(began);
    store.want_of_space.answered(response.status(), now);
    if let Some(logged) = logged {
        let came =
            logged::Came { seen: &seen, request: id.as_str(), sent, error: told.map(|(code, _)| code), took };
        logged.answered(store, &response, &came);
    }
    if let Some(asked) = asked {
        asked.answered(
            &store.audit,
            &store.settings.domains,
            &Came {
                request: id.as_str(),
                now: store.clock.now(),
                user: seen.caller.id(),
                access_key: seen.caller.access_key(),
                operation: seen.operation,
                version: seen.version.as_deref(),
                target: seen.target.as_deref(),
                is_write: seen.is_write,
                status: response.status(),
                error: told,
                trail: &seen.trail,
            },
        );
    }
    let is_signed = !matches!(seen.caller, Caller::Nobody);
    let named = seen.trace.name(is_signed);
    if let Some(named) = named {
        let came = traces::Came {
            request: id,
            is_signed,
            operation: seen.operation,
            method: &method,
            bucket: seen.bucket.as_deref(),
            status: response.status(),
            error: told.map(|(code, _)| code),
        };
        seen.trace.end(named, &came);
    }
    telemetry::answered(&Answered {
        id: id.as_str(),
        named,
        operation: seen.operation,
        metered: seen.metered.as_deref(),
        peer,
        user: seen.caller.id(),
        method: &method,
        path: uri.path(),
        status: response.status(),
        sent,
        took,
        now,
        is_write: seen.is_write,
        error: told,
    });
    response
}

/// Catches a panic, which is a fault of the server. It costs only the request in which it happened: that is answered,
/// logged and counted as any other request that failed.
async fn caught(answered: impl Future<Output = S3Result>) -> S3Result {
    let outcome = AssertUnwindSafe(answered).catch_unwind().await;
    outcome.unwrap_or_else(|panic| {
        let words = panics::words(&*panic);
        Err(S3Error::new(Code::InternalError).because(format_args!("the server panicked over it: {words}")))
    })
}

/// Writes the request's id into the headers of its answer.
pub(crate) fn identify(out: &mut HeaderMap, id: &RequestId) {
    let id = id.header_value();
    out.insert(REQUEST_ID, id.clone());
    out.insert(HOST_ID, id);
}

/// The length of a body that is streamed, by the answer's `Content-Length`.
fn announced(response: &Response<Body>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What is found out of a request while it is answered, for the log, the audit, the metrics and the trace.
struct Seen {
    operation: &'static str,
    /// The bucket that the request names.
    bucket: Option<String>,
    /// The same bucket, if it has metrics of its own.
    metered: Option<String>,
    is_write: bool,
    caller: Caller,
    /// How the request was signed; none where nobody signed it.
    mechanism: Option<Mechanism>,
    version: Option<String>,
    /// The ARN of the resource that a request to IAM is about.
    target: Option<String>,
    trail: Arc<Trail>,
    trace: Trace,
    late: Late,
    /// The code and the cause of an error that was answered in another form than S3's document.
    error: Option<(&'static str, Option<String>)>,
}

impl Seen {
    fn new(trail: Arc<Trail>, trace: Trace, late: Late) -> Self {
        Seen {
            operation: "Unknown",
            bucket: None,
            metered: None,
            is_write: false,
            caller: Caller::Nobody,
            mechanism: None,
            version: None,
            target: None,
            trail,
            trace,
            late,
            error: None,
        }
    }
}

/// Answers a request: everything from its head to the operation's answer.
async fn answer(
    store: &Arc<Store>,
    id: RequestId,
    mut head: http::request::Parts,
    leftover: &Leftover,
    seen: &mut Seen,
) -> S3Result {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let address = Address::parse(head.uri.path(), host, &store.settings.domains);
    let bucket = address.as_ref().ok().and_then(Address::bucket);
    seen.bucket = bucket.map(str::to_owned);
    seen.metered = bucket.and_then(|bucket| store.settings.metered.get(bucket)).cloned();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let now = store.clock.now();
    preflight::check(&head)?;
    if head.method == Method::OPTIONS {
        return preflight(store, &head, &address?, seen).await;
    }
    if let Some(bucket) = website::bucket_of(store, host) {
        return Box::pin(website::answer(store, id, &head, bucket, leftover, seen)).await;
    }
    if iam::is_meant(&head.method, address.as_ref().ok(), &head.headers) {
        let memory = store.admission.enter(party(&Caller::Nobody, &head))?;
        let trail = seen.trail.clone();
        let answered = Box::pin(iam::respond(store, id, head, leftover, memory.clone(), trail)).await;
        (seen.operation, seen.is_write) = (answered.operation, answered.is_write);
        (seen.caller, seen.target, seen.error) = (answered.caller, answered.target, answered.error);
        return counted(answered.response, memory);
    }
    let Authenticated { caller, mechanism, payload } = authenticate(store, &head).await?;
    (seen.caller, seen.mechanism) = (caller.clone(), mechanism);
    let account = rights::account(&caller, store);
    let memory = store.admission.enter(party(&caller, &head))?;

    // A caller who may do nothing here isn't told what is wrong with the request either: every error becomes
    // `AccessDenied`.
    let is_nobodys = matches!(account, Account::Nobody);
    let shut = |error: S3Error| {
        if is_nobodys { S3Error::new(Code::AccessDenied).because(error.text()) } else { error }
    };
    let (address, mut query) = (address.map_err(shut)?, query.map_err(shut)?);
    let peer = head.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    let scheme = head.extensions.remove::<Scheme>().unwrap_or(Scheme::HTTP);
    let tls = head.extensions.get::<Tls>().copied();
    let mut headers = head.headers;
    let presigned = mechanism.filter(|mechanism| mechanism.place == Place::Query);
    let presigned = presigned.map(|mechanism| mechanism.version);
    headers::hoist(&query, presigned, &mut headers).map_err(shut)?;
    if presigned == Some(Version::V2) {
        query.forget(&version_2::QUERY_PARAMETERS);
    }
    rights::check_token(&caller, &headers)?;
    let row = operations::recognise(&head.method, &address, &query, &headers).map_err(shut)?;
    let operation = &row.operation;
    (seen.operation, seen.is_write) = (operation.name, operation.is_write());
    seen.version = query.get(version::PARAMETER).map(str::to_owned);
    headers::refuse_unheeded(&headers, operation).map_err(shut)?;
    if presigned.is_none() {
        headers::refuse_in_query(&query, operation).map_err(shut)?;
    }
    // The request's view of the state is taken here and nowhere else: everything that the request reads is at least
    // as new.
    let view = store.metadata.fresh().await?;
    let (store, query) = (store.clone(), Arc::new(query));
    let ctx = Context {
        store,
        caller,
        mechanism,
        account,
        memory,
        view,
        operation,
        request_id: id,
        query,
        headers,
        scheme,
        tls,
        peer,
        trail: seen.trail.clone(),
        trace: seen.trace.clone(),
        late: seen.late.clone(),
        now,
    };
    let answer = dispatch(&ctx, row.handler, address, Incoming { payload, leftover }).await?;
    counted(answer, ctx.memory)
}

/// Answers a preflight: a browser's question, which nobody signs, whether a page of another origin may send a
/// request.
async fn preflight(
    store: &Arc<Store>,
    head: &http::request::Parts,
    address: &Address,
    seen: &mut Seen,
) -> S3Result {
    let _memory = store.admission.enter(party(&Caller::Nobody, head))?;
    seen.operation = "Preflight";
    ops::bucket_cors::preflight(store, &store.metadata.fresh().await?, address.bucket(), &head.headers)
}

/// A request that a page of another origin sent, and the bucket that it is about. Headers of the answer, whatever
/// that is, tell the browser whether the page may see it.
struct Across {
    asked: CrossOrigin,
    bucket: String,
}

impl Across {
    fn of(store: &Store, uri: &Uri, method: &Method, headers: &HeaderMap) -> Option<Across> {
        let asked = CrossOrigin::of(headers)?;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let address = Address::parse(uri.path(), host, &store.settings.domains).ok()?;
        let is_preflight = *method == Method::OPTIONS;
        address.bucket().filter(|_| !is_preflight).map(|bucket| Across { asked, bucket: bucket.to_owned() })
    }

    fn tell(&self, store: &Store, method: &Method, out: &mut HeaderMap) {
        let view = store.metadata.local();
        out.extend(
            ops::bucket_cors::of_answer(store, &view, &self.bucket, &self.asked, method)
                .into_iter()
                .flatten(),
        );
    }
}

/// Whose share of the memory a request takes from.
fn party(caller: &Caller, head: &http::request::Parts) -> Party {
    let connection = head.extensions.get::<Arc<Connection>>();
    match (caller, connection) {
        (Caller::User(user, _), _) => Party::User(user.id.clone()),
        (Caller::Member(member), _) => Party::Member {
            account: member.account.id.clone(),
            principal: member.principal.as_str().to_owned(),
        },
        (Caller::Nobody, Some(connection)) => Party::Address(connection.origin()),
        (Caller::Nobody, None) => Party::Address(Origin::of(Ipv4Addr::UNSPECIFIED.into())),
    }
}

/// Counts an answer whose body lies in memory, and its request, until the answer has been sent.
fn counted(mut answer: Response<Body>, memory: Memory) -> S3Result {
    let size = answer.body().size_hint().exact().unwrap_or(0);
    let admitted = memory.admit(size.saturating_sub(LEAST_MEMORY_BYTES))?;
    answer.extensions_mut().insert(Arc::new(admitted));
    Ok(answer)
}

/// The request's body, for a handler that takes one.
struct Incoming<'a> {
    payload: Payload,
    leftover: &'a Leftover,
}

impl Incoming<'_> {
    fn body(self, ctx: &Context) -> Result<RequestBody, S3Error> {
        let clock = ctx.store.clock.clone();
        RequestBody::new(&ctx.headers, self.payload, self.leftover.clone(), ctx.memory.clone(), clock)
    }
}

/// The resource that an operation is about; its bucket has been looked up.
enum Subject {
    /// No resource of S3, for WriteGetObjectResponse.
    None,
    Service,
    NewBucket(String),
    Bucket(Arc<BucketRecord>),
    Object(Arc<BucketRecord>, ObjectKey),
}

impl Subject {
    /// # Errors
    /// `NoSuchBucket`, or `AccessDenied` when the bucket's owner isn't the expected one.
    fn look_up(ctx: &Context, handler: Handler, address: Address) -> Result<Self, S3Error> {
        let bucket = |name: &str| rights::expected_bucket(ctx, name, EXPECTED_OWNER);
        Ok(match address {
            Address::Service => Subject::Service,
            Address::ObjectResponse => Subject::None,
            Address::Bucket(name) if matches!(handler, Handler::NewBucket(_)) => Subject::NewBucket(name),
            Address::Bucket(name) => Subject::Bucket(bucket(&name)?),
            Address::Object(name, key) => Subject::Object(bucket(&name)?, key),
        })
    }

    fn resource<'a>(&'a self, ctx: &'a Context) -> Resource<'a> {
        match self {
            Subject::None | Subject::Service => Resource::Service,
            Subject::NewBucket(name) => Resource::NewBucket(name),
            Subject::Bucket(bucket) => Resource::Bucket(bucket),
            Subject::Object(bucket, key) => Resource::Object(bucket, key, ctx.query.get(version::PARAMETER)),
        }
    }

    /// Adds the region to a refusal of HeadBucket. Everybody may know the region of a bucket, so that they can sign
    /// requests for it.
    fn refused(&self, ctx: &Context, refusal: S3Error) -> S3Error {
        let is_asked = matches!((self, ctx.operation.method), (Subject::Bucket(_), operation::Method::Head));
        match HeaderValue::try_from(&ctx.store.settings.region) {
            Ok(region) if is_asked => refusal.header(BUCKET_REGION, region),
            _ => refusal,
        }
    }
}

/// Looks up the resource that the operation is about, checks the caller's rights, and calls the handler.
async fn dispatch(ctx: &Context, handler: Handler, address: Address, incoming: Incoming<'_>) -> S3Result {
    let operation = ctx.operation;
    let subject = Subject::look_up(ctx, handler, address)?;
    for action in operation.actions(ctx.query.has(version::PARAMETER)) {
        let may = rights::authorise(&Asker::of(ctx), action, &subject.resource(ctx));
        may.map_err(|refusal| subject.refused(ctx, refusal))?;
    }
    if operation.is_write() {
        rights::authorise_headers(&Asker::of(ctx), operation, &subject.resource(ctx))?;
    }
    let answer = hand_over(ctx, handler, &subject, incoming).await;
    match &subject {
        // The error of a copy is about the object that is copied, and its handler has dealt with it.
        Subject::Object(bucket, key) if operation.source_actions(false).next().is_none() => {
            answer.map_err(|error| rights::masked(&Asker::of(ctx), bucket, key, error))
        }
        _ => answer,
    }
}

async fn hand_over(ctx: &Context, handler: Handler, subject: &Subject, incoming: Incoming<'_>) -> S3Result {
    match (handler, subject) {
        (Handler::Unbuilt, _) => Err(S3Error::not_implemented(ctx.operation.name)),
        (Handler::Service(handle), Subject::Service) => handle(ctx).await,
        (Handler::NewBucket(handle), Subject::NewBucket(name)) => {
            handle(ctx, name, incoming.body(ctx)?).await
        }
        (Handler::Bucket(handle), Subject::Bucket(bucket)) => handle(ctx, bucket).await,
        (Handler::BucketBody(handle), Subject::Bucket(bucket)) => {
            handle(ctx, bucket, incoming.body(ctx)?).await
        }
        (Handler::Object(handle), Subject::Object(bucket, key)) => handle(ctx, bucket, key).await,
        (Handler::ObjectBody(handle), Subject::Object(bucket, key)) => {
            handle(ctx, bucket, key, incoming.body(ctx)?).await
        }
        // The row's handler is of another scope than the row. A test of the table makes sure that there is no such
        // row.
        (_, _) => {
            Err(S3Error::new(Code::InternalError).because("the operation's handler is of another scope"))
        }
    }
}

/// Whether a request's body has not been read to its end.
fn is_coming(leftover: &Leftover) -> bool {
    leftover.lock().as_ref().is_some_and(|wire| !wire.is_end_stream())
}

/// Reads a bounded part of what a refused request is still sending. If more follows, hyper closes the connection.
async fn drain(leftover: &Leftover) {
    let wire = leftover.lock().take();
    let Some(mut wire) = wire else { return };
    let read = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = wire.frame().await {
            let size = frame.data_ref().map_or(0, |data| data.len());
            let Some(rest) = left.checked_sub(size.max(DRAINED_PIECE_BYTES)) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, read).await;
}
