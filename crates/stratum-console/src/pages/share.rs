//! The page that makes a presigned link to an object.

use crate::door::Link;
use crate::form::Fields;
use crate::frame::{Part, Tone, crumbs, field, notice};
use crate::names;
use crate::pages::browser::shown_name;
use crate::pages::object::way_to;
use crate::shown::moment;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::html;

/// How long a link may be valid. S3 allows a week at most.
pub const TIMES: [(&str, u32); 5] =
    [("15 minutes", 900), ("1 hour", 3_600), ("12 hours", 43_200), ("1 day", 86_400), ("7 days", 604_800)];

/// `POST /b/{bucket}/share`: `key`, `version`, `seconds`.
pub async fn link(visit: Visit, fields: Fields) -> Page {
    let (key, version) = (fields.get("key"), fields.get("version"));
    let chosen = fields.get("seconds").parse::<u32>().ok();
    let chosen = TIMES.into_iter().find(|(_, seconds)| Some(*seconds) == chosen);
    let Some((lasts, seconds)) = chosen else {
        return Err(Trouble::wrong("A link lives for one of the times that can be chosen."));
    };
    if key.is_empty() {
        return Err(Trouble::NoPage);
    }
    let (path, query) = (names::object_path(&visit.bucket, key), names::query([("versionId", version)]));
    let link = Link { method: "GET", host: visit.host(), path: &path, query: &query, seconds };
    let address = format!("{}{}", visit.origin(), visit.ask().link(&link).await?);
    let ends = moment(visit.now().saturating_add(u64::from(seconds) * 1_000));
    let object = names::of_object(&visit.bucket, "object", key, version);
    let mut way = way_to(&visit.bucket, key);
    way.push((shown_name(key), object.clone()));
    let content = html! {
        (crumbs(&way, "Share"))
        div.narrow {
            h1 { "Link to " (shown_name(key)) }
            p { "Whoever has this link can read the object for " (lasts) ", until " (ends) " UTC, without signing in." }
            @if names::has_steps(key) {
                (notice(Tone::Careful, html! { p { "The name has a part \".\" or \"..\", which browsers take out of an address: this link works with programs that send it as it is (" code { "curl --path-as-is" } ")." } }))
            }
            (field("link", "Link", "It ends at once when this key is taken away.", html! {
                textarea id="link" rows="5" readonly data-copy aria-describedby="link-hint" { (address) }
            }))
            div.actions { a.button href=(object) { "Back to the object" } }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Share", content))
}
