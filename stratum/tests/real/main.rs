//! The real binary on a loopback port, driven by the AWS SDK for Rust.

mod audit;
mod aws_sdk_rust;
mod backup;
mod classes;
mod client;
mod coded;
mod declared;
mod drives;
mod fsck;
mod fsck_online;
mod hook;
mod keys;
mod levels;
mod listening;
mod members;
mod metrics;
mod model;
mod notifications;
#[cfg(feature = "faults")]
mod older_binary;
mod operator;
mod people;
mod private;
mod quotas;
mod remote;
mod rescue;
mod restore;
mod server;
mod stalled_log;
mod start;
mod tiering;
mod tiers;
mod unmounted;
mod usage;
mod versions;
