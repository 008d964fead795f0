//! HTTP and S3: a request becomes a typed operation, the operation a response.
//!
//! The road of one request, top to bottom:
//! * [`server`] accepts connections and bounds what a peer may do with them;
//! * [`service`] takes a request: parse, authenticate, authorise, check headers, and hand over to its operation;
//! * [`address`] reads its path and host, [`operations`] is the table of all operations and says which is meant;
//! * [`rights`] answers the one question that is asked before each: may they;
//! * `ops` holds one file per operation, each readable from its headers to its answer;
//! * [`body`] turns the request's bytes (plain or `aws-chunked`) into checked payload, `bodies` is the one seam to
//!   where payload is stored;
//! * [`error`] is the one place where failures become S3 codes.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod access_log;
mod acl;
mod address;
pub mod admission;
mod apart;
pub mod audit;
mod authenticate;
pub mod bodies;
pub mod body;
mod channel;
mod checksum;
mod conditions;
mod connections;
pub mod context;
mod copy_source;
mod cors;
mod documents;
mod encryption;
pub mod error;
mod form;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod iam;
mod identities;
mod key;
mod level;
mod listing;
mod lock;
pub mod log_delivery;
mod multipart;
mod new_version;
mod number;
mod on_behalf;
mod operation;
mod operations;
mod ops;
mod ownership;
mod policies;
mod post_policy;
mod preflight;
mod query;
mod range;
pub mod request_id;
mod rights;
mod selection;
pub mod server;
pub mod service;
mod source_name;
mod tags;
mod telemetry;
mod text;
pub mod traces;
mod version;
pub mod want_of_space;
mod website;
mod xml;

pub use telemetry::{failures, history};

// S3's names of what records hold, for tools that tell of records without HTTP.
pub use checksum::{name as checksum_algorithm_name, type_name as checksum_type_name};
pub use headers::storage_class_name;
