//! Reads the first and last bytes of an object whose body came in several requests, for the classifier.

use crate::Engine;
use std::ops::Range;
use stratum_bodies::{BodyError, PlaintextReader};
use stratum_metadata::ReadError;
use stratum_metadata::record::{Body, BucketId, ObjectRecord, PartSummary, UploadId};
use stratum_storage::blob::{BlobRef, Place};
use stratum_storage::journal::BodyError as JournalBodyError;
use stratum_tiering::content::{Sample, WINDOW_BYTES};

/// Why the ends of an object could not be read. The only consequence is that the object isn't classified.
#[derive(Debug, thiserror::Error)]
pub enum EndsError {
    #[error(transparent)]
    State(#[from] ReadError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Journal(#[from] JournalBodyError),
}

impl Engine {
    /// The beginning of the first part, and the end of the last part, of an object that was `written` at that time.
    /// `None` if the object is gone or encrypted.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn read_ends(
        &self,
        bucket: BucketId,
        key: &[u8],
        written: u64,
    ) -> Result<Option<Sample>, EndsError> {
        let record = self.metadata.local().object(bucket, key)?;
        let is_it =
            |record: &ObjectRecord| record.modified == written && record.attributes.encryption.is_none();
        let Some(record) = record.filter(is_it) else { return Ok(None) };
        let Body::Parts { upload, parts } = record.body else { return Ok(None) };
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(None) };
        let window = WINDOW_BYTES as u64;
        let head = self.read_part(upload, first, 0..first.size.min(window)).await?;
        let tail = self.read_part(upload, last, last.size.saturating_sub(window)..last.size).await?;
        Ok(head.zip(tail).map(|(head, tail)| Sample::of_ends(head, tail)))
    }

    async fn read_part(
        &self,
        upload: UploadId,
        part: &PartSummary,
        range: Range<u64>,
    ) -> Result<Option<Vec<u8>>, EndsError> {
        let (mut reader, _holds) = {
            // Keeps the bytes from being freed between the lookup and the hold.
            let pin = self.volumes.reader.pin();
            let Some(found) = self.metadata.local().part(upload, part.number)? else { return Ok(None) };
            match found.blob {
                BlobRef { place: Place::Journal { index, length, crc32c }, .. } => {
                    let body = self.journal.read_body(index, length, crc32c)?;
                    return Ok(body.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec));
                }
                blob @ BlobRef { place: Place::Packed(_) | Place::Extents(_), .. } => {
                    let holds = self.volumes.reader.hold(&pin, [&blob]);
                    let (reader, tables) = (&self.volumes.reader, &self.tables);
                    (PlaintextReader::new(reader, tables, blob, part.size, range.clone(), None)?, holds)
                }
                BlobRef { place: Place::Empty | Place::ThisEntry { .. }, .. } => return Ok(None),
            }
        };
        let mut bytes = Vec::with_capacity(WINDOW_BYTES);
        while let Some(piece) = reader.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes.len() as u64 == range.end - range.start).then_some(bytes))
    }
}
