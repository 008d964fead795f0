//! What each bucket holds in each tier, and what tiering saved and spent for it this month.
//!
//! *Saved* is compared with keeping everything in hot: how much less storage cost, from walk to walk. *Spent* is the
//! cost of moves, and how much more reads from warm and cold cost than the same reads from hot.

use super::prefixes::{Found, InBucket};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stratum_metadata::record::{BucketId, TierReason};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::day::{Day, MONTH_DAYS};
use stratum_tiering::prices::Prices;
use stratum_tiering::tier::{PerTier, Tier};

/// The most buckets of which accounts are kept: some 300 bytes each.
const MOST_BUCKETS: usize = 100_000;
/// The most prefixes, over all buckets, of which is kept what was found under them: some 200 bytes each, and their
/// names.
const MOST_PREFIXES: usize = 10_000;

/// Objects and their bytes, as clients see them, by the tier in which they belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub objects: PerTier<u64>,
    pub bytes: PerTier<u64>,
}

impl Held {
    pub fn count(&mut self, tier: Tier, bytes: u64) {
        self.objects[tier] += 1;
        self.bytes[tier] += bytes;
    }

    pub fn add(&mut self, other: &Held) {
        for tier in Tier::ALL {
            self.objects[tier] += other.objects[tier];
            self.bytes[tier] += other.bytes[tier];
        }
    }

    /// What storing them costs a month, in dollars.
    pub fn month(&self, prices: &Prices) -> f64 {
        // A tier that holds nothing may be one that the store lacks, with a price beyond all bounds.
        let held = Tier::ALL.into_iter().filter(|tier| self.bytes[*tier] > 0);
        held.map(|tier| prices.storage_month(tier, self.bytes[tier])).sum()
    }

    /// What they would cost a month if all were in hot, in dollars.
    pub fn month_in_hot(&self, prices: &Prices) -> f64 {
        let bytes: u64 = Tier::ALL.into_iter().map(|tier| self.bytes[tier]).sum();
        prices.storage_month(Tier::Hot, bytes)
    }
}

/// What tiering saved and spent this month, in dollars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// When the month began: months have 30.4375 days, and the first one began with 1970.
    pub begins: UnixMillis,
    pub saved: f64,
    pub spent: f64,
    /// Objects and bytes that were sent to another tier since then, or since the start of the server, by the reason.
    pub moved: MovedByReason,
}

/// Objects that were sent to other tiers, and their bytes, by the name of the reason.
pub type MovedByReason = BTreeMap<String, (u64, u64)>;

/// The number of the month, counted from 0 in 1970.
pub(super) fn month_of(day: Day, now: UnixMillis) -> u32 {
    (day.between(0, now) / MONTH_DAYS) as u32
}

/// When a month begins.
pub(super) fn beginning_of(month: u32, day: Day) -> UnixMillis {
    day.days(f64::from(month) * MONTH_DAYS)
}

/// What a bucket's storage saves in so many months, compared with keeping everything in hot.
pub(super) fn saved(held: &Held, prices: &Prices, months: f64) -> f64 {
    (held.month_in_hot(prices) - held.month(prices)) * months
}

/// What each bucket holds, and what moved in it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    buckets: BTreeMap<u64, Entry>,
    /// How many prefixes the entries hold together.
    prefixes: usize,
    /// The last walk that came to its end.
    walk: Option<WholeWalk>,
    /// Whether the present walk found a bucket for which there was no room.
    has_left_out: bool,
}

/// A walk that came to all buckets.
#[derive(Clone, Copy, Debug)]
struct WholeWalk {
    began: UnixMillis,
    ended: UnixMillis,
    has_left_out: bool,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    found: InBucket,
    /// When a walk last finished the bucket.
    at: Option<UnixMillis>,
    month: u32,
    moved: MovedByReason,
    /// Whether the present walk has come to the bucket.
    is_there: bool,
}

impl Ledger {
    /// What a walk last found in a bucket under a prefix, and when; `None` if nothing is kept of that. The empty prefix
    /// is the whole bucket. `created` is when the bucket was made.
    pub(super) fn found(
        &self,
        bucket: BucketId,
        created: UnixMillis,
        prefix: &[u8],
    ) -> Option<(Found, UnixMillis)> {
        let entry = self.buckets.get(&bucket.0);
        let Some((found, at)) = entry.and_then(|entry| Some((&entry.found, entry.at?))) else {
            // A walk goes from object to object, and so comes to no bucket that has none.
            let is_empty = |walk: &WholeWalk| created <= walk.began && !walk.has_left_out;
            return self.walk.filter(is_empty).map(|walk| (Found::default(), walk.ended));
        };
        let found = if prefix.is_empty() { Some(&found.whole) } else { found.under.get(prefix) };
        found.map(|found| (*found, at))
    }

    /// What moved in a bucket in that month.
    pub(super) fn moved_in(&self, bucket: BucketId, month: u32) -> MovedByReason {
        let entry = self.buckets.get(&bucket.0).filter(|entry| entry.month == month);
        entry.map(|entry| entry.moved.clone()).unwrap_or_default()
    }

    /// Records that a walk has finished a bucket. Returns what the bucket held until then, and since when.
    pub(super) fn walked(
        &mut self,
        bucket: BucketId,
        mut found: InBucket,
        now: UnixMillis,
    ) -> Option<(Held, UnixMillis)> {
        let others = self.prefixes - self.buckets.get(&bucket.0).map_or(0, |entry| entry.found.under.len());
        if others + found.under.len() > MOST_PREFIXES {
            found.under.clear();
        }
        let prefixes = others + found.under.len();
        let Some(entry) = self.entry(bucket) else {
            self.has_left_out = true;
            return None;
        };
        let before = entry.at.map(|at| (entry.found.whole.all, at));
        (entry.found, entry.at, entry.is_there) = (found, Some(now), true);
        self.prefixes = prefixes;
        before
    }

