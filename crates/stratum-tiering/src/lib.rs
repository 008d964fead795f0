//! How objects are used, and where they should lie.
//!
//! Nothing here asks a clock, reads a drive or moves a byte; times are milliseconds that are handed in.
//! * [`content`] holds what an object's bytes are, and how what was seen of them meets what was declared;
//! * [`usage::Usage`] counts the reads of a running server;
//! * [`signals`] holds what a decision looks at, of objects and of groups of them;
//! * [`prices`] holds what each tier costs.
//! * [`policy`] decides, and gives its reasons;
//! * [`simulate`] replays a trace of reads with the same decisions, and prices them.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod content;
pub mod day;
pub mod policy;
pub mod prices;
pub mod signals;
pub mod simulate;
pub mod tier;
pub mod usage;
