//! What the metadata keeps of buckets, objects, uploads and parts, and the types that cannot hold nonsense.
//!
//! The encodings are frozen by version: [`v1`] is what is written today; a later version gets a module of its own
//! and a migration from this one.

pub mod v1;

pub use v1::*;
