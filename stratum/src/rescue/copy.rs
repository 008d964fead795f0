//! Copies the bytes of one object out of the store: all bytes that can be read and verified, and a list of the ranges
//! that can't.

use super::frames::Frames;
use crate::offline::Offline;
use md5::{Digest, Md5};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use stratum_bodies::decode;
use stratum_cipher::DataKey;
use stratum_metadata::record::{Body, ETag, ObjectRecord};
use stratum_storage::blob::{BlobRef, Form, Place};
use stratum_storage::volumes::Volumes;

/// After an error, a blob is read on in steps of this many bytes, to lose no more than the bytes that are bad.
const CAREFUL_STEP_BYTES: u64 = 4096;

/// What was copied of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The ranges that couldn't be read: the offset of the first byte, and of the one after the last. They are in
    /// order, and don't touch each other.
    pub unreadable: Vec<(u64, u64)>,
    /// How many bytes were read and verified.
    pub read: u64,
    /// The first reason why something is missing or wrong.
    pub problem: Option<String>,
}

impl Copied {
    /// The result for an object of `size` bytes of which nothing could be copied.
    pub fn nothing(size: u64, why: String) -> Copied {
        let mut copied = Copied { problem: Some(why.clone()), ..Copied::default() };
        if size > 0 {
            copied.missing(0, size, why);
        }
        copied
    }

    fn missing(&mut self, from: u64, to: u64, why: impl Into<String>) {
        match self.unreadable.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => self.unreadable.push((from, to)),
        }
        self.problem.get_or_insert(why.into());
    }
}

/// What is needed to decrypt an object.
pub struct Opener<'a> {
    pub key: &'a DataKey,
    /// Whether the record holds, instead of the MD5s of the object's bodies, tags that were made of them with the key.
    pub hides_md5: bool,
}

/// Copies an object's bytes to the same offsets of a file. An error is one of writing the file; errors of reading the
/// store are part of the result.
pub async fn copy(
    store: &Offline,
    volumes: &Volumes,
    record: &ObjectRecord,
    opener: Option<&Opener<'_>>,
    file: &File,
) -> io::Result<Copied> {
    let mut copied = Copied::default();
    let mut at = 0;
    match &record.body {
        Body::Blob(blob) => {
            let md5 = match record.etag {
                ETag::Md5(md5) => Some(md5),
                ETag::Multipart { .. } => None,
            };
            let body = (blob, record.size);
            at += blob_at((store, volumes), body, md5, opener, at, file, &mut copied).await?;
        }
        Body::Parts { upload, parts } => {
            for part in parts {
                match store.state.part(*upload, part.number) {
                    Ok(Some(known)) if known.size == part.size => {
                        let (body, md5) = ((&known.blob, part.size), Some(known.md5));
                        at += blob_at((store, volumes), body, md5, opener, at, file, &mut copied).await?;
                    }
                    Ok(_) => {
                        let why = format!("the record of part {} is not known", part.number);
                        copied.missing(at, at + part.size, why);
                        at += part.size;
                    }
                    Err(error) => {
                        copied.missing(at, at + part.size, error.to_string());
                        at += part.size;
                    }
                }
            }
        }
    }
    if at < record.size {
        copied.missing(at, record.size, "the record names fewer bytes than the object has");
    }
    file.set_len(record.size)?;
    Ok(copied)
}

