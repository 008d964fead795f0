//! The page that lists a bucket: common prefixes as folders, objects or versions, and the forms to upload and delete.

use crate::ask::{Versioning, if_allowed};
use crate::form::Fields;
use crate::frame::{Part, Tone, badge, crumbs, icon, notice, token};
use crate::names;
use crate::pages::listing::{self, Found, Mark, Row, Rows};
use crate::shown::{bytes, counted, time};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use http::Method;
use maud::{Markup, html};

/// The tabs above the pages of a bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Objects,
    Tiers,
    Settings,
}

/// The head of a bucket's pages.
pub fn head(bucket: &str, tab: Tab) -> Markup {
    let entry = |of: Tab, page: &str, name: &str| {
        html! { li { a href=(names::of_bucket(bucket, page)) aria-current=[(of == tab).then_some("page")] { (name) } } }
    };
    html! {
        (crumbs(&[("Buckets".into(), crate::HOME.into())], bucket))
        div.head { h1 { (icon::bucket()) (bucket) } }
        nav.tabs aria-label="Bucket" {
            ul {
                (entry(Tab::Objects, "", "Objects"))
                (entry(Tab::Tiers, "/tiers", "Tiers"))
                (entry(Tab::Settings, "/settings", "Settings"))
            }
        }
    }
}

/// The part of a bucket that the page lists.
pub struct Place<'a> {
    pub bucket: &'a str,
    /// Ends with a slash, or is empty.
    pub folder: &'a str,
    /// What names within the folder begin with.
    pub begins: &'a str,
    pub versions: bool,
}

impl Place<'_> {
    pub fn address(&self, mark: Option<&Mark>) -> String {
        let versions = if self.versions { "versions" } else { "" };
        let (from, version) = mark.map_or(("", ""), |mark| (mark.key.as_str(), mark.version.as_str()));
        let query = names::query([
            ("prefix", self.folder),
            ("begins", self.begins),
            ("show", versions),
            ("from", from),
            ("from-version", version),
        ]);
        let query = if query.is_empty() { query } else { format!("?{query}") };
        names::of_bucket(self.bucket, &query)
    }
}

/// `GET /b/{bucket}?prefix=...&begins=...&show=versions&from=...`
pub async fn show(visit: Visit) -> Page {
    sheet(&visit, &visit.query, None).await.and_then(shown)
}

/// A folder that couldn't be made, by the name that was entered, and why.
struct Tried<'a> {
    name: &'a str,
    problem: String,
}

async fn sheet(visit: &Visit, query: &Fields, tried: Option<Tried<'_>>) -> Result<Markup, Trouble> {
    let place = Place {
        bucket: &visit.bucket,
        folder: query.get("prefix"),
        begins: query.get("begins"),
        versions: query.get("show") == "versions",
    };
    let from = Mark { key: query.get("from").into(), version: query.get("from-version").into() };
    let within = (place.folder, place.begins);
    let ask = visit.ask();
    let of = if place.versions { listing::Of::Versions } else { listing::Of::Objects };
    let rows = listing::page(&ask, &visit.bucket, of, within, &from).await?;
    let asked = ask.bucket(Method::GET, &visit.bucket).query("versioning").xml::<Versioning>().await;
    let versioning = if_allowed(asked)?.unwrap_or_default();
    let begins_here = from.key.is_empty();
    let content = html! {
        (head(&visit.bucket, Tab::Objects))
        @if let Some(tried) = &tried { (notice(Tone::Bad, html! { p { (tried.problem) } })) }
        @if let Some(done) = Done::told(query) { (notice(Tone::Good, html! { p { (done) } })) }
        div.bar {
            (path(&place))
            (tools(visit, &place, !versioning.status.is_empty()))
        }
        (uploading(visit, &place, tried.map_or("", |tried| tried.name)))
        @if rows.rows.is_empty() && begins_here && place.begins.is_empty() { (nothing(&place)) }
        @else { (table(visit, &place, &rows, begins_here)) }
    };
    Ok(visit.frame().page_with_upload(Part::Buckets, &visit.bucket, content))
}

fn pages(place: &Place<'_>, next: Option<&Mark>, begins_here: bool) -> Markup {
    html! {
        @if !begins_here || next.is_some() {
            nav.pages.apart aria-label="Pages" {
                @if !begins_here { a.button href=(place.address(None)) { "First page" } }
                @if let Some(next) = next { a.button href=(place.address(Some(next))) { "Next page" } }
            }
        }
    }
}

/// What was done before the page is shown again. The address carries only a number of it, and never words, which
/// others could choose.
pub enum Done {
    Uploaded(u64),
    Deleted(u64),
}

