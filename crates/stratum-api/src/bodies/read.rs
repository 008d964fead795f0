//! Payload on its way out: how stored bodies are read.
//!
//! A record is looked up and its bytes are secured under one pin: a small body that the page cache holds is copied at
//! once, and volumes get a hold. So a reader can finish what it began, whatever is deleted or moved meanwhile. Nothing
//! may wait under a pin on an async thread, so a body that only a drive holds is looked up again on a thread that may
//! block.

use super::Bodies;
use crate::admission::{Admitted, Memory};
use crate::error::{Code, S3Error};
use crate::selection::Selection;
use crate::version::{Looked, Target};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;
use stratum_bodies::{MAX_SMALL_BODY_BYTES, PlaintextReader, decode};
use stratum_cipher::DataKey;
use stratum_metadata::ReadView;
use stratum_metadata::record::{Body, ObjectRecord, PartRecord, PartSummary, UploadId};
use stratum_storage::blob::{BlobRef, Form, Index, Place};
use stratum_storage::journal::BodyError;
use stratum_storage::readpath::{self, Holds, Pin, ReadError};

/// How often an object is looked up for one read, since its bytes may move between the lookup and the read.
const LOOKUP_ATTEMPTS: usize = 4;

/// What a client is told of an object whose bytes are lost for good.
const LOST: &str = "The bytes of this object are lost. It can be written anew or deleted.";

/// The most parts that are looked up on an async thread, which takes some hundred microseconds. More are looked up on a
/// thread that may block.
const MAX_PARTS_ON_ASYNC_THREAD: usize = 64;

/// An object, and the bytes of it that were asked for.
#[derive(Debug)]
pub struct Opened {
    pub object: ObjectRecord,
    /// Whether this is the current version of its key.
    pub is_current: bool,
    pub selection: Selection,
    pub content: Content,
}

/// The wanted bytes, or a reader of them. Either keeps the memory that was admitted for it.
#[derive(Debug)]
pub enum Content {
    Whole(Bytes, Option<Admitted>),
    Stream(Box<BodyReader>),
}

/// Reads the bytes of an object in order.
pub struct BodyReader {
    bodies: Bodies,
    pieces: VecDeque<Piece>,
    current: Option<PlaintextReader>,
    /// Keep the volumes' bytes from being freed until the last of them is read.
    _holds: Option<Holds>,
    admitted: Option<Admitted>,
    /// The key of an encrypted object, once [`Content::unlock`] has given it.
    key: Option<DataKey>,
}

/// A run of bytes that are stored together.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// A small sealed body: all its stored bytes, the length of its plaintext, and the wanted range of the plaintext.
    Sealed(Bytes, u64, Range<u64>),
    /// A body in volumes, the length of its plaintext, and the wanted range of the plaintext.
    Body(BlobRef, u64, Range<u64>),
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyReader").field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

/// The memory that a read may hold.
#[derive(Debug)]
struct Budget {
    memory: Memory,
    admitted: Option<Admitted>,
    /// How many bytes the read has had admitted itself; `None` where the request brought what it needs.
    own: Option<u64>,
}

impl Budget {
    fn new(memory: &Memory, brought: Option<Admitted>) -> Budget {
        Budget { memory: memory.clone(), own: brought.is_none().then_some(0), admitted: brought }
    }

    /// Sees to it that `bytes` are admitted for the read, unless the request brought what it needs. An attempt that finds
    /// the body coded, after one that found it plain, may need more than that one had admitted.
    fn admit(&mut self, bytes: u64) -> Result<(), S3Error> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let more = bytes.saturating_sub(*own);
        match &mut self.admitted {
            Some(admitted) => admitted.grow(more)?,
            None => self.admitted = Some(self.memory.admit(more)?),
        }
        *own += more;
        Ok(())
    }
}

/// Whether the thread may wait for a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    Async,
    Blocking,
}

/// Why an attempt gave nothing to read.
#[derive(Debug)]
enum Unread {
    /// Only a drive has the bytes, or there are too many parts to look up, and this thread may not wait.
    NotCached,
    /// The bytes were moved meanwhile, perhaps out of this entry of the journal. The object is to be looked up again.
    Moved(Option<Index>),
    Failed(S3Error),
}