/// Copies a body of `size` bytes to the offset `at` of the file; gives how many bytes the body has by its record.
async fn blob_at(
    (store, volumes): (&Offline, &Volumes),
    (blob, size): (&BlobRef, u64),
    md5: Option<[u8; 16]>,
    opener: Option<&Opener<'_>>,
    at: u64,
    file: &File,
    copied: &mut Copied,
) -> io::Result<u64> {
    let missing = copied.unreadable.len();
    let mut sink = Sink { file, at, digest: Md5::new() };
    match &blob.place {
        Place::Empty => {}
        Place::Journal { index, length, crc32c } => {
            let stored = store.history.body(*index, *length, *crc32c).map_err(|error| error.to_string());
            let key = opener.map(|opener| opener.key);
            let plaintext = stored
                .and_then(|stored| decode(blob.form, &stored, size, key).map_err(|error| error.to_string()));
            match plaintext {
                Ok(bytes) => sink.take(&bytes, copied)?,
                Err(why) => copied.missing(at, at + size, why),
            }
        }
        _ if blob.form != Form::Plaintext => {
            frames_at(volumes, (blob, size), opener.map(|opener| opener.key), &mut sink, copied).await?;
        }
        Place::ThisEntry { .. } => copied.missing(at, at + blob.len(), "the record was never settled"),
        Place::Packed(_) => volume_at(volumes, blob, &mut sink, copied).await?,
        // Each extent is read by itself, so that the loss of one volume doesn't keep the others from being read.
        Place::Extents(extents) => {
            for extent in extents {
                let alone = blob.moved_to(Place::Extents(vec![*extent]));
                volume_at(volumes, &alone, &mut sink, copied).await?;
            }
        }
    }
    let is_other = |md5: [u8; 16]| {
        let digest: [u8; 16] = sink.digest.finalize().into();
        let hidden = opener.filter(|opener| opener.hides_md5).map(|opener| opener.key.tag(&digest));
        hidden.unwrap_or(digest) != md5
    };
    if copied.unreadable.len() == missing && md5.is_some_and(is_other) {
        copied.problem.get_or_insert("its bytes don't have the MD5 that they were stored with".into());
    }
    Ok(match blob.form {
        Form::Plaintext => blob.len(),
        Form::Frames | Form::Sealed => size,
    })
}

/// Copies a body that is stored in frames.
async fn frames_at(
    volumes: &Volumes,
    (blob, size): (&BlobRef, u64),
    key: Option<&DataKey>,
    sink: &mut Sink<'_>,
    copied: &mut Copied,
) -> io::Result<()> {
    let base = sink.at;
    match Frames::of(volumes, blob, size, key).await {
        Err(why) => copied.missing(base, base + size, why),
        Ok(frames) => {
            for range in frames.ranges() {
                let (start, end) = (base + range.start, base + range.end);
                sink.at = start;
                match frames.plaintext(range).await {
                    Ok(plaintext) => sink.take(&plaintext, copied)?,
                    Err(why) => copied.missing(start, end, why),
                }
            }
        }
    }
    sink.at = base + size;
    Ok(())
}

/// Copies a blob that is stored as plaintext in volumes. After an error, the rest is read in small steps.
async fn volume_at(
    volumes: &Volumes,
    blob: &BlobRef,
    sink: &mut Sink<'_>,
    copied: &mut Copied,
) -> io::Result<()> {
    let (base, len) = (sink.at, blob.len());
    let (mut at, mut careful) = (0, false);
    while at < len {
        let end = if careful { len.min(at + CAREFUL_STEP_BYTES) } else { len };
        let reader = volumes.reader.read(&volumes.reader.pin(), blob, at..end);
        let mut reader = match reader {
            Ok(reader) => reader,
            Err(error) => {
                copied.missing(base + at, base + len, error.to_string());
                break;
            }
        };
        let failed = loop {
            match reader.next().await {
                Some(Ok(bytes)) => {
                    sink.take(&bytes, copied)?;
                    at += bytes.len() as u64;
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        if let Some(error) = failed
            && careful
        {
            copied.missing(base + at, base + end, error.to_string());
            at = end;
            sink.at = base + end;
        } else {
            careful = !careful && at < len;
        }
    }
    sink.at = base + len;
    Ok(())
}

/// Writes bytes to a file, and computes their MD5.
struct Sink<'a> {
    file: &'a File,
    at: u64,
    digest: Md5,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8], copied: &mut Copied) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        copied.read += bytes.len() as u64;
        Ok(())
    }
}
