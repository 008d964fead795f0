//! The page of one object: its preview, versions, properties, tags and lock.

use crate::ask::{Tag, Tagging, if_allowed, if_there};
use crate::form::Fields;
use crate::frame::{Part, Tone, badge, crumbs, field, icon, notice, tier, token};
use crate::names;
use crate::pages::browser::{Place, shown_name, visible};
use crate::pages::download::{Kind, look};
use crate::pages::{documents, share, versions, why};
use crate::shown::{bytes, count};
use crate::trouble::{Refusal, Trouble};
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use http::{HeaderMap, Method, StatusCode};
use maud::{Markup, html};

/// The headers with which a HEAD of the object was answered.
struct Told<'a>(&'a HeaderMap);

impl Told<'_> {
    fn get(&self, name: &str) -> String {
        let value = self.0.get(name).map(|value| value.as_bytes());
        // A header may hold any bytes. Each is taken for the character of that number.
        value.map(|bytes| bytes.iter().map(|byte| char::from(*byte)).collect()).unwrap_or_default()
    }

    fn size(&self) -> u64 {
        self.get("content-length").parse().unwrap_or_default()
    }

    /// The object's user metadata.
    fn user(&self) -> Vec<(String, String)> {
        let named = self.0.keys().filter_map(|name| name.as_str().strip_prefix("x-amz-meta-"));
        named.map(|name| (name.to_owned(), self.get(&format!("x-amz-meta-{name}")))).collect()
    }
}

/// The headers that are shown, each with its label.
const SHOWN: [(&str, &str); 10] = [
    ("content-type", "Type"),
    ("etag", "ETag"),
    ("x-amz-version-id", "Version"),
    ("x-amz-storage-class", "Storage class"),
    ("x-amz-server-side-encryption", "Encryption"),
    ("content-encoding", "Encoding"),
    ("content-language", "Language"),
    ("content-disposition", "Disposition"),
    ("cache-control", "Cache"),
    ("x-amz-checksum-crc64nvme", "CRC-64/NVME"),
];

/// `GET /b/{bucket}/object?key=...&version=...`
pub async fn show(visit: Visit) -> Page {
    sheet(&visit, visit.query.get("key"), visit.query.get("version"), None).await
}

/// The forms of the page whose fields are shown again when they are refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    Tags,
    Lock,
}

/// What couldn't be set, which its form shows again, and why.
struct Tried<'a> {
    part: Entered,
    fields: &'a Fields,
    trouble: Trouble,
}

