//! Downloads a folder as one zip archive, which is written while its objects are read.

use crate::ask::{Object, ObjectList, decoded};
use crate::bytes_of::attachment;
use crate::names;
use crate::pages::Holds;
use crate::shown::count;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit};
use async_zip::base::write::ZipFileWriter;
use async_zip::error::ZipError;
use async_zip::{Compression, ZipDateTime, ZipDateTimeBuilder, ZipEntryBuilder};
use axum::body::Body;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_util::compat::{Compat, FuturesAsyncWriteCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::io::{ReaderStream, StreamReader};

/// How many objects an archive may hold. All of them are listed at its end, and the list is kept in memory until then.
const MOST_ENTRIES: u64 = 50_000;
/// What an entry takes in memory beside its name.
const ENTRY_BYTES: u64 = 512;
/// How often an entry's name is in memory.
const NAME_COPIES: u64 = 3;
/// What is counted for entries that come while the archive is written.
const SPARE_BYTES: u64 = 64 << 10;
/// How many bytes may wait between the reading of objects and the sending of the archive.
const PIPE_BYTES: usize = 256 << 10;

/// `GET /b/{bucket}/zip?prefix=...`: an archive of all objects under a prefix.
pub async fn folder(visit: Visit) -> Page {
    let prefix = visit.query.get("prefix").to_owned();
    let Ok(turn) = visit.console.archives.clone().try_acquire_owned() else {
        return Err(Trouble::wrong(
            "So many archives are being written that this one has to wait. Try again in a while.",
        ));
    };
    let held = measure(&visit, &prefix).await?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let name = match prefix.is_empty() {
        true => format!("{}.zip", visit.bucket),
        false => format!("{}.zip", names::last(&prefix).trim_matches('/')),
    };
    let packing = tokio::spawn(async move {
        let _turn = turn;
        let packed = pack(&visit, &prefix, held, ours).await;
        packed.inspect_err(|problem| tracing::warn!(problem, "an archive was not finished"))
    });
    // An archive that wasn't finished ends with its connection, so that the browser says that the download failed.
    let end = stream::once(packing).filter_map(async |packed| match packed {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(Err(std::io::Error::other(problem))),
        Err(error) => Some(Err(error.into())),
    });
    let mut response = Response::new(Body::from_stream(ReaderStream::new(theirs).chain(end)));
    response.extensions_mut().insert(held);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_DISPOSITION, attachment(&name));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    Ok(response)
}

/// A page of the objects under a prefix, and where the next one begins.
async fn page(visit: &Visit, prefix: &str, from: &str) -> Result<(Vec<Object>, Option<String>), Trouble> {
    let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("list-type=2&encoding-type=url");
    let list: ObjectList = asked.with([("prefix", prefix), ("continuation-token", from)]).xml().await?;
    let next = list.is_truncated.then_some(list.next_continuation_token);
    if next.as_deref().is_some_and(|next| next.is_empty() || next == from) {
        return Err(Trouble::wrong("The server's list of the objects has no end."));
    }
    Ok((list.contents, next))
}

fn memory_of(object: &Object) -> u64 {
    ENTRY_BYTES + object.key.len() as u64 * NAME_COPIES
}

/// What the archive's list of its entries will take in memory. The objects are listed again when they are written, so
/// that nothing is kept until it is known that there is room for it.
async fn measure(visit: &Visit, prefix: &str) -> Result<Holds, Trouble> {
    let (mut objects, mut bytes, mut from) = (0, 0, String::new());
    loop {
        let (some, next) = page(visit, prefix, &from).await?;
        objects += some.len() as u64;
        bytes += some.iter().map(memory_of).sum::<u64>();
        if objects > MOST_ENTRIES {
            return Err(Trouble::wrong(format!(
                "There are more than {} objects, which is more than one archive holds here. Take a folder within it, or a \
                 program for the whole.",
                count(MOST_ENTRIES)
            )));
        }
        match next {
            Some(next) => from = next,
            None => return Ok(Holds(bytes + SPARE_BYTES)),
        }
    }
}

/// Writes the archive: the objects uncompressed, one after another.
async fn pack(visit: &Visit, prefix: &str, Holds(held): Holds, to: DuplexStream) -> Result<(), String> {
    let mut archive = ZipFileWriter::new(TokioAsyncWriteCompatExt::compat_write(to));
    let (mut taken, mut bytes, mut from) = (Taken::default(), 0, Some(String::new()));
    while let Some(begin) = from {
        let (some, next) = page(visit, prefix, &begin).await.map_err(|trouble| trouble.words())?;
        for object in &some {
            bytes += memory_of(object);
            if bytes > held {
                return Err("so many objects came meanwhile that there is no room for their names".into());
            }
            put(visit, prefix, object, &mut archive, &mut taken).await?;
        }
        from = next;
    }
    let mut end = archive.close().await.map_err(|error| error.to_string())?.into_inner();
    end.shutdown().await.map_err(|error| error.to_string())
}

/// Writes one object into an archive.
async fn put(
    visit: &Visit,
    prefix: &str,
    object: &Object,
    archive: &mut ZipFileWriter<Compat<DuplexStream>>,
    taken: &mut Taken,
) -> Result<(), String> {
    let key = decoded(&object.key);
    let Some(name) = entry_name(&key, names::parent(prefix).len(), object.size) else { return Ok(()) };
    let asked = visit.ask().object(Method::GET, &visit.bucket, &key);
    let body = match asked.send().await {
        Ok(response) => response.into_body(),
        // The object was deleted since it was listed.
        Err(trouble) if trouble.status() == StatusCode::NOT_FOUND => return Ok(()),
        Err(trouble) => return Err(format!("{key}: {}", trouble.words())),
    };
    let pieces = TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other);
    let written = zip_time(&object.last_modified);
    let added = add(archive, taken.apart(name), written, StreamReader::new(pieces)).await;
    added.map_err(|error| error.to_string())
}

