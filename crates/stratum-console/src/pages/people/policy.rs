//! The page of a policy: its document, which can be changed, and who has it.
//!
//! A managed policy has an ARN, versions, and is attached to users, groups and roles. Another kind stands in one of
//! them itself and has only a name there.

use super::answers::{
    EntitiesAnswer, Entity, Managed, Members, PolicyAnswer, Version, VersionAnswer, VersionsAnswer,
};
use super::holder::{Holder, Kind};
use super::{PAGE_ENTRIES, POLICY};
use crate::ask::{decoded, if_allowed};
use crate::form::Fields;
use crate::frame::{Part, Tone, badge, crumbs, field, notice, text_field, token};
use crate::names;
use crate::pages::indent::indented;
use crate::shown::time;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use axum::response::IntoResponse;
use maud::{Markup, html};

/// Where a policy stands.
#[derive(Clone, Copy)]
pub enum Policy<'a> {
    /// A managed one, by its ARN.
    Managed(&'a str),
    /// One that stands in a user, a group or a role itself, by its name there. An empty name is of one that is to be
    /// made.
    Own(Holder<'a>, &'a str),
}

/// The ARNs of the policies that every account has, and that nobody can change.
const BUILT_IN: &str = "arn:aws:iam::aws:policy/";

impl<'a> Policy<'a> {
    /// Reads what [`Policy::fields`] writes.
    fn of(fields: &'a Fields) -> Result<Policy<'a>, Trouble> {
        match fields.get("arn") {
            "" => {
                let kind = Kind::named(fields.get("of")).ok_or(Trouble::NoPage)?;
                Ok(Policy::Own(Holder::new(kind, fields.get("name")), fields.get("policy")))
            }
            arn => Ok(Policy::Managed(arn)),
        }
    }

    fn fields(&self) -> Vec<(&'a str, &'a str)> {
        match self {
            Policy::Managed(arn) => vec![("arn", *arn)],
            Policy::Own(holder, name) => holder.fields().into_iter().chain([("policy", *name)]).collect(),
        }
    }

    /// The address of the policy's page.
    pub fn address(&self) -> String {
        format!("{}/people/policy?{}", crate::ROOT, names::query(self.fields()))
    }

    /// The page that is shown once the policy is deleted.
    fn above(&self) -> String {
        match self {
            Policy::Managed(_) => format!("{}/people", crate::ROOT),
            Policy::Own(holder, _) => holder.address(),
        }
    }
}

/// `GET /people/policy?arn=...`, or `?of=...&name=...&policy=...`
pub async fn show(visit: Visit) -> Page {
    let told = (!visit.query.get("saved").is_empty())
        .then(|| notice(Tone::Good, html! { p { "Saved. It counts from the next request on." } }));
    sheet(&visit, &visit.query, told, None).await.and_then(shown)
}

/// The page. `kept` is a document that was refused, which is shown again.
async fn sheet(
    visit: &Visit,
    fields: &Fields,
    told: Option<Markup>,
    kept: Option<&str>,
) -> Result<Markup, Trouble> {
    let policy = Policy::of(fields)?;
    let (way, title, content) = match policy {
        Policy::Managed(arn) => {
            let found: PolicyAnswer = visit.ask().iam("GetPolicy", &[("PolicyArn", arn)]).xml().await?;
            let found = found.result.policy;
            let content = managed(visit, policy, &found, kept).await?;
            (Vec::new(), found.policy_name, content)
        }
        Policy::Own(holder, name) => {
            let document = match (kept, name) {
                (Some(kept), _) => kept.to_owned(),
                (None, "") => POLICY.to_owned(),
                (None, name) => indented(&holder.own_document(visit, name).await?),
            };
            let title = if name.is_empty() { "New policy" } else { name };
            (
                vec![(holder.name.to_owned(), holder.address())],
                title.to_owned(),
                own(visit, policy, name, &document),
            )
        }
    };
    let above = std::iter::once(("Access".to_owned(), format!("{}/people", crate::ROOT)));
    let way: Vec<_> = above.chain(way).collect();
    let content = html! {
        (crumbs(&way, &title))
        div.head { h1 { (title) } }
        @if let Some(told) = told { (told) }
        (content)
    };
    Ok(visit.frame().page(Part::People, &title, content))
}

/// A form that does what `what` names to the policy.
fn form(visit: &Visit, policy: Policy<'_>, what: &str, more: &[(&str, &str)], content: Markup) -> Markup {
    html! {
        form method="post" action={ (crate::ROOT) "/people/policy" } {
            (token(&visit.session))
            input type="hidden" name="what" value=(what);
            @for (name, value) in policy.fields().iter().chain(more) {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            (content)
        }
    }
}

fn editor(visit: &Visit, policy: Policy<'_>, before: Markup, document: &str, hint: &str) -> Markup {
    form(
        visit,
        policy,
        "save",
        &[],
        html! {
            (before)
            (field("document", "JSON", hint, html! {
                textarea id="document" name="document" rows=(document.lines().count().clamp(14, 34)) spellcheck="false" { "\n" (document) }
            }))
            div.actions {
                button.primary type="submit" { "Save" }
                a.button href=(policy.above()) { "Cancel" }
            }
        },
    )
}

fn deletion(visit: &Visit, policy: Policy<'_>, title: &str, words: &str) -> Markup {
    html! {
        section.card { h2 { "Delete this policy" }
            p { (words) }
            (form(visit, policy, "delete", &[], html! { button.danger type="submit" { "Delete " (title) } }))
        }
    }
}

fn own(visit: &Visit, policy: Policy<'_>, name: &str, document: &str) -> Markup {
    let before = html! { @if name.is_empty() { (text_field("policy", "Name", "", "")) } };
    html! {
        div.columns {
            section.card { h2 { "What it says" } (editor(visit, policy, before, document, "")) }
            div { @if !name.is_empty() { (deletion(visit, policy, name, "What it allows and denies is so no more, from the next request on.")) } }
        }
    }
}

async fn managed(
    visit: &Visit,
    policy: Policy<'_>,
    found: &Managed,
    kept: Option<&str>,
) -> Result<Markup, Trouble> {
    let Managed { arn, policy_name, attachment_count, default_version_id } = found;
    let of = [("PolicyArn", arn.as_str()), ("VersionId", default_version_id.as_str())];
    let version: VersionAnswer = visit.ask().iam("GetPolicyVersion", &of).xml().await?;
    let document = match kept {
        Some(kept) => kept.to_owned(),
        None => indented(&decoded(&version.result.policy_version.document)),
    };
    let is_ours = !arn.starts_with(BUILT_IN);
    let versions = if is_ours { versions(visit, arn).await? } else { Vec::new() };
    let of = [("PolicyArn", arn.as_str()), ("MaxItems", PAGE_ENTRIES)];
    let entities: Option<EntitiesAnswer> =
        if_allowed(visit.ask().iam("ListEntitiesForPolicy", &of).xml().await)?;
    let hint = "Saving makes a new version, which counts from then on; the newest five are kept.";
    Ok(html! {
        p.muted { code.wrap { (arn) } }
        div.columns {
            section.card { h2 { "What it says" }
                @if is_ours { (editor(visit, policy, html! {}, &document, hint)) }
                @else {
                    p.muted { "Every account has this policy, and nobody can change it. Make one of your own to say something else." }
                    pre.text tabindex="0" role="region" aria-label="What it says" { (document) }
                }
            }
            div {
                @if let Some(entities) = &entities {
                    @let result = &entities.result;
                    section.card { h2 { "Who has it" }
                        @if *attachment_count == 0 { p.muted { "Nobody." } }
                        (holders(Kind::User, &result.policy_users))
                        (holders(Kind::Group, &result.policy_groups))
                        (holders(Kind::Role, &result.policy_roles))
                    }
                }
                @if versions.len() > 1 { section.card { h2 { "Versions" } (versions_table(visit, policy, &versions)) } }
                @if is_ours { (deletion(visit, policy, policy_name, "Its versions go with it. It must be attached to nobody any more.")) }
            }
        }
    })
}

fn holders(kind: Kind, entities: &Members<Entity>) -> Markup {
    html! {
        @if !entities.member.is_empty() {
            table {
                caption { (match kind { Kind::User => "Users", Kind::Group => "Groups", Kind::Role => "Roles" }) }
                tbody { @for entity in &entities.member { tr {
                    th.name scope="row" { a href=(Holder::new(kind, &entity.name).address()) { (entity.name) } }
                } } }
            }
        }
    }
}

async fn versions(visit: &Visit, arn: &str) -> Result<Vec<Version>, Trouble> {
    let listed: Option<VersionsAnswer> =
        if_allowed(visit.ask().iam("ListPolicyVersions", &[("PolicyArn", arn)]).xml().await)?;
    Ok(listed.unwrap_or_default().result.versions.member)
}

fn versions_table(visit: &Visit, policy: Policy<'_>, versions: &[Version]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Versions" { table {
            thead { tr { th scope="col" { "Version" } th scope="col" { "Made" } th scope="col" { span.hidden { "What can be done" } } } }
            tbody { @for version in versions {
                @let of = [("version", version.version_id.as_str())];
                tr.here[version.is_default_version] {
                    th scope="row" { code { (version.version_id) } @if version.is_default_version { " " (badge(Tone::Good, "counts")) } }
                    td.muted { (time(&version.create_date)) }
                    td.acts { @if !version.is_default_version {
                        (form(visit, policy, "default", &of, html! { button type="submit" { "Let it count" span.hidden { ": version " (version.version_id) } } }))
                        (form(visit, policy, "delete-version", &of, html! { button.danger type="submit" { "Delete" span.hidden { " version " (version.version_id) } } }))
                    } }
                }
            } }
        } }
    }
}