async fn sheet(visit: &Visit, key: &str, version: &str, tried: Option<Tried<'_>>) -> Page {
    if key.is_empty() {
        return Err(Trouble::NoPage);
    }
    let asked = visit.ask().object(Method::HEAD, &visit.bucket, key).header("x-amz-checksum-mode", "ENABLED");
    let head = match asked.with([("versionId", version)]).done().await {
        Ok(head) => head,
        Err(Trouble::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND && version.is_empty() => {
            return gone(visit, key, refusal).await;
        }
        Err(trouble) => return Err(trouble),
    };
    let told = Told(&head);
    let asked = visit.ask().object(Method::GET, &visit.bucket, key).query("tagging");
    let tags = if_allowed(asked.with([("versionId", version)]).xml::<Tagging>().await)?;
    let kept = if_allowed(versions::of(visit, key).await)?.unwrap_or_default();
    let explained = if_allowed(why::explanation(visit, key, version).await)?;
    let kind = Kind::of(&told.get("content-type"), key);
    let seen = look(visit, key, version, kind, told.size()).await?;
    let tried_of = |part| tried.as_ref().filter(|tried| tried.part == part).map(|tried| tried.fields);
    let tags = tags.map(|tags| match tried_of(Entered::Tags) {
        Some(fields) => fields.get("tags").to_owned(),
        None => tags_text(&tags.tag_set.tag),
    });
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("object-lock").done().await;
    let has_no_lock = if_allowed(if_there(asked))?.is_some_and(|locked| locked.is_none());
    let content = html! {
        (way(&visit.bucket, key))
        div.head {
            h1 { (icon::file()) (shown_name(key)) }
            div.actions {
                a.button.primary href=(names::of_object(&visit.bucket, "download", key, version)) { "Download" }
                form method="post" action=(names::of_bucket(&visit.bucket, "/delete")) {
                    (token(&visit.session))
                    @if version.is_empty() { input type="hidden" name="key" value=(key); }
                    @else { input type="hidden" name="version" value={ (version) "|" (key) }; }
                    input type="hidden" name="back" value=(folder_of(&visit.bucket, key));
                    button.danger type="submit" { "Delete" }
                }
            }
        }
        @if let Some(tried) = &tried { (notice(Tone::Bad, html! { p { (tried.trouble.words()) } })) }
        @if !version.is_empty() && !kept.0.iter().any(|kept| kept.of.version_id == version && kept.of.is_latest) {
            (notice(Tone::Plain, html! { p { "This is an older version. " a href=(names::of_object(&visit.bucket, "object", key, "")) { "To what is current" } } }))
        }
        @if let Some(explained) = &explained { (why::summary(visit, key, version, explained)) }
        div.columns {
            div {
                section.card { h2 { "Preview" } (seen) }
                @if kept.0.len() > 1 || kept.0.iter().any(|kept| kept.of.version_id != "null") {
                    section.card { h2 { "Versions" } div.scroll tabindex="0" role="region" aria-label="Versions" { (versions::table(visit, key, &kept.0, kept.1, version)) } }
                }
            }
            div {
                section.card { h2 { "Properties" } (properties(visit, key, &told)) }
                @if let Some(tags) = &tags { section.card { h2 { "Tags" } (tags_form(visit, key, version, tags)) } }
                section.card { h2 { "Share" } (share_form(visit, key, version)) }
                section.card { h2 { "Lock" }
                    @if has_no_lock { p.muted { "This bucket has no object lock." } }
                    @else { (lock_form(visit, key, version, &told, tried_of(Entered::Lock))) }
                }
            }
        }
    };
    let page = visit.frame().page(Part::Buckets, &shown_name(key), content);
    let status = tried.map_or(StatusCode::OK, |tried| tried.trouble.status());
    Ok((status, page).into_response())
}

/// The page of an object that isn't there: if it was deleted and versions of it are left, they are shown.
async fn gone(visit: &Visit, key: &str, refusal: Refusal) -> Page {
    let (kept, goes_on) = if_allowed(versions::of(visit, key).await)?.unwrap_or_default();
    if kept.is_empty() {
        return Err(Trouble::Refused(refusal));
    }
    let content = html! {
        (way(&visit.bucket, key))
        div.head { h1 { (icon::gone()) (shown_name(key)) " " (badge(Tone::Careful, "deleted")) } }
        (notice(Tone::Plain, html! { p { "This object was deleted, and its versions are still there. Deleting the delete marker, or restoring a version, brings it back." } }))
        section.card { h2 { "Versions" } div.scroll tabindex="0" role="region" aria-label="Versions" { (versions::table(visit, key, &kept, goes_on, "")) } }
    };
    shown(visit.frame().page(Part::Buckets, &shown_name(key), content))
}

fn folder_of(bucket: &str, key: &str) -> String {
    Place { bucket, folder: names::parent(key), begins: "", versions: false }.address(None)
}

/// The breadcrumbs of an object's pages.
pub fn way(bucket: &str, key: &str) -> Markup {
    crumbs(&way_to(bucket, key), &shown_name(key))
}

/// The links to the bucket and the folders that an object lies in.
pub fn way_to(bucket: &str, key: &str) -> Vec<(String, String)> {
    let mut way = vec![
        ("Buckets".to_owned(), crate::HOME.to_owned()),
        (bucket.to_owned(), names::of_bucket(bucket, "")),
    ];
    let (folders, are_cut) = names::folders(key);
    for (at, folder) in folders.into_iter().enumerate() {
        let place = Place { bucket, folder, begins: "", versions: false };
        let cut = if are_cut && at == 0 { ".../" } else { "" };
        way.push((format!("{cut}{}", shown_name(folder)), place.address(None)));
    }
    way
}

fn properties(visit: &Visit, key: &str, told: &Told<'_>) -> Markup {
    html! {
        dl.pairs {
            dt { "Key" } dd { code.wrap { (visible(key)) } }
            dt { "Bucket" } dd { (visit.bucket) }
            dt { "Size" } dd { (bytes(told.size())) @if told.size() >= 1024 { span.muted { " (" (count(told.size())) " bytes)" } } }
            @let modified = told.get("last-modified");
            dt { "Modified" } dd { (crate::shown::http_time(&modified)) " UTC" }
            @for (header, name) in SHOWN {
                @let value = told.get(header).trim_matches('"').to_owned();
                @if !value.is_empty() { dt { (name) } dd { code.wrap { (value) } } }
            }
            @let lies = told.get("x-stratum-tier");
            @if !lies.is_empty() { dt { "Tier" } dd { (tier(&lies)) } }
            @for (name, value) in told.user() { dt { code { (name) } } dd { (visible(&value)) } }
        }
    }
}

fn hidden(key: &str, version: &str) -> Markup {
    html! {
        input type="hidden" name="key" value=(key);
        @if !version.is_empty() { input type="hidden" name="version" value=(version); }
    }
}

fn tags_form(visit: &Visit, key: &str, version: &str, text: &str) -> Markup {
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/object/tags")) {
            (token(&visit.session)) (hidden(key, version))
            (field("tags", "One a line, as name=value", "", html! {
                textarea id="tags" name="tags" rows=(text.lines().count().clamp(2, 10)) spellcheck="false" { "\n" (text) }
            }))
            button type="submit" { "Save tags" }
        }
    }
}

/// Tags as the form shows them.
pub fn tags_text(tags: &[Tag]) -> String {
    tags.iter().map(|tag| format!("{}={}\n", tag.key, tag.value)).collect()
}