impl Done {
    /// The address of the page with what was done.
    pub fn at(&self, address: &str) -> String {
        let (name, number) = match self {
            Done::Uploaded(files) => ("uploaded", files),
            Done::Deleted(objects) => ("deleted", objects),
        };
        let separator = if address.contains('?') { '&' } else { '?' };
        format!("{address}{separator}{name}={number}")
    }

    fn told(query: &Fields) -> Option<String> {
        let number = |name| query.get(name).parse::<u64>().ok();
        let uploaded = number("uploaded").map(|files| format!("{} uploaded.", counted(files, "file")));
        uploaded
            .or_else(|| number("deleted").map(|objects| format!("{} deleted.", counted(objects, "object"))))
    }
}

/// Links to the folders that the listed one lies in.
fn path(place: &Place<'_>) -> Markup {
    let folder = |prefix| Place { folder: prefix, begins: "", ..*place };
    if place.folder.is_empty() {
        return html! { span {} };
    }
    let (above, are_cut) = names::folders(place.folder);
    html! {
        nav.path aria-label="Folders" {
            ol {
                li { a href=(folder("").address(None)) { (place.bucket) } }
                @if are_cut { li { "..." } }
                @for prefix in above { li { a href=(folder(prefix).address(None)) { (shown_name(prefix)) } } }
                li { span aria-current="page" { (shown_name(place.folder)) } }
            }
        }
    }
}

/// The last part of a key, with its invisible characters made visible.
pub fn shown_name(key: &str) -> String {
    visible(names::last(key))
}

/// Replaces control characters by their pictures, and invisible ones and those that turn the direction of text around
/// by a replacement character.
pub fn visible(text: &str) -> String {
    let seen = |char: char| match char {
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + char as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        char => char,
    };
    if text.is_empty() { "(no name)".into() } else { text.chars().map(seen).collect() }
}

fn tools(visit: &Visit, place: &Place<'_>, has_versions: bool) -> Markup {
    let other = Place { versions: !place.versions, ..*place };
    html! {
        div.tools {
            form.filter method="get" role="search" {
                @if !place.folder.is_empty() { input type="hidden" name="prefix" value=(place.folder); }
                @if place.versions { input type="hidden" name="show" value="versions"; }
                label.hidden for="begins" { "Names that begin with" }
                input type="search" id="begins" name="begins" value=(place.begins) placeholder="Name begins with" spellcheck="false";
                button type="submit" { "Filter" }
            }
            @if has_versions {
                a.button href=(other.address(None)) { @if place.versions { "Hide versions" } @else { "Show versions" } }
            }
            a.button href=(names::of_bucket(&visit.bucket, &format!("/zip?{}", names::query([("prefix", place.folder)])))) { "Download as zip" }
        }
    }
}

/// The forms by which files and folders come into the listed folder. The script makes a place to drop files of them.
fn uploading(visit: &Visit, place: &Place<'_>, folder: &str) -> Markup {
    html! {
        section #upload.upload aria-label="Upload" data-bucket=(visit.bucket) data-prefix=(place.folder)
            data-base=(names::of_bucket(&visit.bucket, "/upload")) data-token=(visit.session.form_token()) {
            form.upload-form method="post" enctype="multipart/form-data" action=(names::of_bucket(&visit.bucket, "/upload")) {
                (token(&visit.session))
                input type="hidden" name="prefix" value=(place.folder);
                label for="files" { "Upload files" }
                input type="file" id="files" name="file" multiple required;
                button.primary type="submit" { "Upload" }
            }
            form.folder-form method="post" action=(names::of_bucket(&visit.bucket, "/folder")) {
                (token(&visit.session))
                input type="hidden" name="prefix" value=(place.folder);
                label for="folder-name" { "New folder" }
                input type="text" id="folder-name" name="name" value=(folder) required autocomplete="off" spellcheck="false";
                button type="submit" { "Create" }
            }
        }
    }
}

fn nothing(place: &Place<'_>) -> Markup {
    html! {
        div.empty-page {
            (icon::folder())
            h2 { @if place.folder.is_empty() { "This bucket is empty" } @else { "This folder is empty" } }
            p.muted { "Drop files or folders here, or choose them above." }
        }
    }
}

