//! Documents that may be long: read and written where nobody waits for the thread.
//!
//! A page of a thousand long keys, or a document that names ten thousand parts, takes milliseconds of a processor. On
//! a thread that serves requests every other one would wait for that, so it is done [apart](crate::apart). Short ones
//! are done on the spot, which is faster.

use super::read::Malformed;
use super::respond;
use crate::admission::Memory;
use crate::apart;
use crate::body::Document;
use crate::error::{S3Error, S3Result};
use bytes::Bytes;

/// Entries of a list that are written on the spot.
pub const FEW_ENTRIES: usize = 64;

/// Bytes of a document that are read on the spot.
const SHORT_BYTES: usize = 32 << 10;

/// Reads a document by one of the types' `read`.
///
/// # Errors
/// `MalformedXML`.
pub async fn read<T: Send + 'static>(
    memory: &Memory,
    document: &Document,
    read: fn(&[u8]) -> Result<T, Malformed>,
) -> Result<T, S3Error> {
    if document.len() <= SHORT_BYTES {
        return Ok(read(document)?);
    }
    let _turn = memory.turn().await;
    let bytes = document.bytes();
    Ok(apart::run(move || read(&bytes)).await??)
}

/// A `200` with a document of so many entries, which `write` makes.
///
/// # Errors
/// What `write` says.
pub async fn answer(
    entries: usize,
    write: impl FnOnce() -> Result<Bytes, S3Error> + Send + 'static,
) -> S3Result {
    let document = if entries <= FEW_ENTRIES { write()? } else { apart::run(write).await?? };
    Ok(respond(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Admission, Party};
    use crate::error::Code;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    async fn writer_of(entries: usize) -> ThreadId {
        let (told, writer) = std::sync::mpsc::channel();
        let write = move || {
            told.send(thread::current().id()).map_err(|_| Code::InternalError)?;
            Ok(Bytes::new())
        };
        answer(entries, write).await.unwrap();
        writer.recv().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn long_lists_are_written_on_a_thread_of_their_own() {
        let here = thread::current().id();
        assert_eq!(writer_of(FEW_ENTRIES).await, here);
        assert_ne!(writer_of(FEW_ENTRIES + 1).await, here);
    }

    #[tokio::test(start_paused = true)]
    async fn one_party_waits_for_its_own_turns_only() {
        let pool = Admission::new(64 << 20);
        let user = |name: &str| pool.enter(Party::User(name.into())).unwrap();
        let (busy, other) = (user("busy"), user("other"));
        let mut turns = Vec::new();
        while let Ok(turn) = tokio::time::timeout(Duration::from_secs(1), busy.turn()).await {
            turns.push(turn);
            assert!(turns.len() < 1000, "there is an end to it");
        }
        let _other = other.turn().await;
        drop(turns);
        let _again = busy.turn().await;
    }
}
