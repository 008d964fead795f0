//! The HTTP and S3 side of the server: it turns each request into a typed operation, and runs the operation to its
//! response.
//!
//! One request passes through these modules, in this order:
//! * [`server`] accepts connections and bounds what a peer may do with them;
//! * [`service`] parses, authenticates and authorises a request, checks its headers, and hands it to its operation;
//! * [`address`] reads the path and the host of a request; [`operations`] is the table of all operations, and finds the
//!   one that is asked for;
//! * [`rights`] decides before each operation whether the caller may do it;
//! * `ops` holds one file for each operation, from the reading of its headers to the writing of its answer;
//! * [`body`] turns the bytes of a request (plain or `aws-chunked`) into checked payload; `bodies` is the one seam
//!   between the operations and the storage of payload;
//! * [`error`] is the one place where failures become S3 error codes.

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
mod in_flight;
mod kept;
mod key;
mod late;
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

pub use headers::storage_class_name;

pub use telemetry::{failures, history};

// S3's names for values in records, for tools that print records without going through HTTP.
pub use checksum::{name as checksum_algorithm_name, type_name as checksum_type_name};