fn table(visit: &Visit, place: &Place<'_>, rows: &Rows, begins_here: bool) -> Markup {
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/delete")) {
            (token(&visit.session))
            input type="hidden" name="back" value=(place.address(None));
            div.scroll tabindex="0" role="region" aria-label="Objects" {
                table.objects {
                    thead {
                        tr {
                            th.choose scope="col" { span.hidden { "Choose" } }
                            th scope="col" { "Name" }
                            th.number scope="col" { "Size" }
                            th scope="col" { "Modified (UTC)" }
                            th scope="col" { @if place.versions { "Version" } @else { "Class" } }
                        }
                    }
                    tbody {
                        @for (at, row) in rows.rows.iter().enumerate() { (line(place, at, row)) }
                        @if rows.rows.is_empty() { tr { td.empty colspan="5" { "Nothing here has a name that begins so." } } }
                    }
                }
            }
            div.actions.below {
                button.danger type="submit" { "Delete selected" }
                (pages(place, rows.next.as_ref(), begins_here))
            }
        }
    }
}

/// A name of more characters is cut in the table, and whole in its title.
const LONG_NAME_CHARS: usize = 80;

fn line(place: &Place<'_>, at: usize, row: &Row) -> Markup {
    let choice = |name: &str, value: &str, label: &str| {
        let id = format!("row-{at}");
        html! {
            td.choose {
                input type="checkbox" id=(id) name=(name) value=(value) aria-label={ "Choose " (label) };
            }
        }
    };
    match row {
        Row::Folder(prefix) => {
            let (name, inside) = (shown_name(prefix), Place { folder: prefix, begins: "", ..*place });
            html! {
                tr {
                    (choice("folder", prefix, &name))
                    th.name scope="row" { a href=(inside.address(None)) { (icon::folder()) span.text { (name) "/" } } }
                    td.number.muted { "-" } td.muted { "-" } td.muted { "Folder" }
                }
            }
        }
        Row::Object(found) => object_line(place, &choice, found),
    }
}

fn object_line(place: &Place<'_>, choice: &dyn Fn(&str, &str, &str) -> Markup, found: &Found) -> Markup {
    let Found { key, size, modified, class, version } = found;
    let name = shown_name(key);
    let id = version.as_ref().map_or("", |version| version.id.as_str());
    let is_gone = version.as_ref().is_some_and(|version| version.is_delete_marker);
    // The field holds a version's id, a bar and the key. An id has no bar.
    let (field, value) = match version {
        Some(_) => ("version", format!("{id}|{key}")),
        None => ("key", key.clone()),
    };
    html! {
        tr.gone[is_gone] {
            (choice(field, &value, &name))
            th.name scope="row" {
                a href=(names::of_object(place.bucket, "object", key, if is_gone { "" } else { id })) {
                    @if is_gone { (icon::gone()) } @else { (icon::file()) }
                    span.text title=[(name.chars().count() > LONG_NAME_CHARS).then_some(&name)] { (name) }
                }
            }
            td.number { @if is_gone { "-" } @else { (bytes(*size)) } }
            td.muted { (time(modified)) }
            td.muted {
                @match version {
                    None => { (class.to_lowercase().replace('_', " ")) }
                    Some(version) => {
                        @if version.is_delete_marker { (badge(Tone::Careful, "deleted")) " " }
                        @else if version.is_latest { (badge(Tone::Good, "current")) " " }
                        code { (version.id.get(..12).unwrap_or(&version.id)) }
                    }
                }
            }
        }
    }
}

/// `POST /b/{bucket}/folder`: writes an empty object whose key ends with a slash, as other S3 tools make folders.
pub async fn make_folder(visit: Visit, fields: Fields) -> Page {
    let (folder, name) = (fields.get("prefix"), fields.get("name").trim().trim_matches('/'));
    let key = format!("{folder}{name}/");
    let made = match name.is_empty() {
        true => Err(Trouble::wrong("A folder has a name.")),
        false => visit.ask().object(Method::PUT, &visit.bucket, &key).document("").done().await,
    };
    match made {
        Ok(_) => {
            to(&Place { bucket: &visit.bucket, folder: &key, begins: "", versions: false }.address(None))
        }
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let tried = Some(Tried { name: fields.get("name"), problem: trouble.words() });
            let sheet = sheet(&visit, &fields, tried).await?;
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_name_hides_or_turns_the_others() {
        for hidden in
            ["\u{61c}", "\u{200b}", "\u{2028}", "\u{2029}", "\u{202e}", "\u{2069}", "\u{ad}", "\u{e0041}"]
        {
            assert_eq!(visible(&format!("a{hidden}b")), "a\u{fffd}b", "{}", hidden.escape_unicode());
        }
        assert_eq!(
            (visible("a\n\u{7f}").as_str(), visible("ü é 文").as_str()),
            ("a\u{240a}\u{2421}", "ü é 文")
        );
    }
}
