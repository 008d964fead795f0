//! The page of a group: its members and policies.

use super::answers::{GroupAnswer, GroupResult, Members, User};
use super::holder::{Holder, Kind};
use super::{PAGE_ENTRIES, cut, form, policies, users};
use crate::frame::{Part, crumbs, field, text_field};
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
    let found: GroupAnswer =
        ask.iam("GetGroup", &[("GroupName", name), ("MaxItems", PAGE_ENTRIES)]).xml().await?;
    let GroupResult { users: Members { member: members }, is_truncated } = found.result;
    let users = users(visit).await?;
    let are_all = !is_truncated && users.as_ref().is_some_and(|users| !users.is_truncated);
    let others: Vec<User> = users
        .into_iter()
        .flat_map(|users| users.users.member)
        // An owner, whom the configuration names, can't be in a group.
        .filter(|user| !user.arn.ends_with(":root"))
        .filter(|user| members.iter().all(|member| member.arn != user.arn))
        .collect();
    let (attached, own) = (group.attached(visit).await?, group.own(visit).await?);
    let all = policies(visit).await?.unwrap_or_default();
    let content = html! {
        (crumbs(&[("Access".into(), format!("{}/people", crate::ROOT))], name))
        div.head { h1 { (name) } }
        @if let Some(told) = told { (told) }
        div.columns {
            section.card { h2 { "Members" } (members_table(visit, &group, &members)) (cut(is_truncated)) (join(visit, &group, &others, are_all)) }
            div {
                @if let Some(attached) = &attached { section.card { h2 { "Policies" }
                    (group.policies(visit, attached, &all, "There are none: being in this group gives nothing."))
                } }
                @if let Some(own) = &own { (group.own_policies(own)) }
                (group.end(visit, "A group goes when nothing of it is left: first its members and policies."))
            }
        }
    };
    Ok(visit.frame().page(Part::People, name, content))
}

fn members_table(visit: &Visit, group: &Holder<'_>, members: &[User]) -> Markup {
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
    }
}

/// The form that adds a user. It offers those who aren't in the group, if it is known who they all are.
fn join(visit: &Visit, group: &Holder<'_>, others: &[User], are_all: bool) -> Markup {
    html! {
        @if others.is_empty() && are_all { p.hint { "There is no other user to add." } }
        @else { (form(visit, "join", &group.fields(), html! {
            @if are_all { (field("user", "Add a user", "", html! {
                select id="user" name="user" { @for user in others { option value=(user.user_name) { (user.user_name) } } }
            })) }
            @else { (text_field("user", "Add a user", "There are too many to choose from: enter its name.", "")) }
            button type="submit" { "Add" }
        })) }
    }
}
