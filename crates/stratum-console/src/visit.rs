//! One request: where it came from, who is signed in, and whether a page of the console sent it.
//!
//! Three guards keep forged requests out, of which each alone would do: the cookie is `SameSite=Strict`, every form
//! carries its session's token, and a request that writes must name the console's own origin. Objects may be opened
//! in a browser at the same origin by their addresses, and their scripts could ask for pages. So a page is given only
//! to a browser that shows it, by `Sec-Fetch-Dest`, and to no script.

use crate::Console;
use crate::ask::Ask;
use crate::door::{Via, Who};
use crate::form::{Fields, TOKEN};
use crate::frame::{self, Frame};
use crate::headers;
use crate::session::Session;
use crate::sign_in::{self, Kept};
use crate::trouble::{Refusal, Trouble};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{HOST, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use maud::{DOCTYPE, Markup, html};
use std::collections::HashMap;
use std::sync::Arc;

/// The path below which the stylesheet and the scripts are.
const ASSETS: &str = "/_stratum/console/assets/";
/// The header in which the upload script sends the form token.
const TOKEN_HEADER: &str = "x-form-token";

/// A request of somebody who is signed in.
#[derive(Clone)]
pub struct Visit {
    pub console: Arc<Console>,
    pub session: Session,
    pub who: Who,
    pub via: Via,
    pub query: Fields,
    /// The bucket that the path names.
    pub bucket: String,
    /// What else the path names.
    pub item: String,
    pub headers: HeaderMap,
    /// The path and query that were asked for.
    pub at: String,
}

/// The answer of a page, or why there is none.
pub type Page = Result<Response, Trouble>;

impl Visit {
    pub fn ask(&self) -> Ask<'_> {
        Ask::new(self.console.door.as_ref(), self.session.key(), &self.via)
    }

    pub fn frame(&self) -> Frame<'_> {
        Frame::new(&self.console.assets, Some((&self.who, &self.session)))
    }

    pub fn now(&self) -> u64 {
        self.console.door.now()
    }

    /// Milliseconds since some moment of the process.
    pub fn monotonic(&self) -> u64 {
        self.console.door.monotonic()
    }

    /// The names of the webhooks that buckets may send notifications to.
    pub fn webhooks(&self) -> Vec<String> {
        self.console.door.webhooks()
    }

    /// The host as the browser names it.
    pub fn host(&self) -> &str {
        host(&self.headers)
    }

    /// The console's origin as the browser sees it. A browser sends it with every POST; behind a proxy the scheme
    /// isn't known otherwise.
    pub fn origin(&self) -> String {
        match self.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()) {
            Some(origin) => origin.to_owned(),
            None => format!("{}://{}", self.via.scheme, self.host()),
        }
    }
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Refuses forged requests, and adds the security headers to every answer.
pub async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let called = host(request.headers()).to_owned();
    let mut response = match forged(&request) {
        None => next.run(request).await,
        Some(why) => {
            let status = StatusCode::FORBIDDEN;
            let trouble = Trouble::Refused(Refusal { status, message: why.into(), ..Refusal::default() });
            frame::trouble(&Frame::new(&console.assets, None), &trouble)
        }
    };
    headers::complete(&mut response, &called);
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Why a request isn't taken for one that a person sent from a page of the console.
fn forged(request: &Request) -> Option<&'static str> {
    let headers = request.headers();
    let (site, to) = (header(headers, "sec-fetch-site"), header(headers, "sec-fetch-dest"));
    if request.method() == Method::POST {
        if site.is_some_and(|site| site != "same-origin") {
            return Some("Another site sent this request, so nothing was done.");
        }
        let origin = header(headers, ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
        return match origin {
            Some((_, origin)) if origin.eq_ignore_ascii_case(host(headers)) => None,
            _ => Some(
                "The browser didn't say that this request comes from this address, so nothing was done. A proxy \
                 before the server has to pass the Host header on.",
            ),
        };
    }
    let is_asset = request.uri().path().starts_with(ASSETS);
    let shown = ["document", "image", "video", "audio", "iframe", "embed", "object"];
    match to {
        Some(to) if !is_asset && !shown.contains(&to) => {
            Some("Pages are for people, and a script asked for one.")
        }
        _ => None,
    }
}

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, console: &Arc<Console>) -> Result<Visit, Response> {
        let via = Via::of(head);
        let at = address(head);
        let found = match console.sessions.of(&head.headers, console.door.now()) {
            None => None,
            Some(session) => match console.door.who(&session.key()).await {
                Ok(who) => who.filter(|who| session.is_of(who)).map(|who| (session, who)),
                Err(why) => return Err(sign_in::cannot_tell(console, &why)),
            },
        };
        let Some((session, who)) = found else {
            return Err(match head.method == Method::GET {
                true if came_from_elsewhere(&head.headers) => again(&at),
                true => sign_in::away(&at),
                // The address of a form shows nothing. What shows it is the page that it was sent from.
                false => sign_in::away(&sent_from(&head.headers)),
            });
        };
        let mut path = match Path::<HashMap<String, String>>::from_request_parts(head, console).await {
            Ok(Path(path)) => path,
            Err(_) => return Err(StatusCode::BAD_REQUEST.into_response()),
        };
        let mut named = |name| path.remove(name).unwrap_or_default();
        let (bucket, item) = (named("bucket"), named("item"));
        let query = Fields::parse(head.uri.query().unwrap_or_default().as_bytes());
        let (console, headers) = (console.clone(), head.headers.clone());
        Ok(Visit { console, session, who, via, query, bucket, item, headers, at })
    }
}

