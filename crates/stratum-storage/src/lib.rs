//! Bytes that survive: drives, the journal, and erasure-coded volumes.
//!
//! This crate knows nothing of S3, of buckets or of keys. Its journal carries entries (a command it does not
//! understand, and a body) and makes them durable on `m+1` drives; its volumes hold bodies as Reed-Solomon
//! stripes over `k+m` drives. What the entries mean is `stratum-metadata`'s business.
//!
//! From the bottom up:
//! * [`ambient`]: the one place that asks the machine for time and randomness;
//! * [`blocking`] and [`apart`]: work that blocks or computes for long, off the threads that serve requests;
//! * [`cache`]: caches that are bounded by weight, and keep the heaviest value on any machine;
//! * [`panics`]: a panic caught where a thread begins, so that nobody waits for it for ever;
//! * [`drive`]: the one seam through which bytes reach a disk, and a simulated one behind the same seam;
//! * [`set`]: which drives belong together, and in which position;
//! * [`journal`]: the durable, replicated sequence of entries over successive epochs;
//! * [`blob`]: where a body lies;
//! * [`codec`] and [`format`]: parity, and the bytes of shard files;
//! * [`remote`]: a remote object store that keeps sealed volumes;
//! * [`volume`]: open and sealed volumes, and the table of them;
//! * [`writepath`], [`readpath`] and [`reclaim`]: how bodies get into volumes and out, and how their space comes back;
//! * [`inspect`]: what is wrong with a volume's files and stripes;
//! * [`heal`] and [`scrub`]: what is missing or damaged is found and comes back;
//! * [`quarantine`]: files in the volumes' directories that no record knows;
//! * [`upload`]: how sealed volumes come to the remote store;
//! * [`volumes`]: the table, and who works on it;
//! * [`placement`] and [`balance`]: drives fill evenly;
//! * [`task`] and [`pace`]: what goes on in the background, and what it may take;
//! * `pin`: what keeps freed bytes in place while somebody reads them.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod ambient;
pub mod apart;
pub mod balance;
pub mod blob;
pub mod blocking;
pub mod cache;
pub mod codec;
pub mod drive;
pub mod format;
pub mod heal;
pub mod inspect;
pub mod journal;
pub mod pace;
pub mod panics;
mod pin;
pub mod placement;
pub mod quarantine;
pub mod readpath;
pub mod reclaim;
pub mod remote;
pub mod scrub;
pub mod set;
pub mod task;
pub mod upload;
pub mod volume;
pub mod volumes;
pub mod writepath;
