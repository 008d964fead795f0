//! The checks of a request that HTTP itself demands. They come before authentication.

use crate::error::{Code, S3Error};
use http::header::EXPECT;
use http::request::Parts;

/// Refuses a request with an `Expect` that the server can't meet.
///
/// # Errors
/// `ExpectationFailed`.
pub fn check(head: &Parts) -> Result<(), S3Error> {
    match head.headers.get_all(EXPECT).iter().all(|value| can_be_met(value.as_bytes())) {
        true => Ok(()),
        false => Err(Code::ExpectationFailed.into()),
    }
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
}
