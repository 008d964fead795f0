//! Deletes objects, versions and folders: a first page says what that means, a second does it, a thousand objects at
//! a time.

use crate::ask::{Deleted, NotDeleted, ObjectList, Versioning, decoded, if_allowed};
use crate::form::Fields;
use crate::frame::{Part, Tone, notice, token};
use crate::names;
use crate::pages::browser::{Done, visible};
use crate::pages::documents;
use crate::shown::{count, counted};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use http::Method;
use maud::{Markup, html};

/// How many objects are deleted by one request.
const KEYS_A_REQUEST: usize = 1_000;
/// How many names are shown at most.
const SHOWN_NAMES: usize = 20;

/// What was chosen to be deleted.
#[derive(Default)]
struct Chosen {
    /// Keys, and the version where one is meant.
    objects: Vec<(String, String)>,
    folders: Vec<String>,
}

impl Chosen {
    fn of(fields: &Fields) -> Chosen {
        let versions = fields.all("version").filter_map(|chosen| chosen.split_once('|'));
        let versions = versions.map(|(id, key)| (key.to_owned(), id.to_owned()));
        let keys = fields.all("key").map(|key| (key.to_owned(), String::new()));
        Chosen {
            objects: keys.chain(versions).collect(),
            folders: fields.all("folder").map(str::to_owned).collect(),
        }
    }

    fn is_none(&self) -> bool {
        self.objects.is_empty() && self.folders.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str).chain(self.objects.iter().map(|(key, _)| key.as_str()))
    }

    fn has_versions(&self) -> bool {
        self.objects.iter().any(|(_, version)| !version.is_empty())
    }

    fn fields(&self) -> Markup {
        html! {
            @for folder in &self.folders { input type="hidden" name="folder" value=(folder); }
            @for (key, version) in &self.objects {
                @if version.is_empty() { input type="hidden" name="key" value=(key); }
                @else { input type="hidden" name="version" value={ (version) "|" (key) }; }
            }
        }
    }
}

/// The address of the bucket's page that the form came from.
fn back<'a>(visit: &Visit, fields: &'a Fields) -> std::borrow::Cow<'a, str> {
    let bucket = names::of_bucket(&visit.bucket, "");
    match names::ours(fields.get("back"), &bucket) {
        Some(back) => back.into(),
        None => bucket.into(),
    }
}

