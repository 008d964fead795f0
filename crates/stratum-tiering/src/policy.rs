//! In which tier an object should lie, why, and when to decide again: one pure function for the engine and the
//! simulator.
//!
//! [`Policy::decide`] asks every [`Rule`] in the order of precedence. The first whose verdict isn't
//! [`Verdict::Silent`] decides; the last rule, the model, is never silent. The figures that were compared come with
//! the decision as [`Terms`], so that whoever is told of it can work it out again.

mod cost;
mod idle;
mod sentence;
mod terms;
mod visit;

use crate::day::Day;
use crate::prices::Prices;
use crate::signals::Signals;
use crate::tier::{PerTier, Tier};
pub use cost::Waits;
pub use idle::Thresholds;
use serde::Serialize;
pub use terms::{Ascent, Course, Descent, Regret, Terms};
pub use visit::Visit;

/// How decisions are made. [`Policy::COST`] is the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub model: Model,
    pub day: Day,
    /// A bucket is watched for this many days before the model moves anything in it.
    pub warm_up_days: f64,
    /// The model demotes no object that was read or written within this many hours.
    pub least_idle_hours: f64,
    /// The next visit is foreseen once so many in a row came when they were expected...
    pub proven_visits: u8,
    /// ... and what is to be in hot by then comes up so many hours before: two walks of a server over its objects.
    pub lead_hours: f64,
}

/// What decides where no other rule does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Expected cost: an object waits in its tier for a time that follows from the prices.
    Cost(Waits),
    /// Fixed numbers of days without a read, which an operator can work out without a computer.
    Idle(Thresholds),
}

/// What is known of an object. Times are milliseconds of Unix time.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    pub size: u64,
    /// The tier in which it lies, and since when.
    pub tier: Tier,
    pub since: u64,
    pub written: u64,
    /// The reads of the object, and those of its group; `None` where no read is known.
    pub own: Option<&'a Signals>,
    pub group: Option<&'a Signals>,
    /// Since when its bucket is watched.
    pub watched_since: u64,
    pub wishes: Wishes,
    /// Set while its tier is too full.
    pub pressure: Option<Pressure>,
}

/// What people, and the rules that they set, ask for an object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Set by an operator.
    pub pin: Option<Pin>,
    /// Set by the object's metadata, with the time until which it holds if it has one.
    pub hint: Option<Pin>,
    pub priority: Priority,
    pub class: StorageClass,
    /// A lifecycle rule's transition that is due.
    pub lifecycle: Option<Tier>,
    /// When an operator moved the object into its tier, if no other decision has been made since.
    pub by_hand: Option<u64>,
}

/// A tier that is set, until a time or (`None`) for good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pin {
    pub tier: Tier,
    pub until: Option<u64>,
}

/// Whether slow reads count as a cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// A read from another tier than hot is taken to cost something on top.
    Latency,
    /// Slow reads cost nothing on top. `Cost` means the same: an object needs it where its bucket's default is
    /// `Latency`.
    #[default]
    Balanced,
    Cost,
}

impl Priority {
    /// What 1,000 reads from another tier than hot are taken to cost on top, in dollars: ten times cold's price of
    /// requests.
    fn slow_reads_1000(self) -> f64 {
        match self {
            Priority::Latency => 0.1,
            Priority::Balanced | Priority::Cost => 0.0,
        }
    }
}

/// Whether the declared storage class fixes the tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// `STANDARD`, `INTELLIGENT_TIERING`.
    #[default]
    Free,
    /// A class that names a tier.
    Fixed(Tier),
}

/// How many objects must leave a tier that is too full: those of least [regret](Regret).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pressure {
    /// Objects leave whose regret, in dollars a GB and month, is at most this.
    pub regret: f64,
    /// A colder tier that is too full itself.
    pub full: Option<Tier>,
}

/// What may decide, in order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    Pin,
    Hint,
    StorageClass,
    Lifecycle,
    Capacity,
    Spike,
    ByHand,
    WarmUp,
    LeastIdle,
    /// A [`Visit`] is foreseen, and being in hot by then pays.
    Visit,
    Model,
}

impl Rule {
    pub const ALL: [Rule; 11] = [
        Rule::Pin,
        Rule::Hint,
        Rule::StorageClass,
        Rule::Lifecycle,
        Rule::Capacity,
        Rule::Spike,
        Rule::ByHand,
        Rule::WarmUp,
        Rule::LeastIdle,
        Rule::Visit,
        Rule::Model,
    ];
}

/// What a rule says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The rule doesn't apply.
    Silent,
    /// The object should lie in this tier. Decide again at `until`, or (`None`) only when something happens to the
    /// object.
    Wants { tier: Tier, until: Option<u64> },
}

