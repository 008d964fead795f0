//! Lifecycle: the rules by which a bucket's versions and uploads end, or change their class, and what they come to for one.
//!
//! Everything here is a pure function of rules, what is known of a version, and the time. Reading the rules' document is
//! the API's; carrying out what they come to is a task of the engine's, by conditional commands.
//!
//! Source: Amazon S3 User Guide, "Managing the lifecycle of objects" and "Lifecycle configuration elements".

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod days;
mod judge;
mod rules;

pub use days::Days;
pub use judge::{Current, DeleteMarker, Noncurrent, Verdict};
pub use rules::{
    Expiration, Filter, FilterForm, Invalid, NoncurrentExpiration, NoncurrentTransition, Rule, Rules,
    Transition, TransitionMinimum, When,
};