    /// Records the end of a walk: buckets that it didn't come to hold nothing any more.
    pub(super) fn ended(&mut self, began: UnixMillis, now: UnixMillis) {
        self.buckets.retain(|_, entry| std::mem::take(&mut entry.is_there));
        self.prefixes = self.buckets.values().map(|entry| entry.found.under.len()).sum();
        let has_left_out = std::mem::take(&mut self.has_left_out);
        self.walk = Some(WholeWalk { began, ended: now, has_left_out });
    }

    /// Counts an object that is sent to another tier.
    pub(super) fn moved(&mut self, bucket: BucketId, reason: TierReason, bytes: u64, month: u32) {
        let Some(entry) = self.entry(bucket) else { return };
        entry.is_there = true;
        if entry.month != month {
            (entry.month, entry.moved) = (month, BTreeMap::new());
        }
        let (objects, sum) = entry.moved.entry(super::meet::name_of(reason).into()).or_default();
        (*objects, *sum) = (*objects + 1, *sum + bytes);
    }

    /// A bucket's entry; `None` if there is no room for it.
    fn entry(&mut self, bucket: BucketId) -> Option<&mut Entry> {
        if self.buckets.len() >= MOST_BUCKETS && !self.buckets.contains_key(&bucket.0) {
            return None;
        }
        Some(self.buckets.entry(bucket.0).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const BUCKET: BucketId = BucketId(7);

    #[test]
    fn savings_are_compared_with_keeping_all_in_hot() {
        let mut held = Held::default();
        held.count(Tier::Hot, GIB);
        held.count(Tier::Cold, 2 * GIB);
        let tenth = saved(&held, &Prices::CLOUD, 0.1);
        assert!((tenth - 2.0 * (0.023 - 0.004) / 10.0).abs() < 1e-12, "{tenth}");
        let day = Day::REAL;
        let begins = beginning_of(600, day);
        assert_eq!([0, 1_000, day.days(30.0)].map(|after| month_of(day, begins + after)), [600; 3]);
        assert_eq!(month_of(day, begins + day.days(30.5)), 601);
    }

    fn of(objects: u64) -> InBucket {
        let mut found = InBucket::default();
        (0..objects).for_each(|_| found.whole.all.count(Tier::Hot, 1));
        found
    }

    #[test]
    fn what_moved_is_told_until_the_month_ends() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.walked(BUCKET, of(3), 5), None);
        ledger.ended(4, 5);
        ledger.moved(BUCKET, TierReason::Model, 2 * GIB, 600);
        ledger.moved(BUCKET, TierReason::Model, GIB, 600);
        assert_eq!(ledger.walked(BUCKET, of(4), 9), Some((of(3).whole.all, 5)));
        assert_eq!(ledger.moved_in(BUCKET, 600)["model"], (2, 3 * GIB));
        assert!(ledger.moved_in(BUCKET, 601).is_empty());
        ledger.ended(8, 9);
        ledger.ended(10, 11);
        assert!(ledger.moved_in(BUCKET, 600).is_empty());
    }

    #[test]
    fn a_bucket_that_a_whole_walk_did_not_find_is_empty() {
        let mut ledger = Ledger::default();
        let found = |ledger: &Ledger, created| ledger.found(BUCKET, created, b"");
        assert_eq!(found(&ledger, 3), None);
        ledger.walked(BUCKET, of(2), 5);
        assert_eq!(found(&ledger, 3), Some((of(2).whole, 5)));
        ledger.ended(4, 6);
        ledger.ended(7, 9);
        assert_eq!(found(&ledger, 7), Some((Found::default(), 9)));
        // The walk may have been past its place when it was made.
        assert_eq!(found(&ledger, 8), None);
        ledger.has_left_out = true;
        ledger.ended(10, 11);
        assert_eq!(found(&ledger, 3), None);
    }

    #[test]
    fn prefixes_are_kept_as_far_as_there_is_room() {
        let mut ledger = Ledger::default();
        let with = |prefixes: usize| {
            let under = (0..prefixes)
                .map(|number| (format!("{number}/").into_bytes().into_boxed_slice(), Found::default()));
            InBucket { under: under.collect(), ..of(1) }
        };
        let is_kept = |ledger: &Ledger, id| ledger.found(BucketId(id), 0, b"0/").is_some();
        ledger.walked(BUCKET, with(MOST_PREFIXES - 1), 5);
        ledger.walked(BucketId(8), with(2), 5);
        assert_eq!((is_kept(&ledger, BUCKET.0), is_kept(&ledger, 8)), (true, false));
        // Those of the same bucket make room for each other.
        ledger.walked(BUCKET, with(MOST_PREFIXES - 2), 6);
        ledger.walked(BucketId(8), with(2), 6);
        assert_eq!((is_kept(&ledger, BUCKET.0), is_kept(&ledger, 8)), (true, true));
        ledger.ended(6, 7);
        ledger.ended(7, 8);
        assert_eq!(ledger.prefixes, 0);
    }

    #[test]
    fn a_tier_that_holds_nothing_costs_nothing() {
        let has = PerTier { hot: true, warm: false, cold: true };
        let mut held = Held::default();
        held.count(Tier::Hot, GIB);
        assert_eq!(held.month(&Prices::CLOUD.over(has)), 0.023);
    }
}
