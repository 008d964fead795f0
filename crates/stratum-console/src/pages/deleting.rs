//! Deletes objects, versions and folders: a first page says what that means, a second does it. What a request hasn't time
//! for the next one goes on with.

use crate::ask::{
    Deleted, NotDeleted, ObjectList, VersionEntry, VersionList, Versioning, decoded, if_allowed,
};
use crate::form::Fields;
use crate::frame::{Part, Tone, notice, token};
use crate::names;
use crate::pages::browser::{Done, visible};
use crate::pages::documents;
use crate::pages::listing::Mark;
use crate::shown::{count, counted};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use http::Method;
use maud::{Markup, html};

/// How many objects are deleted by one request.
const KEYS_A_REQUEST: usize = 1_000;
/// For how long one request deletes, in milliseconds. Then the page says how far it is, and the next one goes on.
const MILLIS_A_REQUEST: u64 = 4_000;
/// How many names are shown at most.
const SHOWN_NAMES: usize = 20;

/// What was chosen to be deleted.
#[derive(Default)]
struct Chosen {
    /// Keys, and the version where one is meant.
    objects: Vec<(String, String)>,
    /// Prefixes. The empty one is the whole bucket.
    folders: Vec<String>,
    /// Whether all versions of what is in the folders go, and not only what is current.
    with_versions: bool,
    /// Where the first folder is gone on with: what could not be deleted lies before it.
    from: Mark,
}

impl Chosen {
    fn of(fields: &Fields) -> Chosen {
        let versions = fields.all("version").filter_map(|chosen| chosen.split_once('|'));
        let versions = versions.map(|(id, key)| (key.to_owned(), id.to_owned()));
        let keys = fields.all("key").map(|key| (key.to_owned(), String::new()));
        Chosen {
            objects: keys.chain(versions).collect(),
            folders: fields.all("folder").map(str::to_owned).collect(),
            with_versions: fields.has("with-versions"),
            from: Mark { key: fields.get("from").into(), version: fields.get("from-version").into() },
        }
    }

