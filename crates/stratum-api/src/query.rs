//! The query string: names and values, percent-decoded once, in the order they were sent.

use crate::error::{Code, S3Error};
use std::borrow::Cow;

/// A parsed query string. Lookups are by exact name, and give the first value where a name is there twice. Two
/// different values of a parameter that the operation takes are refused before that
/// ([`operations::recognise`](crate::operations::recognise)).
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses what follows the `?`. A `+` is a space, as in forms.
    ///
    /// # Errors
    /// `InvalidURI` when a name or value isn't UTF-8 once decoded.
    pub fn parse(raw: &str) -> Result<Query, S3Error> {
        let mut pairs = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Query { pairs })
    }

    /// The query's own parameters, and after them those of `more`.
    pub fn followed_by(mut self, more: Query) -> Query {
        self.pairs.extend(more.pairs);
        self
    }

    /// The value of a parameter; `""` where it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes parameters that have been dealt with, so that no operation refuses them.
    pub fn forget(&mut self, names: &[&str]) {
        self.pairs.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether a parameter doesn't belong to an operation: `x-...` is the caller's own, for logs, and `X-Amz-...` belongs
/// to the signature, or stands for a header. S3 takes both in upper and lower case.
pub fn is_callers_own(name: &str) -> bool {
    name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
}

/// Decodes a name or a value of a query.
///
/// # Errors
/// `InvalidURI` for what isn't UTF-8.
pub fn decode(raw: &str) -> Result<String, S3Error> {
    let spaced: Cow<str> = if raw.contains('+') { raw.replace('+', " ").into() } else { raw.into() };
    let decoded = percent_encoding::percent_decode_str(&spaced);
    decoded.decode_utf8().map(Cow::into_owned).map_err(|_| Code::InvalidURI.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_once() {
        let query = Query::parse("prefix=a%2Bb+c&acl&x=%2541&&x=second").unwrap();
        assert_eq!(query.get("prefix"), Some("a+b c"));
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("x"), Some("%41"));
        assert_eq!(query.get("y"), None);
    }

    #[test]
    fn parameters_follow_others_in_their_order() {
        let query = Query::parse("a=1").unwrap().followed_by(Query::parse("a=2&b=3").unwrap());
        let pairs: Vec<_> = query.iter().collect();
        assert_eq!(pairs, [("a", "1"), ("a", "2"), ("b", "3")]);
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert_eq!(Query::parse("prefix=%ff").unwrap_err().code(), Code::InvalidURI);
    }
}
