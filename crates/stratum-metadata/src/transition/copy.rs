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
use stratum_storage::pace::{Class, Turn};
use stratum_storage::readpath::Holds;
use stratum_storage::writepath::PackBody;

/// What it takes its turns as.
pub(super) const CLASS: Class = Class::Transition;
/// Bytes that are read or written in one turn.
const TURN_BYTES: u64 = 1 << 20;

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

/// Turns of the pace, a piece at a time.
struct Paced<'a> {
    mover: &'a Mover,
    turn: Option<Turn>,
    left: u64,
}

impl Paced<'_> {
    async fn take(&mut self, bytes: usize) {
        if self.turn.is_none() || self.left == 0 {
            self.turn = None;
            self.turn = Some(self.mover.pace.turn(CLASS, TURN_BYTES).await);
            self.left = TURN_BYTES;
        }
        self.left = self.left.saturating_sub(bytes as u64);
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
        let mut paced = Paced { mover: &self.mover, turn: None, left: 0 };
        let codec = self.codecs.of(to);
        match plaintext {
            Plaintext::Journal { index, length, crc32c } => {
                let log = self.mover.metadata.log().clone();
                let read = blocking::spawn(move || log.body(index, length, crc32c)).await?;
                match read {
                    Ok(whole) => small(&body.owner, from, codec, whole).await,
                    // It was packed meanwhile, or can't be read: it is looked at again.
                    Err(error) => Ok(Copied::Unreadable(error.to_string())),
                }
            }
            Plaintext::Volumes(mut reader) if body.size <= SMALL_MAX => {
                paced.take(body.size as usize).await;
                let whole = gather(&mut reader, body.size as usize).await?;
                small(&body.owner, from, codec, whole).await
            }
            Plaintext::Volumes(reader) => self.large(body, from, reader, to, paced).await,
        }
    }

    async fn large(
        &self,
        body: &Carried,
        from: BlobRef,
        mut reader: PlaintextReader,
        to: Tier,
        mut paced: Paced<'_>,
    ) -> Result<Copied, TransitionError> {
        let first = gather(&mut reader, FRAME_BYTES).await?;
        let codec = match self.codecs.of(to) {
            Some(codec) => {
                let sample = first.clone();
                blocking::spawn(move || shrinks(&sample)).await?.then_some(codec)
            }
            None => None,
        };
        let volumes = &self.mover.volumes;
        let mut writer = PlaintextWriter::new(volumes.writer.clone(), to, codec)?;
        let (mut read, mut next) = (Sum::default(), Some(first));
        while let Some(piece) = next {
            paced.take(2 * piece.len()).await;
            read.add(&piece);
            writer.push(piece).await?;
            next = reader.next().await?;
        }
        if read.bytes != body.size {
            let told = format!("{} bytes were read where the record says {}", read.bytes, body.size);
            return Ok(Copied::Unreadable(told));
        }
        let (blob, hold) = match writer.finish_unless_small().await? {
            Finished::Small { form, stored } => {
                return Ok(Copied::Small(packed(&body.owner, from, form, stored)));
            }
            Finished::Written { blob, hold: Some(hold) } => (blob, hold),
            Finished::Written { hold: None, .. } => return Ok(Copied::There),
        };
        if self.sum(&blob, body.size, &mut paced).await? != read {
            return Ok(Copied::Unreadable("its copy reads back as something else".into()));
        }
        let Place::Extents(extents) = blob.place.clone() else { return Ok(Copied::There) };
        let moved = Move { owner: body.owner.clone(), from, to: blob };
        Ok(Copied::Large(Box::new(relocate::Copied { moved, extents, hold })))
    }

    /// What a body reads as.
    async fn sum(&self, blob: &BlobRef, size: u64, paced: &mut Paced<'_>) -> Result<Sum, BodyError> {
        let mut sum = Sum::default();
        let mut reader =
            PlaintextReader::new(&self.mover.volumes.reader, &self.tables, blob.clone(), size, 0..size)?;
        while let Some(piece) = reader.next().await? {
            paced.take(piece.len()).await;
            sum.add(&piece);
        }
        Ok(sum)
    }
}

/// Plaintext until there are so many bytes, or no more of it.
async fn gather(reader: &mut PlaintextReader, bytes: usize) -> Result<Bytes, BodyError> {
    let mut gathered = BytesMut::with_capacity(bytes);
    while gathered.len() < bytes
        && let Some(piece) = reader.next().await?
    {
        gathered.extend_from_slice(&piece);
    }
    Ok(gathered.freeze())
}

async fn small(
    owner: &Owner,
    from: BlobRef,
    codec: Option<Compression>,
    whole: Bytes,
) -> Result<Copied, TransitionError> {
    let (form, stored) = blocking::spawn(move || code(codec, &whole)).await??;
    Ok(Copied::Small(packed(owner, from, form, stored)))
}

fn packed(owner: &Owner, from: BlobRef, form: Form, stored: Bytes) -> Small {
    let body = PackBody { owner: owner.in_stripe(), crc32c: crc32c::crc32c(&stored), bytes: stored };
    Small { owner: owner.clone(), from, form, body }
}
