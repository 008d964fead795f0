//! Numbers as clients send them, in headers, queries and documents: decimal digits and nothing else. Rust's own
//! parser takes a plus sign, too, which S3 doesn't.

use std::str::FromStr;

/// The number of a text of digits; `None` for any other text, and for a number that the type can't hold.
pub fn parse<T: FromStr>(text: &str) -> Option<T> {
    is_digits(text).then(|| text.parse().ok()).flatten()
}

/// As [`parse`], but a number that is too large becomes the largest. This is for positions in objects, all of which
/// end before it.
pub fn saturating(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().unwrap_or(u64::MAX))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_number_and_nothing_else_is() {
        assert_eq!(
            (parse::<u16>("5"), parse("0005"), parse("65535")),
            (Some(5), Some(5_u16), Some(65_535_u16))
        );
        for wrong in ["", "+5", "-5", " 5", "5 ", "0x5", "5.0", "٥", "65536"] {
            assert_eq!(parse::<u16>(wrong), None, "{wrong:?}");
        }
        assert_eq!(saturating("99999999999999999999"), Some(u64::MAX));
        assert_eq!(saturating("+1"), None);
    }
}
