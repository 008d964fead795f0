//! Copies one body by itself: it is read, coded anew and written, and the copy is compared with what was read. A
//! sealed body, which can't be decrypted here, is copied as its stored bytes.

use super::{Foreseen, LEAST_ROOM_BYTES, Stray, TransitionError, Transitions, tier_of};
use crate::command::Move;
use crate::evacuate::Mover;
use crate::relocate::{self, Small, blob_of};
use bytes::Bytes;
use stratum_bodies::{BodyError, Finished, PlaintextReader, PlaintextWriter, shrinks};
use stratum_frames::{Coding, Compression, FRAME_BYTES};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};
use stratum_storage::readpath::{Holds, ReadError};
use stratum_storage::task::Stop;
use stratum_storage::writepath::{Leave, WriteError};

/// What became of a body.
pub(super) enum Copied {
    /// The copy is durable and has been compared.
    Large(Box<relocate::Copied>),
    /// Coded, the body is so short that it belongs in a stripe with others.
    Small(Small),
    /// The body is in its tier already, or its record changed meanwhile, or it is time to stop: it is looked at
    /// again.
    Left,
    /// The body stays where it is, and is looked at again much later.
    PutOff(String),
}

/// A body that is being read.
struct Source {
    from: BlobRef,
    /// Its plaintext, or the stored bytes of a sealed body.
    bytes: PlaintextReader,
    /// Keep the extents that are read from being freed.
    _holds: Holds,
}

/// A digest of what was read or written of a body: enough to tell whether two are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    crc32c: u32,
}

impl Sum {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, piece);
    }
}

/// What became of a copy, with the errors of the body alone.
enum Outcome {
    Finished(Finished),
    Stopped,
    OtherLength(u64),
}

impl Transitions {
    /// The most memory that copying a body of that size to a tier takes, in bytes.
    pub(super) fn memory(&self, size: u64, to: Tier) -> u64 {
        let volumes = &self.mover.volumes;
        // The body is read twice, but not at the same time.
        let reading = volumes.reader.memory() + PlaintextReader::frames_memory(size);
        // Of a sealed body more bytes are written than its plaintext has, and nothing is coded.
        let writing = PlaintextWriter::memory(self.codecs.of(to), true, Some(size));
        reading + writing + volumes.writer.memory(to)
    }

    /// Checks that the tier can take so many bytes.
    ///
    /// # Errors
    /// What the tier lacks.
    pub(super) fn takes(&self, tier: Tier, bytes: u64) -> Result<(), WriteError> {
        self.mover.volumes.writer.check_room(tier, bytes, Leave::Reserve)
    }

    pub(super) async fn copy(&self, body: &Stray, to: Tier, stop: &Stop) -> Result<Copied, TransitionError> {
        self.takes(to, LEAST_ROOM_BYTES)?;
        if let Err(error) = self.takes(to, body.size) {
            return Ok(Copied::PutOff(error.to_string()));
        }
        match self.copy_or_fail(body, to, stop).await {
            Ok(copied) => Ok(copied),
            Err(Failed::Transition(error)) => Err(error),
            Err(Failed::Body(BodyError::Write(error))) => Err(error.into()),
            // The body was moved meanwhile.
            Err(Failed::Body(BodyError::Read(ReadError::Gone(_)))) => Ok(Copied::Left),
            // Other errors of the reader concern this body alone.
            Err(Failed::Body(error)) => Ok(Copied::PutOff(error.to_string())),
        }
    }

    async fn copy_or_fail(&self, body: &Stray, to: Tier, stop: &Stop) -> Result<Copied, Failed> {
        let Some(Source { from, bytes, _holds }) = self.open(body, to)? else { return Ok(Copied::Left) };
        let mut read = Sum::default();
        let is_sealed = from.form == Form::Sealed;
        let (blob, hold) = match self.write(body, bytes, to, &mut read, stop).await? {
            Outcome::Stopped => return Ok(Copied::Left),
            Outcome::OtherLength(bytes) => {
                let wanted = wanted_bytes(body);
                return Ok(Copied::PutOff(format!("{bytes} bytes were read where the record says {wanted}")));
            }
            Outcome::Finished(Finished::Small { form, stored }) => {
                let form = if is_sealed { Form::Sealed } else { form };
                return Ok(Copied::Small(Small::new(body.owner.clone(), from, form, stored)));
            }
            Outcome::Finished(Finished::Written { blob, hold: Some(hold) }) => (blob, hold),
            Outcome::Finished(Finished::Written { hold: None, .. }) => return Ok(Copied::Left),
        };
        let again = self.sum(&blob, wanted_bytes(body)).await;
        match again {
            Ok(again) if again == read => {}
            Ok(_) => return Ok(Copied::PutOff("its copy reads back as something else".into())),
            Err(error) => return Ok(Copied::PutOff(format!("its copy can't be read: {error}"))),
        }
        let Place::Extents(extents) = blob.place.clone() else { return Ok(Copied::Left) };
        let to = if is_sealed { BlobRef { form: Form::Sealed, ..blob } } else { blob };
        let moved = Move { owner: body.owner.clone(), from, to };
        Ok(Copied::Large(Box::new(relocate::Copied { moved, extents, hold })))
    }