/// A form of somebody who is signed in.
pub struct Posted(Visit, Fields);

impl FromRequest<Arc<Console>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Posted, Response> {
        let (mut head, body) = request.into_parts();
        let (via, at) = (Via::of(&head), address(&head));
        let read = Fields::read(&head.headers, body).await;
        let visit = Visit::from_request_parts(&mut head, console).await;
        let fields = read.map_err(|trouble| {
            let frame = Frame::new(&console.assets, None);
            frame::trouble(&frame, &trouble)
        })?;
        let visit = match visit {
            Ok(visit) => visit,
            // The session has ended. What was entered is kept through signing in.
            Err(away) if away.status() == StatusCode::SEE_OTHER => {
                return Err(sign_in::keeping(console, &via, &at, &fields));
            }
            Err(refusal) => return Err(refusal),
        };
        let token = header(&visit.headers, TOKEN_HEADER).unwrap_or_else(|| fields.get(TOKEN));
        match visit.session.is_its_form(token) {
            true => Ok(Posted(visit, fields)),
            // The form is of an earlier session.
            false if !fields.get(TOKEN).is_empty() => {
                let kept = Kept::of(&at, &fields);
                Err(sign_in::once_more(&visit.frame(), &frame::token(&visit.session), &kept).into_response())
            }
            false => Err(frame::trouble(&visit.frame(), &not_ours())),
        }
    }
}

/// The refusal of a form that isn't one of the session's.
pub fn not_ours() -> Trouble {
    Trouble::Refused(Refusal {
        status: StatusCode::FORBIDDEN,
        message: "The form is not one of this session's, so nothing was done. Open its page again.".into(),
        ..Refusal::default()
    })
}

fn address(head: &Parts) -> String {
    head.uri.path_and_query().map(ToString::to_string).unwrap_or_default()
}

/// The path and query of the page that sent the request, empty if the browser doesn't say it.
fn sent_from(headers: &HeaderMap) -> String {
    let page = header(headers, REFERER.as_str()).and_then(|page| page.split_once("://"));
    page.and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or_default().to_owned()
}

/// Whether a link on another site led here. The browser then doesn't send the cookie until a page of this site asks.
fn came_from_elsewhere(headers: &HeaderMap) -> bool {
    matches!(header(headers, "sec-fetch-site"), Some("cross-site" | "same-site"))
        && header(headers, "sec-fetch-mode") == Some("navigate")
}

fn again(at: &str) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Stratum" }
                meta http-equiv="refresh" content=(format!("0; url={at}"));
            }
            body { p { a href=(at) { "Go on to the console" } } }
        }
    };
    page.into_response()
}

impl Visit {
    /// Makes the answer of a page. `fields` is the form that was sent, which is kept if the session has ended.
    fn shown(&self, page: Page, fields: Option<&Fields>) -> Response {
        match (page, fields) {
            (Ok(response), _) => response,
            (Err(Trouble::SignedOut), Some(fields)) => {
                sign_in::keeping(&self.console, &self.via, &self.at, fields)
            }
            (Err(Trouble::SignedOut), None) => sign_in::away(&self.at),
            (Err(trouble), _) => frame::trouble(&self.frame(), &trouble),
        }
    }
}

/// The route of a page.
pub fn page<F, Fut>(show: F) -> MethodRouter<Arc<Console>>
where
    F: Fn(Visit) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Page> + Send + 'static,
{
    get(async move |visit: Visit| visit.clone().shown(show(visit).await, None))
}

/// The route of a form.
pub fn action<F, Fut>(act: F) -> MethodRouter<Arc<Console>>
where
    F: Fn(Visit, Fields) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Page> + Send + 'static,
{
    post(async move |Posted(visit, fields): Posted| {
        visit.clone().shown(act(visit, fields.clone()).await, Some(&fields))
    })
}

/// The route of a form with files. The handler must check the form's token, which comes first in the body.
pub fn files<F, Fut>(act: F) -> MethodRouter<Arc<Console>>
where
    F: Fn(Visit, Body) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Page> + Send + 'static,
{
    post(async move |visit: Visit, request: Request| {
        visit.clone().shown(act(visit, request.into_body()).await, None)
    })
}

/// Answers with a page.
pub fn shown(page: Markup) -> Page {
    Ok(page.into_response())
}

/// Redirects to another page, as after every change.
pub fn to(address: &str) -> Page {
    Ok(Redirect::to(address).into_response())
}
