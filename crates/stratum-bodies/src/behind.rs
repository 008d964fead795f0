//! Work on a streaming body that runs behind it, off the async threads: frames here, digests where requests are served.
//!
//! MD5 is serial and the slowest step of a large upload, so it must overlap with the socket, the encoding and the
//! drives; compression likewise. Pieces are gathered into batches; a batch is worked on by a blocking thread while the
//! next one is gathered. No thread is kept between batches, so a slow client costs none.

use crate::{BodyError, Priority};
use bytes::Bytes;
use tokio::task::JoinHandle;

/// Bytes of a batch: long enough (a millisecond of MD5) to make the hand-over negligible.
pub(crate) const BATCH_BYTES: usize = 512 << 10;

/// What a body's pipeline holds at most, in bytes: a batch being worked on and one being gathered, which may end in a
/// piece as large as a socket read. Several kinds of work on one body share its pieces.
pub const MEMORY: u64 = 3 * BATCH_BYTES as u64;

/// What is done with a body's bytes, in order.
pub trait Work: Send + 'static {
    /// What a batch gives.
    type Made: Default + Send;
    /// What all of it comes to.
    type Done: Send;

    fn take(&mut self, piece: &[u8]) -> Result<(), BodyError>;

    /// What was made since it was last asked for.
    fn made(&mut self) -> Self::Made;

    fn finish(self) -> Self::Done;
}

/// Work that runs behind the body.
pub struct Behind<W: Work> {
    /// `None` only while a batch is on its way.
    idle: Option<W>,
    running: Option<JoinHandle<Result<W, BodyError>>>,
    batch: Vec<Bytes>,
    gathered: usize,
    priority: Priority,
}

impl<W: Work> Behind<W> {
    pub fn new(work: W) -> Self {
        Self::with_priority(work, Priority::Request)
    }

    /// [`Behind::new`], at any priority: nobody need wait for the work.
    pub fn with_priority(work: W, priority: Priority) -> Self {
        Self { idle: Some(work), running: None, batch: Vec::new(), gathered: 0, priority }
    }

    /// Takes the next piece, and gives what earlier ones made. Waits when a whole batch is being worked on and another
    /// has been gathered.
    ///
    /// # Errors
    /// What the work refuses; `Ended` if its thread failed.
    pub async fn push(&mut self, piece: Bytes) -> Result<W::Made, BodyError> {
        self.gathered += piece.len();
        self.batch.push(piece);
        if self.gathered < BATCH_BYTES {
            return Ok(W::Made::default());
        }
        let mut work = self.landed().await?;
        let made = work.made();
        let batch = std::mem::take(&mut self.batch);
        self.gathered = 0;
        self.running = Some(self.priority.spawn(move || take_all(work, batch)));
        Ok(made)
    }

    /// Everything that was pushed.
    ///
    /// # Errors
    /// As [`Behind::push`].
    pub async fn finish(mut self) -> Result<W::Done, BodyError> {
        let work = self.landed().await?;
        let batch = std::mem::take(&mut self.batch);
        joined(self.priority.spawn(move || Ok(take_all(work, batch)?.finish()))).await
    }

    /// The work, once it is not running.
    async fn landed(&mut self) -> Result<W, BodyError> {
        if let Some(running) = self.running.take() {
            return joined(running).await;
        }
        self.idle.take().ok_or(BodyError::Lost)
    }
}

fn take_all<W: Work>(mut work: W, batch: Vec<Bytes>) -> Result<W, BodyError> {
    for piece in batch {
        work.take(&piece)?;
    }
    Ok(work)
}

async fn joined<T>(running: JoinHandle<Result<T, BodyError>>) -> Result<T, BodyError> {
    running.await?
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Pushes bytes in pieces of all lengths; gives what was made, and what it comes to.
    pub async fn push_all<W: Work>(work: W, mut bytes: Bytes) -> (Vec<W::Made>, W::Done) {
        let (mut behind, mut made) = (Behind::new(work), Vec::new());
        let mut size = 1;
        while !bytes.is_empty() {
            made.push(behind.push(bytes.split_to(size.min(bytes.len()))).await.unwrap());
            size = size * 3 % 300_007 + 1;
        }
        (made, behind.finish().await.unwrap())
    }

    pub fn body() -> Bytes {
        (0..3 * BATCH_BYTES + 777).map(|at| (at * 7) as u8).collect::<Vec<_>>().into()
    }

    /// Keeps what it is given.
    #[derive(Default)]
    struct Keep(Vec<u8>);

    impl Work for Keep {
        type Made = ();
        type Done = Vec<u8>;

        fn take(&mut self, piece: &[u8]) -> Result<(), BodyError> {
            self.0.extend_from_slice(piece);
            Ok(())
        }

        fn made(&mut self) {}

        fn finish(self) -> Vec<u8> {
            self.0
        }
    }

    #[tokio::test]
    async fn what_runs_behind_is_given_everything_in_order() {
        let (_, kept) = push_all(Keep::default(), body()).await;
        assert!(kept == body());
    }
}
