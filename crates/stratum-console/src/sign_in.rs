//! Signing in. A form whose session ended before it was sent is kept through it.

use crate::Console;
use crate::door::{Key, Via};
use crate::form::{Fields, TOKEN};
use crate::frame::{Frame, Part, Tone, field, icon, notice, text_field, token};
use crate::names;
use crate::session::Sessions;
use crate::trouble::{Refusal, Trouble};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use maud::{Markup, html};
use std::sync::Arc;

/// The longest encoded form that is kept through signing in. It must fit into the sign-in form.
const MOST_KEPT_BYTES: usize = 384 << 10;

/// The longest access key, in bytes.
const MOST_KEY_BYTES: usize = 128;

/// A form that is kept until its sender has signed in again.
#[derive(Clone, Default)]
pub struct Kept {
    /// The path of the console that the form is sent to, or nothing.
    action: String,
    /// The form's fields, encoded, without the token of the session that ended.
    fields: String,
}

impl Kept {
    pub fn of(action: &str, fields: &Fields) -> Kept {
        let encoded = names::form(fields.iter().filter(|(name, _)| *name != TOKEN));
        if encoded.len() > MOST_KEPT_BYTES {
            return Kept::default();
        }
        Kept { action: names::ours(action, crate::ROOT).unwrap_or_default().to_owned(), fields: encoded }
    }

    fn sent(fields: &Fields) -> Kept {
        let action = names::ours(fields.get("kept-action"), crate::ROOT).unwrap_or_default();
        Kept { action: action.to_owned(), fields: fields.get("kept-fields").to_owned() }
    }

    fn is_none(&self) -> bool {
        self.action.is_empty() || self.fields.is_empty()
    }
}

/// What the sign-in page is shown with.
#[derive(Default)]
struct Shown<'a> {
    /// The address to go on to after signing in.
    to: &'a str,
    kept: Kept,
    access_key: &'a str,
    problem: Option<String>,
}

/// `GET /sign-in?to=...`
pub async fn show(State(console): State<Arc<Console>>, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    sheet(&console, &Shown { to: query.get("to"), ..Shown::default() }).into_response()
}

fn sheet(console: &Console, shown: &Shown<'_>) -> Markup {
    let Shown { to, kept, access_key, problem } = shown;
    let content = html! {
        div.sign-in {
            div.brand.large { (icon::strata()) span { "Stratum" } }
            h1 { "Sign in" }
            @if let Some(problem) = problem { (notice(Tone::Bad, html! { p { (problem) } })) }
            @if !kept.is_none() {
                (notice(Tone::Plain, html! { p { "The session has ended. What you entered is kept: sign in, and send it again." } }))
            }
            form method="post" action={ (crate::ROOT) "/sign-in" } {
                input type="hidden" name="to" value=(to);
                @if !kept.is_none() {
                    input type="hidden" name="kept-action" value=(kept.action);
                    input type="hidden" name="kept-fields" value=(kept.fields);
                }
                div.field {
                    label for="access-key" { "Access key" }
                    input type="text" id="access-key" name="access-key" value=(access_key) required
                        autocomplete="username" autocapitalize="none" spellcheck="false" autofocus[access_key.is_empty()];
                }
                div.field {
                    label for="secret" { "Secret key" }
                    input type="password" id="secret" name="secret" required autocomplete="current-password" autofocus[!access_key.is_empty()];
                }
                details {
                    summary { "Temporary credentials" }
                    (text_field("session-token", "Session token", "", ""))
                }
                button.primary type="submit" { "Sign in" }
            }
            p.muted { "The console may do what the key may do. The secret is checked and not kept." }
        }
    };
    Frame::new(&console.assets, None).page(Part::Aside, "Sign in", content)
}

/// `POST /sign-in`
pub async fn enter(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let via = Via::of(&head);
    let fields = match Fields::read(&head.headers, body).await {
        Ok(fields) => fields,
        Err(trouble) => return crate::frame::trouble(&Frame::new(&console.assets, None), &trouble),
    };
    let to = names::ours(fields.get("to"), crate::ROOT).unwrap_or(crate::HOME);
    let kept = Kept::sent(&fields);
    let access_key = fields.get("access-key").trim();
    // A longer key can't exist, so it counts as none and isn't repeated in the log or the page.
    let access_key = if access_key.len() > MOST_KEY_BYTES { "" } else { access_key };
    let again = |status: StatusCode, problem: String| {
        let shown = Shown { to, kept: kept.clone(), access_key, problem: Some(problem) };
        (status, sheet(&console, &shown)).into_response()
    };
    let source = via.peer.ip();
    if let Err(wait) = console.attempts.begin(source, access_key, console.door.monotonic()) {
        let problem = format!("Too many attempts. Try again in {} seconds.", wait.0);
        let mut response = again(StatusCode::TOO_MANY_REQUESTS, problem);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.0));
        return response;
    }
    let session_token = Some(fields.get("session-token").trim()).filter(|token| !token.is_empty());
    let key = Key { access_key: access_key.to_owned(), session_token: session_token.map(str::to_owned) };
    match console.door.sign_in(&key, fields.get("secret")).await {
        Ok(Some(who)) => {
            console.attempts.succeeded(source, access_key);
            tracing::info!(user = who.name, peer = %via.peer, "signed in to the console");
            let Some((cookie, session)) =
                console.sessions.begin(console.door.as_ref(), key, &who, &via.scheme)
            else {
                return again(
                    StatusCode::BAD_REQUEST,
                    "These credentials are too long for a session.".into(),
                );
            };
            let mut response = match kept.is_none() {
                true => Redirect::to(to).into_response(),
                false => {
                    let frame = Frame::new(&console.assets, Some((&who, &session)));
                    once_more(&frame, &token(&session), &kept).into_response()
                }
            };
            response.headers_mut().insert(SET_COOKIE, cookie);
            response
        }
        Ok(None) => {
            tracing::warn!(access_key, peer = %via.peer, "a sign-in to the console failed");
            again(
                StatusCode::FORBIDDEN,
                "That key and secret don't belong together, or there is no such key.".into(),
            )
        }
        Err(why) => {
            tracing::warn!(why, "nobody can be signed in");
            again(
                StatusCode::SERVICE_UNAVAILABLE,
                "Keys can't be looked up now. Try again in a moment.".into(),
            )
        }
    }
}

