//! S3's XML documents: writes those of answers and reads those of requests.
//!
//! A document that is sent is a struct, which serde writes ([`write`]); its fields are in the order of the elements
//! of AWS's own documents. A document that is received is first read into a small tree within fixed limits
//! ([`read`]), from which the document's own type is then read. serde doesn't read it, for two reasons: it would trim
//! the text of keys, whose spaces count, and it wouldn't bound the depth and the number of elements, which a stranger
//! chooses.
//!
//! The shapes follow the responses and requests of the Amazon S3 API Reference (2006-03-01).

pub mod acl;
pub mod attributes;
pub mod buckets;
pub mod cors;
pub mod delete;
pub mod encryption;
pub mod lifecycle;
pub mod listing;
pub mod lock;
pub mod logging;
pub mod long;
pub mod multipart;
pub mod notification;
pub mod object;
pub mod read;
pub mod tagging;
pub mod unconfigured;
pub mod website;

use crate::error::{Code, S3Error, S3Result};
use crate::text::{DECLARATION, EncodingType, is_char, replacement};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use quick_xml::se::{SeError, Serializer};
use serde::Serialize;
use std::borrow::Cow;

/// The namespace of every document of S3 but errors, as the value of the root's `xmlns` attribute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace;

impl Serialize for Namespace {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("http://s3.amazonaws.com/doc/2006-03-01/")
    }
}

/// A `200` with a short document. A list of unknown length is answered by [`long::answer`].
pub fn answer<T: Serialize>(document: &T) -> S3Result {
    Ok(respond(text(document)?))
}

/// A `200` with a document that has been written already.
pub fn document(text: String) -> S3Result {
    Ok(respond(text.into()))
}

/// The document's bytes.
///
/// # Errors
/// `InternalError`, for a document that XML can't hold.
pub fn text<T: Serialize>(document: &T) -> Result<Bytes, S3Error> {
    write(document).map_err(unwritable)
}

fn respond(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Writes a document, whose root element has the struct's serde name. It is XML 1.0 whatever texts are in it.
pub fn write<T: Serialize>(document: &T) -> Result<Bytes, SeError> {
    Ok(finished(&serialised(document)?))
}

/// Writes a list of names in the encoding that the client asked for; `document` makes the list in an encoding. Where
/// XML can't carry one of the names, all of them are written as for `encoding-type=url`, and the document says so.
/// Otherwise the client couldn't get the object of that name, or the page that begins there.
///
/// # Errors
/// As [`text()`].
pub fn list<T: Serialize>(
    asked: Option<EncodingType>,
    document: impl Fn(Option<EncodingType>) -> T,
) -> Result<Bytes, S3Error> {
    let body = serialised(&document(asked)).map_err(unwritable)?;
    if asked.is_none() && !body.chars().all(is_char) {
        return text(&document(Some(EncodingType::Url)));
    }
    Ok(finished(&body))
}

/// Writes a document's content into an element of that name, which the caller puts into an envelope.
///
/// # Errors
/// For a document that XML can't hold.
pub fn element<T: Serialize>(root: &str, document: &T) -> Result<String, SeError> {
    let mut body = String::with_capacity(512);
    let mut serializer = Serializer::with_root(&mut body, Some(root))?;
    serializer.expand_empty_elements(false);
    document.serialize(serializer)?;
    Ok(printable(&body).into_owned())
}

/// A text with the characters replaced that XML can't carry, or that a parser would change.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(|char| replacement(char).is_none()) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match replacement(char) {
            Some(text) => out.push_str(text),
            None => out.push(char),
        }
    }
    out.into()
}

fn unwritable(error: SeError) -> S3Error {
    S3Error::new(Code::InternalError).because(error)
}

fn serialised<T: Serialize>(document: &T) -> Result<String, SeError> {
    let mut body = String::with_capacity(512);
    let mut serializer = Serializer::with_root(&mut body, None)?;
    serializer.expand_empty_elements(false);
    document.serialize(serializer)?;
    Ok(body)
}

