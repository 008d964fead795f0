//! Users, groups and roles, to which policies are attached by actions that differ only in their names.

use super::answers::{
    AttachedAnswer, AttachedGroupAnswer, AttachedResult, AttachedRoleAnswer, OwnAnswer, OwnGroupAnswer,
    OwnGroupPolicyAnswer, OwnPolicyAnswer, OwnResult, OwnRoleAnswer, OwnRolePolicyAnswer, PoliciesResult,
};
use super::policy::Policy;
use super::{PAGE_ENTRIES, cut, form};
use crate::ask::{decoded, if_allowed};
use crate::frame::{field, text_field};
use crate::names;
use crate::trouble::Trouble;
use crate::visit::Visit;
use maud::{Markup, html};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    User,
    Group,
    Role,
}

/// A user, a group or a role, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    pub kind: Kind,
    pub name: &'a str,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::User, Kind::Group, Kind::Role];

    /// The word for the kind in addresses and forms.
    pub fn word(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Role => "role",
        }
    }

    pub fn named(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// IAM's parameter for the name of one.
    pub fn parameter(self) -> &'static str {
        match self {
            Kind::User => "UserName",
            Kind::Group => "GroupName",
            Kind::Role => "RoleName",
        }
    }

    fn attach(self) -> &'static str {
        match self {
            Kind::User => "AttachUserPolicy",
            Kind::Group => "AttachGroupPolicy",
            Kind::Role => "AttachRolePolicy",
        }
    }

    fn detach(self) -> &'static str {
        match self {
            Kind::User => "DetachUserPolicy",
            Kind::Group => "DetachGroupPolicy",
            Kind::Role => "DetachRolePolicy",
        }
    }

    /// The IAM action that puts a policy into one.
    pub fn put_own(self) -> &'static str {
        match self {
            Kind::User => "PutUserPolicy",
            Kind::Group => "PutGroupPolicy",
            Kind::Role => "PutRolePolicy",
        }
    }

    pub fn delete_own(self) -> &'static str {
        match self {
            Kind::User => "DeleteUserPolicy",
            Kind::Group => "DeleteGroupPolicy",
            Kind::Role => "DeleteRolePolicy",
        }
    }

    fn delete(self) -> &'static str {
        match self {
            Kind::User => "DeleteUser",
            Kind::Group => "DeleteGroup",
            Kind::Role => "DeleteRole",
        }
    }
}

impl<'a> Holder<'a> {
    pub fn new(kind: Kind, name: &'a str) -> Holder<'a> {
        Holder { kind, name }
    }

    /// The address of the holder's page.
    pub fn address(&self) -> String {
        format!("{}/people/{}?{}", crate::ROOT, self.kind.word(), names::query([("name", self.name)]))
    }

    /// The fields by which a form names the holder.
    pub fn fields(&self) -> [(&'a str, &'a str); 2] {
        [("of", self.kind.word()), ("name", self.name)]
    }

    /// The parameter by which an IAM action names the holder.
    pub fn of(&self) -> [(&'a str, &'a str); 1] {
        [(self.kind.parameter(), self.name)]
    }

    /// The parameters by which an IAM action lists the first of what the holder has.
    pub fn first_of(&self) -> [(&'a str, &'a str); 2] {
        [(self.kind.parameter(), self.name), ("MaxItems", PAGE_ENTRIES)]
    }

    /// The IAM action for what a form of any kind of holder may ask.
    pub fn asked(&self, what: &str) -> Option<&'static str> {
        match what {
            "attach" => Some(self.kind.attach()),
            "detach" => Some(self.kind.detach()),
            "delete" => Some(self.kind.delete()),
            _ => None,
        }
    }

