//! A bucket's lifecycle rules, within S3's limits.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stratum_metadata::record::StorageClass;
use stratum_storage::ambient::UnixMillis;

const MOST_RULES: usize = 1_000;
const MOST_ID_CHARS: usize = 255;
/// The greatest number of newer noncurrent versions that a rule may keep.
const MOST_NEWER_VERSIONS: u32 = 100;

/// The rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Rules {
    pub rules: Vec<Rule>,
    /// Which objects are too small for a transition; `None` if the client didn't say, and then none is.
    pub minimum: Option<TransitionMinimum>,
}

/// Which objects of under 128 KiB may change their class, where a rule's own filter doesn't give sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransitionMinimum {
    /// None may.
    AllClasses,
    /// Small objects may go to `GLACIER` or `DEEP_ARCHIVE`, and to no other class.
    VariesByClass,
}

/// The JSON in which rules are kept: the rules alone, or, with a minimum for all of them, an object of both.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Rules(Vec<Rule>),
    Configuration { minimum: TransitionMinimum, rules: Vec<Rule> },
}

impl From<Kept> for Rules {
    fn from(kept: Kept) -> Rules {
        match kept {
            Kept::Rules(rules) => Rules { rules, minimum: None },
            Kept::Configuration { minimum, rules } => Rules { rules, minimum: Some(minimum) },
        }
    }
}

impl From<Rules> for Kept {
    fn from(Rules { rules, minimum }: Rules) -> Kept {
        match minimum {
            None => Kept::Rules(rules),
            Some(minimum) => Kept::Configuration { minimum, rules },
        }
    }
}

impl From<Vec<Rule>> for Rules {
    fn from(rules: Vec<Rule>) -> Rules {
        Rules { rules, minimum: None }
    }
}

/// A rule: which objects it applies to, and what is done with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: String,
    pub is_enabled: bool,
    pub filter: Filter,
    pub expiration: Option<Expiration>,
    pub transitions: Vec<Transition>,
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// Days after which an upload that isn't completed is aborted.
    pub abort_uploads_after: Option<u32>,
}

/// Which objects a rule applies to: all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// In which form it was written, so that it can be given back in that form.
    pub form: FilterForm,
    pub prefix: String,
    pub tags: BTreeMap<String, String>,
    /// The object must have more bytes than this.
    pub larger_than: Option<u64>,
    /// The object must have fewer bytes than this.
    pub smaller_than: Option<u64>,
}

/// The XML form of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterForm {
    /// A `Prefix` directly in the rule, as in the first version of S3's schema.
    Prefix,
    /// A `Filter` with at most one condition.
    #[default]
    One,
    /// A `Filter` with several conditions in an `And`.
    And,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
