//! The few actions on the store that are done by hand. One that has consequences is explained before it is done.

use super::status::{self, Disk, Status, disks, free_of};
use super::tasks::at_least;
use crate::form::Fields;
use crate::frame::{Part, Tone, notice, token};
use crate::names;
use crate::shown::bytes;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use http::Method;
use maud::{Markup, html};

/// What each action is called in forms and addresses, and the words in which the page says that it was done.
const DONE: [(&str, &str); 8] = [
    ("scrub-start", "The scrub goes on in the background."),
    ("scrub-pause", "The scrub is paused."),
    ("hurry", "Background work hurries."),
    ("steady", "Background work makes way for requests again."),
    ("drain", "The disk is being drained."),
    ("keep", "The disk is kept."),
    ("replace", "The disk is replaced, and heal fills it."),
    ("remove", "The disk is taken out of the store and may be unmounted."),
];

/// What was done before the page is shown, by the name in its address.
pub fn done(visit: &Visit) -> Option<&'static str> {
    let done = visit.query.get("done");
    DONE.into_iter().find(|(name, _)| *name == done).map(|(_, words)| words)
}

/// The title and explanation of an action, if it must be confirmed.
///
/// # Errors
/// The action is about a disk that isn't there.
fn meaning(what: &str, path: &str, status: &Status) -> Result<Option<(&'static str, Markup)>, Trouble> {
    let all = disks(&status.drives);
    let disk = || {
        let found = all.iter().find(|disk| disk.name == path);
        found.ok_or_else(|| Trouble::wrong("The store has no such disk any more."))
    };
    let rate = status.background.bytes_per_second;
    Ok(Some(match what {
        "scrub-start" => (
            "Start a scrub?",
            html! {
                p { "Every live fragment is read and compared, with its parity. Requests go first." }
                (sums(&[("To be read", bytes(status.space.live))], status.space.live, rate))
            },
        ),
        "drain" => ("Drain this disk?", draining(disk()?, &all, rate)),
        "replace" => ("Replace this disk?", replacing(disk()?, status)),
        "remove" => {
            disk()?;
            (
                "Take this disk out?",
                html! { p { "The store forgets the disk at " code { (path) } ", which holds nothing of it any more. To use it again it has to be added as a new one." } },
            )
        }
        "hurry" => (
            "Let background work hurry?",
            html! { p { "It works as fast as the drives allow, and requests wait longer meanwhile." } },
        ),
        _ => return Ok(None),
    }))
}

/// Figures of what an action comes to, and how long that takes at the pace of background work.
fn sums(figures: &[(&str, String)], size: u64, bytes_per_second: u64) -> Markup {
    html! {
        dl.pairs {
            @for (name, figure) in figures { dt { (name) } dd { (figure) } }
            @if let Some(time) = at_least(size, bytes_per_second) {
                dt { "That takes" } dd { (time) ", at up to " (bytes(bytes_per_second)) " a second" }
            }
        }
    }
}

fn draining(disk: &Disk<'_>, all: &[Disk<'_>], rate: u64) -> Markup {
    let elsewhere = free_of(all.iter().filter(|other| other.name != disk.name));
    html! {
        p { "All that " code { (disk.name) } " holds moves to the others, and nothing new comes to it. It can be taken out when that is done, and kept after all until then." }
        (sums(&[("To be moved", bytes(disk.used())), ("Free on the others", bytes(elsewhere))], disk.used(), rate))
        @if disk.used() > elsewhere { (notice(Tone::Bad, html! { p { "The others have no room for it." } })) }
    }
}

fn replacing(disk: &Disk<'_>, status: &Status) -> Markup {
    // A lost disk doesn't say what it held. What is missing of the stripes tells what is to be written.
    let size = if disk.is_lost() { status.heal.bytes_to_do } else { disk.used() };
    let missing = status.redundancy.missing_fragments;
    html! {
        p { "A blank disk that is mounted at " code { (disk.name) } " takes the place of the one that was there, and heal fills it from parity while requests go on." }
        @if disk.is_lost() {
            (sums(&[("Missing fragments", crate::shown::count(missing)), ("To be written anew", format!("about {}", bytes(size)))], size, status.background.bytes_per_second))
        } @else {
            (sums(&[("To be written anew", format!("about {}", bytes(size)))], size, status.background.bytes_per_second))
        }
        (notice(Tone::Careful, html! { p { "A disk that still holds the store's data is refused. Mount the new one first." } }))
    }
}

/// `POST /store/act`: `what` is to be done, to the disk at `path`, and `sure` once its explanation was shown.
pub async fn act_on(visit: Visit, fields: Fields) -> Page {
    let (what, path) = (fields.get("what"), fields.get("path"));
    if !fields.has("sure")
        && let Some((title, meaning)) = meaning(what, path, &status::read(&visit).await?)?
    {
        let content = html! {
            div.narrow {
                h1 { (title) }
                (meaning)
                form method="post" action={ (crate::ROOT) "/store/act" } {
                    (token(&visit.session))
                    input type="hidden" name="what" value=(what);
                    input type="hidden" name="path" value=(path);
                    input type="hidden" name="sure" value="yes";
                    div.actions { button.primary type="submit" { "Go ahead" } a.button href={ (crate::ROOT) "/store" } { "Cancel" } }
                }
            }
        };
        return shown(visit.frame().page(Part::Store, title, content));
    }
    let post = |path: &str| visit.ask().operator(Method::POST, path);
    let asked = match what {
        "scrub-start" => post("/scrub/start"),
        "scrub-pause" => post("/scrub/pause"),
        "hurry" => post("/pace").with([("action", "hurry")]),
        "steady" => post("/pace").with([("action", "steady")]),
        "drain" | "keep" | "replace" | "remove" => post(&format!("/drives/{what}")).with([("path", path)]),
        _ => return Err(Trouble::NoPage),
    };
    asked.done().await?;
    to(&format!("{}/store?{}", crate::ROOT, names::query([("done", what)])))
}