impl From<S3Error> for Unread {
    fn from(error: S3Error) -> Self {
        Unread::Failed(error)
    }
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Gone(_) => Unread::Moved(None),
            error => Unread::Failed(error.into()),
        }
    }
}

impl From<BodyError> for Unread {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Gone { index } => Unread::Moved(Some(index)),
            BodyError::NotCached => Unread::NotCached,
            BodyError::Damaged { .. } | BodyError::Late { .. } => {
                Unread::Failed(S3Error::new(Code::ServiceUnavailable).because(error))
            }
        }
    }
}

/// A body that lies in a journal entry.
#[derive(Clone, Copy, Debug)]
struct Journaled {
    index: Index,
    length: u32,
    crc32c: u32,
}

impl Journaled {
    /// Only plaintext and sealed bodies lie in the journal. A record that puts a body of another form there gives
    /// `None`, and is refused by the reader of volumes.
    fn of(blob: &BlobRef) -> Option<Self> {
        match (blob.form, &blob.place) {
            (Form::Plaintext | Form::Sealed, Place::Journal { index, length, crc32c }) => {
                Some(Self { index: *index, length: *length, crc32c: *crc32c })
            }
            _ => None,
        }
    }
}

impl Bodies {
    /// Looks an object up in the request's view, lets `choose` say which of its bytes are wanted (or refuse), and opens
    /// them. `admitted` is what the request already holds for this; without it, a stream takes its own of the request's
    /// `memory`.
    ///
    /// # Errors
    /// As [`Target::look_up`], what `choose` refuses, `SlowDown`, and failures of the store.
    pub async fn open(
        &self,
        view: &ReadView,
        target: &Target,
        memory: &Memory,
        admitted: Option<Admitted>,
        choose: impl Fn(&ObjectRecord) -> Result<Selection, S3Error>,
    ) -> Result<Opened, S3Error> {
        let (mut budget, mut last) = (Budget::new(memory, admitted), None);
        for _ in 0..LOOKUP_ATTEMPTS {
            let (object, selection) = match self.attempt(view, target, &mut budget, &choose)? {
                Attempt::Opened(opened) => return Ok(opened),
                Attempt::NotCached { object, selection } => (object, selection),
                Attempt::Moved(from) => {
                    last = moved_again(last, from)?;
                    continue;
                }
            };
            let (bodies, view, wanted) = (self.clone(), view.clone(), target.clone());
            let patient = tokio::task::spawn_blocking(move || {
                bodies.attempt_again(&view, &wanted, object, selection, budget)
            });
            match patient.await.map_err(|error| S3Error::new(Code::InternalError).because(error))?? {
                Again::Opened(opened) => return Ok(*opened),
                Again::Moved(kept, from) => (budget, last) = (kept, moved_again(last, from)?),
            }
        }
        Err(S3Error::new(Code::ServiceUnavailable).because("the object's bytes moved again and again"))
    }

    /// The fast way: everything on the async thread, under one pin.
    fn attempt(
        &self,
        view: &ReadView,
        target: &Target,
        budget: &mut Budget,
        choose: impl Fn(&ObjectRecord) -> Result<Selection, S3Error>,
    ) -> Result<Attempt, S3Error> {
        let pin = self.reader.pin();
        let Looked { object, is_current } = target.look_up(view)?;
        let selection = choose(&object)?;
        match self.content(view, &pin, &object, &selection.bytes, budget, Patience::Async) {
            Ok(content) => Ok(Attempt::Opened(Opened { object, is_current, selection, content })),
            Err(Unread::NotCached) => Ok(Attempt::NotCached { object, selection }),
            Err(Unread::Moved(from)) => Ok(Attempt::Moved(from)),
            Err(Unread::Failed(error)) => Err(error),
        }
    }

