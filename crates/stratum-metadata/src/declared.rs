//! What a client declares about where an object should lie: its storage class, and hints in its user metadata.
//!
//! Hints are parsed in this one place. A request with a hint that makes no sense is refused ([`Hints::parse`]). In a
//! stored record, which may be older than hints, such a value counts as no hint ([`Hints::of`]).

use crate::record::{ObjectHeaders, StorageClass, TierReason};
use std::collections::BTreeMap;
use std::str::FromStr;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Tier;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The names of hints in user metadata, without `x-amz-meta-`.
const TIER: &str = "stratum-tier";
const PRIORITY: &str = "stratum-priority";
const PIN_UNTIL: &str = "stratum-pin-until";

/// The hints in an object's user metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    pub tier: TierHint,
    pub priority: Option<Priority>,
}

/// The tier that a hint asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TierHint {
    /// There is no hint, so the storage class counts.
    #[default]
    Unsaid,
    /// Whichever tier costs least, whatever the storage class.
    Auto,
    /// This tier, until a time or (`None`) for good.
    In { tier: Tier, until: Option<UnixMillis> },
}

/// Whether slow reads of the object count as a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Latency,
    Balanced,
    Cost,
}

/// A hint that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("x-amz-meta-{name} {problem}")]
pub struct HintError {
    /// What follows `x-amz-meta-`.
    pub name: &'static str,
    pub value: String,
    pub problem: &'static str,
}

impl Hints {
    /// Reads user metadata, whose names are in lower case.
    ///
    /// # Errors
    /// For an unknown value, and for a time without a tier.
    pub fn parse(user: &BTreeMap<String, String>) -> Result<Hints, HintError> {
        let priority = read(user, PRIORITY, "must be latency, balanced or cost", |text| text.parse().ok())?;
        let tier = read(user, TIER, "must be hot, warm, cold or auto", |text| text.parse().ok())?;
        let until =
            read(user, PIN_UNTIL, "must be a time of RFC 3339, such as 2030-01-31T12:00:00Z", millis)?;
        let tier = match (tier, until) {
            (Some(TierHint::In { tier, .. }), until) => TierHint::In { tier, until },
            (_, Some(_)) => {
                let problem = "says until when, and x-amz-meta-stratum-tier doesn't say in which tier";
                return Err(wrong(user, PIN_UNTIL, problem));
            }
            (tier, None) => tier.unwrap_or_default(),
        };
        Ok(Hints { tier, priority })
    }

    /// Whether user metadata of that name is a hint. The store must be able to read it whenever it looks at the
    /// object.
    pub fn is_name(name: &str) -> bool {
        [TIER, PRIORITY, PIN_UNTIL].contains(&name)
    }

    /// The hints of a stored record; none if they make no sense.
    pub fn of(headers: &ObjectHeaders) -> Hints {
        Hints::parse(&headers.user).unwrap_or_default()
    }
}

fn read<T>(
    user: &BTreeMap<String, String>,
    name: &'static str,
    problem: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, HintError> {
    let Some(text) = user.get(name) else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| wrong(user, name, problem))
}

fn wrong(user: &BTreeMap<String, String>, name: &'static str, problem: &'static str) -> HintError {
    HintError { name, value: user.get(name).cloned().unwrap_or_default(), problem }
}

/// A time of RFC 3339, in milliseconds since 1970; `None` before that.
fn millis(text: &str) -> Option<UnixMillis> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

impl FromStr for TierHint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let tier = Tier::ALL.into_iter().find(|tier| tier.name() == text);
        match tier {
            Some(tier) => Ok(TierHint::In { tier, until: None }),
            None if text == "auto" => Ok(TierHint::Auto),
            None => Err(()),
        }
    }
}

impl FromStr for Priority {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "latency" => Ok(Priority::Latency),
            "balanced" => Ok(Priority::Balanced),
            "cost" => Ok(Priority::Cost),
            _ => Err(()),
        }
    }
}

impl StorageClass {
    /// The tier that the storage class names; `None` if the store is to find the best one.
    pub fn tier(self) -> Option<Tier> {
        match self {
            StorageClass::Standard | StorageClass::IntelligentTiering => None,
            StorageClass::StandardIa | StorageClass::OnezoneIa | StorageClass::ReducedRedundancy => {
                Some(Tier::Warm)
            }
            StorageClass::GlacierIr | StorageClass::Glacier | StorageClass::DeepArchive => Some(Tier::Cold),
        }
    }
}

