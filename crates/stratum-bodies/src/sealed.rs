//! A body of a known length that is sealed and not compressed. How much is stored of it is known before any of it
//! comes, so it is written as it comes, and not in segments.

use crate::BodyError;
use crate::behind::{self, Behind};
use crate::frames::Framer;
use bytes::Bytes;
use std::sync::Arc;
use stratum_frames::{Coding, Seal};
use stratum_storage::blob::{BlobRef, Tier};
use stratum_storage::writepath::{BlobWriter, WriteHold, Writer};

/// Seals a body and writes it into a tier's volumes.
pub struct SealedWriter {
    framing: Behind<Framer>,
    writer: BlobWriter,
}

impl SealedWriter {
    /// How much memory the writer holds at most beyond the volumes' own writer, in bytes.
    pub fn memory() -> u64 {
        behind::MEMORY + Framer::memory(None)
    }

    /// Begins a body of `length` bytes of plaintext, at least one.
    ///
    /// # Errors
    /// What writing refuses; `Frames`, for want of memory.
    pub async fn begin(
        writer: &Arc<Writer>,
        tier: Tier,
        seal: Seal,
        length: u64,
    ) -> Result<SealedWriter, BodyError> {
        let framer = Framer::new(Coding { compression: None, seal: Some(seal) })?;
        let writer = writer.write(tier, Seal::stored_bytes(length)).await?;
        Ok(SealedWriter { framing: Behind::new(framer), writer })
    }

    /// Takes the next plaintext.
    ///
    /// # Errors
    /// What sealing and writing refuse.
    pub async fn push(&mut self, plaintext: Bytes) -> Result<(), BodyError> {
        for frame in self.framing.push(plaintext).await? {
            self.writer.push(frame).await?;
        }
        Ok(())
    }

    /// Writes the rest, and says where it lies, durably.
    ///
    /// # Errors
    /// As [`SealedWriter::push`]; another length than was said.
    pub async fn finish(mut self) -> Result<(BlobRef, WriteHold), BodyError> {
        let (form, last) = self.framing.finish().await??;
        for frame in last {
            self.writer.push(frame).await?;
        }
        let written = self.writer.finish().await?;
        Ok((BlobRef { form, ..written.blob }, written.hold))
    }
}
