//! What IAM gives to users, roles and the like: ARNs, ids, access keys and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt;
use stratum_metadata::record::AccountName;
use stratum_storage::ambient::Entropy;

/// The digits of base 32 (RFC 4648), among which no two look alike.
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The random digits of an id, after the four letters that say what it is the id of.
const ID_DIGITS: usize = 17;
/// The random digits of an access key, after `AKIA` or `ASIA`.
const ACCESS_KEY_DIGITS: usize = 16;
/// Random bytes of a secret, which make 40 characters.
const SECRET_BYTES: usize = 30;

/// An ARN of IAM's: `arn:aws:iam::ACCOUNT:KIND/PATH/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn(String);

impl Arn {
    /// The ARN of a user, a group, a role or a policy; the path begins and ends with `/`.
    pub fn new(account: &str, kind: &str, path: &str, name: &str) -> Arn {
        Arn(format!("arn:aws:iam::{account}:{kind}{path}{name}"))
    }

    /// The ARN of an account.
    pub fn root(account: &str) -> Arn {
        Arn(format!("arn:aws:iam::{account}:root"))
    }

    /// The ARN of a session of a role.
    pub fn session(account: &str, role: &str, session: &str) -> Arn {
        Arn(format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the account, which is how the principals of policies name whoever it is.
    pub fn name(&self) -> &str {
        self.0.splitn(6, ':').nth(5).unwrap_or_default()
    }

    /// The account and name that an ARN gives, and its path; `None` if it isn't the ARN of that kind.
    pub fn parse<'a>(text: &'a str, kind: &str) -> Option<(AccountName, &'a str)> {
        let (account, rest) = text.strip_prefix("arn:aws:iam::")?.split_once(':')?;
        let path = rest.strip_prefix(kind)?;
        let (path, name) = path.split_at(path.rfind('/')? + 1);
        let is_whole = path.starts_with('/') && !name.is_empty();
        is_whole.then(|| (AccountName::new(account, name), path))
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A new id: `what`, four letters that say what it is the id of, and random digits.
pub fn fresh_id(entropy: &dyn Entropy, what: &str) -> String {
    digits(entropy, what, ID_DIGITS)
}

/// The id of a new access key: `what`, which is `AKIA` for a user's key and `ASIA` for a session's, and random digits.
pub fn access_key_id(entropy: &dyn Entropy, what: &str) -> String {
    digits(entropy, what, ACCESS_KEY_DIGITS)
}

/// Whether [`access_key_id`] may have made this text.
pub fn is_access_key_id(text: &str) -> bool {
    let digits = text.strip_prefix("AKIA").or_else(|| text.strip_prefix("ASIA"));
    digits.is_some_and(|digits| {
        digits.len() == ACCESS_KEY_DIGITS && digits.bytes().all(|byte| DIGITS.contains(&byte))
    })
}

pub fn secret_key(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; SECRET_BYTES];
    entropy.fill(&mut bytes);
    BASE64.encode(bytes)
}

fn digits(entropy: &dyn Entropy, what: &str, count: usize) -> String {
    let mut bytes = vec![0; count];
    entropy.fill(&mut bytes);
    let digit = |byte: u8| DIGITS.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
    what.chars().chain(bytes.into_iter().map(|byte| char::from(digit(byte)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::ambient::System;

    #[test]
    fn an_arn_is_taken_apart_as_it_was_made() {
        let arn = Arn::new("root", "user", "/films/", "Ann");
        assert_eq!(arn.as_str(), "arn:aws:iam::root:user/films/Ann");
        assert_eq!(arn.name(), "user/films/Ann");
        assert_eq!(Arn::parse(arn.as_str(), "user"), Some((AccountName::new("root", "ann"), "/films/")));
        assert_eq!(Arn::parse("arn:aws:iam::1:role/a", "role"), Some((AccountName::new("1", "a"), "/")));
        for none in [
            "arn:aws:iam::1:role/",
            "arn:aws:iam::1:rolex/a",
            "arn:aws:iam::1:user/a",
            "arn:aws:sts::1:role/a",
            "",
        ] {
            assert_eq!(Arn::parse(none, "role"), None, "{none}");
        }
    }

    #[test]
    fn ids_say_what_they_are_of() {
        let id = access_key_id(&System, "AKIA");
        assert!(is_access_key_id(&id), "{id}");
        assert_eq!((fresh_id(&System, "AIDA").len(), secret_key(&System).len()), (21, 40));
        for none in ["", "AKIA", "AKIA234567ABCDEFGHI", "AKIA234567ABCDEFGHI1", "BKIA234567ABCDEFGHIJ"] {
            assert!(!is_access_key_id(none), "{none}");
        }
    }
}
