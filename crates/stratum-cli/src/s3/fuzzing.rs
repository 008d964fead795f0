//! A door for the fuzz target to what reads an endpoint's answers. Not an interface.

use super::attributes::Attributes;
use super::buckets::AllBuckets;
use super::documents::{error_within, read};
use super::lists::{Listed, Page, VersionsPage};
use super::objects::{Copied, Deleted, info};
use super::refusal::Refusal;
use super::tags::Tagging;
use super::uploads::{Begun, Completed, Parts, Uploads};
use crate::connection::{Checksums, Connection, Endpoint, Keys};
use crate::trust::Trust;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::SystemTime;

/// Reads an answer: lines of headers, an empty line, and a document, which is read as every kind of document there is.
pub fn answer(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, document) = end.map_or((&b""[..], bytes), |at| (&bytes[..at], &bytes[at + 2..]));
    let headers = headers(head);
    let _ = (info(&headers), Attributes::of(&headers));
    refused(&headers, document);
    listings(document);
    let _ = (read::<AllBuckets>(document), read::<Tagging>(document), read::<Deleted>(document));
    let _ = (read::<Begun>(document), read::<Completed>(document), read::<Copied>(document));
    let _ = read::<Parts>(document);
}

fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// What is told of a refusal is one line that can't command a terminal.
fn refused(headers: &HeaderMap, document: &[u8]) {
    let Some(endpoint) = Endpoint::parse("http://endpoint") else { return };
    let key = Keys { access_key: "key".into(), secret_key: "secret".into(), session_token: None };
    let connection = Connection {
        endpoint,
        region: "us-east-1".into(),
        keys: Some(key),
        origin: "nowhere".into(),
        trust: Trust::Machine,
        checksums: Checksums::Sent,
    };
    for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::OK] {
        let said = error_within(document).unwrap_or_default();
        let refusal = Refusal::of(&connection, status, headers, said, SystemTime::UNIX_EPOCH);
        let told = crate::place::shown(&refusal.to_string()).to_string();
        assert!(!told.chars().any(char::is_control), "{told}");
    }
}

/// Whatever a page says, the next one doesn't begin where it began itself.
fn listings(document: &[u8]) {
    let begun = ("t".to_owned(), String::new());
    let moves_on = |next: Option<(String, String)>| assert!(next.as_ref() != Some(&begun));
    for begun in [None, Some(&begun)] {
        let objects = read(document).and_then(|page: Page| page.listed(begun));
        let versions = read(document).and_then(|page: VersionsPage| page.listed(begun));
        let uploads = read(document).and_then(|page: Uploads| page.listed(begun));
        if begun.is_some() {
            let next = |listed: Result<Option<_>, String>| listed.into_iter().for_each(moves_on);
            next(objects.map(|Listed { next, .. }| next));
            next(versions.map(|Listed { next, .. }| next));
            next(uploads.map(|Listed { next, .. }| next));
        }
    }
}
