//! Digests of a streaming body, computed off the async threads.
//!
//! MD5 is serial and the slowest step of a large upload, so it must overlap with the socket, the encoding and the
//! drives. Pieces are gathered into batches; a batch is hashed on a blocking thread while the next one is gathered.
//! No thread is kept between batches, so a slow client costs none.

use crate::checksum::{Digester, Digests};
use crate::error::{Code, S3Error};
use bytes::Bytes;
use tokio::task::JoinHandle;

/// Bytes of a batch: long enough (a millisecond of MD5) to make the hand-over negligible.
const BATCH: usize = 512 << 10;

/// What a body's pipeline holds at most: a batch being hashed and one being gathered, which may end in a piece as
/// large as a socket read.
pub const MEMORY: u64 = 3 * BATCH as u64;

/// A digester that runs behind the body.
pub struct Digesting {
    /// `None` only while a batch is on its way.
    idle: Option<Digester>,
    running: Option<JoinHandle<Digester>>,
    batch: Vec<Bytes>,
    gathered: usize,
}

impl Digesting {
    pub fn new(digester: Digester) -> Self {
        Self { idle: Some(digester), running: None, batch: Vec::new(), gathered: 0 }
    }

    /// Takes the next piece. Waits when a whole batch is being hashed and another has been gathered.
    ///
    /// # Errors
    /// `InternalError` if the hashing thread failed.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), S3Error> {
        self.gathered += piece.len();
        self.batch.push(piece);
        if self.gathered >= BATCH { self.launch().await } else { Ok(()) }
    }

    /// Everything that was pushed.
    ///
    /// # Errors
    /// As [`Digesting::push`].
    pub async fn finish(mut self) -> Result<Digests, S3Error> {
        self.launch().await?;
        Ok(self.landed().await?.finish())
    }

    async fn launch(&mut self) -> Result<(), S3Error> {
        let mut digester = self.landed().await?;
        let batch = std::mem::take(&mut self.batch);
        self.gathered = 0;
        self.running = Some(tokio::task::spawn_blocking(move || {
            for piece in batch {
                digester.update(&piece);
            }
            digester
        }));
        Ok(())
    }

    /// The digester, once it is not running.
    async fn landed(&mut self) -> Result<Digester, S3Error> {
        if let Some(running) = self.running.take() {
            return running.await.map_err(|error| S3Error::new(Code::InternalError).because(error));
        }
        self.idle.take().ok_or_else(|| S3Error::new(Code::InternalError).because("a digest was lost"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_metadata::record::ChecksumAlgorithm;

    #[tokio::test]
    async fn what_runs_behind_agrees_with_what_runs_at_once() {
        let bytes: Bytes = (0..3 * BATCH + 777).map(|at| (at * 7) as u8).collect::<Vec<_>>().into();
        let digester = Digester::new(ChecksumAlgorithm::Crc64Nvme, true);
        let mut at_once = digester.clone();
        at_once.update(&bytes);
        let mut behind = Digesting::new(digester);
        let mut rest = bytes;
        let mut size = 1;
        while !rest.is_empty() {
            behind.push(rest.split_to(size.min(rest.len()))).await.unwrap();
            size = size * 3 % 300_007 + 1;
        }
        assert_eq!(behind.finish().await.unwrap(), at_once.finish());
    }
}
