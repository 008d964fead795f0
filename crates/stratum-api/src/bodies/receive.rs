//! Payload on its way in.

use super::ends::{Ends, Keeper};
use super::{Bodies, BodyReader, Content, SMALL_MAX};
use crate::admission::{Admitted, Memory};
use crate::body::RequestBody;
use crate::checksum::{self, Digester, Digests};
use crate::error::S3Error;
use crate::telemetry;
use bytes::Bytes;
use stratum_bodies::behind::{self, Behind, Work};
use stratum_bodies::{BodyError, PlaintextWriter, SealedWriter};
use stratum_frames::{Coding, Seal};
use stratum_metadata::command::{Outcome, Proposed};
use stratum_metadata::placement::Placement;
use stratum_metadata::record::{Attributes, Checksum, ChecksumAlgorithm};
use stratum_metadata::{CommitError, Headroom, NewBytes, NotWritten};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};

/// A body that storage holds, or that its command will carry, and all that was computed over it. Name its `blob` in a
/// command, and [`Bodies::commit`] both: a body that is dropped before is given back.
#[derive(Debug)]
pub struct Stored {
    /// Bytes of plaintext.
    pub size: u64,
    pub md5: [u8; 16],
    /// Over the whole body.
    pub checksum: Checksum,
    pub blob: BlobRef,
    /// What the record of an object says of where it belongs.
    pub attributes: Attributes,
    /// For who looks at what it is.
    pub ends: Ends,
    bytes: NewBytes,
    headroom: Headroom,
    admitted: Option<Admitted>,
}

/// Stored bytes, and all that was computed over the plaintext.
struct Kept {
    size: u64,
    digests: Digests,
    blob: BlobRef,
    ends: Ends,
    bytes: NewBytes,
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

/// A source that was begun.
struct Begun<'a, S> {
    first: Option<Bytes>,
    rest: &'a mut S,
}

impl<S: Source> Source for Begun<'_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.rest.next().await,
        }
    }
}

impl Bodies {
    /// Stores a request's body where it is placed, or in hot if that tier takes nothing now, checked against what the client
    /// declared of it, and sealed if it is to be. The checksum is the client's choice, or else of the `usual` algorithm.
    ///
    /// # Errors
    /// Before anything is read: `SlowDown` and whatever else a command would be refused for at the end. What reading,
    /// checking and writing the body refuse.
    pub async fn receive(
        &self,
        memory: &Memory,
        mut body: RequestBody,
        placement: Placement,
        usual: ChecksumAlgorithm,
        seal: Option<Seal>,
    ) -> Result<Stored, S3Error> {
        body.expected().check_value()?;
        let algorithm = body.expected().algorithm().unwrap_or(usual);
        let digester = Digester::new(algorithm, body.expected().is_signed());
        let length = body.length()?;
        let headroom = self.headroom(length).await?;
        match length {
            Some(length) if !is_small(length, &seal) => {
                let to = self.open_tier(placement.tier(), Some(length)).await;
                let admitted = memory.admit(self.writer_memory(to, Some(length), seal.is_some()))?;
                let kept = Box::pin(self.write(to, &mut body, length, digester, seal)).await?;
                body.check(&kept.digests)?;
                Ok(kept.stored(placement, to, headroom, admitted))
            }
            Some(length) => {
                let admitted = memory.admit(length)?;
                let whole = body.collect(length).await?;
                let kept = inline(whole, digester, self.samples, seal)?;
                body.check(&kept.digests)?;
                Ok(kept.stored(placement, placement.tier(), headroom, admitted))
            }
            None => {
                let to = self.open_tier(placement.tier(), None).await;
                let admitted = memory.admit(self.gatherer_memory(to, None, seal.is_some()))?;
                let kept = Box::pin(self.write_undeclared(to, &mut body, digester, seal)).await?;
                body.check(&kept.digests)?;
                Ok(kept.stored(placement, to, headroom, admitted))
            }
        }
    }

    /// Whether a body of that length may be written now.
    async fn headroom(&self, length: Option<u64>) -> Result<Headroom, NotWritten> {
        let in_entry = length.unwrap_or(SMALL_MAX);
        if in_entry > SMALL_MAX {
            return self.metadata.headroom(0).await;
        }
        if !self.writer.takes_small(in_entry) {
            return Err(NotWritten::NoSpace);
        }
        self.metadata.headroom(in_entry as usize).await
    }