/// In which tier an object should lie, and why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub tier: Tier,
    /// The rule that decided.
    pub by: Rule,
    /// What each rule said, in order of precedence.
    pub rules: [(Rule, Verdict); 11],
    pub terms: Terms,
    /// When to decide again if nothing happens before; `None` where only a read, a write or a new wish can change the
    /// decision.
    pub next_review: Option<u64>,
}

impl Policy {
    /// Expected cost with [`Waits::DEFAULT`].
    pub const COST: Policy = Policy {
        model: Model::Cost(Waits::DEFAULT),
        day: Day::REAL,
        warm_up_days: 7.0,
        least_idle_hours: 48.0,
        proven_visits: 3,
        lead_hours: 6.0,
    };
    /// Idle time with [`Thresholds::DEFAULT`].
    pub const IDLE: Policy = Policy { model: Model::Idle(Thresholds::DEFAULT), ..Policy::COST };

    /// The same policy for a store that has only the tiers in `has`: by idle time, what would go to a missing tier
    /// goes to the next warmer one that is there.
    pub fn over(self, has: PerTier<bool>) -> Policy {
        let model = match self.model {
            Model::Idle(thresholds) => Model::Idle(thresholds.over(has)),
            Model::Cost(waits) => Model::Cost(waits),
        };
        Policy { model, ..self }
    }

    /// Decides where an object should lie as of `now`.
    pub fn decide(&self, features: &Features, prices: &Prices, now: u64) -> Decision {
        let terms = Terms::of(self, features, prices, now);
        let rules = Rule::ALL.map(|rule| (rule, self.ask(rule, features, &terms)));
        let first = rules.iter().find_map(|(rule, verdict)| match verdict {
            Verdict::Silent => None,
            Verdict::Wants { tier, until } => Some((*rule, *tier, *until)),
        });
        // The model is never silent.
        let (by, tier, next_review) = first.unwrap_or((Rule::Model, features.tier, None));
        Decision { tier, by, rules, terms, next_review }
    }

    fn ask(&self, rule: Rule, features: &Features, terms: &Terms) -> Verdict {
        let wishes = &features.wishes;
        let now = terms.now;
        match rule {
            Rule::Pin => pinned(wishes.pin, now),
            Rule::Hint => pinned(wishes.hint, now),
            Rule::StorageClass => match wishes.class {
                StorageClass::Free => Verdict::Silent,
                StorageClass::Fixed(tier) => Verdict::Wants { tier, until: None },
            },
            Rule::Lifecycle => {
                wishes.lifecycle.map_or(Verdict::Silent, |tier| Verdict::Wants { tier, until: None })
            }
            Rule::Capacity => relieve(terms),
            Rule::Spike => match terms.burst {
                Some(burst) if features.tier > Tier::Hot && burst.is_spike(now) => {
                    Verdict::Wants { tier: Tier::Hot, until: Some(terms.last + self.day.hours(1.0)) }
                }
                _ => Verdict::Silent,
            },
            // An operator's move stands for `warm_up_days`, unless the object is read in its new tier.
            Rule::ByHand => match wishes.by_hand {
                Some(moved) if !terms.read_since => {
                    hold(terms, moved.saturating_add(self.day.days(self.warm_up_days)))
                }
                _ => Verdict::Silent,
            },
            Rule::WarmUp => hold(terms, terms.warm_up_ends),
            Rule::LeastIdle => match terms.course.wants(terms) {
                Verdict::Wants { tier, .. } if tier > terms.tier => hold(terms, terms.least_idle_ends),
                _ => Verdict::Silent,
            },
            Rule::Visit => terms.visit.map_or(Verdict::Silent, |visit| visit.wants(terms)),
            Rule::Model => terms.course.wants(terms),
        }
    }
}

fn pinned(pin: Option<Pin>, now: u64) -> Verdict {
    match pin {
        Some(Pin { tier, until }) if until.is_none_or(|until| now < until) => Verdict::Wants { tier, until },
        _ => Verdict::Silent,
    }
}

fn hold(terms: &Terms, ends: u64) -> Verdict {
    if terms.now < ends { Verdict::Wants { tier: terms.tier, until: Some(ends) } } else { Verdict::Silent }
}

/// The object goes to the colder tier in which it costs least, if its regret is within what the full tier must give
/// up.
fn relieve(terms: &Terms) -> Verdict {
    match (terms.pressure, terms.regret) {
        (Some(pressure), Some(Regret { to, dollars })) if dollars <= pressure.regret => {
            Verdict::Wants { tier: to, until: None }
        }
        _ => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests;
