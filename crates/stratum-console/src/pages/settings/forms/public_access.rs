//! The form of what is refused or ignored of what would let everybody in.

use super::{Filled, form};
use crate::form::Fields;
use crate::frame::checkbox;
use crate::visit::Visit;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Block {
    block_public_acls: bool,
    ignore_public_acls: bool,
    block_public_policy: bool,
    restrict_public_buckets: bool,
}

/// S3's name of each of the four, what it is called, and what it does.
const SWITCHES: [(&str, &str, &str); 4] = [
    ("BlockPublicAcls", "Refuse access control lists that let everybody in", "What is set already stays."),
    (
        "IgnorePublicAcls",
        "Ignore access control lists that let everybody in",
        "Also those that are set already.",
    ),
    ("BlockPublicPolicy", "Refuse a policy that lets everybody in", "One that is set already stays."),
    (
        "RestrictPublicBuckets",
        "Ignore what a public policy gives to others",
        "While the policy lets everybody in, only the bucket's own account may use it.",
    ),
];

pub fn shown(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let set: Block = filled.read();
    let set =
        [set.block_public_acls, set.ignore_public_acls, set.block_public_policy, set.restrict_public_buckets];
    form(
        visit,
        html! {
            @for ((name, title, hint), set) in SWITCHES.iter().zip(set) {
                (checkbox(name, title, hint, filled.is_on(name, set)))
            }
            button.primary type="submit" { "Save" }
        },
    )
}

pub fn made(fields: &Fields) -> String {
    let switches: Vec<String> =
        SWITCHES.iter().map(|(name, ..)| format!("<{name}>{}</{name}>", fields.has(name))).collect();
    format!("<PublicAccessBlockConfiguration>{}</PublicAccessBlockConfiguration>", switches.concat())
}