    /// What writing a body over [`SMALL_MAX`] holds at most; of any body if its length isn't known.
    pub(super) fn writer_memory(&self, to: Tier, length: Option<u64>, is_sealed: bool) -> u64 {
        let straight = self.writer.memory(to) + behind::MEMORY;
        match (self.codecs.of(to), is_sealed) {
            (None, false) => straight,
            (None, true) if length.is_some() => straight + SealedWriter::memory(),
            (None, true) | (Some(_), _) => self.gatherer_memory(to, length, is_sealed),
        }
    }

    /// What it holds at most where the stored length shows at the end.
    fn gatherer_memory(&self, to: Tier, length: Option<u64>, is_sealed: bool) -> u64 {
        let coding = PlaintextWriter::memory(self.codecs.of(to), is_sealed, length);
        self.writer.memory(to) + behind::MEMORY + coding
    }

    /// A body whose length shows at its end: it may turn out to be small.
    async fn write_undeclared(
        &self,
        to: Tier,
        body: &mut RequestBody,
        digester: Digester,
        seal: Option<Seal>,
    ) -> Result<Kept, S3Error> {
        let first = body.segment(SMALL_MAX as usize + 1).await?;
        if is_small(first.len() as u64, &seal) {
            return inline(first, digester, self.samples, seal);
        }
        self.gather(to, &mut Begun { first: Some(first), rest: body }, digester, seal).await
    }

    /// Proposes the command that names a stored body. The body goes back if the command surely has no effect, and
    /// stays where that isn't known.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(
        &self,
        proposed: impl Into<Proposed>,
        stored: Stored,
    ) -> impl Future<Output = Result<Outcome, CommitError>> {
        let Stored { bytes, headroom, admitted, .. } = stored;
        let committing = self.metadata.commit_received(headroom, proposed, bytes);
        async move {
            let outcome = committing.await;
            drop(admitted);
            outcome
        }
    }

    /// Stores another object's content, which is `length` bytes, where it is placed, as [`Bodies::receive`] does. What opened
    /// it, with its key if it took one, holds the memory that [`Bodies::admit_copy`] gave.
    ///
    /// # Errors
    /// What reading and writing refuse.
    pub async fn copy(
        &self,
        content: Content,
        length: u64,
        placement: Placement,
        algorithm: ChecksumAlgorithm,
        seal: Option<Seal>,
    ) -> Result<Stored, S3Error> {
        let digester = Digester::new(algorithm, false);
        let headroom = self.headroom(Some(length)).await?;
        let is_small = is_small(length, &seal);
        let to = match is_small {
            true => placement.tier(),
            false => self.open_tier(placement.tier(), Some(length)).await,
        };
        let (kept, admitted) = match content {
            Content::Stream(mut reader) if is_small => (
                inline(reader.collect(length as usize).await?, digester, self.samples, seal)?,
                reader.into_admitted(),
            ),
            Content::Stream(mut reader) => {
                let writing = Box::pin(self.write(to, &mut *reader, length, digester, seal));
                (writing.await?, reader.into_admitted())
            }
            Content::Whole(whole, admitted) if is_small => {
                (inline(whole, digester, self.samples, seal)?, admitted)
            }
            Content::Whole(whole, admitted) => {
                (Box::pin(self.write(to, &mut Some(whole), length, digester, seal)).await?, admitted)
            }
        };
        Ok(kept.stored(placement, to, headroom, admitted))
    }

    /// Streams a body of `length` bytes that isn't small into extents, with the digests computed beside.
    async fn write(
        &self,
        to: Tier,
        source: &mut impl Source,
        length: u64,
        digester: Digester,
        seal: Option<Seal>,
    ) -> Result<Kept, S3Error> {
        match (self.codecs.of(to), seal) {
            (None, None) => {}
            (None, Some(seal)) => return self.write_sealed(to, source, length, digester, seal).await,
            (Some(_), seal) => return self.gather(to, source, digester, seal).await,
        }
        let mut writer = self.writer.write(to, length).await?;
        let (mut digesting, mut ends) = (Behind::new(digester), Keeper::new(self.samples));
        while let Some(piece) = source.next().await? {
            ends.push(&piece);
            digesting.push(piece.clone()).await?;
            writer.push(piece).await?;
        }
        let (written, digests) = tokio::join!(writer.finish(), digesting.finish());
        let (written, digests, ends) = (written?, digests?, ends.finish());
        Ok(Kept { size: length, digests, blob: written.blob, ends, bytes: written.hold.into() })
    }

    /// As [`Bodies::write`], of what is sealed and nothing else. Nobody is to see what it is.
    async fn write_sealed(
        &self,
        to: Tier,
        source: &mut impl Source,
        length: u64,
        digester: Digester,
        seal: Seal,
    ) -> Result<Kept, S3Error> {
        let mut writer = SealedWriter::begin(&self.writer, to, seal, length).await?;
        let mut digesting = Behind::new(digester);
        while let Some(piece) = source.next().await? {
            digesting.push(piece.clone()).await?;
            writer.push(piece).await?;
        }
        let (written, digests) = tokio::join!(writer.finish(), digesting.finish());
        let ((blob, hold), digests) = (written?, digests?);
        Ok(Kept { size: length, digests, blob, ends: Ends::None, bytes: hold.into() })
    }

    /// As [`Bodies::write`], where how much is stored shows at the end.
    async fn gather(
        &self,
        to: Tier,
        source: &mut impl Source,
        digester: Digester,
        seal: Option<Seal>,
    ) -> Result<Kept, S3Error> {
        // Nobody is to see what an encrypted body is.
        let (mut digesting, mut ends) = (Behind::new(digester), Keeper::new(self.samples && seal.is_none()));
        let coding = Coding { compression: self.codecs.of(to), seal };
        let mut writer = PlaintextWriter::new(self.writer.clone(), to, coding)?;
        let mut size = 0;
        while let Some(piece) = source.next().await? {
            size += piece.len() as u64;
            ends.push(&piece);
            digesting.push(piece.clone()).await?;
            writer.push(piece).await?;
        }
        let (written, digests) = tokio::join!(writer.finish(), digesting.finish());
        let ((blob, hold), digests) = (written?, digests?);
        if blob.form == Form::Frames {
            telemetry::framed(size, blob.len());
        }
        let bytes = hold.map_or_else(|| Bytes::new().into(), Into::into);
        Ok(Kept { size, digests, blob, ends: ends.finish(), bytes })
    }
}