/// Everything that a client declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    pub hints: Hints,
    pub class: StorageClass,
}

impl Declared {
    /// What a record has of it.
    pub fn of(headers: &ObjectHeaders, class: StorageClass) -> Declared {
        Declared { hints: Hints::of(headers), class }
    }

    /// The storage class, as far as the hints leave it any effect.
    pub fn effective_class(&self) -> StorageClass {
        match self.hints.tier {
            TierHint::Auto => StorageClass::Standard,
            TierHint::Unsaid | TierHint::In { .. } => self.class,
        }
    }

    /// The tier that is asked for at `now`, and by what: a hint comes before the class.
    pub fn tier(&self, now: UnixMillis) -> Option<(Tier, TierReason)> {
        match self.hints.tier {
            TierHint::In { tier, until } if until.is_none_or(|until| now < until) => {
                Some((tier, TierReason::Hint))
            }
            _ => self.effective_class().tier().map(|tier| (tier, TierReason::StorageClass)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn declared(pairs: &[(&str, &str)], class: StorageClass) -> Declared {
        let headers = ObjectHeaders { user: user(pairs), ..ObjectHeaders::default() };
        Declared::of(&headers, class)
    }

    #[test]
    fn hints_are_read_as_they_are_written() {
        let all = [("stratum-tier", "cold"), ("stratum-priority", "latency"), ("other", "warm")];
        let until = ("stratum-pin-until", "1970-01-01T01:00:01.5+01:00");
        let hints = Hints::parse(&user(&[all.as_slice(), &[until]].concat())).unwrap();
        assert_eq!(hints.tier, TierHint::In { tier: Tier::Cold, until: Some(1_500) });
        assert_eq!(hints.priority, Some(Priority::Latency));
        assert_eq!(Hints::parse(&user(&[])), Ok(Hints::default()));
    }

    #[test]
    fn a_hint_that_makes_no_sense_is_named_and_is_none_in_a_record() {
        for (name, value) in [
            ("stratum-tier", "tepid"),
            ("stratum-tier", ""),
            ("stratum-tier", "HOT"),
            ("stratum-tier", "hot,cold"),
            ("stratum-priority", "speed"),
            ("stratum-pin-until", "tomorrow"),
            ("stratum-pin-until", "2030-01-31"),
            ("stratum-pin-until", "1969-12-31T00:00:00Z"),
        ] {
            let mut pairs = user(&[("stratum-tier", "hot")]);
            pairs.insert(name.into(), value.into());
            let error = Hints::parse(&pairs).unwrap_err();
            assert_eq!((error.name, error.value.as_str()), (name, value));
            let headers = ObjectHeaders { user: pairs, ..ObjectHeaders::default() };
            assert_eq!(Hints::of(&headers), Hints::default(), "{name} {value}");
        }
        for tier in [&[][..], &[("stratum-tier", "auto")]] {
            let until = [("stratum-pin-until", "2030-01-31T12:00:00Z")];
            let error = Hints::parse(&user(&[tier, &until].concat())).unwrap_err();
            assert_eq!(error.name, "stratum-pin-until");
        }
    }

    #[test]
    fn a_hint_comes_before_the_class_for_as_long_as_it_holds() {
        let hot = [("stratum-tier", "hot"), ("stratum-pin-until", "1970-01-01T00:00:05Z")];
        let asked = declared(&hot, StorageClass::Glacier);
        assert_eq!(asked.tier(4_999), Some((Tier::Hot, TierReason::Hint)));
        assert_eq!(asked.tier(5_000), Some((Tier::Cold, TierReason::StorageClass)));
        assert_eq!(declared(&[("stratum-tier", "auto")], StorageClass::Glacier).tier(0), None);
        assert_eq!(declared(&[("stratum-tier", "tepid")], StorageClass::Standard).tier(0), None);
        assert_eq!(
            declared(&[], StorageClass::OnezoneIa).tier(0),
            Some((Tier::Warm, TierReason::StorageClass))
        );
    }
}
