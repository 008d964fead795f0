//! Names that S3 allows, as types that hold no other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A general purpose bucket's name, by the rules of
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>: 3 to 63 lower-case letters,
/// digits, hyphens and dots, a letter or digit first and last, no two dots in a row, not shaped like an IPv4
/// address, and none of the reserved prefixes and suffixes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BucketName(String);

/// A bucket can't have this name: `InvalidBucketName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bucket's name has 3 to 63 lower-case letters, digits, hyphens and dots, and is no IP address")]
pub struct InvalidBucketName;

const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl BucketName {
    pub fn parse(name: &str) -> Result<Self, InvalidBucketName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let ends_well = |end: Option<&u8>| end.is_some_and(|byte| plain(*byte));
        let valid = (3..=63).contains(&bytes.len())
            && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'.'))
            && ends_well(bytes.first())
            && ends_well(bytes.last())
            && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
            && name.parse::<std::net::Ipv4Addr>().is_err()
            && !looks_like_an_address(name)
            && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidBucketName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is four groups of digits, even if that is no valid address (`999.1.1.1`).
fn looks_like_an_address(name: &str) -> bool {
    let groups = name.split('.');
    groups.clone().count() == 4
        && groups
            .into_iter()
            .all(|group| (1..=3).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit()))
}

impl TryFrom<String> for BucketName {
    type Error = InvalidBucketName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<BucketName> for String {
    fn from(name: BucketName) -> String {
        name.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object's key: 1 to 1024 bytes of UTF-8, opaque. Nothing in it is normalised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidObjectKey {
    #[error("a key is not empty")]
    Empty,
    /// `KeyTooLongError`.
    #[error("a key has at most 1024 bytes")]
    TooLong,
    #[error("a key is UTF-8")]
    NotUtf8,
}

impl ObjectKey {
    /// The longest key, in bytes.
    pub const MAX: usize = 1024;

    pub fn parse(key: Vec<u8>) -> Result<Self, InvalidObjectKey> {
        match key.len() {
            0 => return Err(InvalidObjectKey::Empty),
            length if length > Self::MAX => return Err(InvalidObjectKey::TooLong),
            _ => {}
        }
        String::from_utf8(key).map(Self).map_err(|_| InvalidObjectKey::NotUtf8)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in [
            "abc",
            "my-bucket",
            "my.bucket.example",
            "0a0",
            "a--b",
            "1.2.3",
            "1.2.3.4.5",
            "a".repeat(63).as_str(),
        ] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "ab",
            &long,
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.5.4",
            "999.1.1.1",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "a b",
            "a/b",
            "äbc",
        ] {
            assert_eq!(BucketName::parse(bad), Err(InvalidBucketName), "{bad}");
        }
    }

    #[test]
    fn keys_are_opaque_but_bounded() {
        for good in ["/", "a/", "a//b", "..", "\u{1}", &"k".repeat(1024)] {
            assert_eq!(
                ObjectKey::parse(good.into()).map(ObjectKey::into_bytes),
                Ok(good.as_bytes().to_vec())
            );
        }
        assert_eq!(ObjectKey::parse(vec![]), Err(InvalidObjectKey::Empty));
        assert_eq!(ObjectKey::parse(vec![b'k'; 1025]), Err(InvalidObjectKey::TooLong));
        assert_eq!(ObjectKey::parse(vec![b'k', 0xff]), Err(InvalidObjectKey::NotUtf8));
    }
}
