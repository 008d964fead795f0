//! `/_stratum/`: the health of the server for probes, metrics for a scraper, and under `v1/` the operator's routes.
//!
//! The binary makes the operator's routes; this module decides who reaches them. Root reaches all of them. Others
//! reach two: whoever may read an object may ask where it lies and why, and whoever may list a bucket may ask for its
//! report. A request to these routes says everything in its path and query, which the signature covers. The answers
//! are JSON.

use crate::address::Address;
use crate::audit::{Asked, Came, Trail};
use crate::authenticate::{Authenticated, authenticate};
use crate::context::{Caller, Store};
use crate::headers;
use crate::key::ObjectKey;
use crate::query::Query;
use crate::request_id::RequestIds;
use crate::rights::{self, Asker, OPERATE, Resource};
use crate::version;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::routing::get;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use stratum_auth::Version;
use stratum_metadata::ReadView;
use subtle::ConstantTimeEq;
use tower_service::Service;

/// Says whether requests can be served, and if not, why.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Gives the metrics in the text format of Prometheus.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// How the paths of the operator's routes begin.
pub(super) const OPERATORS: &str = "/_stratum/v1/";

/// The administrative endpoints.
#[derive(Clone)]
pub struct Admin {
    router: Router,
}

#[derive(Clone)]
struct Sources {
    ready: Ready,
    metrics: Metrics,
    token: Option<Arc<str>>,
}

impl Admin {
    /// `token` is what a scraper must send as `Authorization: Bearer`. Without a token, scrapers that connect over
    /// loopback are answered, and no others.
    ///
    /// The paths of `operator` are relative to `/_stratum/v1`.
    pub fn new(ready: Ready, metrics: Metrics, token: Option<String>, operator: Router) -> Self {
        let sources = Sources { ready, metrics, token: token.map(Arc::from) };
        let router = Router::new()
            .route("/_stratum/health/live", get(|| async { "live\n" }))
            .route("/_stratum/health/ready", get(ready_now))
            .route("/_stratum/metrics", get(metrics_now))
            .with_state(sources)
            .nest(OPERATORS.trim_end_matches('/'), operator);
        Self { router }
    }

    /// Answers a request whose sender may ask it (see [`sender`]).
    pub(crate) async fn respond(&self, peer: SocketAddr, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(peer);
        match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// Answers a request for `/_stratum/`, or refuses it where its sender may not ask it.
pub(super) async fn administer(
    admin: &Admin,
    store: &Arc<Store>,
    ids: &RequestIds,
    peer: SocketAddr,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let audit = &store.audit;
    let asked = audit.is_kept().then(|| Asked::of(&head.method, &head.uri, &head.headers, Some(peer.ip())));
    let is_post = head.method == Method::POST;
    let sender = sender(store, &head).await;
    let response = match &sender.problem {
        Some(problem) => refusal(StatusCode::FORBIDDEN, problem),
        None => admin.respond(peer, Request::from_parts(head, body)).await,
    };
    if let Some(asked) = asked {
        let id = ids.next();
        // Whoever isn't known changes nothing: beside the operator's routes there is nothing to change.
        let is_write = is_post && sender.problem.is_none() && !matches!(sender.caller, Caller::Nobody);
        let came = Came {
            request: id.as_str(),
            now: store.clock.now(),
            user: sender.caller.id(),
            access_key: sender.caller.access_key(),
            operation: "Operate",
            version: None,
            target: None,
            is_write,
            status: response.status(),
            error: None,
            trail: &Trail::OFF,
        };
        asked.operated(audit, &came);
    }
    response
}

/// Who sent a request, and why they may not ask it, if they may not.
struct Sender {
    caller: Caller,
    problem: Option<String>,
}

/// The sender of a request. Signatures are looked at only where the request is for the operator's routes; other paths
/// are everybody's.
async fn sender(store: &Store, head: &http::request::Parts) -> Sender {
    let Some(path) = head.uri.path().strip_prefix(OPERATORS) else {
        return Sender { caller: Caller::Nobody, problem: None };
    };
    match authenticate(store, head).await {
        Ok(known) => {
            let problem = may(store, head, path, &known).await.err().map(str::to_owned);
            Sender { caller: known.caller, problem }
        }
        Err(error) => Sender { caller: Caller::Nobody, problem: Some(error.text().to_owned()) },
    }
}

/// Checks that the sender may ask a request to the operator's routes; `path` follows `/_stratum/v1/`. The error says
/// why not.
async fn may(
    store: &Store,
    head: &http::request::Parts,
    path: &str,
    sender: &Authenticated,
) -> Result<(), &'static str> {
    if sender.mechanism.is_some_and(|mechanism| mechanism.version == Version::V2) {
        return Err("a request to operate the store must be signed by version 4");
    }
    let question = Question { store, head, sender };
    // Root is let in also while nobody can say what was acknowledged: the answer depends on nothing in the state.
    if question.is_allowed(&store.metadata.local(), OPERATE, &Resource::Store) {
        return Ok(());
    }
    match Told::of(&head.method, path, head.uri.query()) {
        None => Err("only the root user may operate the store, by a request that they have signed"),
        Some(told) if told.may(&question).await => Ok(()),
        // The same words where the bucket or the object doesn't exist, so that they don't tell whether it does.
        Some(Told::Object(..)) => Err("only who may read the object may ask where it lies"),
        Some(Told::Bucket(_)) => Err("only who may list the bucket may ask for its report"),
    }
}

/// A request to the operator's routes, about which [`rights::authorise`] is asked.
struct Question<'a> {
    store: &'a Store,
    head: &'a http::request::Parts,
    sender: &'a Authenticated,
}

