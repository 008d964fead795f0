//! What a bucket's rules mean for one version, or for one upload.
//!
//! Where several rules apply, S3's order holds: deleting for good comes before a change of class, the earlier date
//! before the later, and of two changes that are due the one to the colder class.

use crate::days::Days;
use crate::rules::{Expiration, Filter, Rule, Rules, TransitionMinimum, When, coldness};
use std::collections::BTreeMap;
use stratum_metadata::record::{ObjectRecord, StorageClass};
use stratum_storage::ambient::UnixMillis;

/// An object with fewer bytes is small: see [`TransitionMinimum`].
const SMALL_OBJECT_BYTES: u64 = 128 << 10;

/// What is to be done with a version now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// The current object expires: it is deleted, or a delete marker is put over it.
    Expire,
    /// The version is deleted for good.
    Delete,
    Transition(StorageClass),
}

/// A current object.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    pub key: &'a [u8],
    pub object: &'a ObjectRecord,
}

/// A version that isn't current.
#[derive(Clone, Copy, Debug)]
pub struct Noncurrent<'a> {
    pub key: &'a [u8],
    pub object: &'a ObjectRecord,
    /// When a newer version, or a delete marker, replaced it as the current one.
    pub since: UnixMillis,
    /// How many newer noncurrent versions its key has; delete markers don't count.
    pub newer: u32,
}

/// A delete marker that is its key's newest version.
#[derive(Clone, Copy, Debug)]
pub struct DeleteMarker<'a> {
    pub key: &'a [u8],
    pub modified: UnixMillis,
    /// Whether the key has no other version.
    pub is_alone: bool,
}

impl Rules {
    pub fn of_current(&self, version: Current<'_>, now: UnixMillis, days: Days) -> Verdict {
        let Current { key, object } = version;
        let rules = || self.applying(key, object);
        let modified = object.modified;
        if rules().any(|rule| expires(rule, modified, days).is_some_and(|due| due <= now)) {
            return Verdict::Expire;
        }
        let due = rules().flat_map(|rule| {
            let due = rule.transitions.iter().filter(move |to| at(to.when, modified, days) <= now);
            due.map(|to| to.class).filter(move |class| self.lets_change(rule, object.size, *class))
        });
        transition(object, due)
    }

    pub fn of_noncurrent(&self, version: Noncurrent<'_>, now: UnixMillis, days: Days) -> Verdict {
        let Noncurrent { key, object, since, newer } = version;
        let is_due = |after: u32, keep: Option<u32>| {
            days.after(since, after) <= now && keep.is_none_or(|keep| newer >= keep)
        };
        let rules = || self.applying(key, object);
        let mut expirations = rules().filter_map(|rule| rule.noncurrent_expiration);
        if expirations.any(|expiration| is_due(expiration.days, expiration.keep_newer)) {
            return Verdict::Delete;
        }
        let due = rules().flat_map(|rule| {
            let due = rule.noncurrent_transitions.iter().filter(move |to| is_due(to.days, to.keep_newer));
            due.map(|to| to.class).filter(move |class| self.lets_change(rule, object.size, *class))
        });
        transition(object, due)
    }

    /// A marker whose key has no other version is deleted if a rule asks for that, or once the days of an expiration
    /// are over.
    pub fn of_delete_marker(&self, marker: DeleteMarker<'_>, now: UnixMillis, days: Days) -> Verdict {
        let goes = |rule: &Rule| match rule.expiration {
            Some(Expiration::DeleteMarkers) => true,
            Some(Expiration::At(when)) => rule.filter.is_of_keys() && at(when, marker.modified, days) <= now,
            None => false,
        };
        let rules = self.enabled().filter(|rule| rule.filter.has_prefix_of(marker.key));
        match marker.is_alone && rules.into_iter().any(goes) {
            true => Verdict::Delete,
            false => Verdict::Keep,
        }
    }

    /// Whether an upload that isn't completed is to be aborted.
    pub fn aborts(&self, key: &[u8], initiated: UnixMillis, now: UnixMillis, days: Days) -> bool {
        self.abortion(key, initiated, days).is_some_and(|(due, _)| due <= now)
    }

    /// When an upload is aborted, and by which rule.
    pub fn abortion(&self, key: &[u8], initiated: UnixMillis, days: Days) -> Option<(UnixMillis, &str)> {
        let rules = self.enabled().filter(|rule| rule.filter.has_prefix_of(key));
        let due = rules
            .filter_map(|rule| Some((days.after(initiated, rule.abort_uploads_after?), rule.id.as_str())));
        due.min_by_key(|(due, _)| *due)
    }

