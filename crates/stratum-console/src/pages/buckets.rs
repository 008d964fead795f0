//! The list of buckets, and the page that makes one.

use crate::ask::{Bucket, BucketList, if_allowed};
use crate::form::Fields;
use crate::frame::{Part, Tone, checkbox, field, icon, notice, shares, text_field, token};
use crate::names;
use crate::pages::report::{Report, report};
use crate::shown::{bytes, count, time};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use http::{Method, StatusCode};
use maud::{Markup, html};

const PAGE_ENTRIES: &str = "100";

/// `GET /buckets?from=...`
pub async fn list(visit: Visit) -> Page {
    let asked = visit.ask().service().with([
        ("max-buckets", PAGE_ENTRIES),
        ("continuation-token", visit.query.get("from")),
        ("prefix", visit.query.get("name")),
    ]);
    let listed = match asked.xml::<BucketList>().await {
        Ok(listed) => listed,
        Err(trouble) if trouble.status() == StatusCode::FORBIDDEN => {
            return shown(by_name_alone(&visit, &trouble));
        }
        Err(trouble) => return Err(trouble),
    };
    let mut rows = Vec::new();
    for bucket in listed.buckets.bucket {
        let report = if_allowed(report(&visit.ask(), &bucket.name).await)?.unwrap_or_default();
        rows.push((bucket, report));
    }
    let name = visit.query.get("name");
    let content = html! {
        div.head {
            h1 { "Buckets" }
            div.actions { a.button.primary href={ (crate::ROOT) "/buckets/new" } { "New bucket" } }
        }
        @if rows.is_empty() && name.is_empty() && visit.query.get("from").is_empty() { (nothing_yet()) }
        @else {
            form.filter method="get" role="search" {
                label.hidden for="name" { "Buckets whose names begin with" }
                input type="search" id="name" name="name" value=(name) placeholder="Name begins with" spellcheck="false";
                button type="submit" { "Filter" }
            }
            div.scroll tabindex="0" role="region" aria-label="Buckets" { (table(&rows)) }
            @if !listed.continuation_token.is_empty() {
                nav.pages aria-label="Pages" {
                    a.button href={ (crate::HOME) "?" (names::query([("from", listed.continuation_token.as_str()), ("name", name)])) } { "Next page" }
                }
            }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Buckets", content))
}

fn table(rows: &[(Bucket, Report)]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Name" }
                    th.number scope="col" { "Objects" }
                    th.number scope="col" { "Size" }
                    th.tiers scope="col" { "Tiers" }
                    th scope="col" { "Created" }
                }
            }
            tbody {
                @for (bucket, report) in rows {
                    tr {
                        th.name scope="row" { a href=(names::of_bucket(&bucket.name, "")) { (icon::bucket()) (bucket.name) } }
                        @if report.as_of.is_some() {
                            td.number { (count(report.held.objects.all())) }
                            td.number { (bytes(report.held.bytes.all())) }
                            td.tiers title=(report.held.bytes.in_words()) { (shares(&report.held.bytes.shares())) span.hidden { (report.held.bytes.in_words()) } }
                        } @else {
                            td.number.muted title="Counted when the tiers are next looked at" { "-" }
                            td.number.muted { "-" }
                            td.tiers.muted { span.hidden { "not counted yet" } }
                        }
                        td.muted { (time(&bucket.creation_date)) }
                    }
                }
                @if rows.is_empty() { tr { td.empty colspan="5" { "No bucket's name begins so." } } }
            }
        }
    }
}

fn nothing_yet() -> Markup {
    html! {
        div.empty-page {
            (icon::bucket())
            h2 { "No buckets yet" }
            p.muted { "A bucket holds objects. Create one, and drop files into it." }
            a.button.primary href={ (crate::ROOT) "/buckets/new" } { "New bucket" }
        }
    }
}

/// The page for a key that may not list buckets, by which it can open one by its name.
fn by_name_alone(visit: &Visit, trouble: &Trouble) -> Markup {
    let content = html! {
        h1 { "Buckets" }
        (notice(Tone::Plain, html! { p { "This key may not list buckets: " (trouble.words()) } }))
        form.filter method="get" action={ (crate::ROOT) "/open" } {
            label for="bucket" { "Open a bucket by its name" }
            input type="text" id="bucket" name="bucket" required spellcheck="false" autocapitalize="none";
            button.primary type="submit" { "Open" }
        }
    };
    visit.frame().page(Part::Buckets, "Buckets", content)
}