pub enum When {
    /// A number of days after the version was created.
    Days(u32),
    /// At a midnight, UTC.
    Date(UnixMillis),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    At(When),
    /// A delete marker is deleted when its key has no other version.
    DeleteMarkers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    pub when: When,
    pub class: StorageClass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentExpiration {
    /// Days after a version ceased to be current.
    pub days: u32,
    /// How many newer noncurrent versions of the key are kept.
    pub keep_newer: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    pub days: u32,
    pub keep_newer: Option<u32>,
    pub class: StorageClass,
}

/// Why S3 would refuse rules that are well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("The rules must be at least one and at most {MOST_RULES}")]
    Count,
    #[error("ID length should not exceed allowed limit of {MOST_ID_CHARS}")]
    LongId,
    #[error("Rule ID must be unique. Found same ID for more than one rule")]
    SameId,
    #[error("At least one action needs to be specified in a rule")]
    NoAction,
    #[error("'Days' must be a positive integer")]
    Days,
    #[error("'Date' must be at midnight GMT")]
    Date,
    #[error("'NewerNoncurrentVersions' must be a positive integer of at most {MOST_NEWER_VERSIONS}")]
    NewerVersions,
    #[error("'ObjectSizeLessThan' must be greater than 'ObjectSizeGreaterThan'")]
    Sizes,
    #[error("'{0}' can't be specified with a filter by tags")]
    WithTags(&'static str),
    #[error("'{0}' can't be specified with a filter by object size")]
    WithSizes(&'static str),
    #[error("'StorageClass' must be different for each transition action of a rule, and not STANDARD")]
    Class,
    #[error("'Days' in the Expiration action must be greater than 'Days' in the Transition action")]
    Order,
    #[error("A transition to a colder 'StorageClass' must come later than one to a warmer")]
    Warmer,
    #[error("'Days' and 'Date' can't be mixed in a rule")]
    MixedTimes,
}

impl Rules {
    /// # Errors
    /// [`Invalid`].
    pub fn check(&self) -> Result<(), Invalid> {
        if self.rules.is_empty() || self.rules.len() > MOST_RULES {
            return Err(Invalid::Count);
        }
        let mut ids = BTreeSet::new();
        for rule in &self.rules {
            if rule.id.chars().count() > MOST_ID_CHARS {
                return Err(Invalid::LongId);
            }
            if !ids.insert(&rule.id) {
                return Err(Invalid::SameId);
            }
            rule.check()?;
        }
        Ok(())
    }

    /// Reads the rules as they are kept.
    ///
    /// # Errors
    /// What serde says of text that this server can't have written.
    pub fn from_document(text: &str) -> Result<Rules, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The rules as they are kept: JSON of our own form.
    ///
    /// # Errors
    /// None for rules that were parsed.
    pub fn to_document(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The longest prefix shared by all keys to which an enabled rule applies.
    pub fn common_prefix(&self) -> &[u8] {
        let mut prefixes = self.enabled().map(|rule| rule.filter.prefix.as_bytes());
        let first = prefixes.next().unwrap_or_default();
        let shared = |one: &[u8], other: &[u8]| one.iter().zip(other).take_while(|(a, b)| a == b).count();
        &first[..prefixes.fold(first.len(), |length, other| length.min(shared(first, other)))]
    }

    /// The rules that are enabled.
    pub fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.is_enabled)
    }
}

impl Rule {
    fn check(&self) -> Result<(), Invalid> {
        let acts = self.expiration.is_some()
            || !self.transitions.is_empty()
            || self.noncurrent_expiration.is_some()
            || !self.noncurrent_transitions.is_empty()
            || self.abort_uploads_after.is_some();
        if !acts {
            return Err(Invalid::NoAction);
        }
        self.check_filter()?;
        self.check_times()?;
        self.check_transitions()
    }

    fn check_filter(&self) -> Result<(), Invalid> {
        let Filter { tags, larger_than, smaller_than, .. } = &self.filter;
        if let (Some(larger), Some(smaller)) = (larger_than, smaller_than)
            && larger >= smaller
        {
            return Err(Invalid::Sizes);
        }
        let on_what_has_none = [
            (self.expiration == Some(Expiration::DeleteMarkers), "ExpiredObjectDeleteMarker"),
            (self.abort_uploads_after.is_some(), "AbortIncompleteMultipartUpload"),
        ];
        for (is_there, name) in on_what_has_none {
            if is_there && !tags.is_empty() {
                return Err(Invalid::WithTags(name));
            }
            if is_there && (larger_than.is_some() || smaller_than.is_some()) {
                return Err(Invalid::WithSizes(name));
            }
        }
        Ok(())
    }

    fn times(&self) -> impl Iterator<Item = When> {
        let expiration = self.expiration.and_then(|expiration| match expiration {
            Expiration::At(when) => Some(when),
            Expiration::DeleteMarkers => None,
        });
        self.transitions.iter().map(|transition| transition.when).chain(expiration)
    }

