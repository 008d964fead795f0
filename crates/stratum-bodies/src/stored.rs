//! Stored bytes on their way out: in turns of the pace, where nobody waits for them.

use crate::Priority;
use crate::priority::TURN_BYTES;
use bytes::Bytes;
use std::collections::VecDeque;
use stratum_storage::readpath::{BlobReader, ReadError};

pub(crate) struct Stored {
    reader: BlobReader,
    /// Bytes that weren't read yet.
    left: u64,
    priority: Priority,
    /// What was read in the last turn, and not given yet.
    ready: VecDeque<Bytes>,
}

impl From<BlobReader> for Stored {
    fn from(reader: BlobReader) -> Self {
        Self::new(reader, 0, Priority::Request)
    }
}

impl Stored {
    /// `length` is how many bytes the reader gives.
    pub fn new(reader: BlobReader, length: u64, priority: Priority) -> Self {
        Self { reader, left: length, priority, ready: VecDeque::new() }
    }

    /// The next bytes; nothing at the end. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        if matches!(self.priority, Priority::Request) {
            return self.reader.next().await;
        }
        if self.ready.is_empty()
            && let Err(error) = self.read_a_turn().await
        {
            self.ready.clear();
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }

    async fn read_a_turn(&mut self) -> Result<(), ReadError> {
        let wanted = TURN_BYTES.min(self.left);
        if wanted == 0 {
            return Ok(());
        }
        let _turn = self.priority.turn(wanted).await;
        let mut read = 0;
        while read < wanted {
            let Some(piece) = self.reader.next().await.transpose().inspect_err(|_| self.left = 0)? else {
                break;
            };
            read += piece.len() as u64;
            self.ready.push_back(piece);
        }
        self.left = if read < wanted { 0 } else { self.left.saturating_sub(read) };
        Ok(())
    }
}