    /// The body, if its owner still has it in a volume of another tier. In a bucket that isn't versioned a new object
    /// has the same owner, and usually another length: whatever isn't what was looked up is looked at again. The pin
    /// keeps the bytes from being freed between the lookup and the hold.
    fn open(&self, body: &Stray, to: Tier) -> Result<Option<Source>, Failed> {
        let Mover { metadata, volumes, .. } = &self.mover;
        let pin = volumes.reader.pin();
        let found = blob_of(metadata.state(), &body.owner).map_err(TransitionError::from)?;
        let is_stray = |blob: &BlobRef| {
            *blob == body.from
                && matches!(blob.place, Place::Packed(_) | Place::Extents(_))
                && tier_of(&volumes.table, blob) != Some(to)
        };
        let Some(from) = found.filter(is_stray) else { return Ok(None) };
        let holds = volumes.reader.hold(&pin, [&from]);
        let readable = if from.form == Form::Sealed { from.opaque() } else { from.clone() };
        Ok(Some(Source { bytes: self.reader(readable, wanted_bytes(body))?, from, _holds: holds }))
    }

    fn reader(&self, blob: BlobRef, size: u64) -> Result<PlaintextReader, BodyError> {
        let reader = &self.mover.volumes.reader;
        PlaintextReader::with_priority(reader, &self.tables, blob, size, 0..size, self.priority())
    }

    async fn write(
        &self,
        body: &Stray,
        mut bytes: PlaintextReader,
        to: Tier,
        read: &mut Sum,
        stop: &Stop,
    ) -> Result<Outcome, Failed> {
        let mut first = Vec::new();
        while first.len() < FRAME_BYTES
            && let Some(piece) = bytes.next().await?
        {
            first.extend_from_slice(&piece);
        }
        let first = Bytes::from(first);
        let compression = match body.from.form {
            Form::Sealed => None,
            Form::Plaintext | Form::Frames => self.codec(to, body.foreseen, &first).await?,
        };
        let (writer, coding) = (self.mover.volumes.writer.clone(), Coding { compression, seal: None });
        let mut writer = PlaintextWriter::with_priority(writer, to, coding, self.priority())?;
        read.add(&first);
        writer.push(first).await?;
        while let Some(piece) = bytes.next().await? {
            if *stop.borrow() {
                return Ok(Outcome::Stopped);
            }
            read.add(&piece);
            writer.push(piece).await?;
        }
        if read.bytes != wanted_bytes(body) {
            return Ok(Outcome::OtherLength(read.bytes));
        }
        Ok(Outcome::Finished(writer.finish_unless_small().await?))
    }

    /// The codec of the tier, if it makes the body shorter.
    async fn codec(
        &self,
        to: Tier,
        foreseen: Foreseen,
        first: &Bytes,
    ) -> Result<Option<Compression>, BodyError> {
        let Some(codec) = self.codecs.of(to) else { return Ok(None) };
        match foreseen {
            Foreseen::Nothing => {}
            Foreseen::Shrinks => return Ok(Some(codec)),
            Foreseen::HardlyShrinks => return Ok(None),
        }
        let sample = first.slice(..first.len().min(FRAME_BYTES));
        Ok(self.priority().spawn(move || shrinks(&sample, codec)).await?.then_some(codec))
    }

    /// The digest of what a body reads as.
    async fn sum(&self, blob: &BlobRef, size: u64) -> Result<Sum, BodyError> {
        let (mut sum, mut reader) = (Sum::default(), self.reader(blob.clone(), size)?);
        while let Some(piece) = reader.next().await? {
            sum.add(&piece);
        }
        Ok(sum)
    }
}

/// How many bytes are read of the body, which are also written if nothing is coded.
fn wanted_bytes(body: &Stray) -> u64 {
    match body.from.form {
        Form::Sealed => body.from.len(),
        Form::Plaintext | Form::Frames => body.size,
    }
}

/// Why a body could not be copied: an error of this body, or one that concerns all bodies.
enum Failed {
    Body(BodyError),
    Transition(TransitionError),
}

impl From<BodyError> for Failed {
    fn from(error: BodyError) -> Self {
        Failed::Body(error)
    }
}

impl From<TransitionError> for Failed {
    fn from(error: TransitionError) -> Self {
        Failed::Transition(error)
    }
}
