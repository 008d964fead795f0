//! Cuts a body that is too large for one request into pieces, which are requests of their own.

use super::{MEMORY_BYTES, RemoteObject, apart};
use crate::problem::Problem;
use crate::s3::Client;
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A body that isn't larger is sent or read by one request.
pub const WHOLE_BYTES: u64 = 8 << 20;
const PIECE_BYTES: u64 = 8 << 20;
/// How many parts S3 lets an upload have.
const MOST_PIECES: u64 = 10_000;
/// The largest part that S3 takes.
pub const MOST_PIECE_BYTES: u64 = 5 << 30;
/// After how many pieces of a pipe the next ones are twice as long.
const PIECES_OF_ONE_LENGTH: u32 = 1000;
/// How many pieces of one file or object are transferred at once. The engine's memory bounds those of all together.
pub const AT_ONCE: usize = 8;

/// A part of a body, numbered from 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub number: u32,
    pub range: Range<u64>,
}

impl Piece {
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The length of the pieces of a body: longer where there would be too many otherwise.
pub fn piece_bytes(size: u64) -> u64 {
    size.div_ceil(MOST_PIECES).next_multiple_of(1 << 20).max(PIECE_BYTES)
}

/// All pieces of a body of `size` bytes, each `bytes` long but for the last. An endpoint may say any size, so that
/// neither a piece's number nor its end may overflow; nobody asks the number of a piece that no upload can have.
pub fn cut(size: u64, bytes: u64) -> impl Iterator<Item = Piece> {
    (0..size.div_ceil(bytes)).map(move |at| piece(size, bytes, at))
}

fn piece(size: u64, bytes: u64, at: u64) -> Piece {
    let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
    Piece { number, range: at * bytes..size.min((at + 1).saturating_mul(bytes)) }
}

/// The length of a piece of a pipe, whose size isn't known. Pieces get longer with their number, so that a long pipe
/// doesn't need more parts than an upload may have, but none needs more memory than all pieces may have together.
pub fn growing(number: u32) -> u64 {
    let doublings = (number.saturating_sub(1) / PIECES_OF_ONE_LENGTH).min(u64::BITS / 2);
    PIECE_BYTES.saturating_mul(1 << doublings).min(MEMORY_BYTES)
}

/// The body that pieces are read from.
#[derive(Clone)]
pub enum Body {
    File(Arc<File>, PathBuf),
    Object(Arc<Client>, RemoteObject),
}

impl Body {
    /// Reads all of a range.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, Problem> {
        match self {
            Body::File(file, path) => {
                let (file, length) = (file.clone(), (range.end - range.start) as usize);
                let read = apart(move || {
                    let mut bytes = vec![0; length];
                    file.read_exact_at(&mut bytes, range.start).map(|()| bytes)
                });
                read.await?.map(Bytes::from).map_err(|error| Problem::of_path(path, error))
            }
            Body::Object(client, object) => {
                let RemoteObject { url, version, etag, .. } = object;
                let read = client.get_range(&url.bucket, &url.key, version.as_deref(), etag, range);
                read.await.map_err(Problem::s3(url))
            }
        }
    }

    /// Takes back the buffer of bytes that were read, to read into it again.
    pub fn give_back(&self, bytes: Bytes) {
        match self {
            Body::File(..) => {}
            Body::Object(client, _) => client.give_back(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_whole_body_and_are_never_too_many() {
        for size in [1, PIECE_BYTES, PIECE_BYTES + 1, 100 << 30, 5 << 40] {
            let pieces: Vec<Piece> = cut(size, piece_bytes(size)).collect();
            assert!(pieces.len() as u64 <= MOST_PIECES);
            assert_eq!((pieces[0].range.start, pieces[pieces.len() - 1].range.end), (0, size));
            assert!(pieces.windows(2).all(|two| two[0].range.end == two[1].range.start));
            assert!(pieces.iter().map(Piece::length).sum::<u64>() == size);
        }
        assert_eq!(cut(0, PIECE_BYTES).count(), 0);
    }

    #[test]
    fn a_pipe_of_670_gib_needs_no_more_parts_than_s3_allows() {
        let all: u64 = (1..=10_000).map(growing).sum();
        assert!(all > 670 << 30, "{all}");
        assert!([1, 5000, 10_000, u32::MAX].into_iter().all(|number| growing(number) <= MEMORY_BYTES));
    }

    #[test]
    fn no_size_that_an_endpoint_says_overflows() {
        for size in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let bytes = piece_bytes(size);
            assert!(bytes > MOST_PIECE_BYTES);
            let last = cut(size, bytes).last().unwrap();
            assert!(last.number as u64 <= MOST_PIECES && last.range.end == size);
            assert!(cut(size, PIECE_BYTES).nth(1 << 20).is_some());
        }
        let last = piece(u64::MAX, 4096, (u64::MAX - 1) / 4096);
        assert_eq!((last.number, last.range.end), (u32::MAX, u64::MAX));
    }
}
