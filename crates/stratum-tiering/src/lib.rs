//! How objects are used, and where they should lie.
//!
//! So far this crate only watches: [`access::Recorder`] counts reads, from which the engine will decide.

pub mod access;