/// Reads tags as they were entered.
///
/// # Errors
/// Which line is no tag.
pub fn tags_of(text: &str) -> Result<Vec<(&str, &str)>, Trouble> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            pair.filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Trouble::wrong(format!("Line {} is no tag: write it as name=value.", at + 1)))
        })
        .collect()
}

/// `POST /b/{bucket}/object/tags`
pub async fn set_tags(visit: Visit, fields: Fields) -> Page {
    let (key, version) = (fields.get("key"), fields.get("version"));
    let set = async {
        let asked = visit.ask().object(Method::PUT, &visit.bucket, key).query("tagging");
        let document = documents::tagging(tags_of(fields.get("tags"))?);
        asked.with([("versionId", version)]).document(document).done().await
    };
    let set = set.await;
    answer(&visit, &fields, Entered::Tags, set).await
}

/// Shows the object again, with the form as it was entered if it was refused.
async fn answer(visit: &Visit, fields: &Fields, part: Entered, set: Result<HeaderMap, Trouble>) -> Page {
    let (key, version) = (fields.get("key"), fields.get("version"));
    match set {
        Ok(_) => to(&names::of_object(&visit.bucket, "object", key, version)),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => sheet(visit, key, version, Some(Tried { part, fields, trouble })).await,
    }
}

fn share_form(visit: &Visit, key: &str, version: &str) -> Markup {
    html! {
        form.line method="post" action=(names::of_bucket(&visit.bucket, "/share")) {
            (token(&visit.session)) (hidden(key, version))
            label for="seconds" { "A link that works for" }
            select id="seconds" name="seconds" {
                @for (name, seconds) in share::TIMES { option value=(seconds) selected[seconds == 3_600] { (name) } }
            }
            button type="submit" { "Make link" }
        }
    }
}

fn lock_form(visit: &Visit, key: &str, version: &str, told: &Told<'_>, tried: Option<&Fields>) -> Markup {
    let (mode, until) = (told.get("x-amz-object-lock-mode"), told.get("x-amz-object-lock-retain-until-date"));
    let entered = |name: &str, set: &str| tried.map_or(set.to_owned(), |tried| tried.get(name).to_owned());
    let (chosen, day) = (entered("mode", &mode), entered("until", until.get(..10).unwrap_or_default()));
    let hold = told.get("x-amz-object-lock-legal-hold");
    html! {
        p {
            @if mode.is_empty() { "No retention" }
            @else { "Kept until " (crate::shown::time(&until)) " UTC, " (mode.to_lowercase()) }
            @if hold == "ON" { ", and under legal hold." } @else { ", no legal hold." }
        }
        details open[tried.is_some()] {
            summary { "Change" }
            form method="post" action=(names::of_bucket(&visit.bucket, "/object/lock")) {
                (token(&visit.session)) (hidden(key, version))
                input type="hidden" name="what" value="retention";
                (field("mode", "Retention", "Compliance can't be shortened by anybody, governance by who may bypass it.", html! {
                    select id="mode" name="mode" {
                        option value="GOVERNANCE" selected[chosen == "GOVERNANCE"] { "governance" }
                        option value="COMPLIANCE" selected[chosen == "COMPLIANCE"] { "compliance" }
                        option value="" selected[tried.is_some() && chosen.is_empty()] { "none (takes governance away)" }
                    }
                }))
                (field("until", "Until the end of the day (UTC)", "", html! {
                    input type="date" id="until" name="until" value=(day);
                }))
                button type="submit" { "Set retention" }
            }
            form method="post" action=(names::of_bucket(&visit.bucket, "/object/lock")) {
                (token(&visit.session)) (hidden(key, version))
                input type="hidden" name="what" value="hold";
                input type="hidden" name="hold" value=(if hold == "ON" { "off" } else { "on" });
                button type="submit" { @if hold == "ON" { "Take the legal hold away" } @else { "Place a legal hold" } }
            }
        }
    }
}

/// `POST /b/{bucket}/object/lock`
pub async fn set_lock(visit: Visit, fields: Fields) -> Page {
    let set = lock(&visit, &fields).await;
    answer(&visit, &fields, Entered::Lock, set).await
}

async fn lock(visit: &Visit, fields: &Fields) -> Result<HeaderMap, Trouble> {
    let (key, version) = (fields.get("key"), fields.get("version"));
    let asked = visit.ask().object(Method::PUT, &visit.bucket, key);
    let asked = match fields.get("what") {
        "hold" => asked.query("legal-hold").document(documents::legal_hold(fields.get("hold") == "on")),
        _ => {
            let (mode, until) = (fields.get("mode"), fields.get("until"));
            if !mode.is_empty() && until.is_empty() {
                return Err(Trouble::wrong("A retention has a day on which it ends."));
            }
            let document = documents::retention(mode, &format!("{until}T23:59:59Z"));
            let asked = asked.query("retention").document(document);
            let bypass = if mode.is_empty() { "true" } else { "" };
            asked.header("x-amz-bypass-governance-retention", bypass)
        }
    };
    asked.with([("versionId", version)]).done().await
}
