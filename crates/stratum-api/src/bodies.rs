//! Stores and reads payload: the one seam between operations and storage.
//!
//! Small bodies go into the journal entry of the command that names them. Larger ones stream into erasure-coded
//! extents, as they are or in frames that are coded one by one (`stratum_bodies`). Storage gets stored bytes; sizes,
//! ETags and checksums are those of the plaintext. A body that is to be encrypted comes with its seal, and whoever
//! reads an encrypted body brings its key ([`crate::encryption`]). [`Bodies::receive`] stores the body of a request,
//! and [`Bodies::copy`] that of another object; both compute the digests meanwhile, and return what goes into the
//! record and its command. [`Bodies::open`] looks an object up and reads it, however it is stored.

mod ends;
mod read;
mod receive;

pub use ends::Ends;
pub use read::{BodyReader, Content, Opened};
pub use receive::Stored;

use crate::admission::{Admitted, Memory};
use crate::error::S3Error;
use std::sync::Arc;
pub use stratum_bodies::MAX_SMALL_BODY_BYTES;
use stratum_bodies::{Codecs, PlaintextReader, Tables};
use stratum_frames::Seal;
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

/// The bodies of objects and parts. A handle that is cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    metadata: Metadata,
    table: Arc<Table>,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    journal: Arc<Journal>,
    codecs: Codecs,
    tables: Tables,
    /// Whether the ends of bodies are kept for the classifier, which tells what objects are.
    samples: bool,
}

impl Bodies {
    /// `codecs` says how new bodies over [`MAX_SMALL_BODY_BYTES`] are coded, and `tables` holds the tables of frames that were
    /// read lately.
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

    /// With `samples`, the first and last bytes of each body that is received or copied are kept for the classifier.
    pub fn sampling(self, samples: bool) -> Self {
        Self { samples, ..self }
    }

    /// The tier that an object lies in; of an object with parts, that of the first part. What is still in the journal
    /// lies on hot drives.
    ///
    /// # Errors
    /// Failures of the store.
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

    /// Where a new object belongs for which a client declares `declared`.
    pub fn place(&self, declared: &Declared, now: UnixMillis) -> Placement {
        Placement::of(declared, self.metadata.level(), |tier| self.table.has_tier(tier), now)
    }

    /// The tier that a body is written to that belongs in `wanted`: hot if `wanted` has no room for a body of that
    /// length, or too few drives. A body whose length isn't known is taken for one of [`MAX_SMALL_BODY_BYTES`].
    async fn open_tier(&self, wanted: Tier, length: Option<u64>) -> Tier {
        if wanted == Tier::Hot {
            return Tier::Hot;
        }
        let (writer, length) = (self.writer.clone(), length.unwrap_or(MAX_SMALL_BODY_BYTES));
        // The check asks the drives, which may block.
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

    /// Admits a request that reads a body of at most `size` bytes and writes another with that placement: its worst
    /// case, in one step.
    ///
    /// # Errors
    /// `SlowDown`.
    pub fn admit_copy(&self, memory: &Memory, placement: &Placement, size: u64) -> Result<Admitted, S3Error> {
        let writing = match Seal::stored_bytes(size) <= MAX_SMALL_BODY_BYTES {
            // A small body is held whole, as it was read and as it goes into the journal.
            true => 2 * MAX_SMALL_BODY_BYTES,
            // A body is written to hot where its tier takes nothing, so the larger of the two counts.
            false => [placement.tier(), Tier::Hot]
                .map(|tier| self.writer_memory(tier, Some(size), true))
                .into_iter()
                .max()
                .unwrap_or_default(),
        };
        memory.admit(self.reader.memory() + PlaintextReader::frames_memory(size) + writing)
    }
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("codecs", &self.codecs).finish_non_exhaustive()
    }
}
