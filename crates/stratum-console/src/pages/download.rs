//! Objects leave: as files, as something to look at, and folders as archives.

use crate::ask::{Object, ObjectList, decoded};
use crate::bytes_of::{As, answer, attachment};
use crate::frame::{Tone, notice};
use crate::names;
use crate::shown::{bytes, count};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit};
use async_zip::base::write::ZipFileWriter;
use async_zip::error::ZipError;
use async_zip::{Compression, ZipDateTime, ZipDateTimeBuilder, ZipEntryBuilder};
use axum::body::Body;
use axum::response::Response;
use futures_util::TryStreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE};
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use maud::{Markup, html};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_util::compat::{Compat, FuturesAsyncWriteCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::io::{ReaderStream, StreamReader};

/// Of a text, as much as is shown.
const TEXT_BYTES: u64 = 64 << 10;
const TABLE_ROWS: usize = 200;
const TABLE_COLUMNS: usize = 40;
/// Objects that an archive may hold: its end lists all of them, and that is kept until then.
const MOST_ENTRIES: usize = 50_000;
/// What waits between what is read and what is sent.
const PIPE_BYTES: usize = 256 << 10;

/// How an object is looked at, by the type that it says it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One that a browser decodes, and that runs nothing.
    Image(&'static str),
    Video(&'static str),
    Audio(&'static str),
    Text,
    Table(u8),
    Pdf,
    /// It isn't.
    Other,
}

impl Kind {
    pub fn of(declared: &str, key: &str) -> Kind {
        let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let ending = names::last(key).rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let by_name = matches!(declared.as_str(), "" | "application/octet-stream" | "binary/octet-stream");
        let named = match ending.as_deref().filter(|_| by_name) {
            Some("png") => "image/png",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("gif") => "image/gif",
            Some("webp") => "image/webp",
            Some("mp4" | "m4v") => "video/mp4",
            Some("webm") => "video/webm",
            Some("mp3") => "audio/mpeg",
            Some("pdf") => "application/pdf",
            Some("csv") => "text/csv",
            Some("tsv") => "text/tab-separated-values",
            Some(
                "txt" | "md" | "log" | "json" | "xml" | "yaml" | "yml" | "toml" | "rs" | "py" | "js" | "css"
                | "html" | "sh" | "svg",
            ) => "text/plain",
            _ => &declared,
        };
        match named {
            "image/png" => Kind::Image("image/png"),
            "image/jpeg" | "image/jpg" => Kind::Image("image/jpeg"),
            "image/gif" => Kind::Image("image/gif"),
            "image/webp" => Kind::Image("image/webp"),
            "image/avif" => Kind::Image("image/avif"),
            "image/bmp" => Kind::Image("image/bmp"),
            "video/mp4" => Kind::Video("video/mp4"),
            "video/webm" => Kind::Video("video/webm"),
            "video/ogg" => Kind::Video("video/ogg"),
            "audio/mpeg" => Kind::Audio("audio/mpeg"),
            "audio/ogg" => Kind::Audio("audio/ogg"),
            "audio/wav" | "audio/x-wav" => Kind::Audio("audio/wav"),
            "audio/flac" => Kind::Audio("audio/flac"),
            "audio/mp4" => Kind::Audio("audio/mp4"),
            "application/pdf" => Kind::Pdf,
            "text/csv" => Kind::Table(b','),
            "text/tab-separated-values" => Kind::Table(b'\t'),
            "application/json"
            | "application/xml"
            | "application/yaml"
            | "application/x-yaml"
            | "application/toml"
            | "application/javascript"
            | "application/x-sh"
            | "image/svg+xml" => Kind::Text,
            text if text.starts_with("text/") || text.ends_with("+json") || text.ends_with("+xml") => {
                Kind::Text
            }
            _ => Kind::Other,
        }
    }
}

/// What is shown of an object on its page.
pub async fn look(visit: &Visit, key: &str, version: &str, kind: Kind, size: u64) -> Result<Markup, Trouble> {
    let address = names::of_object(&visit.bucket, "preview", key, version);
    let name = crate::pages::browser::shown_name(key);
    Ok(match kind {
        _ if size == 0 => html! { p.muted { "It is empty." } },
        Kind::Image(_) => {
            html! { a.picture href=(address) { img src=(address) alt={ "Preview of " (name) } loading="lazy"; } }
        }
        Kind::Video(_) => {
            html! { video.picture src=(address) controls preload="metadata" aria-label=(name) {} }
        }
        Kind::Audio(_) => html! { audio src=(address) controls preload="metadata" aria-label=(name) {} },
        Kind::Pdf => {
            html! { iframe.reader src=(address) title={ "Preview of " (name) } loading="lazy" {} p { a href=(address) { "Open it by itself" } } }
        }
        Kind::Text | Kind::Table(_) => match beginning(visit, key, version).await {
            Ok(text) => written(kind, &text, size),
            Err(Trouble::SignedOut) => return Err(Trouble::SignedOut),
            Err(trouble) => notice(Tone::Plain, html! { p { "It can't be shown: " (trouble.words()) } }),
        },
        Kind::Other => {
            html! { p.muted { "There is no preview of this type. Nothing of it is run here; download it to look at it." } }
        }
    })
}

/// Its first bytes, as text.
async fn beginning(visit: &Visit, key: &str, version: &str) -> Result<String, Trouble> {
    let asked = visit.ask().object(Method::GET, &visit.bucket, key).with([("versionId", version)]);
    let response = asked.header(RANGE.as_str(), format!("bytes=0-{}", TEXT_BYTES - 1)).send().await?;
    let read = response.into_body().collect().await.map_err(|_| Trouble::wrong("It was cut off."))?;
    let mut text = String::from_utf8_lossy(&read.to_bytes()).into_owned();
    // The last character may have been cut through.
    while text.ends_with('\u{fffd}') {
        text.pop();
    }
    Ok(text)
}

fn written(kind: Kind, text: &str, size: u64) -> Markup {
    let rest = html! { @if size > TEXT_BYTES { p.muted { "The first " (bytes(TEXT_BYTES)) " of " (bytes(size)) "." } } };
    match kind {
        Kind::Table(delimiter) => html! { (sheet(delimiter, text, size > TEXT_BYTES)) (rest) },
        _ => html! { pre.text tabindex="0" role="region" aria-label="Text" { (text) } (rest) },
    }
}

fn sheet(delimiter: u8, text: &str, is_cut: bool) -> Markup {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).flexible(true).has_headers(false);
    let mut reader = reader.from_reader(text.as_bytes());
    let mut records = reader.records().filter_map(Result::ok).take(TABLE_ROWS + 1).collect::<Vec<_>>();
    if is_cut {
        records.pop();
    }
    let Some((first, rest)) = records.split_first() else { return html! { p.muted { "It has no rows." } } };
    html! {
        div.scroll.sheet tabindex="0" role="region" aria-label="Table" {
            table {
                thead { tr { @for cell in first.iter().take(TABLE_COLUMNS) { th scope="col" { (cell) } } } }
                tbody { @for row in rest { tr { @for cell in row.iter().take(TABLE_COLUMNS) { td { (cell) } } } } }
            }
        }
        @if rest.len() >= TABLE_ROWS { p.muted { "The first " (count(TABLE_ROWS as u64)) " rows." } }
    }
}

async fn given(visit: &Visit, given: &As<'_>) -> Page {
    let (key, version) = (visit.query.get("key"), visit.query.get("version"));
    let asked = visit.ask().object(Method::GET, &visit.bucket, key).with([("versionId", version)]);
    let range = visit.headers.get(RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let (head, body) = asked.header(RANGE.as_str(), range).send().await?.into_parts();
    Ok(answer(head.status, &head.headers, body, given))
}

/// `GET /b/{bucket}/download?key=...&version=...`
pub async fn whole(visit: Visit) -> Page {
    let name = names::last(visit.query.get("key")).trim_end_matches('/').to_owned();
    given(&visit, &As::File(&name)).await
}

/// `GET /b/{bucket}/preview?key=...&version=...`
pub async fn preview(visit: Visit) -> Page {
    let (key, version) = (visit.query.get("key"), visit.query.get("version"));
    let asked = visit.ask().object(Method::HEAD, &visit.bucket, key);
    let head = asked.with([("versionId", version)]).done().await?;
    let declared = head.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match Kind::of(declared, key) {
        Kind::Image(kind) | Kind::Video(kind) | Kind::Audio(kind) => given(&visit, &As::Seen(kind)).await,
        Kind::Pdf => given(&visit, &As::Pdf).await,
        Kind::Text | Kind::Table(_) | Kind::Other => whole(visit).await,
    }
}

/// `GET /b/{bucket}/zip?prefix=...`: all that is under a prefix, as it is read.
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
            // Its end is missing, so nobody takes it for a whole one.
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

/// Writes the archive: the objects as they are, one after another.
async fn pack(visit: &Visit, prefix: &str, objects: &[Object], to: DuplexStream) -> Result<(), String> {
    let mut archive = ZipFileWriter::new(TokioAsyncWriteCompatExt::compat_write(to));
    for object in objects {
        let key = decoded(&object.key);
        let Some(name) = entry_name(&key, names::parent(prefix).len()) else { continue };
        let asked = visit.ask().object(Method::GET, &visit.bucket, &key);
        let body = asked.send().await.map_err(|trouble| format!("{key}: {}", trouble.words()))?.into_body();
        let pieces = TryStreamExt::map_err(body.into_data_stream(), std::io::Error::other);
        let written = zip_time(&object.last_modified);
        add(&mut archive, name, written, StreamReader::new(pieces))
            .await
            .map_err(|error| error.to_string())?;
    }
    let mut end = archive.close().await.map_err(|error| error.to_string())?.into_inner();
    end.shutdown().await.map_err(|error| error.to_string())
}

/// Writes one file of an archive, of whatever length.
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

/// A name that stays within the folder in which it is unpacked; nothing of what only stands for a folder.
fn entry_name(key: &str, above: usize) -> Option<String> {
    let within = key.get(above..).unwrap_or(key);
    let safe = |part: &str| match part {
        "" | "." | ".." => "_".to_owned(),
        part => part.replace(['\\', ':', '\0'], "_"),
    };
    (!within.is_empty() && !within.ends_with('/'))
        .then(|| within.split('/').map(safe).collect::<Vec<_>>().join("/"))
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

    #[test]
    fn only_what_a_browser_cannot_run_is_shown_as_it_is() {
        for (declared, key, kind) in [
            ("image/png", "a", Kind::Image("image/png")),
            ("IMAGE/PNG; x=y", "a", Kind::Image("image/png")),
            ("image/svg+xml", "a.svg", Kind::Text),
            ("text/html", "a.html", Kind::Text),
            ("application/xhtml+xml", "a", Kind::Text),
            ("text/html", "a.png", Kind::Text),
            ("application/x-shockwave-flash", "a.png", Kind::Other),
            ("binary/octet-stream", "a.PNG", Kind::Image("image/png")),
            ("binary/octet-stream", "a.html", Kind::Text),
            ("", "a", Kind::Other),
            ("text/csv", "a", Kind::Table(b',')),
            ("image/png\u{0}", "a", Kind::Other),
        ] {
            assert_eq!(Kind::of(declared, key), kind, "{declared} {key}");
        }
    }

    /// Keeps the end of what is written, and counts the rest.
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
        // Of each file: the lengths and where it begins, in the extra field of its line of the directory.
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
    fn no_entry_leaves_the_folder_that_it_is_unpacked_in() {
        let named = |key| entry_name(key, 0);
        assert_eq!(named("a/b").as_deref(), Some("a/b"));
        assert_eq!(named("../../etc/passwd").as_deref(), Some("_/_/etc/passwd"));
        assert_eq!(named("/etc/passwd").as_deref(), Some("_/etc/passwd"));
        assert_eq!(named("c:\\x").as_deref(), Some("c__x"));
        assert_eq!((named("a/"), named("")), (None, None));
        assert_eq!(entry_name("a/b/c", 2).as_deref(), Some("b/c"));
    }
}
