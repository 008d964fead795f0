//! The page of a role: its trust policy and the policies of its sessions.

use super::answers::RoleAnswer;
use super::holder::{Holder, Kind};
use super::{form, policies};
use crate::ask::decoded;
use crate::form::Fields;
use crate::frame::{Part, crumbs, field, text_field};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};

/// An example of a trust policy, which lets one user assume the role.
const TRUST: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::ACCOUNT:user/NAME" }, "Action": "sts:AssumeRole" }
  ]
}"#;

/// `GET /people/role?name=...`
pub async fn show(visit: Visit) -> Page {
    let name = visit.query.get("name").to_owned();
    sheet(&visit, &name, None, &Fields::default()).await.and_then(shown)
}

/// The page. A trust policy in `fields` that was refused is shown again.
pub(super) async fn sheet(
    visit: &Visit,
    name: &str,
    told: Option<Markup>,
    fields: &Fields,
) -> Result<Markup, Trouble> {
    let role = Holder::new(Kind::Role, name);
    let found: RoleAnswer = visit.ask().iam("GetRole", &role.of()).xml().await?;
    let found = found.result.role;
    let trust = match fields.get("trust") {
        "" => decoded(&found.assume_role_policy_document),
        kept => kept.to_owned(),
    };
    let (attached, own) = (role.attached(visit).await?, role.own(visit).await?);
    let all = policies(visit).await?.unwrap_or_default();
    let content = html! {
        (crumbs(&[("Access".into(), format!("{}/people", crate::ROOT))], name))
        div.head { h1 { (name) } p.muted { code.wrap { (found.arn) } } }
        @if let Some(told) = told { (told) }
        div.columns {
            section.card { h2 { "Who may assume it" } (form(visit, "trust", &role.fields(), html! {
                (field("trust", "JSON", "Its principals are its members.", html! { textarea id="trust" name="trust" rows="12" spellcheck="false" { "\n" (trust) } }))
                button.primary type="submit" { "Save" }
            })) }
            div {
                @if let Some(attached) = &attached { section.card { h2 { "Policies" }
                    (role.policies(visit, attached, &all, "There are none: a session of this role may do nothing."))
                } }
                @if let Some(own) = &own { (role.own_policies(own)) }
                (role.end(visit, "A role goes when nothing of it is left: first its policies. Its sessions end with it."))
            }
        }
    };
    Ok(visit.frame().page(Part::People, name, content))
}

pub(super) fn new(visit: &Visit, fields: &Fields) -> Markup {
    let kept = fields.get("trust");
    let text = if kept.is_empty() { TRUST } else { kept };
    html! { details open[fields.get("what") == "new-role"] { summary.button { "New role" } (form(visit, "new-role", &[], html! {
        (text_field("role", "Name", "", fields.get("role")))
        (field("trust", "Who may assume it", "", html! { textarea id="trust" name="trust" rows="8" spellcheck="false" { "\n" (text) } }))
        button.primary type="submit" { "Create role" }
    })) } }
}
