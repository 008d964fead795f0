//! Reads that were served from a tier below hot, until their cost has been added to the accounts.

use crate::tier::Tier;
use std::collections::BTreeMap;

/// Pairs of bucket and tier that are counted separately, at most. Reads beyond that are added to no account.
const MOST_BUCKETS: usize = 100_000;

/// Reads of a bucket's objects in a tier, and the bytes that they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowReads {
    pub reads: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Slow(BTreeMap<(u64, Tier), SlowReads>);

impl Slow {
    pub fn count(&mut self, bucket: u64, tier: Tier, bytes: u64) {
        if self.0.len() >= MOST_BUCKETS && !self.0.contains_key(&(bucket, tier)) {
            return;
        }
        let slow = self.0.entry((bucket, tier)).or_default();
        slow.reads += 1;
        slow.bytes = slow.bytes.saturating_add(bytes);
    }

    pub fn take(&mut self) -> BTreeMap<(u64, Tier), SlowReads> {
        std::mem::take(&mut self.0)
    }
}
