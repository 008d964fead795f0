//! The page of one's own session: until when it lasts, and forms that end it, or all sessions of the user or of
//! everybody.

use crate::ended::Ending;
use crate::form::Fields;
use crate::frame::{self, Frame, Part, token};
use crate::shown::{moment, span};
use crate::sign_in;
use crate::trouble::{Refusal, Trouble};
use crate::visit::{Page, Visit, shown};
use axum::response::{IntoResponse, Redirect};
use http::StatusCode;
use maud::{Markup, html};

/// The values by which a form says whose sessions to end. Without one it ends its own session.
const MINE: &str = "mine";
const EVERYBODYS: &str = "everybody";

/// `GET /sessions`
pub async fn show(visit: Visit) -> Page {
    let session = &visit.session;
    let lasts = session.ends().saturating_sub(visit.now());
    let is_role = session.mark().holder.is_role;
    let content = html! {
        div.narrow {
            h1 { "This session" }
            section.card {
                dl.pairs {
                    dt { "Signed in as" } dd { (visit.who.name) }
                    dt { "With the key" } dd { code.wrap { (session.key().access_key) } }
                    dt { "Since" } dd { (moment(session.mark().began)) " UTC" }
                    dt { "Until" } dd { (moment(session.ends())) " UTC, in " (span(lasts)) }
                }
                (ending(&visit, "", "Sign out", "Ends this session, and with it any copy of its cookie."))
            }
            @if is_role {
                p.muted { "It is a session of a role. Others may have theirs, so all of them end only with the role, or by who operates the store." }
            } @else {
                section.card {
                    h2 { "In other browsers" }
                    (ending(&visit, MINE, "End all my sessions", "Signs out whoever is signed in as you, with any of your keys, here too. Keys stay as they are: whoever knows a secret can sign in again until the key goes."))
                }
            }
            @if visit.who.operates {
                section.card {
                    h2 { "Everybody" }
                    (ending(&visit, EVERYBODYS, "End all sessions of everybody", "All who are signed in to this console have to sign in again, you too. S3 goes on."))
                }
            }
        }
    };
    shown(visit.frame().page(Part::Aside, "Sessions", content))
}

fn ending(visit: &Visit, of: &str, words: &str, what: &str) -> Markup {
    html! {
        p { (what) }
        form method="post" action={ (crate::ROOT) "/sign-out" } {
            (token(&visit.session))
            @if !of.is_empty() { input type="hidden" name="of" value=(of); }
            button type="submit" { (words) }
        }
    }
}

/// `POST /sign-out`
pub async fn end(visit: Visit, fields: Fields) -> Page {
    let mark = visit.session.mark();
    let ending = match fields.get("of") {
        "" => Ending::One(mark),
        MINE if !mark.holder.is_role => Ending::OfHolder(mark),
        EVERYBODYS if visit.who.operates => Ending::All(mark),
        _ => return Err(Trouble::wrong("These sessions aren't yours to end.")),
    };
    let what = match ending {
        Ending::One(_) => "a session",
        Ending::OfHolder(_) => "all of their sessions",
        Ending::All(_) => "everybody's sessions",
    };
    tracing::info!(user = visit.who.name, peer = %visit.via.peer, what, "ended in the console");
    let response = match visit.console.sessions.end(ending, visit.now()).await {
        Ok(()) => Redirect::to(&format!("{}/sign-in", crate::ROOT)).into_response(),
        Err(why) => {
            tracing::warn!(
                why,
                "what was signed out of the console can't be kept: a restart would let a copy of its cookie in again"
            );
            let message = format!(
                "You are signed out. But the server can't keep that ({why}): if it is started anew before the session would have ended, a copy of its \
                 cookie counts again."
            );
            let refusal = Refusal { status: StatusCode::SERVICE_UNAVAILABLE, message, ..Refusal::default() };
            frame::trouble(&Frame::new(&visit.console.assets, None), &Trouble::Refused(refusal))
        }
    };
    Ok(sign_in::forget(&visit.via, response))
}
