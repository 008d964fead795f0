//! Work on a streaming body that runs behind it, off the async threads: digests, and frames.
//!
//! MD5 is serial and the slowest step of a large upload, so it must overlap with the socket, the encoding and the
//! drives; compression likewise. Pieces are gathered into batches; a batch is worked on by a blocking thread while the
//! next one is gathered. No thread is kept between batches, so a slow client costs none.

use crate::checksum::{Digester, Digests};
use crate::error::{Code, S3Error};
use bytes::Bytes;
use stratum_frames::{Compression, Encoder, Form};
use tokio::task::JoinHandle;

/// Bytes of a batch: long enough (a millisecond of MD5) to make the hand-over negligible.
const BATCH: usize = 512 << 10;

/// What a body's pipeline holds at most: a batch being worked on and one being gathered, which may end in a piece as
/// large as a socket read. Several kinds of work on one body share its pieces.
pub const MEMORY: u64 = 3 * BATCH as u64;

/// What is done with a body's bytes, in order.
pub trait Work: Send + 'static {
    /// What a batch gives.
    type Made: Default + Send;
    /// What all of it comes to.
    type Done: Send;

    fn take(&mut self, piece: &[u8]) -> Result<(), S3Error>;

    /// What was made since it was last asked for.
    fn made(&mut self) -> Self::Made;

    fn finish(self) -> Self::Done;
}

/// Work that runs behind the body.
pub struct Behind<W: Work> {
    /// `None` only while a batch is on its way.
    idle: Option<W>,
    running: Option<JoinHandle<Result<W, S3Error>>>,
    batch: Vec<Bytes>,
    gathered: usize,
}

impl<W: Work> Behind<W> {
    pub fn new(work: W) -> Self {
        Self { idle: Some(work), running: None, batch: Vec::new(), gathered: 0 }
    }

    /// Takes the next piece, and gives what earlier ones made. Waits when a whole batch is being worked on and another
    /// has been gathered.
    ///
    /// # Errors
    /// What the work refuses; `InternalError` if its thread failed.
    pub async fn push(&mut self, piece: Bytes) -> Result<W::Made, S3Error> {
        self.gathered += piece.len();
        self.batch.push(piece);
        if self.gathered < BATCH {
            return Ok(W::Made::default());
        }
        let mut work = self.landed().await?;
        let made = work.made();
        let batch = std::mem::take(&mut self.batch);
        self.gathered = 0;
        self.running = Some(tokio::task::spawn_blocking(move || take_all(work, batch)));
        Ok(made)
    }

    /// Everything that was pushed.
    ///
    /// # Errors
    /// As [`Behind::push`].
    pub async fn finish(mut self) -> Result<W::Done, S3Error> {
        let work = self.landed().await?;
        let batch = std::mem::take(&mut self.batch);
        joined(tokio::task::spawn_blocking(move || Ok(take_all(work, batch)?.finish()))).await
    }

    /// The work, once it is not running.
    async fn landed(&mut self) -> Result<W, S3Error> {
        if let Some(running) = self.running.take() {
            return joined(running).await;
        }
        self.idle.take().ok_or_else(|| S3Error::new(Code::InternalError).because("work on a body was lost"))
    }
}

fn take_all<W: Work>(mut work: W, batch: Vec<Bytes>) -> Result<W, S3Error> {
    for piece in batch {
        work.take(&piece)?;
    }
    Ok(work)
}

async fn joined<T>(running: JoinHandle<Result<T, S3Error>>) -> Result<T, S3Error> {
    running.await.map_err(|error| S3Error::new(Code::InternalError).because(error))?
}

impl Work for Digester {
    type Made = ();
    type Done = Digests;

    fn take(&mut self, piece: &[u8]) -> Result<(), S3Error> {
        self.update(piece);
        Ok(())
    }

    fn made(&mut self) {}

    fn finish(self) -> Digests {
        Digester::finish(self)
    }
}

/// Turns plaintext into stored bytes.
pub struct Framer {
    encoder: Encoder,
    stored: Vec<u8>,
}

impl Framer {
    /// What it holds at most, in bytes, what it made and nobody took included.
    pub fn memory(compression: Compression) -> u64 {
        compression.memory() + 2 * BATCH as u64
    }

    /// # Errors
    /// `ServiceUnavailable` for want of memory.
    pub fn new(compression: Compression) -> Result<Self, S3Error> {
        Ok(Self { encoder: Encoder::new(compression)?, stored: Vec::new() })
    }
}

impl Work for Framer {
    type Made = Vec<u8>;
    /// What the stored bytes are, and the last of them.
    type Done = (Form, Vec<u8>);

    fn take(&mut self, piece: &[u8]) -> Result<(), S3Error> {
        Ok(self.encoder.push(piece, &mut self.stored)?)
    }

    fn made(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stored)
    }

    fn finish(mut self) -> (Form, Vec<u8>) {
        (self.encoder.finish(&mut self.stored), self.stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::ChecksumAlgorithm;

    /// Pushes bytes in pieces of all lengths; gives what was made, and what it comes to.
    async fn push_all<W: Work>(work: W, mut bytes: Bytes) -> (Vec<W::Made>, W::Done) {
        let (mut behind, mut made) = (Behind::new(work), Vec::new());
        let mut size = 1;
        while !bytes.is_empty() {
            made.push(behind.push(bytes.split_to(size.min(bytes.len()))).await.unwrap());
            size = size * 3 % 300_007 + 1;
        }
        (made, behind.finish().await.unwrap())
    }

    fn body() -> Bytes {
        (0..3 * BATCH + 777).map(|at| (at * 7) as u8).collect::<Vec<_>>().into()
    }

    #[tokio::test]
    async fn what_runs_behind_agrees_with_what_runs_at_once() {
        let digester = Digester::new(ChecksumAlgorithm::Crc64Nvme, true);
        let mut at_once = digester.clone();
        at_once.update(&body());
        let (_, behind) = push_all(digester, body()).await;
        assert_eq!(behind, at_once.finish());
    }

    #[tokio::test]
    async fn what_is_made_behind_comes_in_order() {
        let framer = Framer::new(Compression::default()).unwrap();
        let (made, (form, last)) = push_all(framer, body()).await;
        let mut encoder = Encoder::new(Compression::default()).unwrap();
        let mut stored = Vec::new();
        encoder.push(&body(), &mut stored).unwrap();
        assert_eq!((form, Form::Frames), (encoder.finish(&mut stored), form));
        assert!([made.concat(), last].concat() == stored);
    }
}
