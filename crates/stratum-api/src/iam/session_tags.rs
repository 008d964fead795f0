//! The tags that a session is given when a role is assumed. They count before the tags of the role, and the transitive
//! ones are tags of the sessions that are begun from it, too.
//!
//! Source: IAM User Guide, "Pass session tags in AWS STS".

use super::call::Call;
use super::error::{Fault, IamError};
use super::valid;
use crate::context::Caller;
use std::collections::{BTreeMap, BTreeSet};

/// The right that whoever tags a session needs beside the right to assume the role.
pub const RIGHT: &str = "sts:TagSession";

/// The tags of a session.
#[derive(Debug, Default)]
pub struct SessionTags {
    pub all: BTreeMap<String, String>,
    /// The keys of the transitive tags.
    pub transitive: BTreeSet<String>,
}

impl SessionTags {
    /// The tags that the form gives, and the transitive tags of the session that asks.
    ///
    /// # Errors
    /// `ValidationError` for a transitive key that none of the tags has, for a tag in place of a transitive one of the
    /// session that asks, and for too many tags; as [`Call::tags`].
    pub fn of(call: &Call) -> Result<SessionTags, IamError> {
        let kept = match &call.caller {
            Caller::Member(member) => member.transitive.clone(),
            Caller::User(..) | Caller::Nobody => BTreeMap::new(),
        };
        let (given, keys): (_, Vec<&str>) = (call.tags()?, call.members("TransitiveTagKeys").collect());
        SessionTags::with(given, &keys, kept)
    }

    /// The tags that are `given`, those with the keys `transitive` as transitive ones, and those that are `kept`.
    fn with(
        given: BTreeMap<String, String>,
        transitive: &[&str],
        kept: BTreeMap<String, String>,
    ) -> Result<SessionTags, IamError> {
        let is_among = |tags: &BTreeMap<String, String>, key: &str| {
            tags.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned()
        };
        if let Some(key) = kept.keys().find(|key| is_among(&given, key).is_some()) {
            return Err(Fault::ValidationError.because(format!(
                "The tag {key} can't be set because it conflicts with a transitive tag of the calling session."
            )));
        }
        let missing = |key: &str| {
            Fault::ValidationError
                .because(format!("The transitive tag key {key:.128} is not among the tags of the request."))
        };
        let own = transitive.iter().map(|key| is_among(&given, key).ok_or_else(|| missing(key)));
        let mut transitive = own.collect::<Result<BTreeSet<_>, _>>()?;
        transitive.extend(kept.keys().cloned());
        let all: BTreeMap<_, _> = given.into_iter().chain(kept).collect();
        if all.len() > valid::MOST_TAGS {
            return Err(
                Fault::ValidationError.because(format!("A session has at most {} tags.", valid::MOST_TAGS))
            );
        }
        Ok(SessionTags { all, transitive })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn transitive_tags_stay_and_are_not_replaced() {
        let first =
            SessionTags::with(tags(&[("Team", "red"), ("cost", "1")]), &["team"], BTreeMap::new()).unwrap();
        assert_eq!(first.transitive.iter().collect::<Vec<_>>(), ["Team"]);
        let kept = tags(&[("Team", "red")]);
        let second = SessionTags::with(tags(&[("cost", "2")]), &[], kept.clone()).unwrap();
        assert_eq!(second.all, tags(&[("Team", "red"), ("cost", "2")]));
        assert_eq!(second.transitive.iter().collect::<Vec<_>>(), ["Team"]);
        let refused = |given: &[(&str, &str)], transitive: &[&str]| {
            SessionTags::with(tags(given), transitive, kept.clone()).unwrap_err().code()
        };
        assert_eq!(refused(&[("team", "blue")], &[]), "ValidationError");
        assert_eq!(refused(&[("cost", "2")], &["moon"]), "ValidationError");
        let many: BTreeMap<_, _> = (0..50).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(SessionTags::with(many, &[], kept).unwrap_err().code(), "ValidationError");
    }
}