impl Question<'_> {
    /// Whether the sender may do the action to the resource.
    fn is_allowed(&self, view: &ReadView, action: &'static str, resource: &Resource<'_>) -> bool {
        let Question { store, head, sender } = self;
        let account = rights::account(&sender.caller, store);
        let mut headers = head.headers.clone();
        if headers::fold(&mut headers).is_err() {
            return false;
        }
        let asker = Asker {
            store,
            view,
            caller: &sender.caller,
            account: &account,
            mechanism: sender.mechanism,
            query: &Query::default(),
            headers: &headers,
            scheme: head.extensions.get().unwrap_or(&Scheme::HTTP),
            tls: head.extensions.get().copied(),
            creates: None,
            peer: head.extensions.get::<SocketAddr>().map(SocketAddr::ip),
            now: store.clock.now(),
            trail: &Trail::OFF,
            said: None,
            iam: None,
        };
        rights::authorise(&asker, action, resource).is_ok()
    }
}

/// What others than root may ask.
enum Told {
    /// Where an object lies and why; or a version of it, if the request names one.
    Object(String, ObjectKey, Option<String>),
    /// In which tiers the objects of a bucket lie.
    Bucket(String),
}

impl Told {
    /// What a request asks; none where it asks for something else, or isn't a question.
    fn of(method: &Method, path: &str, query: Option<&str>) -> Option<Told> {
        if *method != Method::GET && *method != Method::HEAD {
            return None;
        }
        if let Some(object) = path.strip_prefix("objects/") {
            let address = Address::parse(object, None, &[]).ok()?;
            let version =
                Query::parse(query.unwrap_or_default()).ok()?.get(version::PARAMETER).map(str::to_owned);
            return match address {
                Address::Object(bucket, key) => Some(Told::Object(bucket, key, version)),
                Address::Service | Address::Bucket(_) | Address::ObjectResponse => None,
            };
        }
        let query = Query::parse(query.unwrap_or_default()).ok()?;
        let bucket = || query.get("bucket").map(str::to_owned);
        (path == "tier/report").then(bucket).flatten().map(Told::Bucket)
    }

