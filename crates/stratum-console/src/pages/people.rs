//! The pages about users, their keys, groups, roles and policies, which use IAM's own actions.

mod answers;
pub mod group;
mod holder;
pub mod policy;
pub mod role;
pub mod user;

use crate::ask::if_allowed;
use crate::form::Fields;
use crate::frame::{Part, Tone, field, notice, text_field, token};
use crate::shown::time;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use answers::{
    Group, GroupsAnswer, PoliciesAnswer, PoliciesResult, Role, RolesAnswer, UsersAnswer, UsersResult,
};
pub use answers::{SimulatedAnswer, User};
use axum::response::IntoResponse;
use holder::{Holder, Kind};
use maud::{Markup, html};
use policy::Policy;

/// How many users, groups, roles or policies a page shows.
const PAGE_ENTRIES: &str = "200";

/// Says that a list is longer than what is shown of it.
fn cut(is_cut: bool) -> Markup {
    html! { @if is_cut { p.muted { "There are more; the first " (PAGE_ENTRIES) " are shown. IAM's own tools list all." } } }
}

/// `GET /people`
pub async fn show(visit: Visit) -> Page {
    sheet(&visit, None, &Fields::default()).await.and_then(shown)
}

async fn sheet(visit: &Visit, problem: Option<&str>, fields: &Fields) -> Result<Markup, Trouble> {
    let ask = visit.ask();
    let users = users(visit).await?;
    let groups: Option<GroupsAnswer> =
        if_allowed(ask.iam("ListGroups", &[("MaxItems", PAGE_ENTRIES)]).xml().await)?;
    let roles: Option<RolesAnswer> =
        if_allowed(ask.iam("ListRoles", &[("MaxItems", PAGE_ENTRIES)]).xml().await)?;
    let policies = policies(visit).await?;
    let content = html! {
        div.head { h1 { "Access" } }
        p.muted { "Signed in as " strong { (visit.who.name) } " with the key " code { (visit.session.key().access_key) } "." }
        @if let Some(problem) = problem { (notice(Tone::Bad, html! { p { (problem) } })) }
        @match &users {
            None => (notice(Tone::Plain, html! { p { "This key may not list users." } })),
            Some(users) => section.card { h2 { "Users" } (users_table(&users.users.member)) (cut(users.is_truncated)) (new_user(visit, fields)) },
        }
        div.columns {
            div {
                @if let Some(policies) = &policies { section.card { h2 { "Policies" } (policies_table(policies)) (new_policy(visit, fields)) } }
            }
            div {
                @if let Some(groups) = &groups { section.card { h2 { "Groups" } (groups_list(&groups.result.groups.member)) (cut(groups.result.is_truncated)) (new_group(visit, fields)) } }
                @if let Some(roles) = &roles { section.card { h2 { "Roles" } (roles_list(&roles.result.roles.member)) (cut(roles.result.is_truncated)) (role::new(visit, fields)) } }
            }
        }
    };
    Ok(visit.frame().page(Part::People, "Access", content))
}

/// The first users of the account, if the key may list them.
pub async fn users(visit: &Visit) -> Result<Option<UsersResult>, Trouble> {
    let asked = visit.ask().iam("ListUsers", &[("MaxItems", PAGE_ENTRIES)]);
    let answer: Option<UsersAnswer> = if_allowed(asked.xml().await)?;
    Ok(answer.map(|answer| answer.result))
}

async fn policies(visit: &Visit) -> Result<Option<PoliciesResult>, Trouble> {
    let asked = visit.ask().iam("ListPolicies", &[("MaxItems", PAGE_ENTRIES)]);
    let answer: Option<PoliciesAnswer> = if_allowed(asked.xml().await)?;
    Ok(answer.map(|answer| answer.result))
}

fn users_table(users: &[User]) -> Markup {
    html! {
        @if users.is_empty() { p.muted { "There are none but the owner of the account." } }
        @else { div.scroll tabindex="0" role="region" aria-label="Users" {
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Made" } } }
                tbody { @for user in users { tr {
                    th.name scope="row" { a href=(Holder::new(Kind::User, &user.user_name).address()) { (user.user_name) } p.hint { code.wrap { (user.arn) } } }
                    td.muted { (time(&user.create_date)) }
                } } }
            }
        } }
    }
}

fn policies_table(policies: &PoliciesResult) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Name" } th.number scope="col" { "Attached" } } }
            tbody { @for policy in &policies.policies.member { tr {
                th.name scope="row" { a href=(Policy::Managed(&policy.arn).address()) { (policy.policy_name) } p.hint { code.wrap { (policy.arn) } } }
                td.number { (policy.attachment_count) }
            } } }
        }
        (cut(policies.is_truncated))
    }
}

fn groups_list(groups: &[Group]) -> Markup {
    html! {
        @if groups.is_empty() { p.muted { "There are none." } }
        @else { table {
            thead.hidden { tr { th scope="col" { "Name" } th scope="col" { "Made" } } }
            tbody { @for group in groups { tr {
                th.name scope="row" { a href=(Holder::new(Kind::Group, &group.group_name).address()) { (group.group_name) } }
                td.muted { (time(&group.create_date)) }
            } } }
        } }
    }
}

