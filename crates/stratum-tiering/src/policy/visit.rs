//! Visits that can be foreseen: an object that is read at the same hour of the same weekdays again and again is in hot
//! by then, if that costs less than being read where it would lie.
//!
//! Two courses are compared, from now until the visit is over. *Early*: the object comes up ahead, or stays in hot
//! until then. *Late*: the visit finds it in a colder tier, and the model goes on as it does after any read. Money
//! alone hardly ever asks for the first, since coming up reads all of an object that one read, made where it lies,
//! brings up as well. A read that is slow must cost something too ([`Priority::Latency`](super::Priority)), or moves
//! so much that the model brings nothing up for a single read. Staying in hot pays sooner: it spares the ways down
//! and up.

use super::terms::{Course, Descent, Terms};
use super::{Features, Model, Policy, Verdict, cost};
use crate::day::MONTH_DAYS;
use crate::signals::{Expected, SESSION_PAUSE_HOURS};
use crate::tier::Tier;
use serde::Serialize;

/// A visit that is foreseen, and what it costs to be in hot by then and not to be. Times are milliseconds of Unix
/// time, money is dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Visit {
    /// The hour at which it is expected; when the object is to be in hot; and when it is too late for the visit.
    pub at: u64,
    pub ready: u64,
    pub until: u64,
    /// The hour of the day (UTC) of the visits, and their weekdays from Monday on.
    pub hour: usize,
    pub weekdays: [bool; 7],
    /// How many visits in a row came when they were expected, and how sure the next one is by that, 0 to 1.
    pub hits: u8,
    pub sure: f64,
    /// Whether these are visits to the object's group, in which the object took part.
    pub of_group: bool,
    /// How many reads a visit has.
    pub reads: f64,
    /// The colder tier that is compared with hot: that in which the object lies, or to which it would go.
    pub below: Tier,
    /// Whether the model brings the object up from there when it is read, and for how many days it then stays.
    pub returns: bool,
    pub stay_days: f64,
    pub early: f64,
    pub late: f64,
}

/// What the model does with an object that is read in a colder tier.
pub(super) struct Return {
    pub is_wanted: bool,
    pub stay_days: f64,
}

impl Visit {
    /// The visit that is foreseen as of now, if there is one; `terms` lack nothing but that.
    pub(super) fn foreseen(policy: &Policy, features: &Features, terms: &Terms) -> Option<Visit> {
        let (expected, of_group) = expected(policy, features)?;
        if terms.now >= expected.until {
            return None;
        }
        let ready = expected.at.saturating_sub(policy.day.hours(policy.lead_hours));
        let visit = |below| {
            let Return { is_wanted, stay_days } = policy.after_read(terms, below);
            let hits = f64::from(expected.hits);
            let visit = Visit {
                at: expected.at,
                ready,
                until: expected.until,
                hour: expected.hour,
                weekdays: expected.weekdays,
                hits: expected.hits,
                sure: (hits + 1.0) / (hits + 2.0),
                of_group,
                reads: reads(features, terms),
                below,
                returns: is_wanted,
                stay_days,
                early: 0.0,
                late: 0.0,
            };
            visit.priced(terms)
        };
        let is_cheaper = |tier: &Tier| terms.storage_month[*tier] < terms.storage_month[Tier::Hot];
        match terms.tier {
            // What came up ahead of the visit stays until then, wherever else it might be cheap.
            Tier::Hot if terms.now >= ready => {
                let visits = Tier::Hot.colder().filter(is_cheaper).map(visit);
                visits.max_by(|a, b| a.spares().total_cmp(&b.spares()))
            }
            Tier::Hot => match terms.course {
                Course::Descend(Descent { to, .. }) | Course::Idle { to, .. } => Some(visit(to)),
                Course::Rest | Course::Ascend(_) | Course::Return => None,
            },
            below => Some(visit(below)),
        }
    }

    fn priced(self, terms: &Terms) -> Visit {
        let below = self.below;
        let dearer = (terms.storage_month[Tier::Hot] - terms.storage_month[below]) / MONTH_DAYS;
        let days = |from, to| terms.day().between(from, to);
        let down = terms.put[below] + terms.get[Tier::Hot];
        let down_again = down + dearer * self.stay_days;
        let slower = terms.read[below] - terms.read[Tier::Hot];
        let visited = match self.returns {
            true => slower + terms.put[Tier::Hot] + down_again,
            false => slower * self.reads,
        };
        let up = terms.get[below] + terms.retrieval[below] + terms.put[Tier::Hot];
        let (early, late) = match terms.tier {
            Tier::Hot => (dearer * days(terms.now, self.at), down),
            _ => (up + dearer * days(self.ready, self.at), 0.0),
        };
        Visit { early: early + down_again, late: late + self.sure * visited, ..self }
    }

    fn spares(&self) -> f64 {
        self.late - self.early
    }

    /// Whether it pays to be in hot by then.
    pub fn pays(&self) -> bool {
        self.spares() > 0.0
    }

    pub(super) fn wants(&self, terms: &Terms) -> Verdict {
        let Verdict::Wants { tier: modelled, until } = terms.course.wants(terms) else {
            return Verdict::Silent;
        };
        let in_hot = Verdict::Wants { tier: Tier::Hot, until: Some(self.until) };
        match terms.tier {
            _ if !self.pays() => Verdict::Silent,
            Tier::Hot if modelled > Tier::Hot => in_hot,
            Tier::Hot => Verdict::Silent,
            _ if modelled < terms.tier => Verdict::Silent,
            _ if terms.now >= self.ready => in_hot,
            below if modelled == below => {
                let review = until.map_or(self.ready, |until| until.min(self.ready));
                Verdict::Wants { tier: below, until: Some(review) }
            }
            _ => Verdict::Silent,
        }
    }
}

/// When the object's next visit is expected, or else its group's: the object must have been read at the last one, and
/// have come back at the time of day of the one before. The last visits must all have come when they were expected.
fn expected(policy: &Policy, features: &Features) -> Option<(Expected, bool)> {
    let (own, day) = (features.own?, policy.day);
    let is_proven = |expected: &Expected| expected.hits >= policy.proven_visits;
    let of_own = own.expected(day)?;
    if is_proven(&of_own) {
        return Some((of_own, false));
    }
    let group = features.group.filter(|_| of_own.hits > 0)?;
    let last_visit = group.last()?.saturating_sub(day.hours(SESSION_PAUSE_HOURS));
    let took_part = own.last().is_some_and(|last| last >= last_visit);
    group.expected(day).filter(|of_group| took_part && is_proven(of_group)).map(|of_group| (of_group, true))
}

/// How many reads a visit has: one, or as many as come in a pause like the last.
fn reads(features: &Features, terms: &Terms) -> f64 {
    let pause = features.own.and_then(|own| own.gap_days()).unwrap_or(0.0);
    (terms.monthly_reads / MONTH_DAYS * pause).max(1.0)
}

impl Policy {
    fn after_read(&self, terms: &Terms, below: Tier) -> Return {
        match &self.model {
            Model::Cost(waits) => cost::after_read(waits, terms, self.day, below),
            // Any read brings an object back; what it costs until it goes again is the same early and late.
            Model::Idle(_) => Return { is_wanted: true, stay_days: 0.0 },
        }
    }
}