    fn is_none(&self) -> bool {
        self.objects.is_empty() && self.folders.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str).chain(self.objects.iter().map(|(key, _)| key.as_str()))
    }

    fn has_versions(&self) -> bool {
        self.with_versions || self.objects.iter().any(|(_, version)| !version.is_empty())
    }

    fn fields(&self) -> Markup {
        html! {
            @for folder in &self.folders { input type="hidden" name="folder" value=(folder); }
            @if self.with_versions { input type="hidden" name="with-versions" value="yes"; }
            @if !self.from.key.is_empty() {
                input type="hidden" name="from" value=(self.from.key);
                input type="hidden" name="from-version" value=(self.from.version);
            }
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
        let found = Within::of(&visit, folder, chosen.with_versions, &Mark::default()).await?;
        let more = if found.goes_on { "more than " } else { "" };
        let what = if chosen.with_versions { "version" } else { "object" };
        within.push(format!("{}: {more}{}", named(folder), counted(found.objects.len() as u64, what)));
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

/// What a folder is called, where the empty one is the whole bucket.
fn named(folder: &str) -> String {
    if folder.is_empty() { "The whole bucket".into() } else { visible(folder) }
}

/// Objects under a prefix, or versions of objects, each by its key and the id of its version.
struct Within {
    objects: Vec<(String, String)>,
    goes_on: bool,
}

impl Within {
    /// The first ones after `from`.
    async fn of(visit: &Visit, prefix: &str, with_versions: bool, from: &Mark) -> Result<Within, Trouble> {
        let asked = visit.ask().bucket(Method::GET, &visit.bucket);
        let (key, version) = (from.key.as_str(), from.version.as_str());
        if with_versions {
            let asked = asked.query("versions&encoding-type=url");
            let of = [("prefix", prefix), ("key-marker", key), ("version-id-marker", version)];
            let list: VersionList = asked.with(of).xml().await?;
            let mut within = Within { objects: Vec::new(), goes_on: false };
            for entry in list.entries {
                match entry {
                    VersionEntry::Version(of) | VersionEntry::DeleteMarker(of) => {
                        within.objects.push((decoded(&of.key), of.version_id));
                    }
                    VersionEntry::IsTruncated(is_truncated) => within.goes_on = is_truncated,
                    _ => {}
                }
            }
            return Ok(within);
        }
        let asked = asked.query("list-type=2&encoding-type=url");
        let list: ObjectList = asked.with([("prefix", prefix), ("start-after", key)]).xml().await?;
        let objects = list.contents.iter().map(|object| (decoded(&object.key), String::new()));
        Ok(Within { objects: objects.collect(), goes_on: list.is_truncated })
    }

    /// Where the objects after these begin.
    fn end(&self) -> Option<Mark> {
        self.objects.last().map(|(key, version)| Mark { key: key.clone(), version: version.clone() })
    }
}

/// What came of a deletion: of this request, and with `deleted` of those before it.
struct Outcome {
    deleted: u64,
    refused: Vec<NotDeleted>,
}

impl Outcome {
    /// Deletes these objects, and says whether all are gone.
    async fn delete(&mut self, visit: &Visit, objects: &[(String, String)]) -> Result<bool, Trouble> {
        let refused = delete_some(visit, objects).await?;
        self.deleted += objects.len().saturating_sub(refused.len()) as u64;
        let are_gone = refused.is_empty();
        self.refused.extend(refused);
        Ok(are_gone)
    }
}

/// `POST /b/{bucket}/deleted`: deletes for as long as a request may take, and hands the rest on to the next one.
pub async fn delete(visit: Visit, fields: Fields) -> Page {
    let (mut left, back) = (Chosen::of(&fields), back(&visit, &fields));
    let mut outcome =
        Outcome { deleted: fields.get("deleted").parse().unwrap_or_default(), refused: Vec::new() };
    for some in std::mem::take(&mut left.objects).chunks(KEYS_A_REQUEST) {
        outcome.delete(&visit, some).await?;
    }
    let ends = visit.monotonic().saturating_add(MILLIS_A_REQUEST);
    while let Some(folder) = left.folders.first() {
        let within = Within::of(&visit, folder, left.with_versions, &left.from).await?;
        let are_gone = outcome.delete(&visit, &within.objects).await?;
        match within.end() {
            Some(end) if within.goes_on => {
                // What can't be deleted would come again and again.
                if !are_gone {
                    left.from = end;
                }
            }
            _ => {
                left.folders.remove(0);
                left.from = Mark::default();
            }
        }
        if visit.monotonic() >= ends {
            break;
        }
    }
    match outcome.refused.is_empty() && left.is_none() {
        true => to(&Done::Deleted(outcome.deleted).at(&back)),
        false => shown(visit.frame().page(Part::Buckets, "Deleted", report(&visit, &outcome, &left, &back))),
    }
}

/// What was deleted so far, and the form that goes on. A script sends it, unless there is something to read first.
fn report(visit: &Visit, outcome: &Outcome, left: &Chosen, back: &str) -> Markup {
    let goes_on_by_itself = outcome.refused.is_empty();
    html! {
        div.narrow {
            h1 { (counted(outcome.deleted, "object")) " deleted" @if !left.is_none() { " so far" } }
            @if !outcome.refused.is_empty() { (not_deleted(&outcome.refused)) }
            @if left.is_none() { p { a.button href=(back) { "Back" } } }
            @else {
                p { "There is more in " (left.names().map(named).collect::<Vec<_>>().join(", ")) "." }
                form method="post" action=(names::of_bucket(&visit.bucket, "/deleted")) data-goes-on[goes_on_by_itself] {
                    (token(&visit.session))
                    (left.fields())
                    input type="hidden" name="deleted" value=(outcome.deleted);
                    input type="hidden" name="back" value=(back);
                    div.actions {
                        button.danger type="submit" { "Go on" }
                        a.button href=(back) { "Stop here" }
                    }
                }
            }
        }
    }
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
