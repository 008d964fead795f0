//! Users, their keys, groups and policies, by IAM's own actions.

mod answers;

use crate::ask::if_allowed;
use crate::form::Fields;
use crate::frame::{Part, Tone, badge, crumbs, field, notice, text_field, token};
use crate::names;
use crate::shown::time;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use answers::{
    AccessKey, AttachedAnswer, Group, GroupsAnswer, GroupsOfAnswer, KeysAnswer, Managed, NewKey,
    NewKeyAnswer, PoliciesAnswer, User, UsersAnswer,
};
use axum::response::IntoResponse;
use maud::{Markup, html};

/// How many of each a page shows.
const MOST: &str = "200";

/// `GET /people`
pub async fn show(visit: Visit) -> Page {
    sheet(&visit, None, &Fields::default()).await.and_then(shown)
}

async fn sheet(visit: &Visit, problem: Option<&str>, fields: &Fields) -> Result<Markup, Trouble> {
    let ask = visit.ask();
    let users: Option<UsersAnswer> = if_allowed(ask.iam("ListUsers", &[("MaxItems", MOST)]).xml().await)?;
    let groups: Option<GroupsAnswer> = if_allowed(ask.iam("ListGroups", &[("MaxItems", MOST)]).xml().await)?;
    let policies = policies(visit).await?;
    let content = html! {
        div.head { h1 { "Access" } }
        p.muted { "Signed in as " strong { (visit.who.name) } " with the key " code { (visit.session.key().access_key) } "." }
        @if let Some(problem) = problem { (notice(Tone::Bad, html! { p { (problem) } })) }
        @match &users {
            None => (notice(Tone::Plain, html! { p { "This key may not list users." } })),
            Some(users) => section.card { h2 { "Users" } (users_table(&users.result.users.member)) (new_user(visit)) },
        }
        div.columns {
            div {
                @if let Some(policies) = &policies { section.card { h2 { "Policies" } (policies_table(policies)) (new_policy(visit, fields)) } }
            }
            div {
                @if let Some(groups) = &groups { section.card { h2 { "Groups" } (groups_list(&groups.result.groups.member)) (new_group(visit)) } }
            }
        }
    };
    Ok(visit.frame().page(Part::People, "Access", content))
}

async fn policies(visit: &Visit) -> Result<Option<Vec<Managed>>, Trouble> {
    let asked = visit.ask().iam("ListPolicies", &[("MaxItems", MOST)]);
    let answer: Option<PoliciesAnswer> = if_allowed(asked.xml().await)?;
    Ok(answer.map(|answer| answer.result.policies.member))
}

fn address(user: &str) -> String {
    format!("{}/people/user?{}", crate::ROOT, names::query([("name", user)]))
}

fn users_table(users: &[User]) -> Markup {
    html! {
        @if users.is_empty() { p.muted { "There are none but the owner of the account." } }
        @else { div.scroll tabindex="0" role="region" aria-label="Users" {
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "ARN" } th scope="col" { "Made" } } }
                tbody { @for user in users { tr {
                    th.name scope="row" { a href=(address(&user.user_name)) { (user.user_name) } }
                    td { code.wrap { (user.arn) } } td.muted { (time(&user.create_date)) }
                } } }
            }
        } }
    }
}

fn policies_table(policies: &[Managed]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Name" } th.number scope="col" { "Attached" } } }
            tbody { @for policy in policies { tr {
                th scope="row" { (policy.policy_name) p.hint { code.wrap { (policy.arn) } } }
                td.number { (policy.attachment_count) }
            } } }
        }
    }
}

fn groups_list(groups: &[Group]) -> Markup {
    html! {
        @if groups.is_empty() { p.muted { "There are none." } }
        @else { table {
            thead.hidden { tr { th scope="col" { "Name" } th scope="col" { "Made" } } }
            tbody { @for group in groups { tr { th scope="row" { (group.group_name) } td.muted { (time(&group.create_date)) } } } }
        } }
    }
}

