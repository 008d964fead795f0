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

use crate::admission::{Admission, Admitted};
use crate::error::S3Error;
use bytes::Bytes;
use std::fmt::Debug;
use std::sync::Arc;
use stratum_metadata::Metadata;
use stratum_storage::blob::{Index, Tier};
use stratum_storage::volume::Volumes;

/// The largest body that rides in the journal entry, in bytes.
pub const SMALL_MAX: u64 = 32 << 10;

/// Where new bodies go.
const TIER: Tier = Tier::Hot;

/// The bodies that the journal holds, as this crate reads them. The caller is pinned, so that an entry whose place
/// it looked up is still there.
pub trait JournalBodies: Send + Sync + Debug + 'static {
    /// The body of an entry, if the page cache holds it undamaged. Doesn't block.
    fn read_cached(&self, index: Index) -> Option<Bytes>;

    /// The body of an entry from any copy that is undamaged. Blocks.
    ///
    /// # Errors
    /// In words, why no copy gave it.
    fn read(&self, index: Index) -> Result<Bytes, String>;
}

/// The bodies of objects and parts. A cheap handle.
#[derive(Clone, Debug)]
pub struct Bodies {
    metadata: Metadata,
    volumes: Volumes,
    journal: Arc<dyn JournalBodies>,
    admission: Admission,
}

impl Bodies {
    pub fn new(
        metadata: Metadata,
        volumes: Volumes,
        journal: Arc<dyn JournalBodies>,
        admission: Admission,
    ) -> Self {
        Self { metadata, volumes, journal, admission }
    }

    /// Admits a request that reads one body and writes another: its worst case, in one step.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn admit_copy(&self) -> Result<Admitted, S3Error> {
        self.admission.admit(self.volumes.reader_memory() + self.writer_memory())
    }

    fn writer_memory(&self) -> u64 {
        self.volumes.writer_memory(TIER) + digesting::MEMORY
    }
}