    fn check_times(&self) -> Result<(), Invalid> {
        const DAY_MILLIS: UnixMillis = 86_400_000;
        if self.expiration == Some(Expiration::At(When::Days(0))) {
            return Err(Invalid::Days);
        }
        if self.times().any(|when| matches!(when, When::Date(date) if !date.is_multiple_of(DAY_MILLIS))) {
            return Err(Invalid::Date);
        }
        let dates = self.times().filter(|when| matches!(when, When::Date(_))).count();
        if dates > 0 && dates < self.times().count() {
            return Err(Invalid::MixedTimes);
        }
        let keeps = self.noncurrent_transitions.iter().map(|transition| transition.keep_newer);
        let mut keeps =
            keeps.chain(self.noncurrent_expiration.map(|expiration| expiration.keep_newer)).flatten();
        if keeps.any(|keep| keep == 0 || keep > MOST_NEWER_VERSIONS) {
            return Err(Invalid::NewerVersions);
        }
        match (self.noncurrent_expiration, self.abort_uploads_after) {
            (Some(NoncurrentExpiration { days: 0, .. }), _) | (_, Some(0)) => Err(Invalid::Days),
            (_, _) => Ok(()),
        }
    }

    fn check_transitions(&self) -> Result<(), Invalid> {
        let classes = [
            self.transitions.iter().map(|transition| transition.class).collect::<Vec<_>>(),
            self.noncurrent_transitions.iter().map(|transition| transition.class).collect(),
        ];
        for classes in classes {
            let repeats = classes.iter().enumerate().any(|(at, class)| classes[..at].contains(class));
            if repeats || classes.contains(&StorageClass::Standard) {
                return Err(Invalid::Class);
            }
        }
        if has_warmer(self.transitions.iter().map(|transition| (transition.class, transition.when)))
            || has_warmer(
                self.noncurrent_transitions.iter().map(|transition| (transition.class, transition.days)),
            )
        {
            return Err(Invalid::Warmer);
        }
        let is_late = |days: u32| {
            self.transitions
                .iter()
                .any(|transition| matches!(transition.when, When::Days(other) if other >= days))
        };
        match self.expiration {
            Some(Expiration::At(When::Days(days))) if is_late(days) => Err(Invalid::Order),
            _ => Ok(()),
        }
    }
}

/// Whether one of the transitions would go to a warmer class than an earlier one, and so never happen.
fn has_warmer<T: PartialOrd>(transitions: impl Iterator<Item = (StorageClass, T)> + Clone) -> bool {
    transitions.clone().any(|(class, when)| {
        transitions.clone().any(|(other, later)| coldness(other) > coldness(class) && later <= when)
    })
}

/// The order of S3's classes from warm to cold; transitions only go to colder ones.
pub(crate) fn coldness(class: StorageClass) -> u8 {
    match class {
        StorageClass::Standard | StorageClass::ReducedRedundancy => 0,
        StorageClass::StandardIa => 1,
        StorageClass::IntelligentTiering => 2,
        StorageClass::OnezoneIa => 3,
        StorageClass::GlacierIr => 4,
        StorageClass::Glacier => 5,
        StorageClass::DeepArchive => 6,
    }
}

impl Filter {
    /// Whether the key has the filter's prefix.
    pub fn has_prefix_of(&self, key: &[u8]) -> bool {
        key.starts_with(self.prefix.as_bytes())
    }