impl Kept {
    /// `to` is the tier that it was written to, or is packed into.
    fn stored(
        self,
        placement: Placement,
        to: Tier,
        headroom: Headroom,
        admitted: impl Into<Option<Admitted>>,
    ) -> Stored {
        let Kept { size, digests: Digests { md5, checksum, .. }, blob, ends, bytes } = self;
        let attributes = match to == placement.tier() {
            true => placement.attributes(),
            false => placement.attributes().reviewed_at_once(),
        };
        Stored { size, md5, checksum, blob, attributes, ends, bytes, headroom, admitted: admitted.into() }
    }
}

/// Whether a body of `length` bytes is kept as a whole, as it is or sealed.
fn is_small(length: u64, seal: &Option<Seal>) -> bool {
    let stored = if seal.is_some() { Seal::stored_bytes(length) } else { length };
    stored <= SMALL_MAX
}

/// A small body, which is kept as a whole.
fn inline(whole: Bytes, mut digester: Digester, is_asked: bool, seal: Option<Seal>) -> Result<Kept, S3Error> {
    digester.update(&whole);
    let size = whole.len() as u64;
    let ends = if is_asked && seal.is_none() { Ends::Whole(whole.clone()) } else { Ends::None };
    let (form, stored) = stratum_bodies::code(Coding { compression: None, seal }, &whole)?;
    let place = match stored.len() {
        0 => Place::Empty,
        // At most SMALL_MAX.
        length => Place::ThisEntry { length: length as u32, crc32c: checksum::crc32c(&stored) },
    };
    Ok(Kept { size, digests: digester.finish(), blob: BlobRef { form, place }, ends, bytes: stored.into() })
}

impl Work for Digester {
    type Made = ();
    type Done = Digests;

    fn take(&mut self, piece: &[u8]) -> Result<(), BodyError> {
        self.update(piece);
        Ok(())
    }

    fn made(&mut self) {}

    fn finish(self) -> Digests {
        Digester::finish(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn digests_computed_behind_are_those_computed_at_once() {
        let body: Bytes = (0..1_600_000).map(|at| (at * 7) as u8).collect::<Vec<_>>().into();
        let digester = Digester::new(ChecksumAlgorithm::Crc64Nvme, true);
        let mut at_once = digester.clone();
        at_once.update(&body);
        let mut behind = Behind::new(digester);
        let mut rest = body.clone();
        for size in [1, 300_007, 700_001, 5, 599_986] {
            behind.push(rest.split_to(size)).await.unwrap();
        }
        assert!(rest.is_empty());
        assert_eq!(behind.finish().await.unwrap(), at_once.finish());
    }
}