    /// When the current object expires, and by which rule: what `x-amz-expiration` tells.
    pub fn expiry(&self, version: Current<'_>, days: Days) -> Option<(UnixMillis, &str)> {
        let Current { key, object } = version;
        let due = self.applying(key, object);
        let due = due.filter_map(|rule| Some((expires(rule, object.modified, days)?, rule.id.as_str())));
        due.min_by_key(|(due, _)| *due)
    }

    /// Whether an object is large enough for a rule's change of class. A size in the rule's own filter comes before
    /// the minimum that holds for all rules.
    fn lets_change(&self, rule: &Rule, size: u64, class: StorageClass) -> bool {
        let is_small = size < SMALL_OBJECT_BYTES
            && rule.filter.larger_than.is_none()
            && rule.filter.smaller_than.is_none();
        match self.minimum.filter(|_| is_small) {
            None => true,
            Some(TransitionMinimum::AllClasses) => false,
            Some(TransitionMinimum::VariesByClass) => {
                matches!(class, StorageClass::Glacier | StorageClass::DeepArchive)
            }
        }
    }

    fn applying<'r, 'o>(
        &'r self,
        key: &'o [u8],
        object: &'o ObjectRecord,
    ) -> impl Iterator<Item = &'r Rule> + use<'r, 'o> {
        let tags: Option<&BTreeMap<String, String>> = object.attributes.tags.as_ref();
        self.enabled().filter(move |rule| rule.filter.applies(key, object.size, tags))
    }
}

impl Filter {
    /// Whether the rule's filter looks only at keys: a delete marker has neither tags nor a size.
    fn is_of_keys(&self) -> bool {
        self.tags.is_empty() && self.larger_than.is_none() && self.smaller_than.is_none()
    }
}

fn expires(rule: &Rule, modified: UnixMillis, days: Days) -> Option<UnixMillis> {
    match rule.expiration? {
        Expiration::At(when) => Some(at(when, modified, days)),
        Expiration::DeleteMarkers => None,
    }
}

fn at(when: When, modified: UnixMillis, days: Days) -> UnixMillis {
    match when {
        When::Days(count) => days.after(modified, count),
        When::Date(date) => date,
    }
}

