//! Tags of objects and buckets: the rules for keys and values, and the header by which a request gives tags. The
//! document by which it may give them is read in `xml::tagging`, and checked here.
//!
//! Sources: Amazon S3 User Guide, "Categorizing your objects using tags"; API Reference, PutObject (`x-amz-tagging`)
//! and PutObjectTagging.

use crate::error::{Code, S3Error};
use http::HeaderMap;
use std::collections::BTreeMap;

/// Tags by key, within S3's bounds.
pub type Tags = BTreeMap<String, String>;

/// The header by which a request that writes an object gives the object tags.
pub const HEADER: &str = "x-amz-tagging";

const MOST_TAGS_OF_OBJECT: usize = 10;
const MOST_TAGS_OF_BUCKET: usize = 50;
const MOST_KEY_CHARS: usize = 128;
const MOST_VALUE_CHARS: usize = 256;

/// What has tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    Object,
    Bucket,
}

impl Tagged {
    fn most(self) -> usize {
        match self {
            Tagged::Object => MOST_TAGS_OF_OBJECT,
            Tagged::Bucket => MOST_TAGS_OF_BUCKET,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tagged::Object => "Object",
            Tagged::Bucket => "Bucket",
        }
    }
}

/// The tags of these keys and values, if S3's rules allow them.
///
/// # Errors
/// `InvalidTag`, saying which rule is broken.
pub fn checked(of: Tagged, pairs: impl IntoIterator<Item = (String, String)>) -> Result<Tags, S3Error> {
    let invalid = |message: String| Err(S3Error::new(Code::InvalidTag).message(message));
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > MOST_KEY_CHARS || !key.chars().all(may_stand) {
            return invalid(format!("The TagKey you have provided is invalid: {key}"))
                .map_err(|e: S3Error| e.with("TagKey", key));
        }
        if value.chars().count() > MOST_VALUE_CHARS || !value.chars().all(may_stand) {
            return invalid("The TagValue you have provided is invalid".into())
                .map_err(|e: S3Error| e.with("TagKey", key));
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return invalid("System tags cannot be added/updated by requester".into());
        }
        if tags.len() == of.most() {
            return invalid(format!("{} tags cannot be greater than {}", of.name(), of.most()));
        }
        if tags.insert(key, value).is_some() {
            return invalid("Cannot provide multiple Tags with the same key".into());
        }
    }
    Ok(tags)
}

/// Whether a character may stand in a key or a value: letters, digits and spaces of any script, and the signs that S3
/// allows.
fn may_stand(char: char) -> bool {
    char.is_alphanumeric() || char.is_whitespace() || is_mark(char) || "+-=._:/@".contains(char)
}

/// Whether a character may be a combining mark, which belongs to a letter without being one. These are the ranges
/// that have the marks of Latin, of the scripts of India and Sri Lanka, and of Thai.
fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' | '\u{e30}'..='\u{e4e}')
}

/// The tags that the header gives to a new object; none where there is no header, or an empty one.
///
/// # Errors
/// `InvalidArgument` for a value that isn't in the form of a query; `InvalidTag`.
pub fn of_header(headers: &HeaderMap) -> Result<Option<Tags>, S3Error> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let malformed = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                       without tag name duplicates.";
        S3Error::invalid_argument(HEADER, String::from_utf8_lossy(value.as_bytes()), message)
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed())?;
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |raw| match is_encoded(raw) {
            true => crate::query::decode(raw).map_err(|_| malformed()),
            false => Err(malformed()),
        };
        let (key, value) = (decoded(key)?, decoded(value)?);
        if key.is_empty() || pairs.iter().any(|(known, _)| *known == key) {
            return Err(malformed());
        }
        pairs.push((key, value));
    }
    Ok(some(checked(Tagged::Object, pairs)?))
}

/// Whether each `%` is followed by two hexadecimal digits.
fn is_encoded(text: &str) -> bool {
    let is_byte = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    text.split('%').skip(1).all(is_byte)
}

/// The tags as a record has them: an empty set is none.
pub fn some(tags: Tags) -> Option<Tags> {
    Some(tags).filter(|tags| !tags.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn header(text: &'static str) -> Result<Option<Tags>, Code> {
        let headers = [(http::HeaderName::from_static(HEADER), HeaderValue::from_static(text))];
        of_header(&headers.into_iter().collect()).map_err(|error| error.code())
    }

    fn one(key: &str, value: &str) -> Result<usize, Code> {
        let tags = checked(Tagged::Object, [(key.to_owned(), value.to_owned())]);
        tags.map(|tags| tags.len()).map_err(|error| error.code())
    }

    #[test]
    fn keys_and_values_follow_the_rules_of_s3() {
        assert_eq!(one(&"k".repeat(128), &"v".repeat(256)), Ok(1));
        assert_eq!(one("größe नाम", ""), Ok(1));
        assert_eq!(one("a+b-c=d._:/@ ", "x"), Ok(1));
        for (key, value) in
            [("", "v"), ("aws:x", "v"), ("AWS:x", "v"), ("k!", "v"), ("k", "<v>"), ("k", "\0")]
        {
            assert_eq!(one(key, value), Err(Code::InvalidTag), "{key} {value}");
        }
        assert_eq!(one(&"é".repeat(129), ""), Err(Code::InvalidTag));
        assert_eq!(one("k", &"é".repeat(257)), Err(Code::InvalidTag));
        let many =
            |of, count: usize| checked(of, (0..count).map(|at| (at.to_string(), String::new()))).is_ok();
        assert_eq!((many(Tagged::Object, 10), many(Tagged::Object, 11)), (true, false));
        assert_eq!((many(Tagged::Bucket, 50), many(Tagged::Bucket, 51)), (true, false));
        let twice = [("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
        assert!(checked(Tagged::Bucket, twice).is_err());
    }

    #[test]
    fn the_header_has_the_form_of_a_query() {
        let tags = |pairs: &[(&str, &str)]| {
            Ok(Some(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()))
        };
        assert_eq!(header(""), Ok(None));
        assert_eq!(header("a=1&b=x%20y+z&c"), tags(&[("a", "1"), ("b", "x y z"), ("c", "")]));
        assert_eq!(header("a=1=2"), tags(&[("a", "1=2")]));
        assert_eq!(header("a=1&a=2"), Err(Code::InvalidArgument));
        assert_eq!(header("a=%ff"), Err(Code::InvalidArgument));
        assert_eq!(header("a%3D=%2B"), tags(&[("a=", "+")]));
        for wrong in ["=1", "a=%", "a=%4", "a=%zz"] {
            assert_eq!(header(wrong), Err(Code::InvalidArgument), "{wrong}");
        }
    }
}
