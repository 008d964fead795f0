//! What a walk finds in a bucket under each prefix that ends with a slash. It is kept of prefixes under which much
//! lies, so that a map of the bucket needn't count all of its objects anew.

use super::ledger::Held;
use std::collections::BTreeMap;
use stratum_tiering::tier::{PerTier, Tier};

/// Of a prefix with fewer objects nothing is kept, since they are quickly counted.
const KEPT_FROM_OBJECTS: u64 = 1_000;
/// The most prefixes of a bucket that are kept: those with the most objects.
const MOST_PREFIXES_OF_A_BUCKET: usize = 1_000;

/// What lies under a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    pub all: Held,
    /// Of them, the objects that lie under no longer prefix that ends with a slash.
    pub beside: Held,
}

/// What was found in a bucket: as a whole, and under its prefixes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InBucket {
    pub whole: Found,
    pub under: BTreeMap<Box<[u8]>, Found>,
}

/// The sums of a bucket whose objects are being counted. Keys come in order, so a prefix is finished once a key comes
/// that doesn't begin with it.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// The last key up to its last slash.
    folder: Vec<u8>,
    /// The prefixes that `folder` consists of, each by where it ends.
    open: Vec<(usize, Found)>,
    found: InBucket,
}

impl Prefixes {
    /// Counts the object of the next key.
    pub fn count(&mut self, key: &[u8], tier: Tier, bytes: u64) {
        let is_slash = |byte: &u8| *byte == b'/';
        let folder = key.iter().rposition(is_slash).and_then(|last| key.get(..=last)).unwrap_or_default();
        let shared = self.folder.iter().zip(folder).take_while(|(one, other)| one == other).count();
        while self.open.last().is_some_and(|(end, _)| *end > shared) {
            self.close();
        }
        let known = self.open.last().map_or(0, |(end, _)| *end);
        let slashes = folder.iter().enumerate().skip(known).filter(|(_, byte)| is_slash(byte));
        self.open.extend(slashes.map(|(at, _)| (at + 1, Found::default())));
        self.folder.splice(known.., folder.iter().skip(known).copied());
        self.innermost().beside.count(tier, bytes);
    }

    /// Where the objects that come now are counted: under the longest open prefix, or beside all.
    fn innermost(&mut self) -> &mut Found {
        self.open.last_mut().map_or(&mut self.found.whole, |(_, found)| found)
    }

    /// Ends the longest open prefix.
    fn close(&mut self) {
        let Some((end, mut found)) = self.open.pop() else { return };
        found.all.add(&found.beside);
        self.innermost().all.add(&found.all);
        if objects(&found) >= KEPT_FROM_OBJECTS
            && let Some(prefix) = self.folder.get(..end)
        {
            self.found.under.insert(prefix.into(), found);
            if self.found.under.len() >= 2 * MOST_PREFIXES_OF_A_BUCKET {
                self.found.keep_largest();
            }
        }
    }

    /// Ends the bucket.
    pub fn finish(mut self) -> InBucket {
        while !self.open.is_empty() {
            self.close();
        }
        let whole = &mut self.found.whole;
        whole.all.add(&whole.beside);
        self.found.keep_largest();
        self.found
    }
}

impl InBucket {
    fn keep_largest(&mut self) {
        let mut sizes: Vec<u64> = self.under.values().map(objects).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        if let Some(least) = sizes.get(MOST_PREFIXES_OF_A_BUCKET) {
            // Those that are as large as the first one that is too many go, too.
            self.under.retain(|_, found| objects(found) > *least);
        }
    }
}

fn objects(found: &Found) -> u64 {
    let PerTier { hot, warm, cold } = found.all.objects;
    hot + warm + cold
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: impl IntoIterator<Item = String>) -> InBucket {
        let mut keys: Vec<String> = keys.into_iter().collect();
        keys.sort_unstable();
        let mut prefixes = Prefixes::default();
        for key in keys {
            let tier = if key.ends_with('c') { Tier::Cold } else { Tier::Hot };
            prefixes.count(key.as_bytes(), tier, key.len() as u64);
        }
        prefixes.finish()
    }

    fn numbered(prefix: &str, count: u64, end: &str) -> Vec<String> {
        (0..count).map(|number| format!("{prefix}{number:05}{end}")).collect()
    }

    #[test]
    fn each_prefix_has_what_lies_under_it_and_what_lies_beside_its_folders() {
        let keys = [
            numbered("a/b/", 1_200, ""),
            numbered("a/b/c/", 1_100, "c"),
            numbered("a/few/", 10, ""),
            numbered("a-b/", 1_000, "c"),
            numbered("a", 7, ""),
            numbered("/", 3, ""),
            numbered("b//", 1_000, ""),
        ];
        let found = found(keys.iter().flatten().cloned());
        let told = |prefix: &str| {
            let Found { all, beside } = found.under.get(prefix.as_bytes())?;
            Some((all.objects.hot, all.objects.cold, beside.objects.hot, beside.objects.cold))
        };
        assert_eq!(told("a/"), Some((1_210, 1_100, 0, 0)));
        assert_eq!(told("a/b/"), Some((1_200, 1_100, 1_200, 0)));
        assert_eq!(told("a/b/c/"), Some((0, 1_100, 0, 1_100)));
        assert_eq!((told("a-b/"), told("a/few/"), told("/")), (Some((0, 1_000, 0, 1_000)), None, None));
        assert_eq!((told("b/"), told("b//")), (Some((1_000, 0, 0, 0)), Some((1_000, 0, 1_000, 0))));
        let whole = found.whole;
        assert_eq!((whole.all.objects.hot, whole.all.objects.cold), (1_200 + 10 + 7 + 3 + 1_000, 2_100));
        assert_eq!((whole.beside.objects.hot, whole.beside.bytes.hot), (7, 7 * 6));
        let bytes: usize = keys.iter().flatten().map(String::len).sum();
        assert_eq!(whole.all.bytes.hot + whole.all.bytes.cold, bytes as u64);
    }

    #[test]
    fn of_many_prefixes_the_largest_are_kept() {
        let sized = |number: usize| {
            let mut found = Found::default();
            found.all.objects.hot = KEPT_FROM_OBJECTS + number as u64 % 3;
            (format!("{number}/").into_bytes().into_boxed_slice(), found)
        };
        let under = (0..3 * MOST_PREFIXES_OF_A_BUCKET).map(sized).collect();
        let mut found = InBucket { under, ..InBucket::default() };
        found.keep_largest();
        assert_eq!(found.under.len(), MOST_PREFIXES_OF_A_BUCKET);
        assert!(found.under.values().all(|found| objects(found) == KEPT_FROM_OBJECTS + 2));
        let kept = found.clone();
        found.keep_largest();
        assert_eq!(found, kept);
    }
}
