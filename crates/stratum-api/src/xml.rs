//! S3's XML documents, both ways.
//!
//! What we send is a struct whose fields stand in the order of AWS's own documents and which serde writes
//! ([`write`]). What we are sent is read into a small tree with hard limits first ([`read`]) and then taken apart
//! by the document's own type: the text of a key must survive to the last space, and a request body is the one
//! place where a stranger chooses depth, size and entities.
//!
//! The shapes follow the responses and requests of the Amazon S3 API Reference (2006-03-01).

pub mod acl;
pub mod attributes;
pub mod buckets;
pub mod delete;
pub mod listing;
pub mod long;
pub mod multipart;
pub mod object;
pub mod read;
pub mod text;

use crate::error::{Code, S3Error, S3Result};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use quick_xml::se::{SeError, Serializer};
use serde::Serialize;
use std::fmt::Write as _;

/// The namespace of every document of S3 but errors, as the value of the root's `xmlns` attribute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace;

impl Serialize for Namespace {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("http://s3.amazonaws.com/doc/2006-03-01/")
    }
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A `200` with that document, which is short. For lists of unknown length there is [`long::answer`].
pub fn answer<T: Serialize>(document: &T) -> S3Result {
    Ok(respond(text(document)?))
}

/// The document's bytes.
///
/// # Errors
/// `InternalError`, for a document that XML can't hold.
pub fn text<T: Serialize>(document: &T) -> Result<Bytes, S3Error> {
    write(document).map_err(|error| S3Error::new(Code::InternalError).because(error))
}

fn respond(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Writes a document; the struct's (serde) name is the root element.
///
/// Control characters, which keys may hold, become character references: a parser would drop some of them and turn
/// a carriage return into a line feed.
pub fn write<T: Serialize>(document: &T) -> Result<Bytes, SeError> {
    let mut body = String::with_capacity(512);
    let mut serializer = Serializer::with_root(&mut body, None)?;
    serializer.expand_empty_elements(false);
    document.serialize(serializer)?;
    let mut out = String::with_capacity(DECLARATION.len() + body.len());
    out.push_str(DECLARATION);
    push_without_control_characters(&mut out, &body);
    Ok(Bytes::from(out))
}

/// The markup itself has no control characters, so whatever is found came from text.
fn push_without_control_characters(out: &mut String, body: &str) {
    let is_control = |byte: u8| byte < 0x20;
    if !body.bytes().any(is_control) {
        out.push_str(body);
        return;
    }
    for character in body.chars() {
        match u8::try_from(character).ok().filter(|byte| is_control(*byte)) {
            // Writing to a String cannot fail.
            Some(byte) => drop(write!(out, "&#{byte};")),
            None => out.push(character),
        }
    }
}

/// serde's `skip_serializing_if` for elements that are present only when true.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename = "Root", rename_all = "PascalCase")]
    struct Root {
        #[serde(rename = "@xmlns")]
        xmlns: Namespace,
        some_key: &'static str,
        flag: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
    }

    fn written(some_key: &'static str) -> String {
        let root = Root { xmlns: Namespace, some_key, flag: true, absent: None };
        let bytes = write(&root).expect("serialises");
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_document_has_declaration_namespace_and_root() {
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Root xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><SomeKey>a&amp;b&lt;c</SomeKey><Flag>true</Flag></Root>";
        assert_eq!(written("a&b<c"), expected);
    }

    #[test]
    fn control_characters_become_references_and_come_back() {
        let text = written("a\r\n\t\u{1} é\u{1f}");
        assert!(text.contains("<SomeKey>a&#13;&#10;&#9;&#1; é&#31;</SomeKey>"), "{text}");
    }

    #[test]
    fn spaces_are_kept() {
        assert!(written(" a ").contains("<SomeKey> a </SomeKey>"));
        assert!(written(" ").contains("<SomeKey> </SomeKey>"));
    }
}