/// A document with its declaration, and with the characters replaced that XML can't carry. They are replaced in the
/// whole document, which is right since the markup has none of them.
fn finished(body: &str) -> Bytes {
    let mut out = String::with_capacity(DECLARATION.len() + body.len());
    out.push_str(DECLARATION);
    out.push_str(&printable(body));
    Bytes::from(out)
}

/// serde's `skip_serializing_if` for elements that are present only when true.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Name;
    use proptest::prelude::*;

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
    fn line_ends_come_back_and_what_xml_forbids_is_never_written() {
        let text = written("a\r\n\t\u{1} é\u{1f}\u{fffe}\u{85}");
        assert!(
            text.contains("<SomeKey>a&#13;&#10;&#9;\u{fffd} é\u{fffd}\u{fffd}\u{85}</SomeKey>"),
            "{text}"
        );
    }

    #[derive(Serialize)]
    #[serde(rename = "Names", rename_all = "PascalCase")]
    struct Names<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding_type: Option<EncodingType>,
        key: Vec<Name<'a>>,
    }

    /// A list of these names, written and read again.
    fn listed(names: &[&str], asked: Option<EncodingType>) -> read::Element {
        let names: Vec<_> = names.iter().map(|name| name.as_bytes()).collect();
        let document = |encoding| Names {
            encoding_type: encoding,
            key: names.iter().map(|name| Name::new(name, encoding)).collect(),
        };
        read::document(&list(asked, document).expect("serialises"), "Names").expect("is XML 1.0")
    }

    #[test]
    fn a_list_with_a_name_that_xml_cannot_carry_is_encoded_and_says_so() {
        let plain = listed(&["a b", "c\n"], None);
        assert_eq!(plain.at_most_one("EncodingType"), Ok(None));
        assert_eq!(plain.all("Key").map(|key| key.text().unwrap()).collect::<Vec<_>>(), ["a b", "c\n"]);
        let encoded = listed(&["a b", "c\u{1}"], None);
        assert_eq!(encoded.trimmed("EncodingType"), Ok(Some("url")));
        assert_eq!(encoded.all("Key").map(|key| key.text().unwrap()).collect::<Vec<_>>(), ["a%20b", "c%01"]);
    }

    proptest! {
        /// Whatever characters are in a name, a strict parser of XML 1.0 reads the list, and gives the name back.
        #[test]
        fn every_list_of_names_is_read_back(names in proptest::collection::vec(proptest::collection::vec(any::<char>(), 0..20), 1..5), rare in any::<u8>()) {
            let mut names: Vec<String> = names.into_iter().map(String::from_iter).collect();
            names[0].push(char::from(rare));
            let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
            let read = listed(&borrowed, None);
            let is_encoded = read.trimmed("EncodingType") == Ok(Some("url"));
            prop_assert_eq!(is_encoded, !names.concat().chars().all(is_char));
            for (name, element) in names.iter().zip(read.all("Key")) {
                let came = match is_encoded {
                    true => percent_encoding::percent_decode_str(element.text().unwrap()).decode_utf8().unwrap().into_owned(),
                    false => element.text().unwrap().to_owned(),
                };
                prop_assert_eq!(name, &came);
            }
        }

        /// Any other document is XML 1.0 as well. In it the characters that XML can't carry become U+FFFD.
        #[test]
        fn every_document_is_read_back(text in any::<String>(), rare in any::<u8>()) {
            let name = format!("{text}{}", char::from(rare));
            let document = Names { encoding_type: None, key: vec![Name::new(name.as_bytes(), None)] };
            let read = read::document(&write(&document).unwrap(), "Names").expect("is XML 1.0");
            let expected: String = name.chars().map(|char| if is_char(char) { char } else { '\u{fffd}' }).collect();
            prop_assert_eq!(read.all("Key").next().unwrap().text().unwrap(), &expected);
        }
    }

    #[test]
    fn spaces_of_texts_are_kept() {
        assert!(written(" a ").contains("<SomeKey> a </SomeKey>"));
        assert!(written(" ").contains("<SomeKey> </SomeKey>"));
    }
}
