//! What is charged when, for the contenders and for the optimum alike.
//!
//! * An object appears in hot at its first read: no put is charged, and that read costs hot's GET. One that is placed
//!   elsewhere from the start pays its put there once, and no GET of its source.
//! * Storage runs from the object's first read to the last time in the trace. There is no least duration.
//! * A later read pays the GET, and the retrieval of what it takes, of the tier in which it finds the object.
//! * A move down pays the target's put and the source's GET. A move up that follows a read at once pays the target's
//!   put; at any other time also the source's GET and the retrieval of all of the object.
//!
//! Latency is free.

use crate::day::{Day, MONTH_DAYS};
use crate::prices::Prices;
use crate::tier::Tier;
use serde::Serialize;
use std::ops::AddAssign;

/// Dollars, by what they were paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Costs {
    pub storage: f64,
    pub requests: f64,
    pub retrieval: f64,
    pub moves: f64,
}

impl Costs {
    pub fn total(&self) -> f64 {
        self.storage + self.requests + self.retrieval + self.moves
    }
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Costs) {
        self.storage += other.storage;
        self.requests += other.requests;
        self.retrieval += other.retrieval;
        self.moves += other.moves;
    }
}

/// When a move happens, which decides whether the object's bytes must be read for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The object is placed in the tier when it first appears.
    Placed,
    AfterRead,
    Between,
}

/// What keeping an object in a tier from one time to another costs.
pub fn storage(prices: &Prices, tier: Tier, size: u64, from: u64, to: u64) -> f64 {
    prices.storage_month(tier, size) * Day::REAL.between(from, to) / MONTH_DAYS
}

/// What a move between two tiers costs.
pub fn moving(prices: &Prices, from: Tier, to: Tier, size: u64, moment: Moment) -> f64 {
    let source = match (from.cmp(&to), moment) {
        (std::cmp::Ordering::Equal, _) => return 0.0,
        (_, Moment::Placed) | (std::cmp::Ordering::Greater, Moment::AfterRead) => 0.0,
        (std::cmp::Ordering::Less, _) => prices.get(from),
        (std::cmp::Ordering::Greater, Moment::Between) => {
            prices.get(from) + prices.retrieval(from, size as f64)
        }
    };
    prices.put(to) + source
}
