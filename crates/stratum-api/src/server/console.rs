//! The console within the server: it makes its pages from the answers to requests, and this module hands those
//! requests to the server.
//!
//! `stratum-console` knows nothing of the store. It may do what the access key may do with which a user has signed
//! in: a request of the console is answered by the same functions as one that came over the network
//! ([`service::answered`], [`admin::administer`]), in the name of that key ([`OnBehalf`]). A browser's request *for* a
//! page of the console counts for the browser's address until it is answered, as any request does that nobody has
//! signed.

use super::admin::{self, Admin};
use crate::admission::{LEAST_MEMORY_BYTES, Party};
use crate::context::Store;
use crate::identities::{Caller, Keys, MemberKind};
use crate::late::Late;
use crate::number;
use crate::on_behalf::OnBehalf;
use crate::request_id::RequestIds;
use crate::rights::may_operate;
use crate::service;
use axum::Router;
use axum::body::Body;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use std::fmt;
use std::sync::Arc;
use stratum_auth::{AccessKey, AuthError, Keyring, Presign, SecretKey};
use stratum_console::{Answering, Door, Holder, Holds, Key, Link, SessionKeeper, Via, Who};
use tower_service::Service;

/// The console with its routes.
pub(super) struct Console {
    router: Router,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Whether a request for `/_stratum/` is for the console: its path is below the console's, or it is a browser's for
/// `/_stratum/` itself.
pub(super) fn is_meant<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let below = path.strip_prefix(stratum_console::ROOT);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || is_lost(request)
}

/// Whether a browser asks for a page at `/_stratum/`, where there is none, so that it is redirected to the console.
fn is_lost<B>(request: &Request<B>) -> bool {
    let accepts = || request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    matches!(request.uri().path(), "/_stratum" | "/_stratum/")
        && request.method() == Method::GET
        && accepts().is_some_and(|accept| accept.contains("text/html"))
}

/// The policy for an object that a browser opens as a page: the page may do everything except act with the console's
/// origin.
const SANDBOX: &str = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";

/// Whether a content type is one in which browsers run no script.
fn is_inert(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let (family, rest) = kind.split_once('/').unwrap_or((kind, ""));
    match (family, rest) {
        ("image", rest) => !rest.starts_with("svg"),
        ("audio" | "video" | "font", _) => true,
        ("text", "plain" | "css" | "csv" | "markdown") => true,
        ("binary", "octet-stream") => true,
        ("application", "octet-stream" | "json" | "pdf" | "zip" | "gzip" | "x-tar" | "x-gzip") => true,
        _ => false,
    }
}

/// Puts an object in which a browser might run a script into a sandbox. Objects have URLs at the same origin as the
/// console. A script in an object could do in the console whatever the user may do who opens the object, and whoever
/// may put an object could have such a script run.
pub(super) fn shut_out(answer: &mut HeaderMap) {
    let kind = answer.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    if answer.contains_key(ETAG) && kind.is_some_and(|kind| !is_inert(&kind.to_ascii_lowercase())) {
        answer.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    }
}

impl Console {
    pub(super) fn of(store: &Arc<Store>, admin: &Admin, ids: &Arc<RequestIds>) -> Console {
        let inside = Inside { store: store.clone(), admin: admin.clone(), ids: ids.clone() };
        Console { router: stratum_console::routes(Arc::new(inside)) }
    }

    pub(super) async fn respond(
        &self,
        store: &Store,
        party: Party,
        request: Request<Body>,
    ) -> Response<Body> {
        if is_lost(&request) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(stratum_console::HOME));
            return response;
        }
        store.pace.request_began();
        let Ok(memory) = store.admission.enter(party) else { return busy() };
        let Ok(_form) = memory.admit(form_bytes(request.headers())) else { return busy() };
        let mut response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let held = response.extensions_mut().remove().map_or(0, |Holds(bytes)| bytes);
        let size = response.body().size_hint().exact().unwrap_or(0).saturating_add(held);
        let Ok(admitted) = memory.admit(size.saturating_sub(LEAST_MEMORY_BYTES)) else { return busy() };
        response.extensions_mut().insert(Arc::new(admitted));
        response
    }
}

/// How much memory a form takes beyond what every request is counted with, in bytes: the form as it was sent, and its
/// fields. A form with files takes none, since it is streamed.
fn form_bytes(headers: &HeaderMap) -> u64 {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(CONTENT_TYPE).starts_with("multipart/") || headers.get(CONTENT_TYPE).is_none() {
        return 0;
    }
    let length = number::parse(text(CONTENT_LENGTH)).unwrap_or(stratum_console::MOST_FORM_BYTES);
    (length.min(stratum_console::MOST_FORM_BYTES) * 3).saturating_sub(LEAST_MEMORY_BYTES)
}

