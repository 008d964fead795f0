//! Plaintext of a body that volumes hold, on its way out.
//!
//! A body that is stored as it is comes as the volumes give it. Of a body in frames the table is read first, then the
//! frames that the range touches; the next one is decoded on a blocking thread while one is being used. A frame that
//! was not compressed is opened at once.

use crate::stored::Stored;
use crate::tables::{At, Tables};
use crate::{BodyError, Priority, frames};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use stratum_cipher::DataKey;
use stratum_frames::{Decoder, FRAME_BYTES, FrameError, Table};
use stratum_storage::blob::{BlobRef, Form};
use stratum_storage::readpath::{BlobReader, Reader};
use tokio::task::JoinHandle;

/// Reads a range of one body's plaintext, checked, in order.
pub struct PlaintextReader(Way);

enum Way {
    Plain(Box<Stored>),
    Frames(Box<FrameReader>),
}

impl From<BlobReader> for PlaintextReader {
    /// What reads a body whose stored bytes are the plaintext.
    fn from(reader: BlobReader) -> Self {
        Self(Way::Plain(Box::new(reader.into())))
    }
}

impl PlaintextReader {
    /// What reading a body of `size` bytes of plaintext in frames holds at most, in bytes, beyond what reads the
    /// stored bytes: its decoder, and a frame that is being used.
    pub fn frames_memory(size: u64) -> u64 {
        Decoder::memory(size) + FRAME_BYTES as u64
    }

    /// Begins to read a range of a body of `size` bytes of plaintext, with its object's key if it is sealed. The
    /// caller holds the volumes that it lies in.
    ///
    /// # Errors
    /// `Read`.
    pub fn new(
        reader: &Arc<Reader>,
        tables: &Tables,
        blob: BlobRef,
        size: u64,
        range: Range<u64>,
        key: Option<&DataKey>,
    ) -> Result<Self, BodyError> {
        Self::begin(reader, tables, blob, size, range, key, Priority::Request)
    }

    /// [`PlaintextReader::new`] at any priority, for whoever has no keys.
    ///
    /// # Errors
    /// `Read`.
    pub fn with_priority(
        reader: &Arc<Reader>,
        tables: &Tables,
        blob: BlobRef,
        size: u64,
        range: Range<u64>,
        priority: Priority,
    ) -> Result<Self, BodyError> {
        Self::begin(reader, tables, blob, size, range, None, priority)
    }

    fn begin(
        reader: &Arc<Reader>,
        tables: &Tables,
        blob: BlobRef,
        size: u64,
        range: Range<u64>,
        key: Option<&DataKey>,
        priority: Priority,
    ) -> Result<Self, BodyError> {
        Ok(match blob.form {
            Form::Plaintext => {
                let length = range.end.saturating_sub(range.start);
                let reader = reader.read(&reader.pin(), &blob, range)?;
                Self(Way::Plain(Box::new(Stored::new(reader, length, priority))))
            }
            Form::Frames | Form::Sealed => {
                let (reader, tables, key) = (reader.clone(), tables.clone(), key.cloned());
                let reader = FrameReader { reader, tables, blob, size, range, key, priority, opened: None };
                Self(Way::Frames(Box::new(reader)))
            }
        })
    }

    /// The next plaintext; `None` at the end.
    ///
    /// # Errors
    /// Failures of the store; stored bytes that aren't what was written.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.0 {
            Way::Plain(reader) => Ok(reader.next().await.transpose()?),
            Way::Frames(reader) => reader.next().await,
        }
    }
}

struct FrameReader {
    reader: Arc<Reader>,
    tables: Tables,
    blob: BlobRef,
    /// Plaintext bytes of the body.
    size: u64,
    range: Range<u64>,
    key: Option<DataKey>,
    priority: Priority,
    opened: Option<Opened>,
}

/// A reader that has its table.
struct Opened {
    stored: Stored,
    /// Gives the buffers that frames are joined in.
    reader: Arc<Reader>,
    priority: Priority,
    /// `None` while a frame is being decoded, and at the end.
    idle: Option<Box<Decoder>>,
    decoding: Option<JoinHandle<Decoded>>,
}

type Decoded = (Box<Decoder>, Result<Option<Bytes>, FrameError>);

impl FrameReader {
    /// At most a frame.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().await?,
        };
        let next = opened.next().await?;
        self.opened = Some(opened);
        Ok(next)
    }

    async fn open(&self) -> Result<Opened, BodyError> {
        let decoder = Decoder::new(self.table().await?, self.range.clone(), self.key.as_ref())?;
        let stored = self.read(decoder.stored())?;
        let (reader, priority) = (self.reader.clone(), self.priority.clone());
        Ok(Opened { stored, reader, priority, idle: Some(Box::new(decoder)), decoding: None })
    }

    async fn table(&self) -> Result<Arc<Table>, BodyError> {
        let (at, cipher) = (At::of(&self.blob), frames::cipher_of(self.blob.form));
        let known = at.and_then(|at| self.tables.get(&at));
        if let Some(table) = known.filter(|table| table.plaintext() == self.size && table.cipher() == cipher)
        {
            return Ok(table);
        }
        let place = Table::place(self.size, self.blob.len(), cipher)?;
        let mut bytes = Vec::with_capacity((place.end - place.start) as usize);
        let mut stored = self.read(place)?;
        while let Some(piece) = stored.next().await.transpose()? {
            bytes.extend_from_slice(&piece);
        }
        let table = Arc::new(Table::decode(&bytes, self.size, self.blob.len(), cipher)?);
        if let Some(at) = at {
            self.tables.keep(at, table.clone());
        }
        Ok(table)
    }

    fn read(&self, stored: Range<u64>) -> Result<Stored, BodyError> {
        let length = stored.end.saturating_sub(stored.start);
        let reader = self.reader.read(&self.reader.pin(), &self.blob, stored)?;
        Ok(Stored::new(reader, length, self.priority.clone()))
    }
}

impl Opened {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.decoding.is_none() {
            self.feed().await?;
            // Somebody waits, and would wait longer for another thread.
            let quick = self.idle.as_mut().filter(|decoder| decoder.is_quick());
            if let (Some(decoder), Priority::Request) = (quick, &self.priority) {
                return Ok(decoder.next_plaintext_in(|length| self.reader.buffer(length))?);
            }
        }
        self.launch().await?;
        let Some(decoding) = self.decoding.take() else {
            // Nothing to decode, and no more stored bytes.
            self.idle.take().map_or(Ok(()), |decoder| decoder.finish())?;
            return Ok(None);
        };
        let (decoder, decoded) = decoding.await?;
        self.idle = Some(decoder);
        let plaintext = decoded?;
        self.launch().await?;
        Ok(plaintext)
    }

    /// Gives the decoder the stored bytes of its next frame, if there is one.
    async fn feed(&mut self) -> Result<(), BodyError> {
        let Some(decoder) = &mut self.idle else { return Ok(()) };
        while !decoder.is_ready()
            && let Some(piece) = self.stored.next().await.transpose()?
        {
            decoder.push(piece);
        }
        Ok(())
    }

    /// Sees to it that a frame is being decoded, if there is one.
    async fn launch(&mut self) -> Result<(), BodyError> {
        self.feed().await?;
        if !self.idle.as_ref().is_some_and(|decoder| decoder.is_ready()) {
            return Ok(());
        }
        self.decoding = self.idle.take().map(|mut decoder| {
            let reader = self.reader.clone();
            self.priority.spawn(move || {
                let decoded = decoder.next_plaintext_in(|length| reader.buffer(length));
                (decoder, decoded)
            })
        });
        Ok(())
    }
}
