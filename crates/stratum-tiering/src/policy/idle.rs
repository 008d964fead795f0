//! The alternative model: an object goes down after a fixed number of days without a read, and back to hot on any
//! read.

use super::terms::{Course, Terms};
use crate::day::Day;
use crate::tier::{PerTier, Tier};

/// After how many days without a read an object goes to warm, and to cold; `None`: never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub warm_days: Option<f64>,
    pub cold_days: Option<f64>,
}

impl Thresholds {
    /// Directly to cold after a fortnight: on real traces the best, or nearly, of the rules of this kind.
    pub const DEFAULT: Thresholds = Thresholds { warm_days: None, cold_days: Some(14.0) };
}

impl Thresholds {
    pub(super) fn over(self, has: PerTier<bool>) -> Thresholds {
        let warm = [self.warm_days, self.cold_days.filter(|_| !has.cold)].into_iter().flatten();
        Thresholds {
            warm_days: warm.min_by(f64::total_cmp).filter(|_| has.warm),
            cold_days: self.cold_days.filter(|_| has.cold),
        }
    }
}

pub(super) fn course(thresholds: &Thresholds, terms: &Terms, day: Day) -> Course {
    let (idle, _) = terms.quiet_days(day);
    let after = [(Tier::Warm, thresholds.warm_days), (Tier::Cold, thresholds.cold_days)];
    let mut steps = after.into_iter().filter_map(|(to, days)| days.map(|days| (to, days)));
    let reached = steps.clone().filter(|(_, days)| idle >= *days).map(|(to, _)| to).max();
    if terms.tier > Tier::Hot && terms.read_since && reached.is_none() {
        return Course::Return;
    }
    let colder = |(to, _): &(Tier, f64)| *to > terms.tier && reached.is_none_or(|reached| *to >= reached);
    steps.find(colder).map_or(Course::Rest, |(to, after_days)| Course::Idle {
        to,
        after_days,
        due: terms.last.saturating_add(day.days(after_days)),
    })
}