    /// The policies that are attached to the holder, if the key may list them.
    pub async fn attached(&self, visit: &Visit) -> Result<Option<AttachedResult>, Trouble> {
        let (ask, of) = (visit.ask(), self.first_of());
        Ok(match self.kind {
            Kind::User => {
                let asked = ask.iam("ListAttachedUserPolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: AttachedAnswer| answer.result)
            }
            Kind::Group => {
                let asked = ask.iam("ListAttachedGroupPolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: AttachedGroupAnswer| answer.result)
            }
            Kind::Role => {
                let asked = ask.iam("ListAttachedRolePolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: AttachedRoleAnswer| answer.result)
            }
        })
    }

    /// The names of the policies that stand in the holder itself, if the key may list them.
    pub async fn own(&self, visit: &Visit) -> Result<Option<OwnResult>, Trouble> {
        let (ask, of) = (visit.ask(), self.first_of());
        Ok(match self.kind {
            Kind::User => {
                let asked = ask.iam("ListUserPolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: OwnAnswer| answer.result)
            }
            Kind::Group => {
                let asked = ask.iam("ListGroupPolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: OwnGroupAnswer| answer.result)
            }
            Kind::Role => {
                let asked = ask.iam("ListRolePolicies", &of);
                if_allowed(asked.xml().await)?.map(|answer: OwnRoleAnswer| answer.result)
            }
        })
    }

    /// The document of a policy that stands in the holder itself.
    pub async fn own_document(&self, visit: &Visit, policy: &str) -> Result<String, Trouble> {
        let of = [(self.kind.parameter(), self.name), ("PolicyName", policy)];
        let asked = |action| visit.ask().iam(action, &of);
        let found = match self.kind {
            Kind::User => asked("GetUserPolicy").xml::<OwnPolicyAnswer>().await?.result,
            Kind::Group => asked("GetGroupPolicy").xml::<OwnGroupPolicyAnswer>().await?.result,
            Kind::Role => asked("GetRolePolicy").xml::<OwnRolePolicyAnswer>().await?.result,
        };
        Ok(decoded(&found.policy_document))
    }

    /// The card of the policies that stand in the holder itself, with a link to make one.
    pub fn own_policies(&self, own: &OwnResult) -> Markup {
        let names = &own.policy_names.member;
        html! {
            section.card { h2 { "Policies of its own" }
                @if names.is_empty() { p.muted { "There are none. Such a policy belongs to this " (self.kind.word()) " alone, and goes with it." } }
                @else { table {
                    thead.hidden { tr { th scope="col" { "Policy" } } }
                    tbody { @for name in names { tr {
                        th.name scope="row" { a href=(Policy::Own(*self, name).address()) { (name) } }
                    } } }
                } }
                (cut(own.is_truncated))
                p { a.button href=(Policy::Own(*self, "").address()) { "New policy of its own" } }
            }
        }
    }

    /// The holder's policies, with forms that detach one and attach another of `all`.
    pub fn policies(
        &self,
        visit: &Visit,
        attached: &AttachedResult,
        all: &PoliciesResult,
        none: &str,
    ) -> Markup {
        let (fields, policies) = (self.fields(), &attached.attached_policies.member);
        html! {
            @if policies.is_empty() { p.muted { (none) } }
            @else { table {
                thead.hidden { tr { th scope="col" { "Policy" } th scope="col" { "What can be done" } } }
                tbody { @for policy in policies { tr {
                    th.name scope="row" { a href=(Policy::Managed(&policy.arn).address()) { (policy.policy_name) } p.hint { code.wrap { (policy.arn) } } }
                    td.acts { (form(visit, "detach", &[fields[0], fields[1], ("policy", &policy.arn)], html! { button type="submit" { "Detach" span.hidden { " " (policy.policy_name) } } })) }
                } } }
            } }
            (cut(attached.is_truncated))
            @if !all.policies.member.is_empty() { (form(visit, "attach", &fields, html! {
                @if all.is_truncated { (text_field("policy", "Attach a policy", "There are too many to choose from: enter its ARN.", "")) }
                @else { (field("policy", "Attach a policy", "", html! {
                    select id="policy" name="policy" required { option value="" { "Choose a policy" } @for policy in &all.policies.member { option value=(policy.arn) { (policy.policy_name) } } }
                })) }
                button type="submit" { "Attach" }
            })) }
        }
    }

    /// The form that deletes the holder.
    pub fn end(&self, visit: &Visit, words: &str) -> Markup {
        html! {
            section.card { h2 { "Delete this " (self.kind.word()) }
                p { (words) }
                (form(visit, "delete", &self.fields(), html! { button.danger type="submit" { "Delete " (self.name) } }))
            }
        }
    }
}
