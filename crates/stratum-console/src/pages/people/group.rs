//! The page of a group: its members and policies.

use super::answers::{GroupAnswer, User, UsersAnswer};
use super::holder::{Holder, Kind};
use super::{MOST, form, policies};
use crate::ask::if_allowed;
use crate::frame::{Part, crumbs, field};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};

/// `GET /people/group?name=...`
pub async fn show(visit: Visit) -> Page {
    let name = visit.query.get("name").to_owned();
    sheet(&visit, &name, None).await.and_then(shown)
}

pub(super) async fn sheet(visit: &Visit, name: &str, told: Option<Markup>) -> Result<Markup, Trouble> {
    let group = Holder::new(Kind::Group, name);
    let ask = visit.ask();
    let found: GroupAnswer = ask.iam("GetGroup", &[("GroupName", name), ("MaxItems", MOST)]).xml().await?;
    let members = found.result.users.member;
    let users: Option<UsersAnswer> = if_allowed(ask.iam("ListUsers", &[("MaxItems", MOST)]).xml().await)?;
    let others: Vec<User> = users
        .into_iter()
        .flat_map(|users| users.result.users.member)
        // An owner, whom the configuration names, can't be in a group.
        .filter(|user| !user.arn.ends_with(":root"))
        .filter(|user| members.iter().all(|member| member.arn != user.arn))
        .collect();
    let attached = group.attached(visit).await?;
    let all = policies(visit).await?.unwrap_or_default();
    let content = html! {
        (crumbs(&[("Access".into(), format!("{}/people", crate::ROOT))], name))
        div.head { h1 { (name) } }
        @if let Some(told) = told { (told) }
        div.columns {
            section.card { h2 { "Members" } (members_table(visit, &group, &members, found.result.is_truncated)) (join(visit, &group, &others)) }
            div {
                @if let Some(attached) = &attached { section.card { h2 { "Policies" }
                    (group.policies(visit, attached, &all, "There are none: being in this group gives nothing."))
                } }
                (group.end(visit, "A group goes when nothing of it is left: first its members and policies."))
            }
        }
    };
    Ok(visit.frame().page(Part::People, name, content))
}

fn members_table(visit: &Visit, group: &Holder<'_>, members: &[User], is_cut: bool) -> Markup {
    let fields = group.fields();
    html! {
        @if members.is_empty() { p.muted { "Nobody is in it." } }
        @else { table {
            thead.hidden { tr { th scope="col" { "Name" } th scope="col" { "What can be done" } } }
            tbody { @for user in members { tr {
                th.name scope="row" { a href=(Holder::new(Kind::User, &user.user_name).address()) { (user.user_name) } }
                td.acts { (form(visit, "leave", &[fields[0], fields[1], ("user", &user.user_name)], html! { button type="submit" { "Remove" span.hidden { " " (user.user_name) } } })) }
            } } }
        } }
        @if is_cut { p.muted { "These are the first of them; " code { "stratum group" } " shows all." } }
    }
}

fn join(visit: &Visit, group: &Holder<'_>, others: &[User]) -> Markup {
    html! {
        @if others.is_empty() { p.hint { "There is no other user to add." } }
        @else { (form(visit, "join", &group.fields(), html! {
            (field("user", "Add a user", "", html! {
                select id="user" name="user" { @for user in others { option value=(user.user_name) { (user.user_name) } } }
            }))
            button type="submit" { "Add" }
        })) }
    }
}