/// The coldest of the classes that are due, if it is colder than the version's: lifecycle never moves to a warmer
/// class.
fn transition(object: &ObjectRecord, due: impl Iterator<Item = StorageClass>) -> Verdict {
    match due.max_by_key(|class| coldness(*class)) {
        Some(class) if coldness(class) > coldness(object.storage_class) => Verdict::Transition(class),
        _ => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{NoncurrentExpiration, NoncurrentTransition, Transition};
    use stratum_metadata::record::{Attributes, Body, ETag, ObjectHeaders, VersionId};
    use stratum_storage::blob::{BlobRef, Place};

    const DAY: UnixMillis = 86_400_000;

    fn object(modified: UnixMillis, class: StorageClass) -> ObjectRecord {
        ObjectRecord {
            version: VersionId::NULL,
            modified,
            size: 15,
            etag: ETag::Md5([0; 16]),
            storage_class: class,
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(Place::ThisEntry { length: 15, crc32c: 0 })),
            committed: 0,
            attributes: Attributes { tags: Some([("a".into(), "1".into())].into()), ..Attributes::default() },
        }
    }

    fn rule(prefix: &str) -> Rule {
        let filter = Filter { prefix: prefix.into(), ..Filter::default() };
        Rule { id: prefix.into(), is_enabled: true, filter, ..Rule::default() }
    }

    fn at_days(days: u32) -> Option<Expiration> {
        Some(Expiration::At(When::Days(days)))
    }

    #[test]
    fn an_object_expires_when_the_first_rule_s_days_are_over() {
        let days = Days::default();
        let rules = Rules::from(vec![
            Rule { expiration: at_days(3), ..rule("") },
            Rule { expiration: at_days(1), ..rule("logs/") },
            Rule { expiration: at_days(1), is_enabled: false, ..rule("") },
        ]);
        let object = object(10 * DAY, StorageClass::Standard);
        let judge =
            |key: &str, now| rules.of_current(Current { key: key.as_bytes(), object: &object }, now, days);
        assert_eq!((judge("a", 13 * DAY - 1), judge("a", 13 * DAY)), (Verdict::Keep, Verdict::Expire));
        assert_eq!(
            (judge("logs/a", 11 * DAY - 1), judge("logs/a", 11 * DAY)),
            (Verdict::Keep, Verdict::Expire)
        );
        let expiry = rules.expiry(Current { key: b"logs/a", object: &object }, days);
        assert_eq!(expiry, Some((11 * DAY, "logs/")));
    }

    #[test]
    fn classes_only_become_colder() {
        let to = |days, class| Transition { when: When::Days(days), class };
        let transitions = vec![to(1, StorageClass::StandardIa), to(2, StorageClass::Glacier)];
        let rules = Rules::from(vec![Rule { transitions, ..rule("") }]);
        let judge = |class, now| {
            let object = object(10 * DAY, class);
            rules.of_current(Current { key: b"a", object: &object }, now, Days::default())
        };
        assert_eq!(judge(StorageClass::Standard, 11 * DAY), Verdict::Transition(StorageClass::StandardIa));
        assert_eq!(judge(StorageClass::Standard, 12 * DAY), Verdict::Transition(StorageClass::Glacier));
        assert_eq!(judge(StorageClass::StandardIa, 11 * DAY), Verdict::Keep);
        assert_eq!(judge(StorageClass::DeepArchive, 20 * DAY), Verdict::Keep);
    }

    #[test]
    fn small_objects_stay_where_the_configuration_says_so() {
        let to = |class| vec![Transition { when: When::Days(1), class }];
        let judge = |minimum, size, class, larger_than| {
            let filter = Filter { larger_than, ..Filter::default() };
            let rules = vec![Rule { transitions: to(class), filter, ..rule("") }];
            let object = ObjectRecord { size, ..object(0, StorageClass::Standard) };
            let current = Current { key: b"a", object: &object };
            Rules { rules, minimum }.of_current(current, 9 * DAY, Days::default()) != Verdict::Keep
        };
        use StorageClass::{DeepArchive, StandardIa};
        let (all, varies) = (Some(TransitionMinimum::AllClasses), Some(TransitionMinimum::VariesByClass));
        assert!(judge(None, 1, StandardIa, None), "nobody said it");
        assert!(
            !judge(all, SMALL_OBJECT_BYTES - 1, DeepArchive, None)
                && judge(all, SMALL_OBJECT_BYTES, DeepArchive, None)
        );
        assert!(judge(varies, 1, DeepArchive, None) && !judge(varies, 1, StandardIa, None));
        assert!(judge(all, 2, StandardIa, Some(1)), "the rule's own filter counts");
    }

    #[test]
    fn versions_go_by_age_and_by_number() {
        let rules = Rules::from(vec![Rule {
            noncurrent_expiration: Some(NoncurrentExpiration { days: 2, keep_newer: Some(1) }),
            noncurrent_transitions: vec![NoncurrentTransition {
                days: 1,
                keep_newer: None,
                class: StorageClass::Glacier,
            }],
            ..rule("")
        }]);
        let object = object(0, StorageClass::Standard);
        let judge = |newer, now| {
            let version = Noncurrent { key: b"a", object: &object, since: 10 * DAY, newer };
            rules.of_noncurrent(version, now, Days::default())
        };
        assert_eq!(judge(1, 11 * DAY - 1), Verdict::Keep);
        assert_eq!(judge(1, 11 * DAY), Verdict::Transition(StorageClass::Glacier));
        assert_eq!(judge(0, 12 * DAY), Verdict::Transition(StorageClass::Glacier), "the newest is kept");
        assert_eq!(judge(1, 12 * DAY), Verdict::Delete);
    }

    #[test]
    fn a_delete_marker_goes_when_its_key_has_no_other_version() {
        let judge = |rule: Rule, is_alone, now| {
            let marker = DeleteMarker { key: b"a", modified: 10 * DAY, is_alone };
            Rules::from(vec![rule]).of_delete_marker(marker, now, Days::default())
        };
        let by_itself = Rule { expiration: Some(Expiration::DeleteMarkers), ..rule("") };
        assert_eq!(judge(by_itself.clone(), true, 0), Verdict::Delete);
        assert_eq!(judge(by_itself.clone(), false, 0), Verdict::Keep);
        assert_eq!(
            judge(Rule { filter: Filter { prefix: "b".into(), ..Filter::default() }, ..by_itself }, true, 0),
            Verdict::Keep
        );
        let by_days = Rule { expiration: at_days(1), ..rule("") };
        assert_eq!(judge(by_days.clone(), true, 11 * DAY - 1), Verdict::Keep);
        assert_eq!(judge(by_days.clone(), true, 11 * DAY), Verdict::Delete);
        let filter = Filter { tags: [("a".into(), "1".into())].into(), ..Filter::default() };
        assert_eq!(judge(Rule { filter, ..by_days }, true, 20 * DAY), Verdict::Keep);
    }

    #[test]
    fn an_upload_is_aborted_after_its_days() {
        let rules = Rules::from(vec![Rule { abort_uploads_after: Some(2), ..rule("up/") }]);
        let aborts = |key: &str, now| rules.aborts(key.as_bytes(), 10 * DAY, now, Days::default());
        assert!(!aborts("up/a", 12 * DAY - 1) && aborts("up/a", 12 * DAY) && !aborts("a", 20 * DAY));
    }
}
