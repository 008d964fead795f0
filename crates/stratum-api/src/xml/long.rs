//! Documents that may be long: they are written on threads that serve no requests.
//!
//! A page of a thousand long keys takes milliseconds of a processor. On a thread that serves requests, the other requests
//! of the thread would wait for that, so it is done [apart](crate::apart). A short document is written on the thread
//! itself, which is faster. [`Document::read`](crate::body::Document::read) reads documents in the same way.

use super::respond;
use crate::apart;
use crate::error::{S3Error, S3Result};
use bytes::Bytes;

/// The most entries of a list that is written on the thread itself.
pub const FEW_ENTRIES: usize = 64;

/// A `200` with a document of so many entries, which `write` makes.
///
/// # Errors
/// The errors of `write`.
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
    async fn long_lists_are_written_on_another_thread() {
        let here = thread::current().id();
        assert_eq!(writer_of(FEW_ENTRIES).await, here);
        assert_ne!(writer_of(FEW_ENTRIES + 1).await, here);
    }

    #[tokio::test(start_paused = true)]
    async fn a_party_waits_for_its_own_turns_and_not_for_those_of_others() {
        let pool = Admission::new(64 << 20);
        let user = |name: &str| pool.enter(Party::User(name.into())).unwrap();
        let (busy, other) = (user("busy"), user("other"));
        let mut turns = Vec::new();
        while let Ok(turn) = tokio::time::timeout(Duration::from_secs(1), busy.turn()).await {
            turns.push(turn);
            assert!(turns.len() < 1000, "the turns of a party are bounded");
        }
        let _other = other.turn().await;
        drop(turns);
        let _again = busy.turn().await;
    }
}
