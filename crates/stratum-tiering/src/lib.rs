//! How objects are used, and in which tier each should lie.
//!
//! Nothing here asks a clock, reads a drive or moves a byte; times are milliseconds that are handed in.
//! * [`content`] holds what kind of data an object's bytes are, by what was seen and what was declared;
//! * [`usage::Usage`] counts the reads of a running server, in bounded memory;
//! * [`signals`] holds what is known of the use of one object, or of a group of objects;
//! * [`prices`] holds what each tier costs.
//! * [`policy`] decides in which tier an object should lie, and says why;
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
