//! Documents that may be long: read and written where nobody waits for the thread.
//!
//! A page of a thousand long keys, or a document that names ten thousand parts, takes milliseconds of a processor. On
//! a thread that serves requests every other one would wait for that; on a thread of its own the system shares the
//! processors between them. Short ones are done on the spot, which is faster.

use super::read::Malformed;
use super::respond;
use crate::admission::Memory;
use crate::body::Document;
use crate::error::{Code, S3Error, S3Result};
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
    Ok(apart(move || read(&bytes)).await??)
}

/// A `200` with a document of so many entries, which `write` makes.
///
/// # Errors
/// What `write` says.
pub async fn answer(
    entries: usize,
    write: impl FnOnce() -> Result<Bytes, S3Error> + Send + 'static,
) -> S3Result {
    let document = if entries <= FEW_ENTRIES { write()? } else { apart(write).await?? };
    Ok(respond(document))
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, S3Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| S3Error::new(Code::InternalError).because(error))
}
