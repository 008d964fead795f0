//! Downloads of objects as files, and previews on their pages.

use crate::bytes_of::{As, answer};
use crate::frame::{Tone, notice};
use crate::names;
use crate::shown::{bytes, count};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit};
use http::Method;
use http::header::{CONTENT_TYPE, RANGE};
use http_body_util::BodyExt;
use maud::{Markup, html};

/// How much of a text is shown.
const TEXT_BYTES: u64 = 64 << 10;
const TABLE_ROWS: usize = 200;
const TABLE_COLUMNS: usize = 40;

/// How an object is previewed. Its declared type decides, or the ending of its name if it declares none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An image of a format that can't hold scripts.
    Image(&'static str),
    Video(&'static str),
    Audio(&'static str),
    Text,
    Table(u8),
    Pdf,
    /// There is no preview.
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

/// The preview of an object on its page.
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

/// The object's first bytes as text.
async fn beginning(visit: &Visit, key: &str, version: &str) -> Result<String, Trouble> {
    let asked = visit.ask().object(Method::GET, &visit.bucket, key).with([("versionId", version)]);
    let response = asked.header(RANGE.as_str(), format!("bytes=0-{}", TEXT_BYTES - 1)).send().await?;
    let (mut body, mut read) = (response.into_body(), Vec::new());
    // More may come than was asked for, from a store that heeds no range.
    while let Some(frame) = body.frame().await
        && (read.len() as u64) < TEXT_BYTES
    {
        let frame = frame.map_err(|_| Trouble::wrong("It was cut off."))?;
        read.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    read.truncate(TEXT_BYTES as usize);
    let mut text = String::from_utf8_lossy(&read).into_owned();
    // The last character may have been cut through.
    while text.ends_with('\u{fffd}') {
        text.pop();
    }
    Ok(text)
}

fn written(kind: Kind, text: &str, size: u64) -> Markup {
    let rest = html! { @if size > TEXT_BYTES { p.muted { "The first " (bytes(TEXT_BYTES)) " of " (bytes(size)) "." } } };
    match kind {
        Kind::Table(delimiter) => html! { (sheet(parted(delimiter, text), text, size > TEXT_BYTES)) (rest) },
        _ => html! { pre.text tabindex="0" role="region" aria-label="Text" { (text) } (rest) },
    }
}

/// The delimiter of a table's columns. Where the comma is the decimal sign, CSV files are written with semicolons.
fn parted(delimiter: u8, text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    if delimiter == b',' && !first.contains(',') && first.contains(';') { b';' } else { delimiter }
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
        @if first.len() > TABLE_COLUMNS { p.muted { "The first " (TABLE_COLUMNS) " of " (first.len()) " columns." } }
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
        Kind::Pdf => given(&visit, &As::Pdf(names::last(key))).await,
        Kind::Text | Kind::Table(_) | Kind::Other => whole(visit).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_that_a_browser_does_not_run_are_shown_with_their_own_type() {
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

    #[test]
    fn columns_are_separated_by_semicolons_if_the_first_line_has_no_comma() {
        assert_eq!(
            [parted(b',', "a;b\n1,5;2"), parted(b',', "a,b;c"), parted(b'\t', "a;b")],
            [b';', b',', b'\t']
        );
        let wide = vec!["c"; 60].join(",");
        assert!(sheet(b',', &wide, false).into_string().contains("The first 40 of 60 columns."));
    }
}
