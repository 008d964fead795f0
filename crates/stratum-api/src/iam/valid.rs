//! The rules for names, paths, tags and policy documents, and the quotas of accounts.
//!
//! Source: IAM User Guide, "IAM and AWS STS quotas".

use super::error::{Fault, IamError};
use std::collections::BTreeMap;

pub const MOST_USERS: usize = 5_000;
pub const MOST_GROUPS: usize = 300;
pub const MOST_ROLES: usize = 1_000;
pub const MOST_POLICIES: usize = 1_500;
pub const MOST_GROUPS_OF_USER: usize = 10;
pub const MOST_ACCESS_KEYS: usize = 2;
pub const MOST_ATTACHED_POLICIES: usize = 10;
pub const MOST_VERSIONS: usize = 5;
pub const MOST_TAGS: usize = 50;

/// How many characters all inline policies of one identity may have together, white space not counted.
pub const MOST_INLINE_CHARS_OF_USER: usize = 2_048;
pub const MOST_INLINE_CHARS_OF_GROUP: usize = 5_120;
pub const MOST_INLINE_CHARS_OF_ROLE: usize = 10_240;
/// How many characters a version of a managed policy may have, white space not counted.
pub const MOST_MANAGED_POLICY_CHARS: usize = 6_144;
/// How many characters a trust policy may have, white space not counted.
pub const MOST_TRUST_POLICY_CHARS: usize = 4_096;
/// How many characters a session's own policy may have, white space not counted.
pub const MOST_SESSION_POLICY_CHARS: usize = 2_048;
/// White space is free only up to a bound: a document has at most this many times as many bytes as it may have
/// characters.
const MOST_BYTES_A_CHAR: usize = 4;

const MOST_PATH_CHARS: usize = 512;
const MOST_DESCRIPTION_CHARS: usize = 1_000;
const MOST_TAG_KEY_CHARS: usize = 128;

/// The name of a user, group, role, policy or session: letters, digits and any of `_+=,.@-`.
///
/// # Errors
/// `ValidationError`.
pub fn name<'a>(parameter: &str, text: &'a str, most: usize) -> Result<&'a str, IamError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (1..=most).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text);
    }
    Err(Fault::ValidationError.because(format!(
        "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_- and have 1 to {most} of them"
    )))
}

/// A path: `/`, or a text that begins and ends with a `/`.
///
/// # Errors
/// `ValidationError`.
pub fn path(text: &str) -> Result<&str, IamError> {
    let is_whole = text.starts_with('/') && text.ends_with('/') && !text.contains("//");
    if is_whole && text.len() <= MOST_PATH_CHARS && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Ok(text);
    }
    Err(Fault::ValidationError.because(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
    ))
}

/// The description of a role or a policy.
///
/// # Errors
/// `ValidationError`.
pub fn description(text: &str) -> Result<String, IamError> {
    if text.chars().count() <= MOST_DESCRIPTION_CHARS {
        return Ok(text.to_owned());
    }
    Err(Fault::ValidationError
        .because(format!("A description has at most {MOST_DESCRIPTION_CHARS} characters.")))
}

/// How many characters a document has, white space not counted.
pub fn length(document: &str) -> usize {
    document.chars().filter(|char| !char.is_whitespace()).count()
}

/// Refuses a document of more than `most` characters; `what` is the quota's name.
///
/// # Errors
/// `LimitExceeded`.
pub fn document(text: &str, most: usize, what: &str) -> Result<(), IamError> {
    if length(text) <= most && text.len() <= most * MOST_BYTES_A_CHAR {
        return Ok(());
    }
    Err(Fault::LimitExceeded.because(format!("Cannot exceed quota for {what}: {most}")))
}

/// Tags, of which there may be 50, with keys of 128 characters and values of 256. Case doesn't matter in keys.
///
/// # Errors
/// `InvalidInput`, `LimitExceeded`.
pub fn tags(all: impl Iterator<Item = (String, String)>) -> Result<BTreeMap<String, String>, IamError> {
    let mut tags = BTreeMap::new();
    for (key, value) in all {
        let is_tag = (1..=MOST_TAG_KEY_CHARS).contains(&key.chars().count()) && value.chars().count() <= 256;
        if !is_tag || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Fault::InvalidInput.because(format!("The tag {key} is invalid.")));
        }
        let is_there = |known: &String| known.eq_ignore_ascii_case(&key);
        if tags.keys().any(is_there) || tags.insert(key, value).is_some() {
            return Err(Fault::InvalidInput.because("Duplicate tag keys found."));
        }
        if tags.len() > MOST_TAGS {
            return Err(
                Fault::LimitExceeded.because(format!("Cannot exceed quota for TagsPerEntity: {MOST_TAGS}"))
            );
        }
    }
    Ok(tags)
}

/// Keys of tags that are to be taken away, of which there may be 50, with 128 characters each.
///
/// # Errors
/// `ValidationError`.
pub fn tag_keys<'a>(all: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>, IamError> {
    let keys: Vec<_> = all.collect();
    let is_key = |key: &&str| (1..=MOST_TAG_KEY_CHARS).contains(&key.chars().count());
    if keys.len() <= MOST_TAGS && keys.iter().all(is_key) {
        return Ok(keys);
    }
    Err(Fault::ValidationError.because(format!(
        "TagKeys must have at most {MOST_TAGS} keys, each of 1 to {MOST_TAG_KEY_CHARS} characters."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_follow_the_rules_of_iam() {
        for fits in ["a", "A.b_c+d=e,f@g-h", &"x".repeat(64)] {
            assert!(name("userName", fits, 64).is_ok(), "{fits}");
        }
        for none in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(name("userName", none, 64).is_err(), "{none}");
        }
        assert!(path("/").is_ok() && path("/a/b.c/").is_ok());
        for none in ["", "a", "/a", "a/", "//", "/a b/", &format!("/{}/", "x".repeat(511))] {
            assert!(path(none).is_err(), "{none}");
        }
    }

    #[test]
    fn white_space_counts_only_beyond_a_bound() {
        assert!(document(&format!("{}{}", "x".repeat(10), " ".repeat(30)), 10, "it").is_ok());
        assert!(document(&"x".repeat(11), 10, "it").is_err());
        assert!(document(&" ".repeat(41), 10, "it").is_err());
    }

    #[test]
    fn tags_are_bounded_and_no_key_is_there_twice() {
        let tag = |key: &str| (key.to_owned(), String::new());
        assert_eq!(tags([tag("a"), tag("b")].into_iter()).unwrap().len(), 2);
        assert!(tags([tag("a"), tag("a")].into_iter()).is_err());
        assert!(tags([tag("Team"), tag("team")].into_iter()).is_err());
        assert!(tags([tag("aws:a")].into_iter()).is_err() && tags([tag("")].into_iter()).is_err());
        assert!(tags((0..51).map(|number| tag(&number.to_string()))).is_err());
        assert_eq!(tag_keys(["a", "b"].into_iter()).unwrap(), ["a", "b"]);
        assert!(
            tag_keys([""].into_iter()).is_err() && tag_keys(["k".repeat(129).as_str()].into_iter()).is_err()
        );
        assert!(tag_keys(["a"; 51].into_iter()).is_err());
    }
}
