//! Where payload is kept: the one seam between operations and storage.
//!
//! Small bodies ride in the journal entry of the command that names them; larger ones stream into erasure-coded
//! extents, as they are or in frames that are coded one by one (`stratum_bodies`). What storage gets are stored bytes;
//! sizes, ETags and checksums are of the plaintext. What is to be encrypted comes with its seal, and is opened with its key
//! by who asked for it ([`crate::encryption`]). [`Bodies::receive`] takes a request's body, [`Bodies::copy`] another
//! object's; both compute the digests on the way, and the result goes into a record and its command. [`Bodies::open`]
//! looks an object up and reads it, whichever way it is kept.

mod ends;
mod read;
mod receive;

pub use ends::Ends;
pub use read::{BodyReader, Content, Opened};
pub use receive::Stored;

use crate::admission::{Admitted, Memory};
use crate::error::S3Error;
use std::sync::Arc;
pub use stratum_bodies::SMALL_MAX;
use stratum_bodies::{Codecs, PlaintextReader, Tables};
use stratum_frames::MAX_BODY_BYTES;
use stratum_metadata::declared::Declared;
use stratum_metadata::placement::Placement;
use stratum_metadata::record::{Body, ObjectRecord};
use stratum_metadata::{Metadata, ReadView};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Tier};
use stratum_storage::blocking;
use stratum_storage::journal::Journal;
use stratum_storage::readpath::Reader;
use stratum_storage::volume::Table;
use stratum_storage::volumes::Volumes;
use stratum_storage::writepath::{Leave, Writer};

/// The bodies of objects and parts. A cheap handle.
#[derive(Clone)]
pub struct Bodies {
    metadata: Metadata,
    table: Arc<Table>,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    journal: Arc<Journal>,
    codecs: Codecs,
    tables: Tables,
    /// Whether anybody looks at what bodies are.
    samples: bool,
}

impl Bodies {
    /// `codecs` are what new bodies over [`SMALL_MAX`] are coded with, `tables` those of frames that were read lately.
    pub fn new(
        metadata: Metadata,
        volumes: Volumes,
        journal: Arc<Journal>,
        codecs: Codecs,
        tables: Tables,
    ) -> Self {
        let Volumes { table, reader, writer, .. } = volumes;
        Self { metadata, table, reader, writer, journal, codecs, tables, samples: false }
    }

    /// Keeps the first and last bytes of what is received and copied, for who looks at what it is.
    pub fn sampling(self, samples: bool) -> Self {
        Self { samples, ..self }
    }

    /// Where an object lies, as far as its first bytes tell. What is still in the journal is on the hot drives.
    ///
    /// # Errors
    /// `ServiceUnavailable`.
    pub fn tier_of(&self, view: &ReadView, object: &ObjectRecord) -> Result<Tier, S3Error> {
        let tier = |blob: &BlobRef| stratum_metadata::tier_of(&self.table, blob).unwrap_or(Tier::JOURNAL);
        Ok(match &object.body {
            Body::Blob(blob) => tier(blob),
            Body::Parts { upload, parts } => {
                let first = parts.first().map(|part| view.part(*upload, part.number)).transpose()?;
                first.flatten().map_or(Tier::JOURNAL, |part| tier(&part.blob))
            }
        })
    }

    /// Where an object belongs that comes now, of which a client declares that.
    pub fn place(&self, declared: &Declared, now: UnixMillis) -> Placement {
        Placement::of(declared, self.metadata.level(), |tier| self.table.has_tier(tier), now)
    }

    /// The tier that a body is written to which belongs in `wanted` and has that length, as far as it is known: hot where
    /// that one has no room for it, or too few drives.
    async fn open_tier(&self, wanted: Tier, length: Option<u64>) -> Tier {
        if wanted == Tier::Hot {
            return Tier::Hot;
        }
        let (writer, length) = (self.writer.clone(), length.unwrap_or(SMALL_MAX));
        // It asks the drives.
        let room = blocking::spawn(move || writer.check_room(wanted, length, Leave::Reserve)).await;
        match room {
            Ok(Ok(())) => wanted,
            Ok(Err(error)) => {
                tracing::debug!(tier = wanted.name(), %error, "a tier takes nothing; a body goes to hot instead");
                metrics::counter!("stratum_placed_hot_instead_total", "tier" => wanted.name()).increment(1);
                Tier::Hot
            }
            Err(_) => Tier::Hot,
        }
    }

    /// Admits a request that reads one body and writes another, which is placed so: its worst case, in one step.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn admit_copy(&self, memory: &Memory, placement: &Placement) -> Result<Admitted, S3Error> {
        // Where its tier takes nothing it is written to hot.
        let writer = [placement.tier(), Tier::Hot].map(|tier| self.writer_memory(tier, None, true));
        let writer = writer.into_iter().max().unwrap_or_default();
        memory.admit(self.reader.memory() + PlaintextReader::frames_memory(MAX_BODY_BYTES) + writer)
    }
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("codecs", &self.codecs).finish_non_exhaustive()
    }
}
