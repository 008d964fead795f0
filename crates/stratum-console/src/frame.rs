//! What all pages have in common: the head, the navigation, and the pieces that they are made of.

use crate::assets::Assets;
use crate::door::Who;
use crate::form::TOKEN;
use crate::session::Session;
use crate::trouble::Trouble;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What stands around the content of a page.
pub struct Frame<'a> {
    assets: &'a Assets,
    signed_in: Option<(&'a Who, &'a Session)>,
}

/// The parts of the console that the navigation names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Buckets,
    Store,
    People,
    /// A page that belongs to none of the parts.
    Aside,
}

/// How often a browser without scripts loads a page again that shows how things are now.
const SECONDS_BETWEEN_PAGES: u32 = 10;

impl<'a> Frame<'a> {
    pub fn new(assets: &'a Assets, signed_in: Option<(&'a Who, &'a Session)>) -> Frame<'a> {
        Frame { assets, signed_in }
    }

    /// A whole page.
    pub fn page(&self, part: Part, title: &str, content: Markup) -> Markup {
        self.whole(part, title, html! {}, content)
    }

    /// A page with the script that uploads, which it also works without.
    pub fn page_with_upload(&self, part: Part, title: &str, content: Markup) -> Markup {
        self.whole(part, title, html! { script defer src=(self.assets.upload()) {} }, content)
    }

    /// A page that shows how things are now: a script brings its sections anew, or else the browser the whole page.
    pub fn page_live(&self, part: Part, title: &str, content: Markup) -> Markup {
        let more = html! {
            script defer src=(self.assets.live()) {}
            noscript { meta http-equiv="refresh" content=(SECONDS_BETWEEN_PAGES); }
        };
        self.whole(part, title, more, content)
    }

    fn whole(&self, part: Part, title: &str, more: Markup, content: Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " - Stratum" }
                    link rel="stylesheet" href=(self.assets.style());
                    link rel="icon" type="image/svg+xml" href=(self.assets.icon());
                    script defer src=(self.assets.page()) {}
                    (more)
                }
                body.signed-in[self.signed_in.is_some()] {
                    a.skip href="#main" { "Skip to the content" }
                    @if let Some((who, session)) = self.signed_in { (rail(part, who, session)) }
                    main #main tabindex="-1" { (content) }
                }
            }
        }
    }
}

fn rail(part: Part, who: &Who, session: &Session) -> Markup {
    let entry = |of: Part, path: &str, name: &str, icon: Markup| {
        html! {
            li {
                a href={ (crate::ROOT) (path) } aria-current=[(part == of).then_some("page")] {
                    (icon) span { (name) }
                }
            }
        }
    };
    html! {
        header.rail {
            a.brand href=(crate::HOME) { (icon::strata()) span { "Stratum" } }
            nav aria-label="Console" {
                ul {
                    (entry(Part::Buckets, "/buckets", "Buckets", icon::bucket()))
                    @if who.operates { (entry(Part::Store, "/store", "Store", icon::drives())) }
                    (entry(Part::People, "/people", "Access", icon::people()))
                }
            }
            div.who {
                a.name title={ "Sessions of " (who.name) } href={ (crate::ROOT) "/sessions" } { (who.name) }
                form method="post" action={ (crate::ROOT) "/sign-out" } {
                    (token(session))
                    button.quiet type="submit" { "Sign out" }
                }
            }
        }
    }
}

/// The hidden field with the session's form token, by which a form is known to come from a page of the console.
pub fn token(session: &Session) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(session.form_token()); }
}

/// The pages that lead to this one, the outermost first, and the name of this page.
pub fn crumbs(way: &[(String, String)], here: &str) -> Markup {
    html! {
        nav.crumbs aria-label="Breadcrumb" {
            ol {
                @for (name, address) in way { li { a href=(address) { (name) } } }
                li { span aria-current="page" { (here) } }
            }
        }
    }
}

/// How a notice or badge is meant, which its colour shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Plain,
    Careful,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Plain => "plain",
            Tone::Careful => "careful",
            Tone::Bad => "bad",
        }
    }
}

/// A sentence or two in a box.
pub fn notice(tone: Tone, content: Markup) -> Markup {
    let role = if matches!(tone, Tone::Bad) { "alert" } else { "status" };
    html! { div.notice.(tone.class()) role=(role) { (content) } }
}

/// A word with a colour.
pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span.badge.(tone.class()) { (text) } }
}

/// The name of a tier in its colour.
pub fn tier(name: &str) -> Markup {
    let class = tier_class(name);
    html! { span.tier.(class) { (name) } }
}

/// The class of a tier's colour.
pub fn tier_class(name: &str) -> &'static str {
    match name {
        "hot" => "hot",
        "warm" => "warm",
        "cold" => "cold",
        _ => "other",
    }
}

/// The parts that aren't 0, each with its offset and its length as shares of the whole.
pub fn laid_out<'a>(parts: &[(&'a str, f64)]) -> Vec<(&'a str, f64, f64)> {
    let whole: f64 = parts.iter().map(|(_, part)| part.max(0.0)).sum();
    let mut at = 0.0;
    let some = parts.iter().filter(|(_, part)| *part > 0.0);
    some.map(|(name, part)| {
        let (begins, length) = (at, part / whole);
        at += length;
        (*name, begins, length)
    })
    .collect()
}

