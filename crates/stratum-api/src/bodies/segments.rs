//! A body whose stored length shows only at its end.
//!
//! A writer must know how much comes, so such a body is gathered in segments, each written as a body of its own while
//! the next one is gathered, and all of them are one in the end.

use crate::error::{Code, S3Error};
use bytes::Bytes;
use std::sync::Arc;
use stratum_metadata::placement::Placement;
use stratum_storage::blob::{BlobRef, Place};
use stratum_storage::writepath::{WriteError, WriteHold, Writer, Written};
use tokio::task::JoinSet;

/// Bytes of a segment at least, but for the last one.
const SEGMENT_BYTES: usize = 8 << 20;
/// Bytes of a segment at most: it may end in what a batch of frames made, or a piece as large as a socket read.
const MAX_SEGMENT_BYTES: usize = 9 << 20;

/// Writes segments.
pub struct Segments {
    writer: Arc<Writer>,
    to: Placement,
    gathered: Vec<u8>,
    /// The segment that is being written; dropped, it is no more.
    writing: JoinSet<Result<Written, WriteError>>,
    written: Option<Written>,
}

impl Segments {
    /// What is held at most, in bytes, of a body that is stored in at most so many; `None` if that isn't known.
    pub fn memory(length: Option<u64>) -> u64 {
        match length {
            Some(length) if length <= SEGMENT_BYTES as u64 => length,
            _ => 2 * MAX_SEGMENT_BYTES as u64,
        }
    }

    pub fn new(writer: Arc<Writer>, to: Placement) -> Self {
        Self { writer, to, gathered: Vec::new(), writing: JoinSet::new(), written: None }
    }

    /// Takes the next stored bytes. Waits when a whole segment is being written and another has been gathered.
    ///
    /// # Errors
    /// What writing refuses.
    pub async fn push(&mut self, stored: &[u8]) -> Result<(), S3Error> {
        self.gathered.extend_from_slice(stored);
        if self.gathered.len() >= SEGMENT_BYTES { self.launch().await } else { Ok(()) }
    }

    /// Where all of it lies, durably.
    ///
    /// # Errors
    /// As [`Segments::push`].
    pub async fn finish(mut self) -> Result<(BlobRef, Option<WriteHold>), S3Error> {
        if !self.gathered.is_empty() {
            self.launch().await?;
        }
        self.land().await?;
        Ok(match self.written {
            Some(written) => (written.blob, Some(written.hold)),
            None => (BlobRef::plain(Place::Empty), None),
        })
    }

    async fn launch(&mut self) -> Result<(), S3Error> {
        self.land().await?;
        let next =
            Vec::with_capacity(if self.gathered.len() < SEGMENT_BYTES { 0 } else { MAX_SEGMENT_BYTES });
        let segment = Bytes::from(std::mem::replace(&mut self.gathered, next));
        let (bodies, tier) = (self.writer.clone(), self.to.tier);
        self.writing.spawn(async move {
            let mut writer = bodies.write(tier, segment.len() as u64).await?;
            writer.push(segment).await?;
            writer.finish().await
        });
        Ok(())
    }

    /// Waits for the segment that is being written.
    async fn land(&mut self) -> Result<(), S3Error> {
        let Some(landed) = self.writing.join_next().await else { return Ok(()) };
        let written = landed.map_err(|error| S3Error::new(Code::InternalError).because(error))??;
        match &mut self.written {
            Some(before) => before.append(written),
            None => self.written = Some(written),
        }
        Ok(())
    }
}
