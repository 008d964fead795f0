//! The versions of one object: their table, and the form that restores one.

use crate::ask::{VersionEntry, VersionList, VersionOf, decoded};
use crate::form::Fields;
use crate::frame::{Tone, badge, token};
use crate::names;
use crate::pages::listing::escaped_len;
use crate::shown::{bytes, time};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, to};
use http::Method;
use maud::{Markup, html};

/// How many versions a page shows at most.
const MOST_ROWS: usize = 50;
/// How many bytes their rows may take about. The key stands in each of them several times.
const MOST_BYTES: usize = 30_000;
/// What a row takes beside the key, about.
const ROW_BYTES: usize = 900;

/// How many versions of a key a page shows.
fn rows_of(key: &str) -> usize {
    let row = ROW_BYTES + 3 * names::segment(key).len() + 2 * escaped_len(key);
    (MOST_BYTES / row).clamp(1, MOST_ROWS)
}

/// A version of the object, or a delete marker.
pub struct Kept {
    pub of: VersionOf,
    pub is_delete_marker: bool,
}

/// The newest versions, and whether there are more.
pub async fn of(visit: &Visit, key: &str) -> Result<(Vec<Kept>, bool), Trouble> {
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("versions&encoding-type=url");
    let most = rows_of(key).to_string();
    let list: VersionList = asked.with([("prefix", key), ("max-keys", most.as_str())]).xml().await?;
    let mut goes_on = false;
    let mut kept = Vec::new();
    for entry in list.entries {
        let (of, is_delete_marker) = match entry {
            VersionEntry::Version(of) => (of, false),
            VersionEntry::DeleteMarker(of) => (of, true),
            VersionEntry::IsTruncated(is_truncated) => {
                goes_on = is_truncated;
                continue;
            }
            _ => continue,
        };
        match decoded(&of.key) == key {
            true => kept.push(Kept { of, is_delete_marker }),
            // Keys come in order, so all further versions are of other objects.
            false => {
                goes_on = false;
                break;
            }
        }
    }
    Ok((kept, goes_on))
}

/// The table of versions. `shown` is the id of the version that the page is about.
pub fn table(visit: &Visit, key: &str, kept: &[Kept], goes_on: bool, shown: &str) -> Markup {
    html! {
        table.versions {
            thead {
                tr {
                    th scope="col" { "Version" } th scope="col" { "Written (UTC)" } th.number scope="col" { "Size" }
                    th scope="col" { span.hidden { "What can be done" } }
                }
            }
            tbody { @for version in kept { (line(visit, key, version, shown)) } }
        }
        @if goes_on { p.muted { "There are more; the newest " (kept.len()) " are shown." } }
    }
}

fn line(visit: &Visit, key: &str, Kept { of, is_delete_marker }: &Kept, shown: &str) -> Markup {
    let is_shown = of.version_id == shown || shown.is_empty() && of.is_latest;
    let chosen = format!("{}|{key}", of.version_id);
    let back = names::of_object(&visit.bucket, "object", key, "");
    html! {
        tr.here[is_shown].gone[*is_delete_marker] {
            th scope="row" {
                @if *is_delete_marker { code { (of.version_id) } " " (badge(Tone::Careful, "deleted here")) }
                @else { a href=(names::of_object(&visit.bucket, "object", key, &of.version_id)) { code { (of.version_id) } } }
                @if of.is_latest { " " (badge(Tone::Good, "current")) }
            }
            td.muted { (time(&of.last_modified)) }
            td.number { @if *is_delete_marker { "-" } @else { (bytes(of.size)) } }
            td.acts {
                @if !of.is_latest && !is_delete_marker {
                    form method="post" action=(names::of_bucket(&visit.bucket, "/object/restore")) {
                        (token(&visit.session))
                        input type="hidden" name="key" value=(key);
                        input type="hidden" name="version" value=(of.version_id);
                        button type="submit" { "Restore" span.hidden { " version " (of.version_id) } }
                    }
                }
                form method="post" action=(names::of_bucket(&visit.bucket, "/delete")) {
                    (token(&visit.session))
                    input type="hidden" name="version" value=(chosen);
                    input type="hidden" name="back" value=(back);
                    @let undeletes = *is_delete_marker && of.is_latest;
                    button.danger[!undeletes] type="submit" {
                        @if undeletes { "Undelete" } @else { "Delete" }
                        span.hidden { " version " (of.version_id) }
                    }
                }
            }
        }
    }
}

/// `POST /b/{bucket}/object/restore`: an older version is copied over the current one, which stays as a version itself.
pub async fn restore(visit: Visit, fields: Fields) -> Page {
    let (key, version) = (fields.get("key"), fields.get("version"));
    let source = names::object_path(&visit.bucket, key);
    let source = format!("{source}?{}", names::query([("versionId", version)]));
    let asked = visit.ask().object(Method::PUT, &visit.bucket, key).header("x-amz-copy-source", source);
    asked.text().await?;
    to(&names::of_object(&visit.bucket, "object", key, ""))
}