    /// The way that may wait, on a blocking thread. The selection was chosen for the object `before`, so it is used
    /// only if the object is still that one.
    fn attempt_again(
        &self,
        view: &ReadView,
        target: &Target,
        before: ObjectRecord,
        selection: Selection,
        mut budget: Budget,
    ) -> Result<Again, S3Error> {
        let pin = self.reader.pin();
        let Looked { object, is_current } = target.look_up(view)?;
        let same = object.etag == before.etag
            && object.modified == before.modified
            && object.size == before.size
            && object.version == before.version;
        if !same {
            return Ok(Again::Moved(budget, None));
        }
        match self.content(view, &pin, &object, &selection.bytes, &mut budget, Patience::Blocking) {
            Ok(content) => Ok(Again::Opened(Box::new(Opened { object, is_current, selection, content }))),
            Err(Unread::NotCached) => Ok(Again::Moved(budget, None)),
            Err(Unread::Moved(from)) => Ok(Again::Moved(budget, from)),
            Err(Unread::Failed(error)) => Err(error),
        }
    }

    fn content(
        &self,
        view: &ReadView,
        pin: &Pin<'_>,
        object: &ObjectRecord,
        range: &Range<u64>,
        budget: &mut Budget,
        patience: Patience,
    ) -> Result<Content, Unread> {
        if range.is_empty() {
            return Ok(Content::Whole(Bytes::new(), budget.admitted.take()));
        }
        match &object.body {
            Body::Blob(blob) if blob.form == Form::Plaintext => self.blob(pin, blob, range, budget, patience),
            Body::Blob(blob) => match self.small_sealed(pin, blob, patience)? {
                Some(stored) => {
                    let piece = Piece::Sealed(stored, object.size, range.clone());
                    Ok(Content::Stream(Box::new(self.stream([piece].into(), None, budget))))
                }
                None => self.frames(pin, blob, object.size, range, budget),
            },
            Body::Parts { upload, parts } => {
                let parts = parts_within(view, *upload, parts, range, patience)?;
                self.joined(pin, parts, budget, patience)
            }
        }
    }

    fn blob(
        &self,
        pin: &Pin<'_>,
        blob: &BlobRef,
        range: &Range<u64>,
        budget: &mut Budget,
        patience: Patience,
    ) -> Result<Content, Unread> {
        if let Some(body) = Journaled::of(blob) {
            return Ok(Content::Whole(self.journaled(body, range, patience)?, budget.admitted.take()));
        }
        let small = range.end - range.start <= readpath::MAX_CACHED_READ_BYTES;
        if !small {
            budget.admit(self.reader.memory())?;
        }
        let mut reader = self.reader.read(pin, blob, range.clone())?;
        if small {
            if let Some(bytes) = reader.try_all_cached() {
                return Ok(Content::Whole(bytes, budget.admitted.take()));
            }
            budget.admit(self.reader.memory())?;
        }
        let current = Some(reader.into());
        let stream = BodyReader { current, ..self.stream(VecDeque::new(), None, budget) };
        Ok(Content::Stream(Box::new(stream)))
    }

    /// All stored bytes of a sealed body, if it is small and they are in the journal or in the page cache.
    fn small_sealed(
        &self,
        pin: &Pin<'_>,
        blob: &BlobRef,
        patience: Patience,
    ) -> Result<Option<Bytes>, Unread> {
        if blob.form != Form::Sealed || blob.len() > MAX_SMALL_BODY_BYTES {
            return Ok(None);
        }
        match Journaled::of(blob) {
            Some(body) => Ok(Some(self.journaled(body, &(0..blob.len()), patience)?)),
            None => Ok(self.reader.read(pin, &blob.opaque(), 0..blob.len())?.try_all_cached()),
        }
    }

    fn frames(
        &self,
        pin: &Pin<'_>,
        blob: &BlobRef,
        size: u64,
        range: &Range<u64>,
        budget: &mut Budget,
    ) -> Result<Content, Unread> {
        budget.admit(self.reader.memory() + PlaintextReader::frames_memory(size))?;
        // This only checks that all stored bytes are there. Which of them are read shows later; the hold keeps all of
        // them until then.
        self.reader.read(pin, blob, 0..blob.len())?;
        let pieces = [Piece::Body(blob.clone(), size, range.clone())].into();
        let stream = self.stream(pieces, Some(self.reader.hold(pin, [blob])), budget);
        Ok(Content::Stream(Box::new(stream)))
    }

