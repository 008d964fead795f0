//! One body is copied: read, coded anew, written, and what was written compared with what was read.

use super::{Carried, TransitionError, Transitions, tier_of};
use crate::command::Move;
use crate::evacuate::Mover;
use crate::record::Owner;
use crate::relocate::{self, Small, blob_of};
use bytes::{Bytes, BytesMut};
use stratum_bodies::{BodyError, Finished, PlaintextReader, PlaintextWriter, SMALL_MAX, code, shrinks};
use stratum_frames::{Compression, FRAME_BYTES};
use stratum_storage::blob::{BlobRef, Form, Place, Tier};
use stratum_storage::blocking;
use stratum_storage::pace::Class;
use stratum_storage::readpath::Holds;
use stratum_storage::writepath::PackBody;

/// What it takes its turns as.
pub(super) const CLASS: Class = Class::Transition;
/// Bytes of plaintext that are read in one turn.
const TURN_BYTES: u64 = 1 << 20;
/// How often bytes that are read in a turn go to a drive or come from one: what is copied is written, too.
const TWICE: u64 = 2;
const ONCE: u64 = 1;

/// What became of a body.
pub(super) enum Copied {
    /// It is where it should be, or gone.
    There,
    /// It is so short, coded, that it belongs in a stripe with others.
    Small(Small),
    /// Its copy is durable and was compared.
    Large(Box<relocate::Copied>),
    /// It stays where it is.
    Unreadable(String),
}

/// A body that is to be copied.
struct Source {
    from: BlobRef,
    plaintext: Plaintext,
    /// Keep what is read from being freed.
    _holds: Holds,
}

enum Plaintext {
    /// Not asked for yet.
    Journal {
        index: u64,
        length: u32,
        crc32c: u32,
    },
    Volumes(PlaintextReader),
}

/// What was read of a body, or written for it: enough to see whether two are the same.
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

impl Transitions {
    pub(super) async fn copy(&self, body: &Carried, to: Tier) -> Result<Copied, TransitionError> {
        let Some(source) = self.open(body, to)? else { return Ok(Copied::There) };
        match self.write(body, source, to).await {
            // What a reader meets is about this body alone.
            Err(TransitionError::Coding(error)) => Ok(Copied::Unreadable(error.to_string())),
            outcome => outcome,
        }
    }

    /// The body as its owner has it now, unless it is in that tier; nothing of one that is gone. The pin keeps the bytes
    /// from being freed between the lookup and the hold.
    fn open(&self, body: &Carried, to: Tier) -> Result<Option<Source>, TransitionError> {
        let Mover { metadata, volumes, .. } = &self.mover;
        let pin = volumes.reader.pin();
        let Some(from) = blob_of(metadata.state(), &body.owner)? else { return Ok(None) };
        let holds = volumes.reader.hold(&pin, [&from]);
        let plaintext = match from.place {
            Place::Empty | Place::ThisEntry { .. } => return Ok(None),
            Place::Journal { index, length, crc32c } => Plaintext::Journal { index, length, crc32c },
            Place::Packed(_) | Place::Extents(_) if tier_of(&volumes.table, &from) == Some(to) => {
                return Ok(None);
            }
            Place::Packed(_) | Place::Extents(_) => {
                let whole = 0..body.size;
                Plaintext::Volumes(PlaintextReader::new(
                    &volumes.reader,
                    &self.tables,
                    from.clone(),
                    body.size,
                    whole,
                )?)
            }
        };
        Ok(Some(Source { from, plaintext, _holds: holds }))
    }

    async fn write(&self, body: &Carried, source: Source, to: Tier) -> Result<Copied, TransitionError> {
        let Source { from, plaintext, _holds } = source;
        let codec = self.codecs.of(to);
        match plaintext {
            Plaintext::Journal { index, length, crc32c } => {
                let log = self.mover.metadata.log().clone();
                let read = blocking::spawn(move || log.body(index, length, crc32c)).await?;
                match read {
                    Ok(whole) => small(body, from, codec, whole).await,
                    // It was packed meanwhile, or can't be read: it is looked at again.
                    Err(error) => Ok(Copied::Unreadable(error.to_string())),
                }
            }
            Plaintext::Volumes(mut reader) if body.size <= SMALL_MAX => {
                let whole = self.read(&mut reader, body.size, TWICE).await?;
                small(body, from, codec, whole).await
            }
            Plaintext::Volumes(reader) => self.large(body, from, reader, to).await,
        }
    }