/// A form that does one thing.
fn form(visit: &Visit, what: &str, hidden: &[(&str, &str)], content: Markup) -> Markup {
    html! {
        form.act method="post" action={ (crate::ROOT) "/people/act" } {
            (token(&visit.session))
            input type="hidden" name="what" value=(what);
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            (content)
        }
    }
}

fn new_user(visit: &Visit) -> Markup {
    html! { details { summary { "New user" } (form(visit, "new-user", &[], html! {
        (text_field("user", "Name", "It may do nothing until a policy lets it.", ""))
        button.primary type="submit" { "Make user" }
    })) } }
}

fn new_group(visit: &Visit) -> Markup {
    html! { details { summary { "New group" } (form(visit, "new-group", &[], html! {
        (text_field("group", "Name", "", ""))
        button.primary type="submit" { "Make group" }
    })) } }
}

const POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::BUCKET" },
    { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::BUCKET/*" }
  ]
}"#;

fn new_policy(visit: &Visit, fields: &Fields) -> Markup {
    let kept = fields.get("document");
    let text = if kept.is_empty() { POLICY } else { kept };
    html! { details open[!kept.is_empty()] { summary { "New policy" } (form(visit, "new-policy", &[], html! {
        (text_field("policy", "Name", "", fields.get("policy")))
        (field("document", "JSON", "", html! { textarea id="document" name="document" rows="10" spellcheck="false" { "\n" (text) } }))
        button.primary type="submit" { "Make policy" }
    })) } }
}

/// `GET /people/user?name=...`
pub async fn user(visit: Visit) -> Page {
    let name = visit.query.get("name").to_owned();
    user_sheet(&visit, &name, None).await.and_then(shown)
}

async fn user_sheet(visit: &Visit, name: &str, told: Option<Markup>) -> Result<Markup, Trouble> {
    let (ask, of) = (visit.ask(), [("UserName", name)]);
    ask.iam("GetUser", &of).done().await?;
    let keys: Option<KeysAnswer> = if_allowed(ask.iam("ListAccessKeys", &of).xml().await)?;
    let attached: Option<AttachedAnswer> = if_allowed(ask.iam("ListAttachedUserPolicies", &of).xml().await)?;
    let groups: Option<GroupsOfAnswer> = if_allowed(ask.iam("ListGroupsForUser", &of).xml().await)?;
    let policies = policies(visit).await?.unwrap_or_default();
    let content = html! {
        (crumbs(&[("Access".into(), format!("{}/people", crate::ROOT))], name))
        div.head { h1 { (name) } }
        @if let Some(told) = told { (told) }
        div.columns {
            div {
                @if let Some(keys) = &keys { section.card { h2 { "Access keys" } (keys_table(visit, name, &keys.result.access_key_metadata.member)) } }
                @if let Some(attached) = &attached { section.card { h2 { "Policies" } (attached_table(visit, name, &attached.result.attached_policies.member, &policies)) } }
            }
            div {
                @if let Some(groups) = &groups { section.card { h2 { "Groups" } (groups_list(&groups.result.groups.member)) } }
                section.card { h2 { "Delete this user" }
                    p { "A user goes when nothing of it is left: first its keys and policies." }
                    (form(visit, "delete-user", &of_user(name), html! { button.danger type="submit" { "Delete " (name) } }))
                }
            }
        }
    };
    Ok(visit.frame().page(Part::People, name, content))
}

fn of_user(name: &str) -> [(&str, &str); 1] {
    [("user", name)]
}

fn keys_table(visit: &Visit, name: &str, keys: &[AccessKey]) -> Markup {
    html! {
        @if !keys.is_empty() { table {
            thead { tr { th scope="col" { "Key" } th scope="col" { "State" } th scope="col" { "Made" } th scope="col" { span.hidden { "What can be done" } } } }
            tbody { @for key in keys {
                @let is_active = key.status == "Active";
                @let of = [("user", name), ("key", key.access_key_id.as_str())];
                tr {
                    th scope="row" { code { (key.access_key_id) } }
                    td { (badge(if is_active { Tone::Good } else { Tone::Careful }, &key.status.to_lowercase())) }
                    td.muted { (time(&key.create_date)) }
                    td.acts {
                        @if is_active { (form(visit, "key-off", &of, html! { button type="submit" { "Switch off" } })) }
                        @else { (form(visit, "key-on", &of, html! { button type="submit" { "Switch on" } })) }
                        (form(visit, "delete-key", &of, html! { button.danger type="submit" { "Delete" } }))
                    }
                }
            } }
        } } @else { p.muted { "There are none: this user can't sign in." } }
        (form(visit, "new-key", &of_user(name), html! { button type="submit" { "New access key" } }))
    }
}

fn attached_table(visit: &Visit, name: &str, attached: &[Managed], all: &[Managed]) -> Markup {
    html! {
        @if attached.is_empty() { p.muted { "There are none: without one, or a group's, this user may do nothing." } }
        @else { table {
            thead.hidden { tr { th scope="col" { "Policy" } th scope="col" { "What can be done" } } }
            tbody { @for policy in attached { tr {
                th scope="row" { (policy.policy_name) p.hint { code.wrap { (policy.arn) } } }
                td.acts { (form(visit, "detach", &[("user", name), ("policy", &policy.arn)], html! { button type="submit" { "Detach" } })) }
            } } }
        } }
        @if !all.is_empty() { (form(visit, "attach", &of_user(name), html! {
            (field("policy", "Attach a policy", "", html! {
                select id="policy" name="policy" { @for policy in all { option value=(policy.arn) { (policy.policy_name) } } }
            }))
            button type="submit" { "Attach" }
        })) }
    }
}

/// `POST /people/act`: `what`, and whom and what it is about.
pub async fn act(visit: Visit, fields: Fields) -> Page {
    let (user, key, policy) = (fields.get("user").trim(), fields.get("key"), fields.get("policy").trim());
    let people = format!("{}/people", crate::ROOT);
    let of = [("UserName", user)];
    let with_key = |status| [("UserName", user), ("AccessKeyId", key), ("Status", status)];
    let with_policy = [("UserName", user), ("PolicyArn", policy)];
    let ask = visit.ask();
    let (asked, next) = match fields.get("what") {
        "new-user" => (ask.iam("CreateUser", &of), address(user)),
        "delete-user" => (ask.iam("DeleteUser", &of), people),
        "new-group" => (ask.iam("CreateGroup", &[("GroupName", fields.get("group").trim())]), people),
        "new-policy" => {
            let of = [("PolicyName", policy), ("PolicyDocument", fields.get("document").trim())];
            (ask.iam("CreatePolicy", &of), people)
        }
        "new-key" => return new_key(&visit, user).await,
        "key-on" => (ask.iam("UpdateAccessKey", &with_key("Active")), address(user)),
        "key-off" => (ask.iam("UpdateAccessKey", &with_key("Inactive")), address(user)),
        "delete-key" => {
            (ask.iam("DeleteAccessKey", &[("UserName", user), ("AccessKeyId", key)]), address(user))
        }
        "attach" => (ask.iam("AttachUserPolicy", &with_policy), address(user)),
        "detach" => (ask.iam("DetachUserPolicy", &with_policy), address(user)),
        _ => return Err(Trouble::NoPage),
    };
    match asked.done().await {
        Ok(_) => to(&next),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let words = trouble.words();
            let sheet = match fields.get("what") {
                "new-user" | "new-group" | "new-policy" => sheet(&visit, Some(&words), &fields).await?,
                _ => user_sheet(&visit, user, Some(notice(Tone::Bad, html! { p { (words) } }))).await?,
            };
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

/// The one time that a secret is shown.
async fn new_key(visit: &Visit, user: &str) -> Page {
    let made: NewKeyAnswer = visit.ask().iam("CreateAccessKey", &[("UserName", user)]).xml().await?;
    let NewKey { access_key_id, secret_access_key } = made.result.access_key;
    let told = notice(
        Tone::Good,
        html! {
            p { "The key is made. Its secret is shown this once and kept nowhere that it could be read from." }
            dl.pairs { dt { "Access key" } dd { code.wrap { (access_key_id) } } dt { "Secret key" } dd { code.wrap { (secret_access_key) } } }
        },
    );
    user_sheet(visit, user, Some(told)).await.and_then(shown)
}