/// `POST /b/{bucket}/delete`: `key`, `version` and `folder`, each as often as chosen.
pub async fn ask_first(visit: Visit, fields: Fields) -> Page {
    let (chosen, back) = (Chosen::of(&fields), back(&visit, &fields));
    if chosen.is_none() {
        return to(&back);
    }
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("versioning").xml::<Versioning>().await;
    let meaning = if_allowed(asked)?.map(|versioning| meaning(&versioning.status, &chosen));
    let mut within = Vec::new();
    for folder in &chosen.folders {
        let list = page_of(&visit, folder).await?;
        let more = if list.is_truncated { "more than " } else { "" };
        within.push(format!("{}: {more}{}", visible(folder), counted(list.contents.len() as u64, "object")));
    }
    let content = html! {
        div.narrow {
            h1 { "Delete?" }
            ul.chosen {
                @for told in &within { li { (told) } }
                @for (key, version) in chosen.objects.iter().take(SHOWN_NAMES) {
                    li { (visible(key)) @if !version.is_empty() { " " span.muted { "version " code { (version) } } } }
                }
            }
            @if chosen.objects.len() > SHOWN_NAMES { p { "and " (count((chosen.objects.len() - SHOWN_NAMES) as u64)) " more" } }
            @if let Some(meaning) = meaning { (meaning) }
            form method="post" action=(names::of_bucket(&visit.bucket, "/deleted")) {
                (token(&visit.session))
                (chosen.fields())
                input type="hidden" name="back" value=(back);
                div.actions {
                    button.danger type="submit" { "Delete" }
                    a.button href=(back) { "Cancel" }
                }
            }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Delete?", content))
}

/// Says what deleting means in this bucket.
fn meaning(versioning: &str, chosen: &Chosen) -> Markup {
    match versioning {
        _ if chosen.has_versions() => notice(
            Tone::Careful,
            html! { p { "A version that is deleted is gone for good. Of a delete marker it means that what was deleted is there again." } },
        ),
        "Enabled" => notice(
            Tone::Plain,
            html! { p { "This bucket keeps versions: what you delete is hidden behind a delete marker, takes its space on, and can be restored from its versions." } },
        ),
        "Suspended" => notice(
            Tone::Careful,
            html! { p { "Versioning is suspended: older versions stay, but what was written since goes for good, and a delete marker stands in its place." } },
        ),
        _ => notice(
            Tone::Careful,
            html! { p { "This bucket keeps no versions: what is deleted is gone for good." } },
        ),
    }
}

async fn page_of(visit: &Visit, prefix: &str) -> Result<ObjectList, Trouble> {
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("list-type=2&encoding-type=url");
    asked.with([("prefix", prefix)]).xml().await
}

/// `POST /b/{bucket}/deleted`
pub async fn delete(visit: Visit, fields: Fields) -> Page {
    let (chosen, back) = (Chosen::of(&fields), back(&visit, &fields));
    let mut refused = Vec::new();
    let mut deleted = 0;
    for some in chosen.objects.chunks(KEYS_A_REQUEST) {
        refused.extend(delete_some(&visit, some).await?);
        deleted += some.len();
    }
    let mut left = Chosen::default();
    for folder in &chosen.folders {
        let list = page_of(&visit, folder).await?;
        let keys: Vec<(String, String)> =
            list.contents.iter().map(|object| (decoded(&object.key), String::new())).collect();
        let refused_here = delete_some(&visit, &keys).await?;
        deleted += keys.len();
        // If nothing of a page could be deleted, the same page would come again and again.
        if list.is_truncated && refused_here.len() < keys.len() {
            left.folders.push(folder.clone());
        }
        refused.extend(refused_here);
    }
    deleted -= refused.len().min(deleted);
    if refused.is_empty() && left.is_none() {
        return to(&Done::Deleted(deleted as u64).at(&back));
    }
    let done = format!("{} deleted", counted(deleted as u64, "object"));
    let content = html! {
        div.narrow {
            h1 { (done) }
            @if !refused.is_empty() { (not_deleted(&refused)) }
            @if !left.is_none() {
                p { "There is more in " (left.names().map(visible).collect::<Vec<_>>().join(", ")) "." }
                form method="post" action=(names::of_bucket(&visit.bucket, "/deleted")) {
                    (token(&visit.session))
                    (left.fields())
                    input type="hidden" name="back" value=(back);
                    div.actions {
                        button.danger type="submit" { "Delete the next " (count(KEYS_A_REQUEST as u64)) }
                        a.button href=(back) { "Stop here" }
                    }
                }
            } @else { p { a.button href=(back) { "Back" } } }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Deleted", content))
}

fn not_deleted(refused: &[NotDeleted]) -> Markup {
    notice(
        Tone::Bad,
        html! {
            p { (counted(refused.len() as u64, "object")) " could not be deleted:" }
            ul {
                @for error in refused.iter().take(SHOWN_NAMES) {
                    li { (visible(&error.key)) ": " (error.message) " (" (error.code) ")" }
                }
            }
        },
    )
}

/// Deletes these objects, and gives those that could not be deleted. A key that XML can't carry is deleted by a
/// request of its own.
async fn delete_some(visit: &Visit, objects: &[(String, String)]) -> Result<Vec<NotDeleted>, Trouble> {
    let (carried, alone): (Vec<_>, Vec<_>) = objects.iter().partition(|(key, _)| documents::can_carry(key));
    let mut refused = Vec::new();
    for (key, version) in alone {
        let asked = visit.ask().object(Method::DELETE, &visit.bucket, key);
        match asked.with([("versionId", version.as_str())]).done().await {
            Ok(_) => {}
            Err(Trouble::Refused(refusal)) => {
                let (code, message) = (refusal.code, refusal.message);
                refused.push(NotDeleted { key: key.clone(), code, message });
            }
            Err(trouble) => return Err(trouble),
        }
    }
    if !carried.is_empty() {
        let list = carried.iter().map(|(key, version)| (key.as_str(), version.as_str()));
        let asked = visit.ask().bucket(Method::POST, &visit.bucket).query("delete");
        let outcome: Deleted = asked.document(documents::delete(list)).xml().await?;
        refused.extend(outcome.error);
    }
    Ok(refused)
}