    async fn large(
        &self,
        body: &Carried,
        from: BlobRef,
        mut reader: PlaintextReader,
        to: Tier,
    ) -> Result<Copied, TransitionError> {
        let mut piece = self.read(&mut reader, TURN_BYTES, TWICE).await?;
        let codec = match self.codecs.of(to) {
            Some(codec) => {
                let sample = piece.slice(..piece.len().min(FRAME_BYTES));
                blocking::spawn(move || shrinks(&sample)).await?.then_some(codec)
            }
            None => None,
        };
        let volumes = &self.mover.volumes;
        let mut writer = PlaintextWriter::new(volumes.writer.clone(), to, codec)?;
        let mut read = Sum::default();
        while !piece.is_empty() {
            read.add(&piece);
            writer.push(piece).await?;
            piece = self.read(&mut reader, TURN_BYTES, TWICE).await?;
        }
        if read.bytes != body.size {
            return Ok(other_length(body, read.bytes));
        }
        let (blob, hold) = match writer.finish_unless_small().await? {
            Finished::Small { form, stored } => {
                return Ok(Copied::Small(packed(&body.owner, from, form, stored)));
            }
            Finished::Written { blob, hold: Some(hold) } => (blob, hold),
            Finished::Written { hold: None, .. } => return Ok(Copied::There),
        };
        if self.sum(&blob, body.size).await? != read {
            return Ok(Copied::Unreadable("its copy reads back as something else".into()));
        }
        let Place::Extents(extents) = blob.place.clone() else { return Ok(Copied::There) };
        let moved = Move { owner: body.owner.clone(), from, to: blob };
        Ok(Copied::Large(Box::new(relocate::Copied { moved, extents, hold })))
    }

    /// What a body reads as.
    async fn sum(&self, blob: &BlobRef, size: u64) -> Result<Sum, BodyError> {
        let mut sum = Sum::default();
        let reader = &self.mover.volumes.reader;
        let mut reader = PlaintextReader::new(reader, &self.tables, blob.clone(), size, 0..size)?;
        loop {
            let piece = self.read(&mut reader, TURN_BYTES, ONCE).await?;
            if piece.is_empty() {
                return Ok(sum);
            }
            sum.add(&piece);
        }
    }

    /// The next plaintext, so many bytes of it at least if there are as many, in a turn of its own. What coding it takes is
    /// no part of the turn: a drive has nothing to do with it, and nobody else need wait for it.
    async fn read(&self, reader: &mut PlaintextReader, bytes: u64, times: u64) -> Result<Bytes, BodyError> {
        let turn = self.mover.pace.turn(CLASS, times * bytes).await;
        let mut gathered = BytesMut::new();
        while (gathered.len() as u64) < bytes
            && let Some(piece) = reader.next().await?
        {
            gathered.extend_from_slice(&piece);
        }
        drop(turn);
        Ok(gathered.freeze())
    }
}

async fn small(
    body: &Carried,
    from: BlobRef,
    codec: Option<Compression>,
    whole: Bytes,
) -> Result<Copied, TransitionError> {
    if whole.len() as u64 != body.size {
        return Ok(other_length(body, whole.len() as u64));
    }
    let (form, stored) = blocking::spawn(move || code(codec, &whole)).await??;
    Ok(Copied::Small(packed(&body.owner, from, form, stored)))
}

fn other_length(body: &Carried, read: u64) -> Copied {
    Copied::Unreadable(format!("{read} bytes were read where the record says {}", body.size))
}

fn packed(owner: &Owner, from: BlobRef, form: Form, stored: Bytes) -> Small {
    let body = PackBody { owner: owner.in_stripe(), crc32c: crc32c::crc32c(&stored), bytes: stored };
    Small { owner: owner.clone(), from, form, body }
}
