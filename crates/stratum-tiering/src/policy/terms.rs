//! The figures that a decision compared, from which it can be worked out again.

use super::visit::Visit;
use super::{Features, Model, Policy, Pressure, Verdict, cost, idle};
use crate::day::{Day, MONTH_DAYS};
use crate::prices::Prices;
use crate::signals::{Burst, SLOW};
use crate::tier::{PerTier, Tier};
use serde::Serialize;
use std::num::NonZeroU64;

/// The figures behind a decision. Times are milliseconds of Unix time, money is dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    pub now: u64,
    /// The length of a day, in milliseconds.
    pub day: u64,
    pub size: u64,
    pub tier: Tier,
    pub since: u64,
    /// When the object was read or written last; and the same of its group.
    pub last: u64,
    pub group_last: u64,
    /// Whether a read of the object is known since it was written; if not, `last` is when it was written.
    pub is_read: bool,
    /// Whether the object was read since it came to its tier.
    pub read_since: bool,
    /// The last pause between two sessions of reads, in days.
    pub gap_days: Option<f64>,
    /// Whether the last two such pauses were alike.
    pub is_steady: bool,
    /// The mean share of the object that a read takes, 0 to 1.
    pub share: f64,
    /// Reads a month, by the decayed count with a half-life of a week.
    pub monthly_reads: f64,
    /// What a month in each tier costs with that many reads, without moves.
    pub monthly_cost: PerTier<f64>,
    /// What a read from another tier than hot is taken to cost on top of its price.
    pub slow_read: f64,
    /// What one read costs in each tier, a move into the tier (put) and a move out of it (get).
    pub read: PerTier<f64>,
    pub put: PerTier<f64>,
    pub get: PerTier<f64>,
    /// What keeping the object for a month costs in each tier.
    pub storage_month: PerTier<f64>,
    /// What reading the whole object costs in each tier, without the request.
    pub retrieval: PerTier<f64>,
    pub warm_up_ends: u64,
    pub least_idle_ends: u64,
    /// What it costs to leave the tier because it is too full; `None` of an object that can't leave.
    pub regret: Option<Regret>,
    /// Set while the tier is too full: up to which regret objects leave it.
    pub pressure: Option<Pressure>,
    /// The object's reads of the last hour; `None` before its first read.
    pub burst: Option<Burst>,
    pub course: Course,
    /// The visit that is foreseen, if one is.
    pub visit: Option<Visit>,
}

/// What is lost when an object leaves a tier that is too full: in the cheapest colder tier, given how often it is
/// read, how much more it costs than where it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Regret {
    pub to: Tier,
    /// Dollars a GB and month.
    pub dollars: f64,
}

/// What the model decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Course {
    /// No colder tier is cheaper.
    Rest,
    /// The object goes to a colder tier at a time, which may be past.
    Descend(Descent),
    /// The object was read in a colder tier, and goes to hot if so few further reads pay for it that they can be
    /// hoped for.
    Ascend(Ascent),
    /// After some days without a read the object goes to a colder tier.
    Idle { to: Tier, after_days: f64, due: u64 },
    /// The object was read in a colder tier, and goes back to hot.
    Return,
}

/// A move down. The object must stay in the colder tier for `break_even_days` until the storage saved pays for the
/// move there, one read and the move back; the waits are fractions of that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Descent {
    pub to: Tier,
    pub break_even_days: f64,
    /// The break-even time if every read took the whole of a large object, for which requests don't count.
    pub full_break_even_days: f64,
    /// What the waits are multiplied by: under 1 for an object that had a long pause without reads before, else 1.
    pub shortened: f64,
    /// What group and longest wait are at least, as the object is due to be read again by then; 0 if it isn't.
    pub steady_wait_days: f64,
    pub group_wait_days: f64,
    pub own_wait_days: f64,
    pub longest_wait_days: f64,
    pub due: u64,
}

/// A move up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ascent {
    /// How many further reads pay for the move up, the stay in hot and the move down again.
    pub reads_to_repay: f64,
    /// For how long the object is expected to stay in hot then, in days.
    pub stay_days: f64,
    /// The move is made if `reads_to_repay` is at most this.
    pub reads_hoped_for: f64,
}

