//! Where payload is kept: the one seam between operations and storage.
//!
//! Small bodies ride in the journal entry of the command that names them; larger ones stream into erasure-coded
//! extents, as they are or in frames that are coded one by one (`stratum_frames`). What storage gets are stored bytes;
//! sizes, ETags and checksums are of the plaintext. [`Bodies::receive`] takes a request's body, [`Bodies::copy`] another
//! object's; both compute the digests on the way, and the result goes into a record and its command. [`Bodies::open`]
//! looks an object up and reads it, whichever way it is kept.

mod behind;
mod frames;
mod read;
mod receive;
mod segments;
mod tables;

pub use read::{BodyReader, Content, Opened};
pub use receive::Stored;

use crate::admission::{Admitted, Memory};
use crate::error::S3Error;
use std::sync::Arc;
use stratum_frames::{Compression, MAX_BODY_BYTES};
use stratum_metadata::Metadata;
use stratum_metadata::placement::{Arrival, Placement};
use stratum_storage::journal::Journal;
use stratum_storage::readpath::Reader;
use stratum_storage::volumes::Volumes;
use stratum_storage::writepath::Writer;
use tables::Tables;

/// The largest body that rides in the journal entry, in bytes.
pub const SMALL_MAX: u64 = 32 << 10;

/// The bodies of objects and parts. A cheap handle.
#[derive(Clone)]
pub struct Bodies {
    metadata: Metadata,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    journal: Arc<Journal>,
    compression: Option<Compression>,
    tables: Tables,
}

impl Bodies {
    /// `compression` is what new bodies over [`SMALL_MAX`] are coded with; without it they are stored as they are.
    /// What was coded before is read in any case.
    pub fn new(
        metadata: Metadata,
        volumes: Volumes,
        journal: Arc<Journal>,
        compression: Option<Compression>,
    ) -> Self {
        let Volumes { reader, writer, .. } = volumes;
        Self { metadata, reader, writer, journal, compression, tables: Tables::default() }
    }

    /// Admits a request that reads one body and writes another, which `arrival` is: its worst case, in one step.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn admit_copy(&self, memory: &Memory, arrival: &Arrival) -> Result<Admitted, S3Error> {
        let writer = self.writer_memory(Placement::of(arrival), None);
        memory.admit(self.reader.memory() + frames::memory(MAX_BODY_BYTES) + writer)
    }
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("compression", &self.compression).finish_non_exhaustive()
    }
}
