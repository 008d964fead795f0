//! Lifecycle: the rules by which a bucket's versions and uploads end or change their storage class, and what the
//! rules mean for one of them.
//!
//! Everything here is a pure function of the rules, of what is known of a version, and of the time. The API reads the
//! rules' XML document; a task of the engine carries out what the rules say, by conditional commands.
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