fn busy() -> Response<Body> {
    admin::refusal(StatusCode::SERVICE_UNAVAILABLE, "the server has too much to do; try again in a moment")
}

/// The parts of the server that answer the console's requests.
struct Inside {
    store: Arc<Store>,
    admin: Admin,
    ids: Arc<RequestIds>,
}

impl Inside {
    async fn keys(&self) -> Keys<'_> {
        let keys = self.store.access_keys();
        self.store.members.open(&keys.view, self.store.keys.as_ref(), keys.now).await;
        keys
    }
}

/// What marks the secret of a key, before the access key.
const MARKED: &str = "console\0";

/// The user whom the console shows as signed in; none for an anonymous caller.
fn who(key: &Key, caller: &Caller, secret: &SecretKey) -> Option<Who> {
    let (name, id, is_role) = match caller {
        Caller::User(user, _) if user.display_name.is_empty() => (user.id.clone(), user.id.as_str(), false),
        Caller::User(user, _) => (user.display_name.clone(), user.id.as_str(), false),
        Caller::Member(member) => {
            let is_role = member.kind == MemberKind::Role;
            // The id of a role's session is the role's id, a colon, and the name of the session.
            let id = member.id.split(':').next().unwrap_or_default();
            (member.arn.to_string(), id, is_role)
        }
        Caller::Nobody => return None,
    };
    let account = caller.owner()?.id.clone();
    let holder = Holder { account, id: id.to_owned(), is_role };
    let secret_mark = secret.mark(format!("{MARKED}{}", key.access_key).as_bytes()).to_string();
    Some(Who { name, operates: may_operate(caller), holder, secret_mark })
}

impl Door for Inside {
    fn sign_in<'a>(&'a self, key: &'a Key, secret: &'a str) -> Answering<'a, Result<Option<Who>, String>> {
        Box::pin(async move {
            let keys = self.keys().await;
            let token = key.session_token.as_deref();
            let admitted = self.store.verifier.admit(&key.access_key, token, secret, &keys);
            found(key, admitted.and_then(|_| keys.find(&key.access_key, token)))
        })
    }

    fn who<'a>(&'a self, key: &'a Key) -> Answering<'a, Result<Option<Who>, String>> {
        Box::pin(
            async move { found(key, self.keys().await.find(&key.access_key, key.session_token.as_deref())) },
        )
    }

    fn send<'a>(
        &'a self,
        key: &'a Key,
        via: &'a Via,
        mut request: Request<Body>,
    ) -> Answering<'a, Response<Body>> {
        request.extensions_mut().insert(via.peer);
        request.extensions_mut().insert(via.scheme.clone());
        let request = OnBehalf::new(key.access_key.clone(), key.session_token.clone()).send(request);
        Box::pin(async move {
            if request.uri().path().starts_with(admin::OPERATORS) {
                return admin::administer(&self.admin, &self.store, &self.ids, via.peer, request).await;
            }
            service::answered(&self.store, self.ids.next(), request, Late::default()).await
        })
    }

    fn presign<'a>(&'a self, key: &'a Key, link: &'a Link<'a>) -> Answering<'a, Option<String>> {
        Box::pin(async move {
            let keys = self.keys().await;
            let token = key.session_token.as_deref();
            let (_, secret) = keys.find(&key.access_key, token).ok()?;
            let Link { method, host, path, query, seconds } = *link;
            let wanted = Presign { method, host, path, query, expires: seconds };
            let access_key = AccessKey::new(&key.access_key).ok()?;
            let now = (keys.now / 1000).cast_signed();
            let query = self.store.verifier.presign(&wanted, &access_key, &secret, token, now)?;
            Some(format!("{path}?{query}"))
        })
    }

    fn sessions(&self) -> Arc<dyn SessionKeeper> {
        self.store.console_sessions.clone()
    }

    fn webhooks(&self) -> Vec<String> {
        self.store.settings.webhooks.iter().cloned().collect()
    }

    fn now(&self) -> u64 {
        self.store.clock.now()
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.store.clock.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.store.entropy.fill(bytes);
    }
}

/// Who is signed in with a key, of which this was found: none if it isn't valid. The error says why that can't be found
/// out now.
fn found(key: &Key, holder: Result<(Caller, SecretKey), AuthError>) -> Result<Option<Who>, String> {
    match holder {
        Ok((caller, secret)) => Ok(who(key, &caller, &secret)),
        Err(AuthError::Unavailable(why)) => Err(why),
        Err(_) => Ok(None),
    }
}
