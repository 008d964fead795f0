//! Downloads a folder as one zip archive, which is written while its objects are read.

use crate::ask::{Object, ObjectList, decoded};
use crate::bytes_of::attachment;
use crate::names;
use crate::shown::count;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit};
use async_zip::base::write::ZipFileWriter;
use async_zip::error::ZipError;
use async_zip::{Compression, ZipDateTime, ZipDateTimeBuilder, ZipEntryBuilder};
use axum::body::Body;
use axum::response::Response;
use futures_util::TryStreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_util::compat::{Compat, FuturesAsyncWriteCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::io::{ReaderStream, StreamReader};

/// How many objects an archive may hold. All of them are listed at its end, and the list is kept in memory until then.
const MOST_ENTRIES: usize = 50_000;
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
    let objects = all_under(&visit, &prefix).await?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let name = match prefix.is_empty() {
        true => format!("{}.zip", visit.bucket),
        false => format!("{}.zip", names::last(&prefix).trim_matches('/')),
    };
    tokio::spawn(async move {
        let _turn = turn;
        if let Err(problem) = pack(&visit, &prefix, &objects, ours).await {
            // The archive lacks its directory at the end, so no program takes it for a whole one.
            tracing::warn!(problem, "an archive was not finished");
        }
    });
    let mut response = Response::new(Body::from_stream(ReaderStream::new(theirs)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_DISPOSITION, attachment(&name));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    Ok(response)
}

async fn all_under(visit: &Visit, prefix: &str) -> Result<Vec<Object>, Trouble> {
    let (mut objects, mut from) = (Vec::new(), String::new());
    loop {
        let asked = visit.ask().bucket(Method::GET, &visit.bucket).query("list-type=2&encoding-type=url");
        let list: ObjectList = asked.with([("prefix", prefix), ("continuation-token", &from)]).xml().await?;
        objects.extend(list.contents);
        if objects.len() > MOST_ENTRIES {
            return Err(Trouble::wrong(format!(
                "There are more than {} objects, which is more than one archive holds here. Take a folder within it, or a \
                 program for the whole.",
                count(MOST_ENTRIES as u64)
            )));
        }
        if !list.is_truncated {
            return Ok(objects);
        }
        from = list.next_continuation_token;
    }
}

/// Writes the archive: the objects uncompressed, one after another.
async fn pack(visit: &Visit, prefix: &str, objects: &[Object], to: DuplexStream) -> Result<(), String> {
    let mut archive = ZipFileWriter::new(TokioAsyncWriteCompatExt::compat_write(to));
    let mut taken = Taken::default();
    for object in objects {
        let key = decoded(&object.key);
        let Some(name) = entry_name(&key, names::parent(prefix).len()) else { continue };
        let asked = visit.ask().object(Method::GET, &visit.bucket, &key);
        let body = match asked.send().await {
            Ok(response) => response.into_body(),
            // The object was deleted since it was listed.
            Err(trouble) if trouble.status() == StatusCode::NOT_FOUND => continue,
            Err(trouble) => return Err(format!("{key}: {}", trouble.words())),
        };
        let name = taken.apart(name);
        let pieces = TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other);
        let written = zip_time(&object.last_modified);
        add(&mut archive, name, written, StreamReader::new(pieces))
            .await
            .map_err(|error| error.to_string())?;
    }
    let mut end = archive.close().await.map_err(|error| error.to_string())?.into_inner();
    end.shutdown().await.map_err(|error| error.to_string())
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

/// The name of an entry, changed such that it stays within the folder in which it is unpacked. A key that only stands
/// for a folder has none.
fn entry_name(key: &str, above: usize) -> Option<String> {
    let within = key.get(above..).unwrap_or(key);
    let safe = |part: &str| match part {
        "" | "." | ".." => "_".to_owned(),
        part => part.replace(['\\', ':', '\0'], "_"),
    };
    (!within.is_empty() && !within.ends_with('/'))
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
        let named = |key| entry_name(key, 0);
        assert_eq!(named("a/b").as_deref(), Some("a/b"));
        assert_eq!(named("../../etc/passwd").as_deref(), Some("_/_/etc/passwd"));
        assert_eq!(named("/etc/passwd").as_deref(), Some("_/etc/passwd"));
        assert_eq!(named("c:\\x").as_deref(), Some("c__x"));
        assert_eq!((named("a/"), named("")), (None, None));
        assert_eq!(entry_name("a/b/c", 2).as_deref(), Some("b/c"));
    }

    #[test]
    fn no_two_keys_come_to_one_entry() {
        let mut taken = Taken::default();
        let names = ["_", "_~2", "_", "_", "a", "_~2"].map(|name| taken.apart(name.into()));
        assert_eq!(names, ["_", "_~2", "_~3", "_~4", "a", "_~2~2"]);
    }
}
