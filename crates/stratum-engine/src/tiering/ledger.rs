//! What each bucket holds in each tier, and what tiering has saved and spent on it this month.
//!
//! *Saved* is against all in hot: what its storage would have cost there and didn't, from walk to walk. *Spent* are the moves, and
//! what reads from warm and cold cost more than the same ones from hot.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stratum_metadata::record::{BucketId, TierReason};
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::day::{Day, MONTH_DAYS};
use stratum_tiering::prices::Prices;
use stratum_tiering::tier::{PerTier, Tier};

/// Buckets that are kept account of: some 300 bytes each.
const BUCKETS: usize = 100_000;

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

    /// What storing it costs a month.
    pub fn month(&self, prices: &Prices) -> f64 {
        // A tier that holds nothing may be one that the store doesn't have.
        let held = Tier::ALL.into_iter().filter(|tier| self.bytes[*tier] > 0);
        held.map(|tier| prices.storage_month(tier, self.bytes[tier])).sum()
    }

    /// What it would cost a month if all of it were in hot.
    pub fn month_in_hot(&self, prices: &Prices) -> f64 {
        let bytes: u64 = Tier::ALL.into_iter().map(|tier| self.bytes[tier]).sum();
        prices.storage_month(Tier::Hot, bytes)
    }
}

/// What a month has brought, in dollars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// Months since 1970, of 30.4375 days each.
    pub month: u64,
    /// Since when it is counted: the month's beginning, or the server's start.
    pub since: UnixMillis,
    pub saved: f64,
    pub moves: f64,
    pub reads: f64,
    /// Objects and bytes that were sent to another tier, by the reason.
    pub moved: BTreeMap<String, (u64, u64)>,
}

/// The accounts of all buckets.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    buckets: BTreeMap<u64, Account>,
    /// Buckets that found no room here.
    pub untold: u64,
    /// When the last walk ended.
    pub walked: Option<UnixMillis>,
    now: UnixMillis,
    month: u64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    held: Held,
    at: Option<UnixMillis>,
    month: Month,
    /// Gone over by the present walk.
    is_there: bool,
}

impl Ledger {
    /// What a bucket holds, and its month.
    pub fn of(&self, bucket: BucketId) -> Option<(&Held, &Month)> {
        self.buckets.get(&bucket.0).map(|account| (&account.held, &account.month))
    }

    /// A walk has gone over a bucket.
    pub(super) fn walked(
        &mut self,
        bucket: BucketId,
        held: Held,
        prices: &Prices,
        day: Day,
        now: UnixMillis,
    ) {
        self.now = now;
        self.month = (day.between(0, now) / MONTH_DAYS) as u64;
        let Some(account) = self.account(bucket) else { return };
        if let Some(at) = account.at {
            let months = day.between(at, now) / MONTH_DAYS;
            account.month.saved += (account.held.month_in_hot(prices) - account.held.month(prices)) * months;
        }
        (account.held, account.at, account.is_there) = (held, Some(now), true);
    }

    /// A walk has ended: buckets that it didn't come by hold nothing any more.
    pub(super) fn ended(&mut self, now: UnixMillis) {
        self.buckets.retain(|_, account| std::mem::take(&mut account.is_there));
        self.walked = Some(now);
    }

    /// An object is sent to another tier.
    pub(super) fn moved(&mut self, bucket: BucketId, reason: TierReason, bytes: u64, cost: f64) {
        let Some(account) = self.account(bucket) else { return };
        account.is_there = true;
        account.month.moves += cost;
        let (objects, sum) = account.month.moved.entry(super::meet::name_of(reason).into()).or_default();
        (*objects, *sum) = (*objects + 1, *sum + bytes);
    }

    /// A read was served from a slower tier, and cost so much more than from hot.
    pub(super) fn read(&mut self, bucket: BucketId, cost: f64) {
        if let Some(account) = self.account(bucket) {
            account.is_there = true;
            account.month.reads += cost;
        }
    }

    /// A bucket's account of this month; none where there is no room for it.
    fn account(&mut self, bucket: BucketId) -> Option<&mut Account> {
        if self.buckets.len() >= BUCKETS && !self.buckets.contains_key(&bucket.0) {
            self.untold += 1;
            return None;
        }
        let (month, since) = (self.month, self.now);
        let account = self.buckets.entry(bucket.0).or_default();
        if account.month.month != month {
            account.month = Month { month, since, ..Month::default() };
        }
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const BUCKET: BucketId = BucketId(7);

    #[test]
    fn what_is_saved_is_what_hot_would_have_cost() {
        let mut ledger = Ledger::default();
        let mut held = Held::default();
        held.count(Tier::Hot, GIB);
        held.count(Tier::Cold, 2 * GIB);
        let day = Day::REAL;
        // Ten days of one month.
        let begins = day.days(600.0 * MONTH_DAYS) + 1_000;
        ledger.walked(BUCKET, held, &Prices::CLOUD, day, begins);
        ledger.ended(begins);
        ledger.moved(BUCKET, TierReason::Model, 2 * GIB, 0.5);
        ledger.moved(BUCKET, TierReason::Model, GIB, 0.25);
        ledger.walked(BUCKET, held, &Prices::CLOUD, day, begins + day.days(10.0));
        let (_, month) = ledger.of(BUCKET).unwrap();
        let saved = 2.0 * (0.023 - 0.004) * 10.0 / MONTH_DAYS;
        assert!((month.saved - saved).abs() < 1e-9, "{month:?} for {saved}");
        assert_eq!((month.moves, month.moved["model"]), (0.75, (2, 3 * GIB)));
        // A new month begins at nothing, and a bucket that is gone has no account.
        ledger.ended(begins);
        ledger.walked(BUCKET, held, &Prices::CLOUD, day, begins + day.days(MONTH_DAYS));
        assert!(ledger.of(BUCKET).unwrap().1.moves == 0.0);
        ledger.ended(begins);
        ledger.ended(begins);
        assert!(ledger.of(BUCKET).is_none());
    }

    #[test]
    fn a_tier_that_holds_nothing_costs_nothing() {
        let has = PerTier { hot: true, warm: false, cold: true };
        let mut held = Held::default();
        held.count(Tier::Hot, GIB);
        assert_eq!(held.month(&Prices::CLOUD.over(has)), 0.023);
    }
}
