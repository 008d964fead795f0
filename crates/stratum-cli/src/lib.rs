//! What people do with an S3 store from a terminal: `ls`, `cp`, `mv`, `sync`, `rm`, `cat`, `head`, `du`, `find`, `mb`, `rb`,
//! `presign`, `share`, `tag` and `alias`.
//!
//! It speaks S3 to whatever endpoint there is, and knows nothing of a Stratum server but where one on this machine would
//! keep its credentials, which the binary tells it ([`Machine`]).

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
mod transfer;
mod trust;

pub use command::{Command, run};
pub use demo::{DEMO_BUCKET, fill};
pub use machine::{LocalServer, Machine};
pub use trust::{BUNDLE_VARIABLE, Trust, TrustError};
