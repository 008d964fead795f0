//! Payload on its way in.

use super::digesting::Digesting;
use super::{Bodies, BodyReader, Content, SMALL_MAX, TIER};
use crate::admission::{Admitted, Memory};
use crate::body::RequestBody;
use crate::checksum::{self, Digester, Digests};
use crate::error::S3Error;
use bytes::Bytes;
use stratum_metadata::command::{Command, Outcome};
use stratum_metadata::record::{Checksum, ChecksumAlgorithm};
use stratum_metadata::{CommitError, Headroom, NewBytes, NotWritten};
use stratum_storage::blob::{BlobRef, Place};
use stratum_storage::writepath::Written;

/// A body without a declared length is written in segments of at least so many bytes, each gathered before: a writer
/// must know how much comes.
const SEGMENT_BYTES: usize = 8 << 20;
/// What segments take at most: one is gathered while another is still being hashed, and the last piece of each may be as
/// large as a socket read.
const SEGMENT_MEMORY: u64 = 2 * (9 << 20);

/// A body that storage holds, or that its command will carry, and all that was computed over it. Name its `blob` in a
/// command, and [`Bodies::commit`] both: a body that is dropped before is given back.
#[derive(Debug)]
pub struct Stored {
    pub size: u64,
    pub md5: [u8; 16],
    /// Over the whole body.
    pub checksum: Checksum,
    pub blob: BlobRef,
    bytes: NewBytes,
    headroom: Headroom,
    admitted: Option<Admitted>,
}

/// What gives payload, piece by piece.
trait Source {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error>;
}

impl Source for RequestBody {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        RequestBody::next(self).await
    }
}

impl Source for BodyReader {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        BodyReader::next(self).await
    }
}

impl Source for Option<Bytes> {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        Ok(self.take())
    }
}

impl Bodies {
    /// Stores a request's body, checked against what the client declared of it. The checksum is the client's
    /// choice, or else of the `usual` algorithm.
    ///
    /// # Errors
    /// Before anything is read: `SlowDown` and whatever else a command would be refused for at the end. What reading,
    /// checking and writing the body refuse.
    pub async fn receive(
        &self,
        memory: &Memory,
        mut body: RequestBody,
        usual: ChecksumAlgorithm,
    ) -> Result<Stored, S3Error> {
        body.expected().check_value()?;
        let algorithm = body.expected().algorithm().unwrap_or(usual);
        let digester = Digester::new(algorithm, body.expected().is_signed());
        let length = body.length()?;
        let headroom = self.headroom(length.unwrap_or(u64::MAX)).await?;
        match length {
            Some(length) if length > SMALL_MAX => {
                let admitted = memory.admit(self.writer_memory())?;
                let (written, digests) = self.write(&mut body, length, digester).await?;
                body.check(&digests)?;
                Ok(stored(written, digests, length, headroom, Some(admitted)))
            }
            Some(length) => {
                let admitted = memory.admit(length)?;
                let whole = body.collect(length).await?;
                let digests = digest(digester, &whole);
                body.check(&digests)?;
                Ok(inline(whole, digests, headroom, Some(admitted)))
            }
            None => self.receive_undeclared(memory, body, digester, headroom).await,
        }
    }

    /// Whether a body of that length may be written now.
    async fn headroom(&self, length: u64) -> Result<Headroom, NotWritten> {
        let in_entry = if length <= SMALL_MAX { length as usize } else { 0 };
        self.metadata.headroom(in_entry).await
    }

    /// A body whose length shows at its end is written segment by segment.
    async fn receive_undeclared(
        &self,
        memory: &Memory,
        mut body: RequestBody,
        digester: Digester,
        headroom: Headroom,
    ) -> Result<Stored, S3Error> {
        let admitted = memory.admit(SEGMENT_MEMORY + self.writer_memory())?;
        let first = body.segment(SEGMENT_BYTES).await?;
        if first.len() as u64 <= SMALL_MAX {
            let digests = digest(digester, &first);
            body.check(&digests)?;
            return Ok(inline(first, digests, headroom, Some(admitted)));
        }
        let mut digesting = Digesting::new(digester);
        let mut length = first.len() as u64;
        let mut whole = self.write_segment(first, &mut digesting).await?;
        loop {
            let segment = body.segment(SEGMENT_BYTES).await?;
            if segment.is_empty() {
                break;
            }
            length += segment.len() as u64;
            whole.append(self.write_segment(segment, &mut digesting).await?);
        }
        let digests = digesting.finish().await?;
        body.check(&digests)?;
        Ok(stored(whole, digests, length, headroom, Some(admitted)))
    }

