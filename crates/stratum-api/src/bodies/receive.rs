//! Payload on its way in: how bodies are stored.

use super::ends::{Ends, Keeper};
use super::{Bodies, BodyReader, Content, MAX_SMALL_BODY_BYTES};
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

/// A body that storage holds or that its command will carry, and all that was computed over it. Name its `blob` in a
/// command, and give both to [`Bodies::commit`]: a body that is dropped before that is given back.
#[derive(Debug)]
pub struct Stored {
    /// Bytes of plaintext.
    pub size: u64,
    pub md5: [u8; 16],
    /// The checksum over the whole body.
    pub checksum: Checksum,
    pub blob: BlobRef,
    /// The attributes of the object's record that say where the object belongs.
    pub attributes: Attributes,
    /// What was kept of the body for the classifier.
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

/// Gives payload, piece by piece.
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

/// A source from which the first piece was already taken.
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
    /// Stores the body of a request in the tier where it is placed, or in hot if that tier takes nothing now. The body
    /// is checked against what the client declared of it, and sealed if there is a seal. Its checksum is of the
    /// algorithm that the client chose, or else of `usual`.
    ///
    /// # Errors
    /// Before anything is read: `SlowDown`, and whatever else the command would be refused for at the end. After that:
    /// what reading, checking and writing the body refuse.
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

    /// Makes sure that the store takes a body of that length now.
    async fn headroom(&self, length: Option<u64>) -> Result<Headroom, NotWritten> {
        let in_entry = length.unwrap_or(MAX_SMALL_BODY_BYTES);
        if in_entry > MAX_SMALL_BODY_BYTES {
            return self.metadata.headroom(0).await;
        }
        if !self.writer.takes_small(in_entry).await {
            return Err(NotWritten::NoSpace);
        }
        self.metadata.headroom(in_entry as usize).await
    }

    /// The most memory that writing a body over [`MAX_SMALL_BODY_BYTES`] holds; without a length, the most that any body takes.
    pub(super) fn writer_memory(&self, to: Tier, length: Option<u64>, is_sealed: bool) -> u64 {
        let straight = self.writer.memory(to) + behind::MEMORY;
        match (self.codecs.of(to), is_sealed) {
            (None, false) => straight,
            (None, true) if length.is_some() => straight + SealedWriter::memory(),
            (None, true) | (Some(_), _) => self.gatherer_memory(to, length, is_sealed),
        }
    }

    /// The most memory that [`Bodies::gather`] holds.
    fn gatherer_memory(&self, to: Tier, length: Option<u64>, is_sealed: bool) -> u64 {
        let coding = PlaintextWriter::memory(self.codecs.of(to), is_sealed, length);
        self.writer.memory(to) + behind::MEMORY + coding
    }

    /// Writes a body whose length shows at its end. It may turn out to be small.
    async fn write_undeclared(
        &self,
        to: Tier,
        body: &mut RequestBody,
        digester: Digester,
        seal: Option<Seal>,
    ) -> Result<Kept, S3Error> {
        let first = body.segment(MAX_SMALL_BODY_BYTES as usize + 1).await?;
        if is_small(first.len() as u64, &seal) {
            return inline(first, digester, self.samples, seal);
        }
        self.gather(to, &mut Begun { first: Some(first), rest: body }, digester, seal).await
    }

    /// Proposes the command that names a stored body. The body is given back if the command surely has no effect; it is
    /// kept if nobody knows whether the command has one.
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

    /// Stores the content of another object, which is `length` bytes, as [`Bodies::receive`] stores the body of a
    /// request. The content was opened with its key, if it takes one, and holds the memory that [`Bodies::admit_copy`]
    /// admitted.
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

    /// Streams a body of `length` bytes that isn't small into extents, and computes its digests meanwhile.
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

    /// As [`Bodies::write`], for a body that is sealed and not compressed. The classifier gets no sample, since nobody
    /// is to see what an encrypted body is.
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

    /// As [`Bodies::write`], for a body whose stored length shows only at the end.
    async fn gather(
        &self,
        to: Tier,
        source: &mut impl Source,
        digester: Digester,
        seal: Option<Seal>,
    ) -> Result<Kept, S3Error> {
        // The classifier gets no sample of an encrypted body, since nobody is to see what it is.
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
    /// `to` is the tier that the body was written to; of a small body, the tier that it will be packed into.
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

/// Whether a body of `length` bytes is stored as a whole in a journal entry, sealed if there is a seal.
fn is_small(length: u64, seal: &Option<Seal>) -> bool {
    let stored = if seal.is_some() { Seal::stored_bytes(length) } else { length };
    stored <= MAX_SMALL_BODY_BYTES
}

/// Seals a small body if it is to be sealed, for the journal entry of its command.
fn inline(whole: Bytes, mut digester: Digester, is_asked: bool, seal: Option<Seal>) -> Result<Kept, S3Error> {
    digester.update(&whole);
    let size = whole.len() as u64;
    let ends = if is_asked && seal.is_none() { Ends::Whole(whole.clone()) } else { Ends::None };
    let (form, stored) = stratum_bodies::code(Coding { compression: None, seal }, &whole)?;
    let place = match stored.len() {
        0 => Place::Empty,
        // The stored length is at most MAX_SMALL_BODY_BYTES, so it fits.
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
