//! Event notifications: the rules by which a bucket tells what happens in it, and the words in which that is told.
//!
//! Everything here is a pure function. Reading the rules' document is the API's; that an event comes to be with what it is
//! about, or not at all, is the state's (`stratum_metadata::record::Notice`); delivering it is a task of the binary's.
//!
//! Source: Amazon S3 User Guide, "Amazon S3 Event Notifications", "Event message structure".

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod message;
mod rules;

pub use message::{MAX_RECORDS, Message, messages};
pub use rules::{Destination, EventName, Filter, Invalid, Rule, Rules, UnknownEvent};
