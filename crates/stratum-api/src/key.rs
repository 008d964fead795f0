//! Object keys as a path carries them.

use crate::error::S3Error;
pub use stratum_metadata::record::ObjectKey;

/// The key in a raw path: percent-decoded once, with `+` taken as it is and nothing normalised.
///
/// # Errors
/// `KeyTooLongError` over 1024 bytes, `InvalidURI` when the bytes aren't UTF-8.
pub fn from_path(raw: &str) -> Result<ObjectKey, S3Error> {
    let decoded = percent_encoding::percent_decode_str(raw);
    Ok(ObjectKey::parse(decoded.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_path_is_decoded_once_and_never_normalised() {
        for (raw, key) in [("a+b", "a+b"), ("a%2Fb", "a/b"), ("%2541", "%41"), ("..", ".."), ("/a//", "/a//")]
        {
            assert_eq!(from_path(raw).unwrap().as_str(), key);
        }
    }

    #[test]
    fn the_longest_key_has_1024_bytes() {
        assert!(from_path(&"k".repeat(1024)).is_ok());
        assert_eq!(from_path(&"k".repeat(1025)).unwrap_err().code(), Code::KeyTooLongError);
        assert_eq!(from_path("%ff").unwrap_err().code(), Code::InvalidURI);
    }
}
