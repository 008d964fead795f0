//! The settings of a bucket: a few by forms, the rest as S3's configuration documents.

mod document;
mod forms;
mod tester;

pub use document::{edit, fill, remove, save};
pub use tester::test;

use crate::ask::{Ask, Tagging, Versioning, if_allowed, if_there};
use crate::form::Fields;
use crate::frame::{Part, Tone, badge, checkbox, field, notice, text_field, token};
use crate::names;
use crate::pages::browser::{Tab, head};
use crate::pages::documents;
use crate::pages::object::{tags_of, tags_text};
use crate::shown::{bytes, count, exact_bytes};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use document::DOCUMENTS;
use http::{Method, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;

/// Sets a bucket's quota, or takes it away.
pub async fn set_quota(
    ask: &Ask<'_>,
    bucket: &str,
    bytes: Option<u64>,
    objects: Option<u64>,
) -> Result<(), Trouble> {
    let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let (bytes, objects) = (text(bytes), text(objects));
    let action = if bytes.is_empty() && objects.is_empty() { "/quotas/unset" } else { "/quotas/set" };
    let asked = ask.operator(Method::POST, action);
    let asked = asked.with([("bucket", bucket), ("bytes", bytes.as_str()), ("objects", objects.as_str())]);
    asked.done().await.map(drop)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Quotas {
    buckets: Vec<Quota>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Quota {
    of: String,
    bytes: Option<u64>,
    objects: Option<u64>,
    used_bytes: u64,
    used_objects: u64,
}

/// `GET /b/{bucket}/settings`
pub async fn show(visit: Visit) -> Page {
    sheet(&visit, None).await.and_then(shown)
}

/// What couldn't be set, which the form shows again, and why.
struct Tried<'a> {
    fields: &'a Fields,
    problem: String,
}

async fn sheet(visit: &Visit, tried: Option<&Tried<'_>>) -> Result<Markup, Trouble> {
    let (ask, bucket) = (visit.ask(), visit.bucket.as_str());
    let get = |query: &str| ask.bucket(Method::GET, bucket).query(query);
    let versioning = match get("versioning").xml::<Versioning>().await {
        // There is no such bucket.
        Err(trouble) if trouble.status() == StatusCode::NOT_FOUND => return Err(trouble),
        asked => if_allowed(asked)?,
    };
    let tags = if_allowed(if_there(get("tagging").xml::<Tagging>().await))?.map(Option::unwrap_or_default);
    let encryption = if_allowed(if_there(get("encryption").text().await))?;
    let mut states = Vec::new();
    for document in &DOCUMENTS {
        states.push((document, document.state(visit).await?));
    }
    let quota = match visit.who.operates {
        true => {
            let all: Option<Quotas> = if_allowed(ask.operator(Method::GET, "/quotas").json().await)?;
            Some(all.unwrap_or_default().buckets.into_iter().find(|quota| quota.of == bucket))
        }
        false => None,
    };
    let saved = !visit.query.get("saved").is_empty();
    let tried_of = |what: &str| tried.map(|tried| tried.fields).filter(|fields| fields.get("what") == what);
    let content = html! {
        (head(bucket, Tab::Settings))
        @if let Some(tried) = tried { (notice(Tone::Bad, html! { p { (tried.problem) } })) }
        @else if saved { (notice(Tone::Good, html! { p { "Saved." } })) }
        div.columns {
            div {
                section.card { h2 { "Documents" } (documents_table(bucket, &states)) }
                section.card { h2 { "Delete this bucket" } (deletion(visit)) (emptying(visit, versioning.as_ref().is_some_and(|versioning| !versioning.status.is_empty()))) }
            }
            div {
                @if let Some(versioning) = &versioning { section.card { h2 { "Versions" } (versions_form(visit, &versioning.status)) } }
                @if let Some(encryption) = &encryption { section.card { h2 { "Encryption" } (encryption_form(visit, encryption.as_deref())) } }
                @if let Some(tags) = &tags { section.card { h2 { "Tags" } (tags_form(visit, tags, tried_of("tags"))) } }
                @if let Some(quota) = &quota { section.card { h2 { "Quota" } (quota_form(visit, quota.as_ref(), tried_of("quota"))) } }
            }
        }
    };
    Ok(visit.frame().page(Part::Buckets, &format!("Settings of {bucket}"), content))
}

fn documents_table(bucket: &str, states: &[(&document::Document, document::State)]) -> Markup {
    html! {
        table {
            thead.hidden { tr { th scope="col" { "Document" } th scope="col" { "What it is" } th scope="col" { "State" } } }
            tbody {
                @for (document, state) in states {
                    tr {
                        th scope="row" {
                            a href=(names::of_bucket(bucket, &format!("/settings/{}", document.name))) { (document.title) }
                            p.hint { (document.hint) }
                        }
                        td.number { @match state {
                            document::State::Set => (badge(Tone::Good, "set")),
                            document::State::None => span.muted { "none" },
                            document::State::Hidden => span.muted { "may not be read" },
                        } }
                    }
                }
            }
        }
    }
}

fn form(visit: &Visit, what: &str, content: Markup) -> Markup {
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/settings")) {
            (token(&visit.session))
            input type="hidden" name="what" value=(what);
            (content)
        }
    }
}

