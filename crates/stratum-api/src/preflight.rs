//! The checks of a request that HTTP itself demands. They come before authentication.

use crate::error::{Code, S3Error};
use crate::on_behalf::OnBehalf;
use http::Version;
use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;

/// Refuses a request with an `Expect` that the server can't meet, with a coding of its body that it can't take off, or
/// without the one `Host` that HTTP/1.1 asks for.
///
/// # Errors
/// `ExpectationFailed`, `NotImplemented`, `InvalidRequest`.
pub fn check(head: &Parts) -> Result<(), S3Error> {
    let all = |name, is_taken: fn(&[u8]) -> bool| {
        head.headers.get_all(name).iter().all(|value| is_taken(value.as_bytes()))
    };
    if !all(EXPECT, can_be_met) {
        return Err(Code::ExpectationFailed.into());
    }
    if !all(TRANSFER_ENCODING, can_be_taken_off) {
        let message = "Of transfer codings there is chunked alone.";
        return Err(S3Error::new(Code::NotImplemented).message(message));
    }
    match head.headers.get_all(HOST).iter().count() {
        1 => Ok(()),
        // The console's own requests come over no network.
        0 if head.version != Version::HTTP_11 || OnBehalf::of(head).is_some() => Ok(()),
        _ => {
            Err(S3Error::new(Code::InvalidRequest).message("A request has one Host header (RFC 9112, 3.2)."))
        }
    }
}

/// Whether of these transfer codings all but the framing, which is gone already, are none. RFC 9112, 6.1: a coding
/// that isn't understood is refused, or the coded bytes would be kept for the object's own.
fn can_be_taken_off(codings: &[u8]) -> bool {
    let mut codings = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"chunked"))
}

/// Whether the server can meet the expectations of a header. RFC 9110, 10.1.1 defines one, `100-continue`. A number
/// alone is let through, since some clients send the status that they hope for, and so is an empty value.
fn can_be_met(expectations: &[u8]) -> bool {
    expectations.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).all(|expectation| {
        expectation.eq_ignore_ascii_case(b"100-continue") || expectation.iter().all(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_100_continue_can_be_expected() {
        for met in ["100-continue", "100-Continue", "", "200", "100-continue, 200"] {
            assert!(can_be_met(met.as_bytes()), "{met}");
        }
        for unmet in ["banana", "100-continue, banana", "100-continue=1", "\u{e9}"] {
            assert!(!can_be_met(unmet.as_bytes()), "{unmet}");
        }
    }

    fn checked(version: Version, headers: &[(&str, &str)]) -> Option<Code> {
        let mut request = http::Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0).err().map(|error| error.code())
    }

    #[test]
    fn codings_of_a_body_are_refused_but_for_chunks() {
        let of = |coding| checked(Version::HTTP_11, &[("host", "h"), ("transfer-encoding", coding)]);
        assert_eq!((of("chunked"), of("Chunked"), of("chunked,")), (None, None, None));
        for coding in ["gzip, chunked", "deflate,chunked", "x-unknown, chunked", "chunked, gzip"] {
            assert_eq!(of(coding), Some(Code::NotImplemented), "{coding}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(checked(Version::HTTP_11, &[("host", "h")]), None);
        assert_eq!(checked(Version::HTTP_11, &[]), Some(Code::InvalidRequest));
        assert_eq!(checked(Version::HTTP_10, &[]), None);
        assert_eq!(checked(Version::HTTP_11, &[("host", "h"), ("host", "h")]), Some(Code::InvalidRequest));
    }
}
