//! Redundancy that comes back.

mod rebuild;

pub use rebuild::Rebuilt;

pub(crate) use rebuild::blocking;

use crate::volume::VolumeLogError;

/// Why something was not healed. It is tried again.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum HealError {
    /// Nothing to heal any more: it isn't sealed, or was dropped or superseded meanwhile.
    #[error("the volume is not there any more")]
    Gone,
    #[error("no healthy drive is without a shard of the volume; add or replace a drive")]
    NoDrive,
    #[error("no drive has room for the shard outside of the reserve; delete something or add space")]
    NoSpace,
    /// A drive that may come back may hold the missing fragments.
    #[error("{0} stripes can't be read without drives that are missing; bring them back or replace them")]
    Unreadable(u64),
    #[error("drive {drive} did not take the shard: {error}")]
    Drive { drive: String, error: String },
    #[error(transparent)]
    Log(#[from] VolumeLogError),
    #[error("it was given up: {0}")]
    Interrupted(String),
}