/// `GET /open?bucket=...`
pub async fn open(visit: Visit) -> Page {
    to(&names::of_bucket(visit.query.get("bucket").trim(), ""))
}

/// `GET /buckets/new`
pub async fn new(visit: Visit) -> Page {
    shown(sheet(&visit, &Fields::default(), None))
}

fn sheet(visit: &Visit, fields: &Fields, problem: Option<&str>) -> Markup {
    let encryption = fields.get("encryption");
    let content = html! {
        (crate::frame::crumbs(&[("Buckets".into(), crate::HOME.into())], "New bucket"))
        div.narrow {
            h1 { "New bucket" }
            @if let Some(problem) = problem { (notice(Tone::Bad, html! { p { (problem) } })) }
            form method="post" {
                (token(&visit.session))
                (text_field("bucket", "Name", "3 to 63 lower-case letters, digits, dots and hyphens. It can't be changed later.", fields.get("bucket")))
                fieldset {
                    legend { "Keep what is overwritten" }
                    (checkbox("versioning", "Keep versions", "What is overwritten or deleted stays, as an older version, until it is deleted itself.", fields.has("versioning")))
                    (checkbox("lock", "Object lock", "Versions can be kept from being deleted until a time. It includes versions.", fields.has("lock")))
                }
                fieldset {
                    legend { "Encryption" }
                    (field("encryption", "Objects that don't ask for it are", "", html! {
                        select id="encryption" name="encryption" {
                            option value="" selected[encryption.is_empty()] { "not encrypted" }
                            option value="AES256" selected[encryption == "AES256"] { "encrypted with the server's key (SSE-S3)" }
                        }
                    }))
                }
                @if visit.who.operates {
                    fieldset {
                        legend { "Quota" }
                        div.pair {
                            (text_field("quota-size", "Size", "Such as 500 GiB. Nothing for no bound.", fields.get("quota-size")))
                            (text_field("quota-objects", "Objects", "Nothing for no bound.", fields.get("quota-objects")))
                        }
                    }
                }
                div.actions {
                    button.primary type="submit" { "Create bucket" }
                    a.button href=(crate::HOME) { "Cancel" }
                }
            }
        }
    };
    visit.frame().page(Part::Buckets, "New bucket", content)
}

/// `POST /buckets/new`
pub async fn create(visit: Visit, fields: Fields) -> Page {
    match make(&visit, &fields).await {
        Ok(bucket) => to(&names::of_bucket(&bucket, "")),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let sheet = sheet(&visit, &fields, Some(&trouble.words()));
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

/// Makes the bucket and sets it up. If setting up fails, the error says that the bucket is there.
async fn make(visit: &Visit, fields: &Fields) -> Result<String, Trouble> {
    let (ask, bucket) = (visit.ask(), fields.get("bucket").trim().to_owned());
    if bucket.is_empty() {
        return Err(Trouble::wrong("A bucket has a name."));
    }
    let size = fields.size("quota-size", "The quota")?;
    let objects = fields.number("quota-objects", "The quota of objects")?;
    let lock = if fields.has("lock") { "true" } else { "" };
    ask.bucket(Method::PUT, &bucket).header("x-amz-bucket-object-lock-enabled", lock).done().await?;
    let set_up = async {
        if fields.has("versioning") && !fields.has("lock") {
            let asked = ask.bucket(Method::PUT, &bucket).query("versioning");
            asked.document(crate::pages::documents::versioning(true)).done().await?;
        }
        if fields.get("encryption") == "AES256" {
            let asked = ask.bucket(Method::PUT, &bucket).query("encryption");
            asked.document(crate::pages::documents::ENCRYPTION).done().await?;
        }
        if size.is_some() || objects.is_some() {
            crate::pages::settings::set_quota(&ask, &bucket, size, objects).await?;
        }
        Ok(())
    };
    match set_up.await {
        Ok(()) => Ok(bucket),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            Err(Trouble::wrong(format!("The bucket is there, but not set up: {}", trouble.words())))
        }
    }
}
