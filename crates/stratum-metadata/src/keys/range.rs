//! A stretch of keys.

use super::{Tag, end_of, start_of};
use serde::{Deserialize, Serialize};

/// The keys with `from <= key < to`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

impl KeyRange {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && key < self.to.as_slice()
    }

    pub(crate) fn covers(&self, other: &KeyRange) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// The kinds of which there may be keys in it.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Tag> + '_ {
        Tag::ALL.into_iter().filter(|tag| self.of_kind(*tag).is_some())
    }

    /// The part of the range whose keys are of that kind.
    pub(crate) fn of_kind(&self, tag: Tag) -> Option<KeyRange> {
        let (from, to) = (self.from.clone().max(start_of(tag)), self.to.clone().min(end_of(tag)));
        (from < to).then_some(KeyRange { from, to })
    }

    /// The same keys, in order, where none is in two of them.
    pub(crate) fn union(ranges: impl IntoIterator<Item = KeyRange>) -> Vec<KeyRange> {
        let mut sorted: Vec<KeyRange> = ranges.into_iter().collect();
        sorted.sort();
        let mut union: Vec<KeyRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match union.last_mut().filter(|last| range.from <= last.to) {
                Some(last) if range.to > last.to => last.to = range.to,
                Some(_) => {}
                None => union.push(range),
            }
        }
        union
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &[u8], to: &[u8]) -> KeyRange {
        KeyRange { from: from.to_vec(), to: to.to_vec() }
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let union =
            KeyRange::union([range(b"d", b"f"), range(b"a", b"c"), range(b"b", b"d"), range(b"g", b"h")]);
        assert_eq!(union, [range(b"a", b"f"), range(b"g", b"h")]);
        let within = KeyRange::union([range(b"a", b"z"), range(b"b", b"c")]);
        assert_eq!(within, [range(b"a", b"z")]);
        assert!(within[0].covers(&range(b"a", b"z")) && !within[0].covers(&range(b"a", b"z\0")));
        assert!(within[0].contains(b"a") && !within[0].contains(b"z"));
    }

    #[test]
    fn a_range_says_which_kinds_of_keys_it_may_hold() {
        let kinds = |from: &[u8], to: &[u8]| range(from, to).kinds().collect::<Vec<_>>();
        assert_eq!(kinds(&[0x20, 1], &[0x20, 2]), [Tag::Object]);
        assert_eq!(kinds(&[0x20, 1], &[0x21]), [Tag::Object]);
        assert_eq!(kinds(&[0x20, 1], &[0x22, 0]), [Tag::Object, Tag::Version, Tag::NullVersion]);
        assert_eq!(kinds(&[0x43], &[0x44]), []);
    }
}
