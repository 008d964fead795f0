//! Payload on its way in.

use super::digesting::Digesting;
use super::{Bodies, BodyReader, Content, SMALL_MAX, TIER};
use crate::admission::{Admitted, Memory};
use crate::body::RequestBody;
use crate::checksum::{self, Digester, Digests};
use crate::error::S3Error;
use bytes::Bytes;
use stratum_metadata::record::{Checksum, ChecksumAlgorithm};
use stratum_storage::blob::{BlobRef, Place};
use stratum_storage::writepath::{WriteHold, Written};

/// A body without a declared length is written in segments of at least so many bytes, each gathered before: a writer
/// must know how much comes.
const SEGMENT_BYTES: usize = 8 << 20;
/// What segments take at most: one is gathered while another is still being hashed, and the last piece of each may be as
/// large as a socket read.
const SEGMENT_MEMORY: u64 = 2 * (9 << 20);

/// A body that storage holds, or that its command will carry, and all that was computed over it.
///
/// Keep it until the command is committed: it holds the reservation of its extents, and the request's memory.
#[derive(Debug)]
pub struct Stored {
    pub size: u64,
    pub md5: [u8; 16],
    /// Over the whole body.
    pub checksum: Checksum,
    pub blob: BlobRef,
    /// What rides in the journal entry: empty unless the body is small.
    pub inline: Bytes,
    hold: Option<WriteHold>,
    _admitted: Option<Admitted>,
}

impl Stored {
    /// Frees the body's bytes. Only where it is *known* that no record names it: its command was refused.
    pub fn discard(self) {
        if let Some(hold) = self.hold {
            hold.discard();
        }
    }
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
    /// `SlowDown` before anything is read; what reading, checking and writing the body refuse.
    pub async fn receive(
        &self,
        memory: &Memory,
        mut body: RequestBody,
        usual: ChecksumAlgorithm,
    ) -> Result<Stored, S3Error> {
        body.expected().check_value()?;
        let algorithm = body.expected().algorithm().unwrap_or(usual);
        let digester = Digester::new(algorithm, body.expected().is_signed());
        match body.length()? {
            Some(length) if length > SMALL_MAX => {
                let admitted = memory.admit(self.writer_memory())?;
                let (written, digests) = self.write(&mut body, length, digester).await?;
                checked(&body, &digests, length, written, admitted)
            }
            Some(length) => {
                let admitted = memory.admit(length)?;
                let whole = body.collect(length).await?;
                let digests = digest(digester, &whole);
                body.check(&digests)?;
                Ok(inline(whole, digests, Some(admitted)))
            }
            None => self.receive_undeclared(memory, body, digester).await,
        }
    }

    /// A body whose length shows at its end is written segment by segment.
    async fn receive_undeclared(
        &self,
        memory: &Memory,
        mut body: RequestBody,
        digester: Digester,
    ) -> Result<Stored, S3Error> {
        let admitted = memory.admit(SEGMENT_MEMORY + self.writer_memory())?;
        let first = body.segment(SEGMENT_BYTES).await?;
        if first.len() as u64 <= SMALL_MAX {
            let digests = digest(digester, &first);
            body.check(&digests)?;
            return Ok(inline(first, digests, Some(admitted)));
        }
        let mut digesting = Digesting::new(digester);
        let mut length = first.len() as u64;
        let mut whole = self.write_segment(first, &mut digesting).await?;
        if let Err(error) = self.write_rest(&mut body, &mut digesting, &mut length, &mut whole).await {
            whole.hold.discard();
            return Err(error);
        }
        let digests = digesting.finish().await?;
        checked(&body, &digests, length, whole, admitted)
    }

    async fn write_rest(
        &self,
        body: &mut RequestBody,
        digesting: &mut Digesting,
        length: &mut u64,
        whole: &mut Written,
    ) -> Result<(), S3Error> {
        loop {
            let segment = body.segment(SEGMENT_BYTES).await?;
            if segment.is_empty() {
                return Ok(());
            }
            *length += segment.len() as u64;
            whole.append(self.write_segment(segment, digesting).await?);
        }
    }

    async fn write_segment(&self, segment: Bytes, digesting: &mut Digesting) -> Result<Written, S3Error> {
        let mut writer = self.volumes.write(TIER, segment.len() as u64).await?;
        digesting.push(segment.clone()).await?;
        writer.push(segment).await?;
        Ok(writer.finish().await?)
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
        match content {
            Content::Stream(mut reader) if length > SMALL_MAX => {
                let (written, digests) = self.write(&mut *reader, length, digester).await?;
                Ok(stored(written, digests, length, reader.into_admitted()))
            }
            Content::Stream(mut reader) => {
                let whole = reader.collect(length as usize).await?;
                let digests = digest(digester, &whole);
                Ok(inline(whole, digests, reader.into_admitted()))
            }
            Content::Whole(whole, admitted) if length > SMALL_MAX => {
                let (written, digests) = self.write(&mut Some(whole), length, digester).await?;
                Ok(stored(written, digests, length, admitted))
            }
            Content::Whole(whole, admitted) => {
                let digests = digest(digester, &whole);
                Ok(inline(whole, digests, admitted))
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

/// A written body whose digests are what the client declared; one whose aren't is freed again.
fn checked(
    body: &RequestBody,
    digests: &Digests,
    size: u64,
    written: Written,
    admitted: Admitted,
) -> Result<Stored, S3Error> {
    let stored = stored(written, digests.clone(), size, Some(admitted));
    match body.check(digests) {
        Ok(()) => Ok(stored),
        Err(error) => {
            stored.discard();
            Err(error)
        }
    }
}

fn stored(written: Written, digests: Digests, size: u64, admitted: Option<Admitted>) -> Stored {
    Stored {
        size,
        md5: digests.md5,
        checksum: digests.checksum,
        blob: written.blob,
        inline: Bytes::new(),
        hold: Some(written.hold),
        _admitted: admitted,
    }
}

fn inline(whole: Bytes, digests: Digests, admitted: Option<Admitted>) -> Stored {
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
        inline: whole,
        hold: None,
        _admitted: admitted,
    }
}

fn digest(mut digester: Digester, whole: &[u8]) -> Digests {
    digester.update(whole);
    digester.finish()
}