impl Terms {
    pub(super) fn of(policy: &Policy, features: &Features, prices: &Prices, now: u64) -> Terms {
        let own_last = features.own.and_then(|own| own.last());
        let last = own_last.unwrap_or(0).max(features.written);
        let share = features.own.map_or(1.0, |own| own.share());
        let monthly_reads =
            features.own.map_or(0.0, |own| own.daily_reads(SLOW, now, policy.day) * MONTH_DAYS);
        let slow = features.wishes.priority.slow_reads_1000() / 1_000.0;
        let read = PerTier::of(|tier| {
            let slowness = if tier > Tier::Hot { slow } else { 0.0 };
            prices.get(tier) + prices.retrieval(tier, share * features.size as f64) + slowness
        });
        let storage_month = PerTier::of(|tier| prices.storage_month(tier, features.size));
        let mut terms = Terms {
            now,
            day: policy.day.milliseconds(),
            size: features.size,
            tier: features.tier,
            since: features.since,
            last,
            group_last: features.group.and_then(|group| group.last()).unwrap_or(0).max(last),
            is_read: own_last.is_some_and(|last| last >= features.written),
            read_since: own_last.is_some_and(|last| last >= features.since),
            gap_days: features.own.and_then(|own| own.gap_days()),
            is_steady: features.own.is_some_and(|own| own.is_steady()),
            share,
            monthly_reads,
            monthly_cost: PerTier::of(|tier| storage_month[tier] + monthly_reads * read[tier]),
            slow_read: slow,
            read,
            put: PerTier::of(|tier| prices.put(tier)),
            get: PerTier::of(|tier| prices.get(tier)),
            storage_month,
            retrieval: PerTier::of(|tier| prices.retrieval(tier, features.size as f64)),
            warm_up_ends: features.watched_since.saturating_add(policy.day.days(policy.warm_up_days)),
            least_idle_ends: last.saturating_add(policy.day.hours(policy.least_idle_hours)),
            regret: None,
            pressure: features.pressure,
            burst: features.own.and_then(|own| own.burst(policy.day)),
            course: Course::Rest,
            visit: None,
        };
        terms.regret = terms.regret(features.pressure.and_then(|pressure| pressure.full));
        terms.course = match &policy.model {
            Model::Cost(waits) => cost::course(waits, &terms, policy.day),
            Model::Idle(thresholds) => idle::course(thresholds, &terms, policy.day),
        };
        terms.visit = Visit::foreseen(policy, features, &terms);
        terms
    }

    fn regret(&self, full: Option<Tier>) -> Option<Regret> {
        let gb = self.size as f64 / (1u64 << 30) as f64;
        let colder = self.tier.colder().filter(|tier| Some(*tier) != full);
        let (to, cost) =
            colder.map(|tier| (tier, self.monthly_cost[tier])).min_by(|a, b| a.1.total_cmp(&b.1))?;
        (gb > 0.0).then(|| Regret { to, dollars: (cost - self.monthly_cost[self.tier]) / gb })
    }

    /// For how long the object had not been used in its tier, in milliseconds: until now or, if it was read there, until
    /// the reads that woke it.
    pub fn rested(&self) -> u64 {
        if !self.read_since {
            return self.now.saturating_sub(self.last);
        }
        // The last pause may have begun before the object came to its tier.
        let there = self.last.saturating_sub(self.since);
        self.gap_days.map_or(there, |gap| self.day().days(gap).min(there))
    }

    pub(super) fn day(&self) -> Day {
        Day::new(NonZeroU64::new(self.day).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn quiet_days(&self, day: Day) -> (f64, f64) {
        (day.between(self.last, self.now), day.between(self.group_last, self.now))
    }
}

impl Course {
    pub(super) fn wants(&self, terms: &Terms) -> Verdict {
        let stay = |until| Verdict::Wants { tier: terms.tier, until };
        match *self {
            Course::Descend(Descent { to, due, .. }) | Course::Idle { to, due, .. } if due <= terms.now => {
                Verdict::Wants { tier: to, until: None }
            }
            Course::Descend(Descent { due, .. }) | Course::Idle { due, .. } => stay(Some(due)),
            Course::Ascend(Ascent { reads_to_repay, reads_hoped_for, .. })
                if reads_to_repay <= reads_hoped_for =>
            {
                Verdict::Wants { tier: Tier::Hot, until: None }
            }
            Course::Return => Verdict::Wants { tier: Tier::Hot, until: None },
            Course::Ascend(_) | Course::Rest => stay(None),
        }
    }
}
