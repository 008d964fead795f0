//! Where payload is kept: the one seam between operations and storage.
//!
//! Small bodies ride in the journal entry of the command that names them; larger ones stream into erasure-coded
//! extents. [`Bodies::receive`] takes a request's body, [`Bodies::copy`] another object's; both compute the digests
//! on the way, and the result goes into a record and its command. [`Bodies::open`] looks an object up and reads it,
//! whichever way it is kept.

mod digesting;
mod read;
mod receive;

pub use read::{BodyReader, Content, Opened};
pub use receive::Stored;

use crate::admission::{Admitted, Memory};
use crate::error::S3Error;
use std::sync::Arc;
use stratum_metadata::Metadata;
use stratum_storage::blob::Tier;
use stratum_storage::journal::Journal;
use stratum_storage::volume::Volumes;

/// The largest body that rides in the journal entry, in bytes.
pub const SMALL_MAX: u64 = 32 << 10;

/// Where new bodies go.
const TIER: Tier = Tier::Hot;

/// The bodies of objects and parts. A cheap handle.
#[derive(Clone)]
pub struct Bodies {
    metadata: Metadata,
    volumes: Volumes,
    journal: Arc<Journal>,
}

impl Bodies {
    pub fn new(metadata: Metadata, volumes: Volumes, journal: Arc<Journal>) -> Self {
        Self { metadata, volumes, journal }
    }

    /// Admits a request that reads one body and writes another: its worst case, in one step.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn admit_copy(&self, memory: &Memory) -> Result<Admitted, S3Error> {
        memory.admit(self.volumes.reader_memory() + self.writer_memory())
    }

    fn writer_memory(&self) -> u64 {
        self.volumes.writer_memory(TIER) + digesting::MEMORY
    }
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("volumes", &self.volumes).finish_non_exhaustive()
    }
}
