//! What each bucket holds in each tier, and what tiering saved and spent for it this month.
//!
//! *Saved* is compared with keeping everything in hot: how much less storage cost, from walk to walk. *Spent* is the
//! cost of moves, and how much more reads from warm and cold cost than the same reads from hot.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stratum_metadata::record::{BucketId, TierReason};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::day::{Day, MONTH_DAYS};
use stratum_tiering::prices::Prices;
use stratum_tiering::tier::{PerTier, Tier};

/// The most buckets of which accounts are kept: some 300 bytes each.
const MOST_BUCKETS: usize = 100_000;

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
    /// When the last walk ended.
    pub(super) walked: Option<UnixMillis>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    held: Held,
    /// When a walk last finished the bucket.
    at: Option<UnixMillis>,
    month: u32,
    moved: MovedByReason,
    /// Whether the present walk has come to the bucket.
    is_there: bool,
}

impl Ledger {
    /// What a bucket holds, and what moved in it in that month.
    pub(super) fn of(&self, bucket: BucketId, month: u32) -> Option<(Held, MovedByReason)> {
        let entry = self.buckets.get(&bucket.0)?;
        let moved = if entry.month == month { entry.moved.clone() } else { BTreeMap::new() };
        Some((entry.held, moved))
    }

    /// Records that a walk has finished a bucket. Returns what the bucket held until then, and since when.
    pub(super) fn walked(
        &mut self,
        bucket: BucketId,
        held: Held,
        now: UnixMillis,
    ) -> Option<(Held, UnixMillis)> {
        let entry = self.entry(bucket)?;
        let before = entry.at.map(|at| (entry.held, at));
        (entry.held, entry.at, entry.is_there) = (held, Some(now), true);
        before
    }

    /// Records the end of a walk: buckets that it didn't come to hold nothing any more.
    pub(super) fn ended(&mut self, now: UnixMillis) {
        self.buckets.retain(|_, entry| std::mem::take(&mut entry.is_there));
        self.walked = Some(now);
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

    #[test]
    fn a_bucket_that_no_walk_comes_by_has_no_entry_and_a_month_ends() {
        let mut ledger = Ledger::default();
        let held = Held::default();
        assert_eq!(ledger.walked(BUCKET, held, 5), None);
        ledger.ended(5);
        ledger.moved(BUCKET, TierReason::Model, 2 * GIB, 600);
        ledger.moved(BUCKET, TierReason::Model, GIB, 600);
        assert_eq!(ledger.walked(BUCKET, held, 9), Some((held, 5)));
        assert_eq!(ledger.of(BUCKET, 600).unwrap().1["model"], (2, 3 * GIB));
        assert!(ledger.of(BUCKET, 601).unwrap().1.is_empty());
        ledger.ended(9);
        ledger.ended(9);
        assert_eq!(ledger.of(BUCKET, 600), None);
    }

    #[test]
    fn a_tier_that_holds_nothing_costs_nothing() {
        let has = PerTier { hot: true, warm: false, cold: true };
        let mut held = Held::default();
        held.count(Tier::Hot, GIB);
        assert_eq!(held.month(&Prices::CLOUD.over(has)), 0.023);
    }
}
