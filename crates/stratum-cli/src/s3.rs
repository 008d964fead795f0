//! S3 as a client speaks it: signed requests to one endpoint, and what their answers mean.
//!
//! It stands on hyper's pooled client and on `aws-sigv4`. Neither changes a path, so that every key can be asked for,
//! also one with `//`, `..` or a slash at its end, of which a URL library or an abstraction over many stores would
//! make another key.
//! A request's body is never larger than a part and lies whole in memory, so that every request can be repeated.

mod attributes;
mod buckets;
mod client;
mod documents;
pub mod fuzzing;
mod lists;
mod objects;
mod refusal;
mod sign;
mod stretches;
mod tags;
mod transport;
mod uploads;

pub use attributes::Attributes;
pub use client::{Client, S3Error};
pub use lists::{Entry, Listed, Version};
pub use objects::{Condition, DELETED_AT_ONCE, Info, Range, Undeleted};
pub use refusal::Kind;
pub use stretches::Same;
pub use uploads::{OpenUpload, Part, Upload};
