//! The canonical request: the one spelling of a request that client and server both sign.
//!
//! S3 differs from other services: the path is *not* normalised and is encoded once. So the raw path is decoded
//! and encoded again by S3's rules, which leaves `//`, `..` and a doubly encoded `%252F` what they are.
//!
//! It is written before the signature has been checked, so for strangers, too. [`Request::MAX_HEAD_BYTES`] bounds
//! what that costs, and so do [`SignedHeaders`], which hold each name once.

use std::ops::Range;

use crate::request::{Request, Signed, is_signature};
use crate::signed_headers::SignedHeaders;

/// Appends the canonical request of `request`, as `signed` covers it, to `out`.
///
/// Header values may hold any bytes, and so may the result.
pub fn write(out: &mut Vec<u8>, request: &Request<'_>, signed: &Signed<'_>) {
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    encode(out, request.path.as_bytes(), Part::Path);
    out.push(b'\n');
    write_query(out, request.query);
    out.push(b'\n');
    for name in signed.signed_headers.names() {
        write_header(out, request, name);
    }
    out.push(b'\n');
    out.extend_from_slice(signed.signed_headers.as_str().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(signed.payload_line.as_bytes());
}

/// The names of headers that must be signed and aren't, comma-separated; `None` if all are signed. `host` must be
/// signed, and whatever starts with `x-amz-`, except two that SDKs leave out when they presign.
pub fn unsigned_headers(request: &Request<'_>, signed_headers: &SignedHeaders<'_>) -> Option<String> {
    let names: Vec<&str> = signed_headers.names().collect();
    let signed = |name: &str| names.binary_search(&name).is_ok();
    let optional = |name: &str| matches!(name, "x-amz-user-agent" | "x-amz-checksum-mode");
    let names = request.headers.keys().map(|name| name.as_str());
    let must = names.filter(|name| name.starts_with("x-amz-") && !optional(name));
    let mut missing = std::iter::once("host").chain(must).filter(|name| !signed(name)).peekable();
    missing.peek()?;
    Some(missing.collect::<Vec<_>>().join(", "))
}

/// Writes `name:value
/// `. Values of headers with the same name are joined by commas, trimmed, and runs of white space in them become one
/// space.
fn write_header(out: &mut Vec<u8>, request: &Request<'_>, name: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for (index, value) in request.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let words =
            value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out.push(b'\n');
}

/// The parameters, encoded, sorted by name and then by value, without the signature itself.
fn write_query(out: &mut Vec<u8>, query: &str) {
    if query.is_empty() {
        return;
    }
    let mut encoded = Vec::with_capacity(query.len() + 16);
    let mut parameters: Vec<(Range<usize>, Range<usize>)> = Vec::with_capacity(8);
    let mut append = |part: &str| {
        let start = encoded.len();
        encode(&mut encoded, part.as_bytes(), Part::Query);
        start..encoded.len()
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !is_signature(name) {
            parameters.push((append(name), append(value)));
        }
    }
    let text = |range: &Range<usize>| encoded.get(range.clone()).unwrap_or_default();
    parameters.sort_by(|(a, x), (b, y)| (text(a), text(x)).cmp(&(text(b), text(y))));
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(text(name));
        out.push(b'=');
        out.extend_from_slice(text(value));
    }
}

/// What is being encoded. Paths and queries differ in `/`, which separates the parts of a path, and in `+`, which is
/// a space in a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Query,
}

/// Decodes `raw` and encodes it again: all but the unreserved characters become `%XX`, in upper case. A `%`
/// that begins no escape stands for itself.
fn encode(out: &mut Vec<u8>, raw: &[u8], part: Part) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = raw;
    while let Some((&first, mut tail)) = rest.split_first() {
        let mut byte = first;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) {
                    byte = high << 4 | low;
                    tail = after;
                }
            }
            (b'+', _) if part == Part::Query => byte = b' ',
            _ => {}
        }
        rest = tail;
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            b'/' if part == Part::Path => out.push(byte),
            _ => {
                let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
                out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
            }
        }
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::error::Carrier;

    fn encoded(raw: &str, part: Part) -> String {
        let mut out = Vec::new();
        encode(&mut out, raw.as_bytes(), part);
        String::from_utf8(out).expect("ASCII")
    }

    fn query(raw: &str) -> String {
        let mut out = Vec::new();
        write_query(&mut out, raw);
        String::from_utf8(out).expect("ASCII")
    }

    fn header(values: &[&[u8]]) -> Vec<u8> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x", HeaderValue::from_bytes(value).expect("a header value"));
        }
        let mut out = Vec::new();
        let request =
            Request { method: "GET", path: "/", query: "", headers: &headers, virtual_bucket: None };
        write_header(&mut out, &request, "x");
        out
    }

    #[test]
    fn a_path_is_encoded_once_and_never_normalised() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/a//b/../c/.", "/a//b/../c/."),
            ("/a%20b", "/a%20b"),
            ("/a+b", "/a%2Bb"),
            ("/a%2bb", "/a%2Bb"),
            ("/a%252Fb", "/a%252Fb"),
            ("/%7Euser/~", "/~user/~"),
            ("/(x)!*'", "/%28x%29%21%2A%27"),
            ("/é", "/%C3%A9"),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
        ] {
            assert_eq!(encoded(raw, Part::Path), canonical);
        }
    }

    #[test]
    fn a_query_is_sorted_after_encoding_and_drops_only_the_signature() {
        for (raw, canonical) in [
            ("lifecycle", "lifecycle="),
            ("b=2&a=1&a=0&a", "a=&a=0&a=1&b=2"),
            ("a=1&&b=2&", "a=1&b=2"),
            ("prefix=a+b/c", "prefix=a%20b%2Fc"),
            ("a=b=c", "a=b%3Dc"),
            // `%C3` sorts before `-` and `A` once it is encoded.
            ("A=1&%C3%A9=2&-=3", "%C3%A9=2&-=3&A=1"),
            // A shorter name sorts first, though `=` comes after `-`.
            ("a-b=1&a=2", "a=2&a-b=1"),
            ("X-Amz-Signature=00&X-Amz-Date=x", "X-Amz-Date=x"),
            ("X%2DAmz%2DSignature=00&x-amz-signature=1&x=2", "x=2"),
        ] {
            assert_eq!(query(raw), canonical);
        }
    }

    #[test]
    fn header_values_are_trimmed_collapsed_and_joined() {
        assert_eq!(header(&[b"  a   b\tc "]), b"x:a b c\n");
        assert_eq!(header(&[b"a", b" b "]), b"x:a,b\n");
        assert_eq!(header(&[b""]), b"x:\n");
        assert_eq!(header(&[b"\xff"]), b"x:\xff\n");
        assert_eq!(header(&[]), b"x:\n");
    }

    #[test]
    fn host_and_amz_headers_must_be_signed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        headers.insert("user-agent", HeaderValue::from_static("test"));
        headers.insert("x-amz-user-agent", HeaderValue::from_static("test"));
        let request =
            Request { method: "GET", path: "/", query: "", headers: &headers, virtual_bucket: None };
        let unsigned = |signed: &'static str| {
            let signed = SignedHeaders::parse(signed.into(), Carrier::Header).expect("a list");
            unsigned_headers(&request, &signed)
        };
        assert_eq!(unsigned("host;x-amz-acl"), None);
        assert_eq!(unsigned("host;x-amz-acl-").as_deref(), Some("x-amz-acl"));
        assert_eq!(unsigned("range").as_deref(), Some("host, x-amz-acl"));
    }
}
