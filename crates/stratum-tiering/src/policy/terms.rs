//! What a decision compared: figures from which it can be worked out again.

use super::{Features, Model, Policy, Verdict, cost, idle};
use crate::day::{Day, MONTH_DAYS};
use crate::prices::Prices;
use crate::signals::SLOW;
use crate::tier::{PerTier, Tier};
use serde::Serialize;

/// The figures behind a decision. Times are milliseconds of Unix time, money is dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    pub now: u64,
    /// The length of a day, in milliseconds.
    pub day: u64,
    pub size: u64,
    pub tier: Tier,
    pub since: u64,
    /// When it was read last, or written; and so of its group.
    pub last: u64,
    pub group_last: u64,
    /// Whether it was read since it was written, as far as is known: else `last` is when it was written.
    pub is_read: bool,
    /// Whether it was read since it lies in its tier.
    pub read_since: bool,
    /// The last pause between two sessions of reads, in days.
    pub gap_days: Option<f64>,
    /// The mean share of it that a read takes.
    pub share: f64,
    /// Reads a month, by the weekly half-life.
    pub monthly_reads: f64,
    /// What a month in each tier costs at that rate, without moves.
    pub monthly_cost: PerTier<f64>,
    /// What a read that isn't served from hot is taken to cost on top.
    pub slow_read: f64,
    /// What one read costs in each tier, and a move into it (put) and out of it (get).
    pub read: PerTier<f64>,
    pub put: PerTier<f64>,
    pub get: PerTier<f64>,
    /// What keeping it for a month costs in each tier.
    pub storage_month: PerTier<f64>,
    /// What reading all of it costs in each tier, without the request.
    pub retrieval: PerTier<f64>,
    pub warm_up_ends: u64,
    pub least_idle_ends: u64,
    /// What leaving its tier for want of room would cost; nothing of an object that can't.
    pub regret: Option<Regret>,
    pub course: Course,
}

/// The colder tier that would cost least at the rate at which an object is read, and what it would cost more than where it
/// is: what is lost by leaving for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Regret {
    pub to: Tier,
    /// A GB and month.
    pub dollars: f64,
}

/// What the model makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Course {
    /// No colder tier is cheaper.
    Rest,
    /// A colder tier is due at a time, which may be past.
    Descend(Descent),
    /// It was read in a colder tier, and hot pays if so many more reads come.
    Ascend(Ascent),
    /// Idle for some days, it belongs into a colder tier.
    Idle { to: Tier, after_days: f64, due: u64 },
    /// Read in a colder tier, it belongs into hot.
    Return,
}

/// The way down: `break_even` is how long the object must stay below so that storage saves what the way there, one
/// read and the way back cost; the waits are parts of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Descent {
    pub to: Tier,
    pub break_even_days: f64,
    /// The same of a full read of a large object, where requests don't count.
    pub full_break_even_days: f64,
    /// The shorter waits of an object that was left for long before.
    pub shortened: f64,
    pub group_wait_days: f64,
    pub own_wait_days: f64,
    pub longest_wait_days: f64,
    pub due: u64,
}

/// The way up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ascent {
    /// So many further reads repay the way up, the stay and the way down again.
    pub reads_to_repay: f64,
    /// It is taken where at most so many are needed.
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
            course: Course::Rest,
        };
        terms.regret = terms.regret(features.pressure.and_then(|pressure| pressure.full));
        terms.course = match &policy.model {
            Model::Cost(waits) => cost::course(waits, &terms, policy.day),
            Model::Idle(thresholds) => idle::course(thresholds, &terms, policy.day),
        };
        terms
    }

    fn regret(&self, full: Option<Tier>) -> Option<Regret> {
        let gb = self.size as f64 / (1u64 << 30) as f64;
        let colder = self.tier.colder().filter(|tier| Some(*tier) != full);
        let (to, cost) =
            colder.map(|tier| (tier, self.monthly_cost[tier])).min_by(|a, b| a.1.total_cmp(&b.1))?;
        (gb > 0.0).then(|| Regret { to, dollars: (cost - self.monthly_cost[self.tier]) / gb })
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
            Course::Ascend(Ascent { reads_to_repay, reads_hoped_for })
                if reads_to_repay <= reads_hoped_for =>
            {
                Verdict::Wants { tier: Tier::Hot, until: None }
            }
            Course::Return => Verdict::Wants { tier: Tier::Hot, until: None },
            Course::Ascend(_) | Course::Rest => stay(None),
        }
    }
}