    /// A reader of these pieces. It can read sealed pieces once it has the object's key.
    fn stream(&self, pieces: VecDeque<Piece>, holds: Option<Holds>, budget: &mut Budget) -> BodyReader {
        BodyReader {
            bodies: self.clone(),
            pieces,
            current: None,
            _holds: holds,
            admitted: budget.admitted.take(),
            key: None,
        }
    }

    fn joined(
        &self,
        pin: &Pin<'_>,
        parts: Vec<(PartRecord, Range<u64>)>,
        budget: &mut Budget,
        patience: Patience,
    ) -> Result<Content, Unread> {
        let framed = parts.iter().filter(|(part, _)| part.blob.form != Form::Plaintext);
        let largest = framed.map(|(part, _)| PlaintextReader::frames_memory(part.size)).max();
        budget.admit(self.reader.memory() + largest.unwrap_or_default())?;
        let holds = self.reader.hold(pin, parts.iter().map(|(part, _)| &part.blob));
        let mut pieces = VecDeque::with_capacity(parts.len());
        for (part, range) in parts {
            pieces.push_back(match Journaled::of(&part.blob) {
                Some(body) if part.blob.form == Form::Sealed => {
                    let stored = self.journaled(body, &(0..part.blob.len()), patience)?;
                    Piece::Sealed(stored, part.size, range)
                }
                Some(body) => Piece::Bytes(self.journaled(body, &range, patience)?),
                None => Piece::Body(part.blob, part.size, range),
            });
        }
        Ok(Content::Stream(Box::new(self.stream(pieces, Some(holds), budget))))
    }

    fn journaled(&self, body: Journaled, range: &Range<u64>, patience: Patience) -> Result<Bytes, Unread> {
        let Journaled { index, length, crc32c } = body;
        let cached = self.journal.read_body_cached(index, length, crc32c);
        let bytes = match (cached, patience) {
            (Err(BodyError::NotCached), Patience::Blocking) => {
                self.journal.read_body(index, length, crc32c)?
            }
            (read, _) => read?,
        };
        let (start, end) = (range.start as usize, range.end as usize);
        if end > bytes.len() {
            let why = format!("entry {index} holds {} bytes and {end} are asked for", bytes.len());
            return Err(S3Error::new(Code::InternalError).because(why).into());
        }
        Ok(bytes.slice(start..end))
    }
}

/// The parts that hold the range, each with the wanted range of its own bytes. All of them are looked up before the
/// first byte goes out: from then on their bytes are held, and can be read to the end whatever is deleted meanwhile.
fn parts_within(
    view: &ReadView,
    upload: UploadId,
    all: &[PartSummary],
    range: &Range<u64>,
    patience: Patience,
) -> Result<Vec<(PartRecord, Range<u64>)>, Unread> {
    let (mut wanted, mut start) = (Vec::new(), 0);
    for PartSummary { number, size, .. } in all {
        let here = start..start + size;
        start = here.end;
        let (from, to) = (range.start.max(here.start), range.end.min(here.end));
        if from < to {
            wanted.push((*number, from - here.start..to - here.start));
        }
    }
    let (Some((first, _)), Some((last, _))) = (wanted.first(), wanted.last()) else {
        return Ok(Vec::new());
    };
    let found: Vec<PartRecord> = match patience {
        Patience::Async if wanted.len() > MAX_PARTS_ON_ASYNC_THREAD => return Err(Unread::NotCached),
        Patience::Blocking if wanted.len() > MAX_PARTS_ON_ASYNC_THREAD => {
            let numbers = *first..=*last;
            view.scan_parts(upload, numbers, usize::MAX).map_err(S3Error::from)?
        }
        _ => {
            let part = |(number, _): &(u16, _)| view.part(upload, *number).transpose();
            wanted.iter().filter_map(part).collect::<Result<_, _>>().map_err(S3Error::from)?
        }
    };
    // The upload may have further parts that the object doesn't consist of and that aren't swept yet.
    let mut found = found.into_iter();
    let part = |(number, range)| {
        let missing = || S3Error::new(Code::InternalError).because("the object's parts are not all there");
        let part = found.by_ref().find(|part| part.number == number).ok_or_else(missing)?;
        Ok((part, range))
    };
    wanted.into_iter().map(part).collect()
}

