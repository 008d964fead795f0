//! Payload of a body that is stored in frames, on its way out: the table, then the frames that the range touches. The
//! next frame is decoded on a blocking thread while one is being sent.

use super::Bodies;
use super::tables::At;
use crate::error::{Code, S3Error};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use stratum_frames::{Decoder, FRAME_BYTES, FrameError, Table};
use stratum_storage::blob::BlobRef;
use stratum_storage::readpath::BlobReader;
use tokio::task::JoinHandle;

/// What a reader of a body of `size` bytes holds at most beyond what reads the stored bytes: its decoder, and a frame that
/// is being sent.
pub fn memory(size: u64) -> u64 {
    Decoder::memory(size) + FRAME_BYTES as u64
}

/// Reads a range of one body's plaintext. Whoever made it holds the volumes that the body lies in.
pub struct FrameReader {
    bodies: Bodies,
    blob: BlobRef,
    /// Plaintext bytes of the body.
    size: u64,
    range: Range<u64>,
    opened: Option<Opened>,
}

/// A reader that has its table.
struct Opened {
    stored: BlobReader,
    /// `None` while a frame is being decoded, and at the end.
    idle: Option<Box<Decoder>>,
    decoding: Option<JoinHandle<Decoded>>,
}

type Decoded = (Box<Decoder>, Result<Option<Bytes>, FrameError>);

impl FrameReader {
    pub fn new(bodies: Bodies, blob: BlobRef, size: u64, range: Range<u64>) -> Self {
        Self { bodies, blob, size, range, opened: None }
    }

    /// The next checked plaintext, at most a frame; `None` at the end.
    ///
    /// # Errors
    /// Failures of the store; stored bytes that aren't what was written.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.open().await?,
        };
        let next = opened.next().await?;
        self.opened = Some(opened);
        Ok(next)
    }

    async fn open(&self) -> Result<Opened, S3Error> {
        let decoder = Decoder::new(self.table().await?, self.range.clone())?;
        let stored = self.read(decoder.stored())?;
        Ok(Opened { stored, idle: Some(Box::new(decoder)), decoding: None })
    }

    async fn table(&self) -> Result<Arc<Table>, S3Error> {
        let at = At::of(&self.blob);
        let known = at.and_then(|at| self.bodies.tables.get(&at));
        if let Some(table) = known.filter(|table| table.plaintext() == self.size) {
            return Ok(table);
        }
        let place = Table::place(self.size, self.blob.len())?;
        let mut bytes = Vec::with_capacity((place.end - place.start) as usize);
        let mut stored = self.read(place)?;
        while let Some(piece) = stored.next().await.transpose()? {
            bytes.extend_from_slice(&piece);
        }
        let table = Arc::new(Table::decode(&bytes, self.size, self.blob.len())?);
        if let Some(at) = at {
            self.bodies.tables.keep(at, table.clone());
        }
        Ok(table)
    }

    fn read(&self, stored: Range<u64>) -> Result<BlobReader, S3Error> {
        let reader = &self.bodies.reader;
        Ok(reader.read(&reader.pin(), &self.blob, stored)?)
    }
}

impl Opened {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        self.launch().await?;
        let Some(decoding) = self.decoding.take() else {
            // Nothing to decode, and no more stored bytes.
            self.idle.take().map_or(Ok(()), |decoder| decoder.finish())?;
            return Ok(None);
        };
        let (decoder, decoded) =
            decoding.await.map_err(|error| S3Error::new(Code::InternalError).because(error))?;
        self.idle = Some(decoder);
        let plaintext = decoded?;
        self.launch().await?;
        Ok(plaintext)
    }

    /// Sees to it that a frame is being decoded, if there is one.
    async fn launch(&mut self) -> Result<(), S3Error> {
        let Some(decoder) = &mut self.idle else { return Ok(()) };
        while !decoder.is_ready() {
            let Some(piece) = self.stored.next().await.transpose()? else { return Ok(()) };
            decoder.push(piece);
        }
        self.decoding = self.idle.take().map(|mut decoder| {
            tokio::task::spawn_blocking(move || {
                let decoded = decoder.next_plaintext();
                (decoder, decoded)
            })
        });
        Ok(())
    }
}