    async fn may(&self, question: &Question<'_>) -> bool {
        let (Told::Object(name, ..) | Told::Bucket(name)) = self;
        let Ok(view) = question.store.metadata.fresh().await else { return false };
        let Ok(Some(bucket)) = view.bucket(name) else { return false };
        let (action, resource) = match self {
            Told::Object(_, key, None) => ("s3:GetObject", Resource::Object(&bucket, key, None)),
            Told::Object(_, key, Some(id)) => {
                ("s3:GetObjectVersion", Resource::Object(&bucket, key, Some(id)))
            }
            Told::Bucket(_) => ("s3:ListBucket", Resource::Bucket(&bucket)),
        };
        question.is_allowed(&view, action, &resource)
    }
}

/// An error of the operator's routes: `{"error": "..."}`.
pub fn refusal(status: StatusCode, problem: &str) -> Response<Body> {
    let document = serde_json::json!({ "error": problem }).to_string();
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn ready_now(State(sources): State<Sources>) -> (StatusCode, String) {
    match (sources.ready)() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics_now(
    State(sources): State<Sources>,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
) -> Result<([(http::HeaderName, &'static str); 1], String), StatusCode> {
    if !may_scrape(peer, &headers, sources.token.as_deref()) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], (sources.metrics)()))
}

/// Whether a peer may have the metrics. Where there is a token, a peer on loopback needs it as well: behind a proxy
/// on the same host, all peers seem to be on loopback.
fn may_scrape(peer: SocketAddr, headers: &HeaderMap, token: Option<&str>) -> bool {
    let Some(token) = token else { return peer.ip().to_canonical().is_loopback() };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    sent.is_some_and(|sent| sent.ct_eq(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn ask(path: &str, peer: &str, authorization: Option<&str>) -> (StatusCode, String) {
        asked(Some("secret"), path, peer, authorization).await
    }

    async fn asked(
        token: Option<&str>,
        path: &str,
        peer: &str,
        authorization: Option<&str>,
    ) -> (StatusCode, String) {
        let ready: Ready = Arc::new(|| Err("too few drives".into()));
        let token = token.map(str::to_owned);
        let admin = Admin::new(ready, Arc::new(|| "up 1\n".into()), token, Router::new());
        let mut request = Request::builder().uri(path);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = admin.respond(peer.parse().unwrap(), request.body(Body::empty()).unwrap()).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    const NEAR: &str = "127.0.0.1:1";
    const FAR: &str = "192.0.2.1:1";

    #[tokio::test]
    async fn health_needs_no_token() {
        assert_eq!(ask("/_stratum/health/live", FAR, None).await.0, StatusCode::OK);
        let (status, why) = ask("/_stratum/health/ready", FAR, None).await;
        assert_eq!((status, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "too few drives\n"));
        assert_eq!(ask("/_stratum/other", NEAR, None).await.0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn others_than_root_may_ask_and_change_nothing() {
        let asks = |method: Method, path: &str| Told::of(&method, path, Some("bucket=b")).is_some();
        for path in ["objects/b/k", "tier/report"] {
            assert!(asks(Method::GET, path) && asks(Method::HEAD, path), "{path}");
            assert!(
                ![Method::POST, Method::PUT, Method::DELETE].into_iter().any(|method| asks(method, path))
            );
        }
    }

    #[tokio::test]
    async fn metrics_need_the_token_if_there_is_one() {
        for near in [NEAR, "[::1]:1"] {
            assert_eq!(asked(None, "/_stratum/metrics", near, None).await, (StatusCode::OK, "up 1\n".into()));
            assert_eq!(ask("/_stratum/metrics", near, None).await.0, StatusCode::FORBIDDEN);
        }
        assert_eq!(asked(None, "/_stratum/metrics", FAR, Some("Bearer x")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask("/_stratum/metrics", FAR, None).await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask("/_stratum/metrics", FAR, Some("Bearer guess!")).await.0, StatusCode::FORBIDDEN);
        assert_eq!(ask("/_stratum/metrics", FAR, Some("Bearer secret")).await.0, StatusCode::OK);
    }
}