    async fn write_segment(&self, segment: Bytes, digesting: &mut Digesting) -> Result<Written, S3Error> {
        let mut writer = self.volumes.write(TIER, segment.len() as u64).await?;
        digesting.push(segment.clone()).await?;
        writer.push(segment).await?;
        Ok(writer.finish().await?)
    }

    /// Proposes the command that names a stored body. The body goes back if the command surely has no effect, and
    /// stays where that isn't known.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&self, command: Command, stored: Stored) -> Result<Outcome, CommitError> {
        let Stored { bytes, headroom, admitted: _admitted, .. } = stored;
        self.metadata.commit_received(headroom, command, bytes).await
    }

    /// Stores another object's content, which is `length` bytes. What opened it holds the memory that
    /// [`Bodies::admit_copy`] gave.
    ///
    /// # Errors
    /// What reading and writing refuse.
    pub async fn copy(
        &self,
        content: Content,
        length: u64,
        algorithm: ChecksumAlgorithm,
    ) -> Result<Stored, S3Error> {
        let digester = Digester::new(algorithm, false);
        let headroom = self.headroom(length).await?;
        match content {
            Content::Stream(mut reader) if length > SMALL_MAX => {
                let (written, digests) = self.write(&mut *reader, length, digester).await?;
                Ok(stored(written, digests, length, headroom, reader.into_admitted()))
            }
            Content::Stream(mut reader) => {
                let whole = reader.collect(length as usize).await?;
                let digests = digest(digester, &whole);
                Ok(inline(whole, digests, headroom, reader.into_admitted()))
            }
            Content::Whole(whole, admitted) if length > SMALL_MAX => {
                let (written, digests) = self.write(&mut Some(whole), length, digester).await?;
                Ok(stored(written, digests, length, headroom, admitted))
            }
            Content::Whole(whole, admitted) => {
                let digests = digest(digester, &whole);
                Ok(inline(whole, digests, headroom, admitted))
            }
        }
    }

    /// Streams into extents, with the digests computed beside.
    async fn write(
        &self,
        source: &mut impl Source,
        length: u64,
        digester: Digester,
    ) -> Result<(Written, Digests), S3Error> {
        let mut writer = self.volumes.write(TIER, length).await?;
        let mut digesting = Digesting::new(digester);
        while let Some(piece) = source.next().await? {
            digesting.push(piece.clone()).await?;
            writer.push(piece).await?;
        }
        let (written, digests) = tokio::join!(writer.finish(), digesting.finish());
        Ok((written?, digests?))
    }
}

fn stored(
    written: Written,
    digests: Digests,
    size: u64,
    headroom: Headroom,
    admitted: Option<Admitted>,
) -> Stored {
    Stored {
        size,
        md5: digests.md5,
        checksum: digests.checksum,
        blob: written.blob,
        bytes: written.hold.into(),
        headroom,
        admitted,
    }
}

fn inline(whole: Bytes, digests: Digests, headroom: Headroom, admitted: Option<Admitted>) -> Stored {
    let place = match whole.len() {
        0 => Place::Empty,
        // At most SMALL_MAX.
        length => Place::ThisEntry { length: length as u32, crc32c: checksum::crc32c(&whole) },
    };
    Stored {
        size: whole.len() as u64,
        md5: digests.md5,
        checksum: digests.checksum,
        blob: BlobRef::plain(place),
        bytes: whole.into(),
        headroom,
        admitted,
    }
}

fn digest(mut digester: Digester, whole: &[u8]) -> Digests {
    digester.update(whole);
    digester.finish()
}
