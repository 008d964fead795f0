//! Policies as S3 and IAM have them: what a document says, and what it answers.
//!
//! A document is read once, when it is put, into statements that hold only what can be judged ([`Policy::parse`]). An
//! unknown element, operator, key or action is refused there, so that no statement is ever ignored because it wasn't
//! understood. Judging is then a pure question ([`Policy::decide`]): may this requester do this action on this
//! resource? Whatever else the conditions ask for is looked up through [`Facts`], and only if they ask. An explicit
//! deny wins over every allow, and the answer names the statement that gave it.
//!
//! * [`action`] holds S3's actions, and sets of them.
//! * [`principal`] says who makes a request, and whom a statement is about.
//! * [`pattern`] is text with wildcards and policy variables.
//! * [`condition`] holds the operators, and [`key`] the keys that they may ask for.
//! * [`public`] says when a policy is public, as S3 means it.
//!
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language", "Condition operators", "Policy evaluation logic";
//! S3 User Guide, "Bucket policies", "The meaning of public".
//!
//! ```
//! use stratum_policy::{Action, Decision, Facts, Key, Policy, Question, Requester, Values};
//!
//! struct Plain;
//! impl Facts for Plain {
//!     fn values(&self, _: &Key) -> Values<'_> {
//!         Values::None
//!     }
//! }
//!
//! let text = r#"{
//!     "Version": "2012-10-17",
//!     "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:Get*", "Resource": "arn:aws:s3:::films/free/*"}
//! }"#;
//! let policy = Policy::parse(text.as_bytes(), "films")?;
//! let asked = |action, name: &str| {
//!     let resource = &format!("arn:aws:s3:::{name}");
//!     let action = Action::named(action).expect("an action of S3");
//!     policy.decide(&Question { who: Requester::Nobody, action, resource, facts: &Plain })
//! };
//! assert!(matches!(asked("s3:GetObject", "films/free/a"), Decision::Allowed(_)));
//! assert!(matches!(asked("s3:GetObject", "films/b"), Decision::Silent));
//! assert!(matches!(asked("s3:PutObject", "films/free/a"), Decision::Silent));
//! # Ok::<(), stratum_policy::Malformed>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod action;
pub mod condition;
mod error;
mod json;
pub mod key;
pub mod pattern;
mod policy;
pub mod principal;
pub mod public;
mod put;
mod value;

pub use action::{Action, Actions};
pub use error::Malformed;
pub use key::Key;
pub use policy::{Decision, Effect, Policy, Question, Statement};
pub use principal::Requester;
pub use value::{Facts, Value, Values};
