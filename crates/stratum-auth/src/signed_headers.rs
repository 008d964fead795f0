//! The list of headers that a signature covers, of which only one spelling is accepted.
//!
//! If a name stood twice, its header's value would be repeated in the canonical request, which is written before any
//! secret has been checked. So the list must be as signers make it: lower-case names, sorted, each once. Then the
//! canonical request is never longer than the request's head, except for percent-encoding.

use std::borrow::Cow;

use crate::error::{AuthError, Carrier, Fault};

/// `host;x-amz-date`: names of headers in lower case, strictly ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders<'a>(Cow<'a, str>);

impl<'a> SignedHeaders<'a> {
    /// # Errors
    /// [`Fault::SignedHeaders`] for anything but such a list, the empty one included: `host` is always signed.
    pub(crate) fn parse(text: Cow<'a, str>, carrier: Carrier) -> Result<Self, AuthError> {
        let named = |name: &str| !name.is_empty() && name.bytes().all(is_name);
        let ascending = text.split(';').is_sorted_by(|before, after| before < after);
        if ascending && text.split(';').all(named) {
            Ok(Self(text))
        } else {
            Err(Fault::SignedHeaders.at(carrier))
        }
    }

    /// As sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In ascending order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(';')
    }
}

/// Whether a header's name in lower case may hold this character (RFC 9110, `token`).
fn is_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SignedHeaders<'_>, AuthError> {
        SignedHeaders::parse(text.into(), Carrier::Query)
    }

    #[test]
    fn names_are_told_one_by_one() {
        let headers = parse("host;x-amz-content-sha256;x-amz-date").expect("a list");
        assert_eq!(headers.names().collect::<Vec<_>>(), ["host", "x-amz-content-sha256", "x-amz-date"]);
        assert!(parse("host").is_ok());
    }

    #[test]
    fn only_one_spelling_is_accepted() {
        for text in [
            "",
            ";",
            "host;",
            ";host",
            "host;host",
            "host;range;host",
            "range;host",
            "Host",
            "host ;range",
            "host\n",
            "host;x-amz-date\nrange",
            "h\u{f6}st",
        ] {
            assert_eq!(parse(text), Err(Fault::SignedHeaders.at(Carrier::Query)), "{text:?}");
        }
    }
}