/// A bar of shares of a whole, each in the colour of its class. The page says in words beside it what it shows.
pub fn shares(parts: &[(&str, f64)]) -> Markup {
    let percent = |part: f64| format!("{:.3}%", part * 100.0);
    html! {
        svg.shares aria-hidden="true" width="100%" height="10" {
            rect.track x="0" y="0" width="100%" height="10" rx="5" {}
            @for (class, at, length) in laid_out(parts) {
                rect.(class) x=(percent(at)) y="0" width=(percent(length)) height="10" {}
            }
        }
    }
}

/// A bar that is filled by a share between 0 and 1.
pub fn gauge(filled: f64, class: &str) -> Markup {
    let width = format!("{:.2}%", filled.clamp(0.0, 1.0) * 100.0);
    html! {
        svg.gauge aria-hidden="true" width="100%" height="8" {
            rect.track x="0" y="0" width="100%" height="8" rx="4" {}
            rect.(class) x="0" y="0" width=(width) height="8" rx="4" {}
        }
    }
}

/// A form's field with its label and a hint.
pub fn field(id: &str, label: &str, hint: &str, control: Markup) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            (control)
            @if !hint.is_empty() { p.hint id={ (id) "-hint" } { (hint) } }
        }
    }
}

/// A line of text to be entered.
pub fn text_field(id: &str, label: &str, hint: &str, value: &str) -> Markup {
    let described = (!hint.is_empty()).then(|| format!("{id}-hint"));
    let control = html! {
        input type="text" id=(id) name=(id) value=(value) autocomplete="off" spellcheck="false"
            aria-describedby=[described];
    };
    field(id, label, hint, control)
}

/// A switch with its label.
pub fn checkbox(id: &str, label: &str, hint: &str, checked: bool) -> Markup {
    html! {
        div.check {
            input type="checkbox" id=(id) name=(id) value="yes" checked[checked];
            label for=(id) { (label) }
            @if !hint.is_empty() { p.hint { (hint) } }
        }
    }
}

/// The page that is shown in the place of one that failed.
pub fn trouble(frame: &Frame<'_>, trouble: &Trouble) -> Response {
    let title = match trouble {
        Trouble::NoPage => "There is no such page",
        Trouble::Refused(refusal) if refusal.status == http::StatusCode::NOT_FOUND => "It isn't there",
        Trouble::Refused(_) => "It was refused",
        Trouble::SignedOut | Trouble::Wrong(_) => "That didn't work",
    };
    let content = html! {
        div.narrow {
            h1 { (title) }
            (notice(Tone::Bad, html! { p { (trouble.words()) } }))
            @if let Trouble::Refused(refusal) = trouble {
                @if !refusal.request.is_empty() {
                    p.muted { "Request " code { (refusal.request) } " in the server's log." }
                }
            }
            p { a href=(crate::HOME) { "To the buckets" } }
        }
    };
    (trouble.status(), frame.page(Part::Aside, title, content)).into_response()
}

/// Icons, which show nothing that isn't said in words beside them.
pub mod icon {
    use super::{Markup, PreEscaped, html};

    /// `paths` isn't escaped: it is always a constant of this module.
    fn drawn(paths: &'static str) -> Markup {
        html! {
            svg.icon aria-hidden="true" viewBox="0 0 24 24" width="18" height="18" { (PreEscaped(paths)) }
        }
    }

    pub fn strata() -> Markup {
        drawn(
            r#"<path class="fill-hot" d="M12 2 2.5 6.8 12 11.6l9.5-4.8z"/><path class="fill-warm" d="M4.9 10.1 2.5 11.4 12 16.2l9.5-4.8-2.4-1.3L12 13.7z"/><path class="fill-cold" d="M4.9 14.7 2.5 16 12 20.8l9.5-4.8-2.4-1.3L12 18.3z"/>"#,
        )
    }

    pub fn bucket() -> Markup {
        drawn(
            r#"<path d="M4 6.5c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zM4 6.5l2 12c.3 1.4 2.9 2.5 6 2.5s5.700-1.100 6-2.500l2-12"/>"#,
        )
    }

    pub fn folder() -> Markup {
        drawn(
            r#"<path d="M3 6.500A1.500 1.500 0 0 1 4.500 5h4.700l2 2.500h8.300A1.500 1.500 0 0 1 21 9v9a1.500 1.500 0 0 1-1.500 1.500h-15A1.500 1.500 0 0 1 3 18z"/>"#,
        )
    }

    pub fn file() -> Markup {
        drawn(r#"<path d="M6 3h8l5 5v12a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM14 3v5h5"/>"#)
    }

    pub fn gone() -> Markup {
        drawn(
            r#"<path d="M6 3h8l5 5v12a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM9 11l6 6M15 11l-6 6"/>"#,
        )
    }

    pub fn drives() -> Markup {
        drawn(
            r#"<rect x="3" y="4" width="18" height="7" rx="1.500"/><rect x="3" y="13" width="18" height="7" rx="1.500"/><path d="M7 7.500h.010M7 16.500h.010M11 7.500h6M11 16.500h6"/>"#,
        )
    }

    pub fn people() -> Markup {
        drawn(
            r#"<circle cx="9" cy="8" r="3.500"/><path d="M2.500 20c.5-3.600 3.100-5.500 6.500-5.500s6 1.900 6.500 5.500M16 4.800a3.500 3.500 0 0 1 0 6.400M18.500 15c1.700.8 2.800 2.500 3 5"/>"#,
        )
    }
}