    /// Whether all conditions hold for an object.
    pub fn applies(&self, key: &[u8], size: u64, tags: Option<&BTreeMap<String, String>>) -> bool {
        let has_tag =
            |(name, value): (&String, &String)| tags.is_some_and(|tags| tags.get(name) == Some(value));
        self.has_prefix_of(key)
            && self.larger_than.is_none_or(|least| size > least)
            && self.smaller_than.is_none_or(|most| size < most)
            && self.tags.iter().all(has_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(days: u32) -> Rule {
        Rule {
            id: "rule".into(),
            is_enabled: true,
            expiration: Some(Expiration::At(When::Days(days))),
            ..Rule::default()
        }
    }

    fn check(rule: Rule) -> Result<(), Invalid> {
        Rules::from(vec![rule]).check()
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        assert_eq!(check(expiring(1)), Ok(()));
        assert_eq!(check(expiring(0)), Err(Invalid::Days));
        assert_eq!(check(Rule { expiration: None, ..expiring(1) }), Err(Invalid::NoAction));
        assert_eq!(check(Rule { id: "i".repeat(256), ..expiring(1) }), Err(Invalid::LongId));
        assert_eq!(Rules::from(vec![expiring(1), expiring(2)]).check(), Err(Invalid::SameId));
        assert_eq!(Rules::default().check(), Err(Invalid::Count));
        let date = |date| Rule { expiration: Some(Expiration::At(When::Date(date))), ..expiring(1) };
        assert_eq!((check(date(86_400_000)), check(date(86_400_001))), (Ok(()), Err(Invalid::Date)));
        let to = |days, class| Transition { when: When::Days(days), class };
        let moved = |transitions| Rule { transitions, ..expiring(10) };
        assert_eq!(check(moved(vec![to(0, StorageClass::StandardIa), to(5, StorageClass::Glacier)])), Ok(()));
        assert_eq!(check(moved(vec![to(10, StorageClass::Glacier)])), Err(Invalid::Order));
        assert_eq!(check(moved(vec![to(1, StorageClass::Standard)])), Err(Invalid::Class));
        let twice = vec![to(1, StorageClass::Glacier), to(2, StorageClass::Glacier)];
        assert_eq!(check(moved(twice)), Err(Invalid::Class));
        let backwards = vec![to(1, StorageClass::Glacier), to(2, StorageClass::StandardIa)];
        assert_eq!(check(moved(backwards)), Err(Invalid::Warmer));
        let dated = Transition { when: When::Date(0), class: StorageClass::Glacier };
        assert_eq!(check(moved(vec![dated])), Err(Invalid::MixedTimes));
        let tagged = Filter { tags: [("a".into(), "b".into())].into(), ..Filter::default() };
        let markers = Rule { expiration: Some(Expiration::DeleteMarkers), ..expiring(1) };
        assert_eq!(check(markers.clone()), Ok(()));
        let refused = Err(Invalid::WithTags("ExpiredObjectDeleteMarker"));
        assert_eq!(check(Rule { filter: tagged, ..markers }), refused);
        let sizes = Filter { larger_than: Some(5), smaller_than: Some(5), ..Filter::default() };
        assert_eq!(check(Rule { filter: sizes, ..expiring(1) }), Err(Invalid::Sizes));
        let kept = |keep_newer| Rule {
            noncurrent_expiration: Some(NoncurrentExpiration { days: 1, keep_newer }),
            ..expiring(1)
        };
        assert_eq!((check(kept(Some(5))), check(kept(Some(0)))), (Ok(()), Err(Invalid::NewerVersions)));
    }

    #[test]
    fn rules_survive_storage_and_have_a_common_prefix() {
        let of = |prefix: &str, is_enabled| {
            let filter = Filter { prefix: prefix.into(), ..Filter::default() };
            Rule { id: prefix.into(), filter, is_enabled, ..expiring(1) }
        };
        let rules = Rules::from(vec![of("logs/a", true), of("logs/b", true), of("x", false)]);
        assert_eq!(rules.common_prefix(), b"logs/");
        assert_eq!(Rules::from(vec![of("a", true), of("", true)]).common_prefix(), b"");
        assert_eq!(Rules::from(vec![of("a", false)]).common_prefix(), b"");
        let kept = |rules: &Rules| Rules::from_document(&rules.to_document().unwrap()).unwrap();
        assert_eq!(kept(&rules), rules);
        let of_a_minimum = Rules { minimum: Some(TransitionMinimum::VariesByClass), ..rules };
        assert_eq!(kept(&of_a_minimum), of_a_minimum);
    }

    #[test]
    fn a_filter_is_a_conjunction() {
        let filter = Filter {
            prefix: "logs/".into(),
            tags: [("a".into(), "1".into())].into(),
            larger_than: Some(10),
            smaller_than: Some(20),
            form: FilterForm::And,
        };
        let tags = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert!(filter.applies(b"logs/x", 15, Some(&tags)));
        assert!(!filter.applies(b"log/x", 15, Some(&tags)));
        assert!(!filter.applies(b"logs/x", 10, Some(&tags)) && !filter.applies(b"logs/x", 20, Some(&tags)));
        assert!(!filter.applies(b"logs/x", 15, None));
    }
}
