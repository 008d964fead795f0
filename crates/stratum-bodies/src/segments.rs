//! A body whose stored length shows only at its end.
//!
//! A writer must know how much comes, so such a body is gathered in segments, each written as a body of its own while
//! the next one is gathered, and all of them are one in the end.

use crate::priority::TURN_BYTES;
use crate::{BodyError, Priority};
use bytes::Bytes;
use std::sync::Arc;
use stratum_storage::blob::Tier;
use stratum_storage::writepath::{WriteError, Writer, Written};
use tokio::task::JoinSet;

/// Bytes of a segment at least, but for the last one.
const SEGMENT_BYTES: usize = 8 << 20;
/// Bytes of a segment at most: it may end in what a batch of frames made, or a piece as large as a socket read.
const MAX_SEGMENT_BYTES: usize = 9 << 20;

/// Writes segments.
pub(crate) struct Segments {
    writer: Arc<Writer>,
    to: Tier,
    priority: Priority,
    gathered: Vec<u8>,
    /// The segment that is being written; the writing ends if this is dropped.
    writing: JoinSet<Result<Written, WriteError>>,
    written: Option<Written>,
}

/// What was gathered.
pub(crate) enum Gathered {
    Small(Bytes),
    Written(Option<Written>),
}

impl Segments {
    /// What is held at most, in bytes, of a body that is stored in at most so many; `None` if that isn't known.
    pub fn memory(length: Option<u64>) -> u64 {
        match length {
            Some(length) if length <= SEGMENT_BYTES as u64 => length,
            _ => 2 * MAX_SEGMENT_BYTES as u64,
        }
    }

    pub fn new(writer: Arc<Writer>, to: Tier, priority: Priority) -> Self {
        Self { writer, to, priority, gathered: Vec::new(), writing: JoinSet::new(), written: None }
    }

    /// Takes the next stored bytes. Waits when a whole segment is being written and another has been gathered.
    ///
    /// # Errors
    /// What writing refuses.
    pub async fn push(&mut self, stored: &[u8]) -> Result<(), BodyError> {
        self.gathered.extend_from_slice(stored);
        if self.gathered.len() >= SEGMENT_BYTES { self.launch().await } else { Ok(()) }
    }

    /// Where all of it lies, durably; nothing if there was nothing. A body of at most `small` bytes is not written but
    /// given back.
    ///
    /// # Errors
    /// As [`Segments::push`].
    pub async fn finish(mut self, small: u64) -> Result<Gathered, BodyError> {
        let is_all = self.written.is_none() && self.writing.is_empty();
        if is_all && self.gathered.len() as u64 <= small {
            return Ok(Gathered::Small(self.gathered.into()));
        }
        if !self.gathered.is_empty() {
            self.launch().await?;
        }
        self.land().await?;
        Ok(Gathered::Written(self.written))
    }

    async fn launch(&mut self) -> Result<(), BodyError> {
        self.land().await?;
        let next =
            Vec::with_capacity(if self.gathered.len() < SEGMENT_BYTES { 0 } else { MAX_SEGMENT_BYTES });
        let segment = Bytes::from(std::mem::replace(&mut self.gathered, next));
        self.writing.spawn(write(self.writer.clone(), self.to, segment, self.priority.clone()));
        Ok(())
    }

    /// Waits for the segment that is being written.
    async fn land(&mut self) -> Result<(), BodyError> {
        let Some(landed) = self.writing.join_next().await else { return Ok(()) };
        let written = landed??;
        match &mut self.written {
            Some(before) => before.append(written),
            None => self.written = Some(written),
        }
        Ok(())
    }
}

async fn write(
    writer: Arc<Writer>,
    to: Tier,
    mut segment: Bytes,
    priority: Priority,
) -> Result<Written, WriteError> {
    let mut writer = writer.write(to, segment.len() as u64).await?;
    while !segment.is_empty() {
        let piece = segment.split_to(segment.len().min(TURN_BYTES as usize));
        let _turn = priority.turn(piece.len() as u64).await;
        writer.push(piece).await?;
    }
    // What is still on its way was accounted for; this is the turn of the syncs.
    let _turn = priority.turn(0).await;
    writer.finish().await
}