/// A page with a form of an earlier session, which its sender may send again. `token` is that of the new session.
pub fn once_more(frame: &Frame<'_>, token: &Markup, kept: &Kept) -> Markup {
    let fields = Fields::parse(kept.fields.as_bytes());
    let what = meant(&kept.action, fields.get("what"));
    let content = html! {
        div.narrow {
            h1 { "Go on where you were" }
            p { "The session had ended, so nothing of this was done yet. Send it again, if it is still what you want." }
            section.card {
                h2 { (what) }
                form method="post" action=(kept.action) {
                    (token)
                    @for (at, (name, value)) in fields.iter().enumerate() {
                        @match label(name) {
                            Some(label) => (entered(&format!("kept-{at}"), name, label, value)),
                            None => { input type="hidden" name=(name) value=(value); }
                        }
                    }
                    div.actions {
                        button.primary type="submit" { "Send it again" }
                        a.button href=(crate::HOME) { "Leave it" }
                    }
                }
            }
        }
    };
    frame.page(Part::Aside, "Go on where you were", content)
}

/// A field of a kept form, to be changed before it is sent again.
fn entered(id: &str, name: &str, label: &str, value: &str) -> Markup {
    let control = match value.contains('\n') || value.len() > 80 {
        true => html! { textarea id=(id) name=(name) rows="12" spellcheck="false" { "\n" (value) } },
        false => {
            html! { input type="text" id=(id) name=(name) value=(value) autocomplete="off" spellcheck="false"; }
        }
    };
    field(id, label, "", control)
}

/// What a form does, by the address that it is sent to, and for whom or what: pages call it so, too.
fn meant(action: &str, what: &str) -> String {
    let path = action.split('?').next().unwrap_or_default().strip_prefix(crate::ROOT).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let said = match parts.as_slice() {
        ["buckets", "new"] => "Create a bucket".to_owned(),
        ["b", bucket, "folder"] => format!("Create a folder in {bucket}"),
        ["b", bucket, "object", "tags"] => format!("Save the tags of an object in {bucket}"),
        ["b", bucket, "object", "lock"] => format!("Change the lock of an object in {bucket}"),
        ["b", bucket, "object", "restore"] => format!("Restore a version in {bucket}"),
        ["b", bucket, "share"] => format!("Make a link to an object in {bucket}"),
        ["b", bucket, "delete" | "deleted"] => format!("Delete in {bucket}"),
        ["b", bucket, "test-policy"] => format!("Ask who may do what in {bucket}"),
        ["b", bucket, "settings"] => format!("Change the {what} of {bucket}"),
        ["b", bucket, "settings", item, "remove"] => format!("Remove the {item} of {bucket}"),
        ["b", bucket, "settings", item, ..] => format!("Save the {item} of {bucket}"),
        ["people", ..] => format!("Access: {what}"),
        ["store", ..] => format!("Store: {what}"),
        _ => "What you entered".to_owned(),
    };
    said.replace('-', " ")
}

/// What a field is called that a person fills in; none of those that forms carry by themselves.
fn label(name: &str) -> Option<&'static str> {
    Some(match name {
        "bucket" => "Bucket",
        "quota-size" => "Quota: size",
        "quota-objects" => "Quota: objects",
        "tags" => "Tags, one a line",
        "document" => "Document",
        "trust" => "Who may assume it",
        "policy" => "Policy",
        "user" => "User",
        "group" => "Group",
        "role" => "Role",
        "name" => "Name",
        "key" => "Key",
        "until" => "Until",
        "prefix" => "Prefix",
        "suffix" => "Suffix",
        "id" => "Name of the rule",
        "arn" => "ARN",
        "expire" => "Delete after days",
        "noncurrent" => "Delete older versions after days",
        "move" => "Change the class after days",
        "abort" => "Abort uploads after days",
        "period" => "For",
        _ => return None,
    })
}

/// Has the browser drop the cookie of a session that has ended.
pub fn forget(via: &Via, mut response: Response) -> Response {
    if let Some(cookie) = Sessions::forgotten(&via.scheme) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// Redirects to the sign-in page, which leads back to `at` afterwards.
pub fn away(at: &str) -> Response {
    let query = names::query([("to", names::ours(at, crate::ROOT).unwrap_or_default())]);
    Redirect::to(&format!("{}/sign-in?{query}", crate::ROOT)).into_response()
}

/// The sign-in page, which keeps a form that was sent after its session had ended.
pub fn keeping(console: &Console, via: &Via, at: &str, fields: &Fields) -> Response {
    let shown = Shown { kept: Kept::of(at, fields), ..Shown::default() };
    forget(via, (StatusCode::UNAUTHORIZED, sheet(console, &shown)).into_response())
}

/// The page that says that nobody can be looked up now.
pub fn cannot_tell(console: &Console, why: &str) -> Response {
    tracing::warn!(why, "who is signed in to the console can't be told");
    let message = "Keys can't be looked up now. Try again in a moment.".into();
    let refusal = Refusal { status: StatusCode::SERVICE_UNAVAILABLE, message, ..Refusal::default() };
    crate::frame::trouble(&Frame::new(&console.assets, None), &Trouble::Refused(refusal))
}
