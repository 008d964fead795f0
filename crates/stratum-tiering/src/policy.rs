//! Where an object should lie, why, and when to look again: one pure function for the engine and the simulator.
//!
//! [`Policy::decide`] asks the [`Rule`]s in their order of precedence; the first that has something to say decides, and
//! the last of them, the model, always has. What it compared comes with the decision as [`Terms`], so that whoever is
//! told the decision can work it out again.

mod cost;
mod idle;
mod sentence;
mod terms;

use crate::day::Day;
use crate::prices::Prices;
use crate::signals::Signals;
use crate::tier::{PerTier, Tier};
pub use cost::Waits;
pub use idle::Thresholds;
use serde::Serialize;
pub use terms::{Ascent, Course, Descent, Regret, Terms};

/// How decisions are made. [`Policy::COST`] is the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub model: Model,
    pub day: Day,
    /// For so many days a bucket is watched before the model moves anything in it.
    pub warm_up_days: f64,
    /// The model demotes nothing that was read, or written, in so many hours.
    pub least_idle_hours: f64,
}

/// What decides where no rule does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Expected cost, with waits that follow from the prices.
    Cost(Waits),
    /// Thresholds by idle time, for those who want to do it in their head.
    Idle(Thresholds),
}

/// What is known of an object. Times are milliseconds of Unix time.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    pub size: u64,
    /// Where it lies, and since when.
    pub tier: Tier,
    pub since: u64,
    pub written: u64,
    /// Its use, and that of its group; nothing where it wasn't read yet.
    pub own: Option<&'a Signals>,
    pub group: Option<&'a Signals>,
    /// Since when its bucket is watched.
    pub watched_since: u64,
    pub wishes: Wishes,
    /// Set while its tier is too full.
    pub pressure: Option<Pressure>,
}

/// What people, and the rules they set, want of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// By an operator's hand.
    pub pin: Option<Pin>,
    /// By the object's metadata, with its end if it has one.
    pub hint: Option<Pin>,
    pub priority: Priority,
    pub class: StorageClass,
    /// A lifecycle rule's transition that is due.
    pub lifecycle: Option<Tier>,
    /// When an operator moved it to where it lies, if nothing else was decided since.
    pub by_hand: Option<u64>,
}

/// A tier that is set, until a time or for good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pin {
    pub tier: Tier,
    pub until: Option<u64>,
}

/// What slow reads are worth: a latency's price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// A read that isn't served from hot costs something on top.
    Latency,
    /// Money alone counts; so it does with `Cost`, which says it of objects whose bucket says otherwise.
    #[default]
    Balanced,
    Cost,
}

impl Priority {
    /// What 1,000 reads from another tier than hot are taken to cost on top, in dollars: ten of cold's requests.
    fn slow_reads_1000(self) -> f64 {
        match self {
            Priority::Latency => 0.1,
            Priority::Balanced | Priority::Cost => 0.0,
        }
    }
}

/// What the declared storage class leaves to decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageClass {
    /// `STANDARD`, `INTELLIGENT_TIERING`.
    #[default]
    Free,
    /// A class that names a tier.
    Fixed(Tier),
}

/// How far a tier that is too full has to go: its objects of least [regret](Regret) are to leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    /// Objects go whose regret, in dollars a GB and month, is at most this.
    pub regret: f64,
    /// A colder tier that has no room either.
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
    Model,
}

impl Rule {
    pub const ALL: [Rule; 10] = [
        Rule::Pin,
        Rule::Hint,
        Rule::StorageClass,
        Rule::Lifecycle,
        Rule::Capacity,
        Rule::Spike,
        Rule::ByHand,
        Rule::WarmUp,
        Rule::LeastIdle,
        Rule::Model,
    ];
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has nothing to say.
    Silent,
    /// The object should lie in this tier; ask again at that time, or when something happens to the object.
    Wants { tier: Tier, until: Option<u64> },
}

/// Where an object should lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub tier: Tier,
    /// The rule that decided.
    pub by: Rule,
    /// What each rule said, in order of precedence.
    pub rules: [(Rule, Verdict); 10],
    pub terms: Terms,
    /// When to decide again, if nothing happens before; nothing where only a read, a write or a wish changes it.
    pub next_review: Option<u64>,
}

impl Policy {
    /// Expected cost with [`Waits::DEFAULT`].
    pub const COST: Policy = Policy {
        model: Model::Cost(Waits::DEFAULT),
        day: Day::REAL,
        warm_up_days: 7.0,
        least_idle_hours: 48.0,
    };
    /// Idle time with [`Thresholds::DEFAULT`].
    pub const IDLE: Policy = Policy { model: Model::Idle(Thresholds::DEFAULT), ..Policy::COST };

    /// The same for who has these tiers alone: with thresholds, what would go to one that isn't there goes to the next warmer
    /// one.
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
            Rule::Capacity => relieve(features.pressure, terms),
            Rule::Spike => match features.own {
                Some(own) if features.tier > Tier::Hot && own.spikes(now, self.day) => {
                    Verdict::Wants { tier: Tier::Hot, until: Some(terms.last + self.day.hours(1.0)) }
                }
                _ => Verdict::Silent,
            },
            // It was meant so: for as long as a bucket is watched, or until it is read there.
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

/// The tier that costs least of the colder ones takes what the full one gives.
fn relieve(pressure: Option<Pressure>, terms: &Terms) -> Verdict {
    match (pressure, terms.regret) {
        (Some(pressure), Some(Regret { to, dollars })) if dollars <= pressure.regret => {
            Verdict::Wants { tier: to, until: None }
        }
        _ => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests;
