//! The page of a user: its keys, its policies, and its groups.

use super::answers::{GroupsOfAnswer, GroupsResult, KeysAnswer, KeysResult, NewKey, NewKeyAnswer};
use super::holder::{Holder, Kind};
use super::{cut, form, groups_list, policies};
use crate::ask::if_allowed;
use crate::frame::{Part, Tone, badge, crumbs, notice};
use crate::shown::time;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};

/// `GET /people/user?name=...`
pub async fn show(visit: Visit) -> Page {
    let name = visit.query.get("name").to_owned();
    sheet(&visit, &name, None).await.and_then(shown)
}

pub(super) async fn sheet(visit: &Visit, name: &str, told: Option<Markup>) -> Result<Markup, Trouble> {
    let user = Holder::new(Kind::User, name);
    let (ask, of) = (visit.ask(), user.first_of());
    ask.iam("GetUser", &user.of()).done().await?;
    let keys: Option<KeysAnswer> = if_allowed(ask.iam("ListAccessKeys", &of).xml().await)?;
    let (attached, own) = (user.attached(visit).await?, user.own(visit).await?);
    let groups: Option<GroupsOfAnswer> = if_allowed(ask.iam("ListGroupsForUser", &of).xml().await)?;
    let all = policies(visit).await?.unwrap_or_default();
    let content = html! {
        (crumbs(&[("Access".into(), format!("{}/people", crate::ROOT))], name))
        div.head { h1 { (name) } }
        @if let Some(told) = told { (told) }
        div.columns {
            div {
                @if let Some(keys) = &keys { section.card { h2 { "Access keys" } (keys_table(visit, &user, &keys.result)) } }
                @if let Some(attached) = &attached { section.card { h2 { "Policies" }
                    (user.policies(visit, attached, &all, "There are none: without one, or a group's, this user may do nothing."))
                } }
                @if let Some(own) = &own { (user.own_policies(own)) }
            }
            div {
                @if let Some(groups) = &groups { section.card { h2 { "Groups" } (of_groups(&groups.result)) } }
                (user.end(visit, "A user goes when nothing of it is left: first its keys, policies and groups."))
            }
        }
    };
    Ok(visit.frame().page(Part::People, name, content))
}

fn of_groups(groups: &GroupsResult) -> Markup {
    html! { (groups_list(&groups.groups.member)) (cut(groups.is_truncated)) p.hint { "Who is in a group is said on the group's page." } }
}

fn keys_table(visit: &Visit, user: &Holder<'_>, found: &KeysResult) -> Markup {
    let (fields, keys) = (user.fields(), &found.access_key_metadata.member);
    html! {
        @if !keys.is_empty() { div.scroll tabindex="0" role="region" aria-label="Access keys" { table {
            thead { tr { th scope="col" { "Key" } th scope="col" { "State" } th scope="col" { "Made" } th scope="col" { span.hidden { "What can be done" } } } }
            tbody { @for key in keys {
                @let is_active = key.status == "Active";
                @let of = [fields[0], fields[1], ("key", key.access_key_id.as_str())];
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
        } } } @else { p.muted { "There are none: this user can't sign in." } }
        (cut(found.is_truncated))
        (form(visit, "new-key", &fields, html! { button type="submit" { "New access key" } }))
    }
}

/// Makes an access key, and shows its secret this one time.
pub(super) async fn new_key(visit: &Visit, user: &str) -> Page {
    let made: NewKeyAnswer = visit.ask().iam("CreateAccessKey", &[("UserName", user)]).xml().await?;
    let NewKey { access_key_id, secret_access_key } = made.result.access_key;
    let told = notice(
        Tone::Good,
        html! {
            p { "The key is made. Its secret is shown this once and kept nowhere that it could be read from." }
            dl.pairs { dt { "Access key" } dd { code.wrap data-copy { (access_key_id) } } dt { "Secret key" } dd { code.wrap data-copy { (secret_access_key) } } }
        },
    );
    sheet(visit, user, Some(told)).await.and_then(shown)
}
