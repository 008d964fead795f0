//! What HTTP itself has to say of a request: answered before anybody is asked who they are.

use crate::error::{Code, S3Error};
use http::header::EXPECT;
use http::request::Parts;

/// # Errors
/// `ExpectationFailed`.
pub fn check(head: &Parts) -> Result<(), S3Error> {
    match head.headers.get_all(EXPECT).iter().all(|value| can_be_met(value.as_bytes())) {
        true => Ok(()),
        false => Err(Code::ExpectationFailed.into()),
    }
}

/// RFC 9110, 10.1.1: `100-continue` is the one expectation that there is. A number alone asks for nothing (clients name
/// the status that they hope for), and an empty value neither.
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
