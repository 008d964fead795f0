//! What people do with an S3 store from a terminal: `ls`, `cp`, `mv`, `sync`, `rm`, `cat`, `head`, `du`, `find`, `mb`, `rb`,
//! `presign`, `share`, `tag` and `alias`.
//!
//! The crate speaks S3 to any endpoint. Of Stratum's own server it knows one thing: where a server on this machine
//! would keep root's credentials. The binary tells it that ([`Machine`]).

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod checksum;
mod command;
mod connection;
mod demo;
mod glob;
mod listing;
mod local;
mod machine;
mod output;
mod place;
mod problem;
mod quantity;
mod s3;
mod sessions;
mod sources;
#[cfg(test)]
mod staged;
mod transfer;
mod trust;

pub use command::{Command, run};
pub use demo::{DEMO_BUCKET, fill};
pub use machine::{LocalServer, Machine, is_of_this_machine};
pub use s3::fuzzing;
pub use trust::{BUNDLE_VARIABLE, Trust, TrustError};
