//! Event notifications: the rules by which a bucket reports events, and the messages in which they are reported.
//!
//! Everything here is a pure function. The API reads the rules' XML document. The metadata records an event in the
//! same command as the change that it is about (`stratum_metadata::record::Notice`), so that neither comes without
//! the other. A task of the binary delivers the messages.
//!
//! Source: Amazon S3 User Guide, "Amazon S3 Event Notifications", "Event message structure".

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod message;
mod rules;

pub use message::{MAX_RECORDS, Message, messages};
pub use rules::{Destination, EventName, Filter, Invalid, Rule, Rules, UnknownEvent};