fn roles_list(roles: &[Role]) -> Markup {
    html! {
        @if roles.is_empty() { p.muted { "There are none." } }
        @else { table {
            thead.hidden { tr { th scope="col" { "Name" } th scope="col" { "Made" } } }
            tbody { @for role in roles { tr {
                th.name scope="row" { a href=(Holder::new(Kind::Role, &role.role_name).address()) { (role.role_name) } }
                td.muted { (time(&role.create_date)) }
            } } }
        } }
    }
}

/// A form that does what `what` names.
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

fn new_user(visit: &Visit, fields: &Fields) -> Markup {
    html! { details open[fields.get("what") == "new-user"] { summary.button { "New user" } (form(visit, "new-user", &[], html! {
        (text_field("user", "Name", "It may do nothing until a policy lets it.", fields.get("user")))
        button.primary type="submit" { "Create user" }
    })) } }
}

fn new_group(visit: &Visit, fields: &Fields) -> Markup {
    html! { details open[fields.get("what") == "new-group"] { summary.button { "New group" } (form(visit, "new-group", &[], html! {
        (text_field("group", "Name", "", fields.get("group")))
        button.primary type="submit" { "Create group" }
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
    html! { details open[fields.get("what") == "new-policy"] { summary.button { "New policy" } (form(visit, "new-policy", &[], html! {
        (text_field("policy", "Name", "", fields.get("policy")))
        (field("document", "JSON", "", html! { textarea id="document" name="document" rows="10" spellcheck="false" { "\n" (text) } }))
        button.primary type="submit" { "Create policy" }
    })) } }
}

/// `POST /people/act`: `what` is to be done, to whom (`of` and `name`), and fields that depend on `what`.
pub async fn act(visit: Visit, fields: Fields) -> Page {
    let said = |name: &str| fields.get(name).trim();
    let (what, ask) = (said("what"), visit.ask());
    let asked = match what {
        "new-user" => ask.iam("CreateUser", &[("UserName", said("user"))]),
        "new-group" => ask.iam("CreateGroup", &[("GroupName", said("group"))]),
        "new-role" => {
            let of = [("RoleName", said("role")), ("AssumeRolePolicyDocument", said("trust"))];
            ask.iam("CreateRole", &of)
        }
        "new-policy" => {
            let of = [("PolicyName", said("policy")), ("PolicyDocument", said("document"))];
            ask.iam("CreatePolicy", &of)
        }
        _ => return act_on(&visit, &fields).await,
    };
    match asked.done().await {
        Ok(_) if what == "new-user" => to(&Holder::new(Kind::User, said("user")).address()),
        Ok(_) => to(&format!("{}/people", crate::ROOT)),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let sheet = sheet(&visit, Some(&trouble.words()), &fields).await?;
            Ok((trouble.status(), sheet).into_response())
        }
    }
}

/// Does something to a user, a group or a role, and shows its page again.
async fn act_on(visit: &Visit, fields: &Fields) -> Page {
    let said = |name: &str| fields.get(name).trim();
    let (what, name) = (said("what"), said("name"));
    let holder = Holder::new(Kind::named(said("of")).ok_or(Trouble::NoPage)?, name);
    let with = |parameter, value| [(holder.kind.parameter(), name), (parameter, value)];
    let with_status = |status| [("UserName", name), ("AccessKeyId", said("key")), ("Status", status)];
    let ask = visit.ask();
    let asked = match (holder.kind, what) {
        (_, "attach" | "detach") => {
            ask.iam(holder.asked(what).ok_or(Trouble::NoPage)?, &with("PolicyArn", said("policy")))
        }
        (_, "delete") => ask.iam(holder.asked(what).ok_or(Trouble::NoPage)?, &holder.of()),
        (Kind::Group, "join") => ask.iam("AddUserToGroup", &with("UserName", said("user"))),
        (Kind::Group, "leave") => ask.iam("RemoveUserFromGroup", &with("UserName", said("user"))),
        (Kind::Role, "trust") => ask.iam("UpdateAssumeRolePolicy", &with("PolicyDocument", said("trust"))),
        (Kind::User, "new-key") => return user::new_key(visit, name).await,
        (Kind::User, "key-on") => ask.iam("UpdateAccessKey", &with_status("Active")),
        (Kind::User, "key-off") => ask.iam("UpdateAccessKey", &with_status("Inactive")),
        (Kind::User, "delete-key") => ask.iam("DeleteAccessKey", &with("AccessKeyId", said("key"))),
        _ => return Err(Trouble::NoPage),
    };
    match asked.done().await {
        Ok(_) if what == "delete" => to(&format!("{}/people", crate::ROOT)),
        Ok(_) => to(&holder.address()),
        Err(Trouble::SignedOut) => Err(Trouble::SignedOut),
        Err(trouble) => {
            let told = Some(notice(Tone::Bad, html! { p { (trouble.words()) } }));
            let sheet = match holder.kind {
                Kind::User => user::sheet(visit, name, told).await?,
                Kind::Group => group::sheet(visit, name, told).await?,
                Kind::Role => role::sheet(visit, name, told, fields).await?,
            };
            Ok((trouble.status(), sheet).into_response())
        }
    }
}
