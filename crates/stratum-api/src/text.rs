//! The texts in S3's documents: which characters XML can carry, names that may be percent-encoded, times, and ETags.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Serialize, Serializer};
use std::fmt;
use stratum_metadata::record::ETag;
use stratum_storage::ambient::UnixMillis;

/// What every document begins with.
pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Whether XML 1.0 can carry a character (its production `Char`).
pub fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// What is written in place of a character of text; none where the character itself is. Tabs and line ends are
/// written as references, since a parser would change them. A character that XML can't carry, even as a reference,
/// becomes U+FFFD. A list whose names would lose something by that is written with all its names url-encoded
/// (`xml::list`).
pub fn replacement(char: char) -> Option<&'static str> {
    match char {
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        char if is_char(char) => None,
        _ => Some("\u{fffd}"),
    }
}

/// `encoding-type=url`: the one encoding of names that S3 has, for keys that XML can't carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EncodingType {
    #[serde(rename = "url")]
    Url,
}

/// The characters that `encoding-type=url` doesn't encode: the unreserved ones of RFC 3986, and the slash.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A key, prefix, marker or delimiter, in the encoding that the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    pub bytes: &'a [u8],
    pub encoding: Option<EncodingType>,
}

impl<'a> Name<'a> {
    pub fn new(bytes: &'a [u8], encoding: Option<EncodingType>) -> Self {
        Self { bytes, encoding }
    }

    pub fn of(text: &'a str, encoding: Option<EncodingType>) -> Self {
        Self::new(text.as_bytes(), encoding)
    }
}

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encoding {
            Some(EncodingType::Url) => serializer.collect_str(&percent_encode(self.bytes, KEPT)),
            None => serializer.serialize_str(&String::from_utf8_lossy(self.bytes)),
        }
    }
}

/// The last millisecond of the year 9999, and so the last time that can be written: the years of S3's times and of HTTP's
/// have four digits. A later time, which a sum of days may come to and which a store may hold since a server let it in,
/// is written as this one. A client can't name a later one.
pub const LATEST: UnixMillis = 253_402_300_799_999;

/// A time in S3's XML: `2026-11-21T02:44:02.000Z`. S3's times are whole seconds, written with `.000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub UnixMillis);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.min(LATEST) / 1000).map_err(|_| fmt::Error)?;
        let at = time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time that is written to the millisecond, such as the end of a retention: with the milliseconds cut off, a client
/// that waits until then would come too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub UnixMillis);

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = Timestamp(self.0).to_string();
        let whole = whole.strip_suffix(".000Z").ok_or(fmt::Error)?;
        write!(f, "{whole}.{:03}Z", self.0.min(LATEST) % 1000)
    }
}

impl Serialize for Deadline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a time as S3's documents and headers have it, in ISO 8601. A date alone means the beginning of that day, and
/// a time without an offset is in UTC. None for any other text, for a time before 1970, and for one after [`LATEST`], which
/// the last hours of the year 9999 are where they have a negative offset.
pub fn parse_iso_8601(text: &str) -> Option<UnixMillis> {
    use time::format_description::well_known::Iso8601;
    let text = text.trim();
    let whole = || time::OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok();
    let local = || time::PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).ok().map(|at| at.assume_utc());
    let date = || Some(time::Date::parse(text, &Iso8601::DEFAULT).ok()?.midnight().assume_utc());
    let at = whole().or_else(local).or_else(date)?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().filter(|at| *at <= LATEST)
}

/// An ETag in its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted(pub ETag);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl Serialize for Quoted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename = "R")]
    struct One<T> {
        #[serde(rename = "V")]
        value: T,
    }

    fn text<T: Serialize>(value: T) -> String {
        let bytes = crate::xml::write(&One { value }).expect("serialises");
        let all = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (_, rest) = all.split_once("<V>").expect("has the element");
        rest.split_once("</V>").expect("closes it").0.to_owned()
    }

    #[test]
    fn url_encoding_keeps_slashes_and_encodes_plus_signs_spaces_and_control_characters() {
        let name = |bytes| Name::new(bytes, Some(EncodingType::Url));
        assert_eq!(text(name(b"foo+1/quux ab")), "foo%2B1/quux%20ab");
        assert_eq!(text(name(b"\n\x01%")), "%0A%01%25");
        assert_eq!(text(name("é".as_bytes())), "%C3%A9");
        assert_eq!(text(Name::new(b"a+b c", None)), "a+b c");
    }

    #[test]
    fn times_are_written_to_the_second_and_deadlines_to_the_millisecond() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_795_229_042_999).to_string(), "2026-11-21T02:44:02.000Z");
        assert_eq!(Deadline(1_795_229_042_999).to_string(), "2026-11-21T02:44:02.999Z");
        assert_eq!(Deadline(1_795_229_042_007).to_string(), "2026-11-21T02:44:02.007Z");
    }

    #[test]
    fn a_time_after_the_last_that_can_be_written_is_written_as_that_one() {
        for late in [LATEST, LATEST + 1, u64::MAX] {
            assert_eq!(Timestamp(late).to_string(), "9999-12-31T23:59:59.000Z", "{late}");
            assert_eq!(Deadline(late).to_string(), "9999-12-31T23:59:59.999Z", "{late}");
        }
    }

    #[test]
    fn times_are_read_in_each_form_of_iso_8601_that_s3_has() {
        for text in [
            "2030-01-01T00:00:00Z",
            "2030-01-01T00:00:00.000Z",
            "20300101T000000Z",
            "2030-01-01T02:00:00+02:00",
            "2030-01-01T00:00:00",
            "2030-01-01",
        ] {
            assert_eq!(parse_iso_8601(text), Some(1_893_456_000_000), "{text}");
        }
        assert_eq!(parse_iso_8601("2030-01-01T00:00:00.25Z"), Some(1_893_456_000_250));
        assert_eq!(parse_iso_8601("9999-12-31T23:59:59.999Z"), Some(LATEST));
        for wrong in [
            "",
            "soon",
            "2030-13-01",
            "1969-12-31T23:59:59Z",
            "Tue, 01 Jan 2030 00:00:00 GMT",
            "9999-12-31T23:59:59-12:00",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(parse_iso_8601(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn etags_are_quoted() {
        assert_eq!(text(Quoted(ETag::Md5([0xab; 16]))), format!("\"{}\"", "ab".repeat(16)));
    }
}