/// What the fast way came to.
enum Attempt {
    Opened(Opened),
    NotCached {
        object: ObjectRecord,
        selection: Selection,
    },
    /// The bytes were moved, perhaps out of this entry of the journal.
    Moved(Option<Index>),
}

/// What the way that may wait came to.
enum Again {
    Opened(Box<Opened>),
    Moved(Budget, Option<Index>),
}

/// Remembers that the body has left the journal entry `from`, or says that it is lost. It is lost if the attempt before
/// found the same: then the body was gone before the record was looked up again, and the record still names the entry.
/// Either the journal lost the body, or the record is from a state that was restored.
fn moved_again(last: Option<Index>, from: Option<Index>) -> Result<Option<Index>, S3Error> {
    match from {
        Some(index) if last == from => Err(S3Error::new(Code::InternalError)
            .message(LOST)
            .because(format!("the body of entry {index} is lost: the journal went on without it"))),
        from => Ok(from),
    }
}

impl Content {
    /// Gives the object's key to the reader, which needs it for a sealed body.
    pub fn unlock(&mut self, key: DataKey) {
        match self {
            // A sealed body is always streamed, unless none of its bytes are wanted.
            Content::Whole(..) => {}
            Content::Stream(reader) => reader.key = Some(key),
        }
    }
}

impl BodyReader {
    /// Ends the reading, and hands on the memory that was admitted for it.
    pub fn into_admitted(self) -> Option<Admitted> {
        self.admitted
    }

    /// The next bytes, which were checked; `None` at the end.
    ///
    /// # Errors
    /// Failures of the store: bytes that can't be read, or only damaged.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next().await? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => self.current = None,
                }
            }
            match self.pieces.pop_front() {
                None => return Ok(None),
                Some(Piece::Bytes(bytes)) => return Ok(Some(bytes)),
                Some(Piece::Sealed(stored, size, range)) => {
                    let plaintext = decode(Form::Sealed, &stored, size, self.key.as_ref())?;
                    if range.end > size {
                        let why = format!("a body has {size} bytes and {} are asked for", range.end);
                        return Err(S3Error::new(Code::InternalError).because(why));
                    }
                    return Ok(Some(plaintext.slice(range.start as usize..range.end as usize)));
                }
                // The holds were taken when the record was looked up, and are still alive.
                Some(Piece::Body(blob, size, range)) => {
                    let (Bodies { reader, tables, .. }, key) = (&self.bodies, self.key.as_ref());
                    self.current = Some(PlaintextReader::new(reader, tables, blob, size, range, key)?);
                }
            }
        }
    }

    /// All bytes of the reader, of which there are `length`.
    ///
    /// # Errors
    /// As [`BodyReader::next`].
    pub async fn collect(&mut self, length: usize) -> Result<Bytes, S3Error> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        if first.len() == length {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Admission, Party};

    #[test]
    fn a_later_attempt_is_admitted_what_it_needs_more() {
        const POOL: u64 = 256 << 20;
        let memory = Admission::new(POOL).enter(Party::User("ann".into())).unwrap();
        let mut budget = Budget::new(&memory, None);
        budget.admit(1 << 20).unwrap();
        budget.admit(2 << 20).unwrap();
        budget.admit(1 << 20).unwrap();
        assert_eq!(budget.own, Some(2 << 20));
        assert_eq!(budget.admit(POOL).unwrap_err().code(), Code::SlowDown);
        let mut brought = Budget::new(&memory, Some(memory.admit(1).unwrap()));
        assert!(brought.admit(POOL).is_ok());
    }
}