/// `POST /people/policy`: `what` is to be done to the policy that the other fields name.
pub async fn act(visit: Visit, fields: Fields) -> Page {
    match change(&visit, &fields).await {
        Ok(address) => to(&address),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let told = Some(notice(Tone::Bad, html! { p { (trouble.words()) } }));
            let kept = Some(fields.get("document")).filter(|document| !document.is_empty());
            let sheet = sheet(&visit, &fields, told, kept).await?;
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

/// Changes the policy, and gives the address to go on to.
async fn change(visit: &Visit, fields: &Fields) -> Result<String, Trouble> {
    let (policy, document, ask) = (Policy::of(fields)?, fields.get("document").trim(), visit.ask());
    match (policy, fields.get("what")) {
        (Policy::Managed(arn), "save") => save_version(visit, arn, document).await?,
        (Policy::Managed(arn), "default") => {
            let of = [("PolicyArn", arn), ("VersionId", fields.get("version"))];
            ask.iam("SetDefaultPolicyVersion", &of).done().await?;
        }
        (Policy::Managed(arn), "delete-version") => delete_version(visit, arn, fields.get("version")).await?,
        (Policy::Managed(arn), "delete") => {
            delete(visit, arn).await?;
            return Ok(policy.above());
        }
        (Policy::Own(holder, name), "save") => {
            let of = [
                (holder.kind.parameter(), holder.name),
                ("PolicyName", name.trim()),
                ("PolicyDocument", document),
            ];
            ask.iam(holder.kind.put_own(), &of).done().await?;
        }
        (Policy::Own(holder, name), "delete") => {
            let of = [(holder.kind.parameter(), holder.name), ("PolicyName", name)];
            ask.iam(holder.kind.delete_own(), &of).done().await?;
            return Ok(policy.above());
        }
        _ => return Err(Trouble::NoPage),
    }
    Ok(format!("{}&saved=yes", policy.address()))
}

/// Saves a document as the version that counts. A policy has five versions at most, so the oldest that doesn't count goes
/// where there is no room for another.
async fn save_version(visit: &Visit, arn: &str, document: &str) -> Result<(), Trouble> {
    let of = [("PolicyArn", arn), ("PolicyDocument", document), ("SetAsDefault", "true")];
    match visit.ask().iam("CreatePolicyVersion", &of).done().await {
        // The document was looked at before the versions were counted, so nothing goes for one that is refused.
        Err(Trouble::Refused(refusal)) if refusal.code.starts_with("LimitExceeded") => {
            let others =
                versions(visit, arn).await?.into_iter().filter(|version| !version.is_default_version);
            let Some(oldest) = others.min_by(|one, other| one.create_date.cmp(&other.create_date)) else {
                return Err(Trouble::Refused(refusal));
            };
            delete_version(visit, arn, &oldest.version_id).await?;
            visit.ask().iam("CreatePolicyVersion", &of).done().await.map(drop)
        }
        saved => saved.map(drop),
    }
}

async fn delete_version(visit: &Visit, arn: &str, version: &str) -> Result<(), Trouble> {
    let of = [("PolicyArn", arn), ("VersionId", version)];
    visit.ask().iam("DeletePolicyVersion", &of).done().await.map(drop)
}

/// Deletes a policy with its versions, unless somebody has it.
async fn delete(visit: &Visit, arn: &str) -> Result<(), Trouble> {
    let found: PolicyAnswer = visit.ask().iam("GetPolicy", &[("PolicyArn", arn)]).xml().await?;
    if found.result.policy.attachment_count == 0 {
        for version in versions(visit, arn).await?.iter().filter(|version| !version.is_default_version) {
            delete_version(visit, arn, &version.version_id).await?;
        }
    }
    visit.ask().iam("DeletePolicy", &[("PolicyArn", arn)]).done().await.map(drop)
}
