//! Plaintext of a body, on its way into volumes.

use crate::behind::{self, Behind};
use crate::frames::Framer;
use crate::segments::{Gathered, Segments};
use crate::{BodyError, MAX_SMALL_BODY_BYTES, Priority, frames};
use bytes::Bytes;
use std::sync::Arc;
use stratum_frames::{Coding, Compression, Seal};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};
use stratum_storage::writepath::{WriteHold, Writer, Written};

/// Codes a body and writes it into a tier's volumes, where the stored length shows only at the end.
pub struct PlaintextWriter {
    framing: Option<Behind<Framer>>,
    segments: Segments,
}

/// What became of a body.
#[derive(Debug)]
pub enum Finished {
    /// It is durable. The hold keeps its volumes from sealing until the command that names it is committed; an empty
    /// body has none.
    Written { blob: BlobRef, hold: Option<WriteHold> },
    /// All stored bytes of the body: so few that they belong in a stripe with others.
    Small { form: Form, stored: Bytes },
}

impl PlaintextWriter {
    /// What writing a body of `length` bytes holds at most, in bytes, beyond the volumes' own writer; `None` if the
    /// length isn't known.
    pub fn memory(compression: Option<Compression>, is_sealed: bool, length: Option<u64>) -> u64 {
        let framing = if compression.is_some() || is_sealed { Framer::memory(compression) } else { 0 };
        let stored = if is_sealed { length.map(Seal::stored_bytes) } else { length };
        behind::MEMORY + framing + Segments::memory(stored)
    }

    /// # Errors
    /// `Frames`, for want of memory.
    pub fn new(writer: Arc<Writer>, tier: Tier, coding: Coding) -> Result<Self, BodyError> {
        Self::with_priority(writer, tier, coding, Priority::Request)
    }

    /// [`PlaintextWriter::new`] at any priority.
    ///
    /// # Errors
    /// `Frames`, for want of memory.
    pub fn with_priority(
        writer: Arc<Writer>,
        tier: Tier,
        coding: Coding,
        priority: Priority,
    ) -> Result<Self, BodyError> {
        let framing = if coding.is_none() { None } else { Some(Framer::new(coding)?) };
        let framing = framing.map(|framer| Behind::with_priority(framer, priority.clone()));
        Ok(Self { framing, segments: Segments::new(writer, tier, priority) })
    }

    /// Takes the next plaintext.
    ///
    /// # Errors
    /// What coding and writing refuse.
    pub async fn push(&mut self, plaintext: Bytes) -> Result<(), BodyError> {
        match &mut self.framing {
            Some(framing) => {
                for frame in framing.push(plaintext).await? {
                    self.segments.push(&frame).await?;
                }
            }
            None => self.segments.push(&plaintext).await?,
        }
        Ok(())
    }

    /// Writes the rest, whatever its length.
    ///
    /// # Errors
    /// As [`PlaintextWriter::push`].
    pub async fn finish(self) -> Result<(BlobRef, Option<WriteHold>), BodyError> {
        // Nothing is given back of a body that has bytes.
        match self.end(0).await? {
            Finished::Written { blob, hold } => Ok((blob, hold)),
            Finished::Small { .. } => Ok((BlobRef::plain(Place::Empty), None)),
        }
    }

    /// Writes the rest, unless all of it is small.
    ///
    /// # Errors
    /// As [`PlaintextWriter::push`].
    pub async fn finish_unless_small(self) -> Result<Finished, BodyError> {
        self.end(MAX_SMALL_BODY_BYTES).await
    }

    async fn end(mut self, small: u64) -> Result<Finished, BodyError> {
        let mut form = Form::Plaintext;
        if let Some(framing) = self.framing {
            let (coded, last) = framing.finish().await??;
            for frame in last {
                self.segments.push(&frame).await?;
            }
            form = coded;
        }
        Ok(match self.segments.finish(small).await? {
            Gathered::Small(stored) => Finished::Small { form, stored },
            Gathered::Written(Some(Written { blob, hold, .. })) => {
                Finished::Written { blob: BlobRef { form, ..blob }, hold: Some(hold) }
            }
            Gathered::Written(None) => Finished::Written { blob: BlobRef::plain(Place::Empty), hold: None },
        })
    }
}

/// The stored bytes of a whole small body: sealed where it is to be, else coded where that makes them fewer. Takes the
/// processor's time.
///
/// # Errors
/// `Frames`.
pub fn code(coding: Coding, plaintext: &Bytes) -> Result<(Form, Bytes), BodyError> {
    match coding.is_none() {
        true => Ok((Form::Plaintext, plaintext.clone())),
        false => Ok(frames::code(coding, plaintext)?),
    }
}
