//! `Range`: one range of bytes, as S3 serves it.
//!
//! Source: RFC 9110, section 14. A header that isn't a single range of `bytes` is ignored, and the answer is the
//! whole object. A range that lies outside the object is refused with `416`.

use crate::error::{Code, S3Error};
use crate::number;
use http::{HeaderValue, header};
use std::ops::Range;

/// The bytes that a `Range` header asks for of an object of `size` bytes; `None` for all of them.
///
/// # Errors
/// `InvalidRange` for a range without any byte of the object.
pub fn requested(header: &str, size: u64) -> Result<Option<Range<u64>>, S3Error> {
    let Some((first, last)) = parse(header) else { return Ok(None) };
    let range = match (first, last) {
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) => first..size,
        (None, Some(suffix)) => size.saturating_sub(suffix)..size,
        (None, None) => return Ok(None),
    };
    if range.start < range.end { Ok(Some(range)) } else { Err(unsatisfiable(header, size)) }
}

/// The ends of `bytes=first-last`, of which either may be absent. `None` for any other text, and where the last byte
/// is before the first.
fn parse(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        digits => number::saturating(digits).map(Some),
    };
    let (first, last) = (number(first)?, number(last)?);
    let backwards = first.zip(last).is_some_and(|(first, last)| first > last);
    (!backwards).then_some((first, last))
}

fn unsatisfiable(header: &str, size: u64) -> S3Error {
    let content_range = HeaderValue::try_from(format!("bytes */{size}"));
    S3Error::new(Code::InvalidRange)
        .with("RangeRequested", header)
        .with("ActualObjectSize", size.to_string())
        .header(header::CONTENT_RANGE, content_range.unwrap_or(HeaderValue::from_static("bytes */*")))
}

/// The value of `Content-Range` in an answer.
pub fn content_range(range: &Range<u64>, size: u64) -> HeaderValue {
    let text = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(header: &str, size: u64) -> Result<Option<Range<u64>>, Code> {
        requested(header, size).map_err(|error| error.code())
    }

    #[test]
    fn a_single_range_is_cut_to_the_object() {
        assert_eq!(of("bytes=0-4", 10), Ok(Some(0..5)));
        assert_eq!(of("bytes=4-", 10), Ok(Some(4..10)));
        assert_eq!(of("bytes=-4", 10), Ok(Some(6..10)));
        assert_eq!(of("bytes=-40", 10), Ok(Some(0..10)));
        assert_eq!(of("bytes=5-400", 10), Ok(Some(5..10)));
        assert_eq!(of("bytes=5-99999999999999999999999", 10), Ok(Some(5..10)));
    }

    #[test]
    fn a_header_that_is_not_one_range_is_ignored() {
        for header in [
            "bytes=0-1,3-4",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "items=0-1",
            "bytes=4-2",
            "bytes=+1-2",
            "bytes= -1",
            "bytes=1 -2",
        ] {
            assert_eq!(of(header, 10), Ok(None), "{header}");
        }
    }

    #[test]
    fn a_range_outside_the_object_is_refused() {
        for (header, size) in
            [("bytes=10-", 10), ("bytes=40-50", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
        {
            assert_eq!(of(header, size), Err(Code::InvalidRange), "{header} of {size}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_never_outside_or_empty(header in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0u64..200) {
            if let Ok(Some(range)) = requested(&header, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
