//! The XML of answers and requests: what all documents have in common.

use crate::place::shown;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// S3's error document.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ErrorDocument {
    pub code: String,
    pub message: String,
    pub region: Option<String>,
}

/// The error document that a body holds, if it holds one. An endpoint that took long to answer sends spaces before it.
pub(super) fn error_within(body: &[u8]) -> Option<ErrorDocument> {
    let text = std::str::from_utf8(body).ok()?.trim_start();
    let text =
        text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(text, |(_, rest)| rest);
    let text = text.trim_start();
    if text.starts_with("<Error>") || text.starts_with("<Error ") {
        quick_xml::de::from_str(text).ok()
    } else {
        None
    }
}

/// The characters besides line feed and carriage return that end a line in XML 1.1.
const LINE_ENDS_OF_XML_1_1: [char; 2] = ['\u{85}', '\u{2028}'];

/// Reads a document of the type `T`, its texts with the blanks at their ends: they may be a key's.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it isn't UTF-8".to_owned())?;
    quick_xml::de::from_str(&of_xml_1_0(text)).map_err(|error| error.to_string())
}

/// The same document for a parser that goes by XML 1.1, to which some characters of a key would be line feeds. S3's
/// documents are XML 1.0.
fn of_xml_1_0(text: &str) -> Cow<'_, str> {
    if !text.contains(LINE_ENDS_OF_XML_1_1) {
        return text.into();
    }
    let [next_line, line_separator] = LINE_ENDS_OF_XML_1_1;
    text.replace(next_line, "&#x85;").replace(line_separator, "&#x2028;").into()
}

/// How a listing writes keys and prefixes. It says so itself: not every endpoint heeds `encoding-type=url`, and a key
/// that wasn't encoded would be another one if it were decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    #[default]
    Plain,
    Url,
}

impl Encoding {
    /// The encoding that the document's `EncodingType` names.
    pub fn named(name: &str) -> Result<Encoding, String> {
        match name {
            "" => Ok(Encoding::Plain),
            name if name.eq_ignore_ascii_case("url") => Ok(Encoding::Url),
            name => Err(format!("nobody knows the encoding {}", shown(name))),
        }
    }

    /// A key or prefix as it is.
    pub fn read(self, text: String) -> Result<String, String> {
        match self {
            Encoding::Plain => Ok(text),
            Encoding::Url => {
                let text = text.replace('+', " ");
                let decoded = percent_decode_str(&text).decode_utf8();
                decoded.map(Cow::into_owned).map_err(|_| "a key in it isn't UTF-8".to_owned())
            }
        }
    }
}

/// Reads a time as S3 writes it.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)
}

/// Escapes a text that is put into a document.
pub(super) fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// Whether XML can carry a text: XML 1.0 has no way to write most control characters.
pub(super) fn is_writable(text: &str) -> bool {
    // Some parsers read a carriage return back as a line feed, even an escaped one, so none is written.
    text.chars()
        .all(|char| matches!(char, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_at_the_beginning_of_a_document() {
        let body = b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>a &amp; b</Message><Key>k</Key></Error>";
        let error = error_within(body).unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str(), error.region), ("NoSuchKey", "a & b", None));
        let within = b"<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>";
        assert!(error_within(within).is_none(), "an error of one key isn't one of all");
        assert!(error_within(b"<Other/>").is_none() && error_within(b"\xff").is_none());
    }

    #[test]
    fn texts_are_read_as_they_stand_there() {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Item {
            key: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Items {
            item: Vec<Item>,
        }
        for key in [" k ", "  ", "k\n", "\tk", "", "a &lt; b ", "\u{85}k\u{2028}", "\u{a0}k\u{3000}"] {
            let document = format!("<Items>\n  <Item>\n <Key>{key}</Key>\n </Item>\n</Items>\n");
            let items: Items = read(document.as_bytes()).unwrap();
            assert_eq!(items.item[0].key, key.replace("&lt;", "<"));
        }
    }

    #[test]
    fn only_what_is_said_to_be_encoded_is_decoded() {
        let read = |name: &str, text: &str| Encoding::named(name).unwrap().read(text.to_owned());
        assert_eq!(read("url", "a%20%2B+b"), Ok("a + b".into()));
        assert_eq!(read("", "a%20%2B+b"), Ok("a%20%2B+b".into()));
        assert!(read("URL", "%ff").is_err() && Encoding::named("base64").is_err());
    }

    #[test]
    fn what_xml_cannot_carry_is_known() {
        assert!(is_writable("a/b ü\n\t\u{10ffff}"));
        assert!(!is_writable("a\u{1}") && !is_writable("a\r") && !is_writable("\u{ffff}"));
    }
}