fn versions_form(visit: &Visit, status: &str) -> Markup {
    let words = match status {
        "Enabled" => "What is overwritten or deleted stays as an older version.",
        "Suspended" => "Suspended: older versions stay, and no new ones come.",
        _ => {
            "No versions are kept: what is overwritten or deleted is gone. Once versions are kept, that can be suspended and never taken back."
        }
    };
    html! {
        p { (words) }
        (form(visit, "versioning", html! {
            @if status == "Enabled" {
                input type="hidden" name="on" value="no";
                button type="submit" { "Suspend" }
            } @else {
                input type="hidden" name="on" value="yes";
                button type="submit" { "Keep versions" }
            }
        }))
    }
}

fn encryption_form(visit: &Visit, document: Option<&str>) -> Markup {
    let is_kms = document.is_some_and(|document| document.contains("aws:kms"));
    html! {
        p {
            @match document {
                None => "Objects that don't ask for it aren't encrypted.",
                Some(_) if is_kms => "Objects are encrypted with a named key (SSE-KMS).",
                Some(_) => "Objects are encrypted with the server's key (SSE-S3).",
            }
            " What lies there already stays as it is."
        }
        (form(visit, "encryption", html! {
            @if document.is_some() {
                input type="hidden" name="on" value="no";
                button type="submit" { "Take the default away" }
            } @else {
                input type="hidden" name="on" value="yes";
                button type="submit" { "Encrypt by default" }
            }
        }))
    }
}

fn tags_form(visit: &Visit, tags: &Tagging, tried: Option<&Fields>) -> Markup {
    let text = tried.map_or_else(|| tags_text(&tags.tag_set.tag), |tried| tried.get("tags").to_owned());
    form(
        visit,
        "tags",
        html! {
            (field("tags", "One a line, as name=value", "", html! {
                textarea id="tags" name="tags" rows=(text.lines().count().clamp(2, 10)) spellcheck="false" { "\n" (text) }
            }))
            button type="submit" { "Save tags" }
        },
    )
}

fn quota_form(visit: &Visit, quota: Option<&Quota>, tried: Option<&Fields>) -> Markup {
    let size = quota.and_then(|quota| quota.bytes).map(exact_bytes);
    let objects = quota.and_then(|quota| quota.objects).map(|objects| objects.to_string());
    let text = |name: &str, set: Option<String>| {
        tried.map_or(set.unwrap_or_default(), |tried| tried.get(name).into())
    };
    html! {
        @if let Some(quota) = quota {
            p { (bytes(quota.used_bytes)) " in " (count(quota.used_objects)) " objects are used." }
        } @else { p { "No bound but the drives." } }
        (form(visit, "quota", html! {
            div.pair {
                (text_field("quota-size", "Size", "Such as 500 GiB. Nothing for no bound.", &text("quota-size", size)))
                (text_field("quota-objects", "Objects", "Nothing for no bound.", &text("quota-objects", objects)))
            }
            button type="submit" { "Save quota" }
        }))
    }
}

fn deletion(visit: &Visit) -> Markup {
    html! {
        p { "Only an empty bucket can be deleted: without objects, versions and uploads under way." }
        (form(visit, "delete", html! {
            (checkbox("sure", &format!("Delete {}", visit.bucket), "", false))
            button.danger type="submit" { "Delete the bucket" }
        }))
    }
}

/// The form that deletes all that is in the bucket, which the next page asks about once more.
fn emptying(visit: &Visit, has_versions: bool) -> Markup {
    html! {
        form method="post" action=(names::of_bucket(&visit.bucket, "/delete")) {
            (token(&visit.session))
            input type="hidden" name="folder" value="";
            @if has_versions { input type="hidden" name="with-versions" value="yes"; }
            button type="submit" { "Empty the bucket" @if has_versions { ", with all versions" } }
        }
    }
}

/// `POST /b/{bucket}/settings`: `what` is to be set, and fields that depend on it.
pub async fn set(visit: Visit, fields: Fields) -> Page {
    match change(&visit, &fields).await {
        Ok(address) => to(&address),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let tried = Tried { fields: &fields, problem: trouble.words() };
            let sheet = sheet(&visit, Some(&tried)).await?;
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

async fn change(visit: &Visit, fields: &Fields) -> Result<String, Trouble> {
    let (ask, bucket, on) = (visit.ask(), visit.bucket.as_str(), fields.get("on") == "yes");
    let put = |query: &str, document: String| ask.bucket(Method::PUT, bucket).query(query).document(document);
    match fields.get("what") {
        "versioning" => put("versioning", documents::versioning(on)).done().await?,
        "encryption" if on => put("encryption", documents::ENCRYPTION.into()).done().await?,
        "encryption" => ask.bucket(Method::DELETE, bucket).query("encryption").done().await?,
        "tags" => {
            let tags = tags_of(fields.get("tags"))?;
            match tags.is_empty() {
                true => ask.bucket(Method::DELETE, bucket).query("tagging").done().await?,
                false => put("tagging", documents::tagging(tags)).done().await?,
            }
        }
        "quota" => {
            let size = fields.size("quota-size", "The quota")?;
            let objects = fields.number("quota-objects", "The quota of objects")?;
            set_quota(&ask, bucket, size, objects).await?;
            Default::default()
        }
        "delete" if !fields.has("sure") => {
            return Err(Trouble::wrong("Tick the box to say that the bucket is meant to go."));
        }
        "delete" => {
            ask.bucket(Method::DELETE, bucket).done().await?;
            return Ok(crate::HOME.into());
        }
        _ => return Err(Trouble::NoPage),
    };
    Ok(names::of_bucket(bucket, "/settings?saved=yes"))
}