/// Writes one file of an archive. Its length needn't be known.
async fn add<W: AsyncWrite + Unpin>(
    archive: &mut ZipFileWriter<Compat<W>>,
    name: String,
    written: ZipDateTime,
    mut bytes: impl AsyncRead + Unpin,
) -> Result<(), ZipError> {
    let entry = ZipEntryBuilder::new(name.into(), Compression::Stored).last_modification_date(written);
    let mut entry = archive.write_entry_stream(entry).await?;
    tokio::io::copy(&mut bytes, &mut FuturesAsyncWriteCompatExt::compat_write(&mut entry)).await?;
    entry.close().await
}

/// The name of an entry, changed such that it stays within the folder in which it is unpacked. An empty object
/// whose key ends with a slash only stands for a folder and has none.
fn entry_name(key: &str, above: usize, size: u64) -> Option<String> {
    let within = key.get(above..).unwrap_or(key);
    let safe = |part: &str| match part {
        "" | "." | ".." => "_".to_owned(),
        part => part.replace(['\\', ':', '\0'], "_"),
    };
    (!within.is_empty() && (size > 0 || !within.ends_with('/')))
        .then(|| within.split('/').map(safe).collect::<Vec<_>>().join("/"))
}

/// Names of entries that are taken, each with the number that the next entry of that name gets: two keys may come to
/// the same name.
#[derive(Default)]
struct Taken(HashMap<String, u32>);

impl Taken {
    /// The name, or one like it that is free.
    fn apart(&mut self, name: String) -> String {
        let Some(mut number) = self.0.get(&name).copied() else {
            self.0.insert(name.clone(), 2);
            return name;
        };
        let free = loop {
            let other = format!("{name}~{number}");
            number += 1;
            if !self.0.contains_key(&other) {
                break other;
            }
        };
        self.0.insert(name, number);
        self.0.insert(free.clone(), 2);
        free
    }
}

fn zip_time(text: &str) -> ZipDateTime {
    let part = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u32>().ok());
    let whole = || {
        let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
        let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
        let builder = ZipDateTimeBuilder::new().year(i32::try_from(year).ok()?).month(month).day(day);
        Some(builder.hour(hour).minute(minute).second(second).build())
    };
    whole().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Keeps the last bytes that are written, and counts all.
    #[derive(Default)]
    struct Tail {
        length: u64,
        end: Vec<u8>,
    }

    impl AsyncWrite for Tail {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.length += bytes.len() as u64;
            if self.end.len() > 1 << 16 {
                self.end.clear();
            }
            self.end.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// APPNOTE.TXT 4.3.14 and 4.5.3: what 32 bits don't hold stands in the longer records.
    #[tokio::test]
    async fn an_archive_and_a_file_in_it_may_be_longer_than_four_gib() {
        use tokio::io::{AsyncReadExt, repeat};
        const LONG: u64 = (4 << 30) + 12_345;
        let mut archive = ZipFileWriter::new(Tail::default().compat_write());
        let now = ZipDateTime::default();
        add(&mut archive, "long".into(), now, repeat(0).take(LONG)).await.unwrap();
        add(&mut archive, "after".into(), now, &b"it"[..]).await.unwrap();
        let tail = archive.close().await.unwrap().into_inner();
        let number = |at: usize| u64::from_le_bytes(tail.end[at..at + 8].try_into().unwrap());
        let find = |what: &[u8]| tail.end.windows(what.len()).position(|bytes| bytes == what).unwrap();
        let end = find(b"PK\x06\x06");
        let (entries, size, directory) = (number(end + 32), number(end + 40), number(end + 48));
        let skipped = tail.length - tail.end.len() as u64;
        assert_eq!((entries, directory + size), (2, skipped + end as u64));
        assert!(directory > LONG, "{directory}");
        // The lengths and the offset of each file, from the extra field of its record in the directory.
        let lines: Vec<(u64, u64, u64)> = [&b"long"[..], b"after"]
            .iter()
            .map(|name| {
                let line = find(b"PK\x01\x02");
                let at =
                    line + tail.end[line..].windows(name.len()).position(|bytes| bytes == *name).unwrap();
                let extra = at + name.len();
                assert_eq!(tail.end[extra..extra + 2], [1, 0], "zip64's own");
                (number(extra + 4), number(extra + 12), number(extra + 20))
            })
            .collect();
        assert_eq!(lines[0], (LONG, LONG, 0));
        assert_eq!((lines[1].0, lines[1].1), (2, 2));
        assert!(lines[1].2 > LONG, "{lines:?}");
    }

    #[test]
    fn no_entry_is_unpacked_outside_its_folder() {
        let named = |key| entry_name(key, 0, 0);
        assert_eq!(named("a/b").as_deref(), Some("a/b"));
        assert_eq!(named("../../etc/passwd").as_deref(), Some("_/_/etc/passwd"));
        assert_eq!(named("/etc/passwd").as_deref(), Some("_/etc/passwd"));
        assert_eq!(named("c:\\x").as_deref(), Some("c__x"));
        assert_eq!((named("a/"), named("")), (None, None));
        assert_eq!(entry_name("a/", 0, 1).as_deref(), Some("a/_"), "it has bytes");
        assert_eq!(entry_name("a/b/c", 2, 1).as_deref(), Some("b/c"));
    }

    #[test]
    fn no_two_keys_come_to_one_entry() {
        let mut taken = Taken::default();
        let names = ["_", "_~2", "_", "_", "a", "_~2"].map(|name| taken.apart(name.into()));
        assert_eq!(names, ["_", "_~2", "_~3", "_~4", "a", "_~2~2"]);
    }
}
