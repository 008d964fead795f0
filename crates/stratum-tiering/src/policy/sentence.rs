//! A decision in a sentence.

use super::terms::{Ascent, Course, Descent, Terms};
use super::{Decision, Rule};
use crate::day::{Day, Lasting};
use std::fmt::Display;
use std::num::NonZeroU64;

impl Decision {
    /// Why the object lies, or should lie, where it does, for a person to read.
    pub fn sentence(&self) -> String {
        let terms = &self.terms;
        let place = if self.tier == terms.tier {
            format!("It stays in {}", self.tier)
        } else {
            format!("It goes from {} to {}", terms.tier, self.tier)
        };
        format!("{place}: {}.", self.reason())
    }

    fn reason(&self) -> String {
        let terms = &self.terms;
        let until = self.next_review.map(|until| format!(" for {}", terms.lasting(terms.now, until)));
        let until = until.unwrap_or_default();
        match self.by {
            Rule::Pin => format!("it is pinned there by hand{until}"),
            Rule::Hint => format!("its metadata asks for that{until}"),
            Rule::StorageClass => "its storage class says so".to_owned(),
            Rule::Lifecycle => "a lifecycle rule says so".to_owned(),
            Rule::Capacity => {
                let regret = terms.regret.map_or(0.0, |regret| regret.dollars);
                format!("{} is too full, and leaving it costs {regret:.4} dollars a GB and month", terms.tier)
            }
            Rule::Spike => "it is suddenly read ten times as often as usual".to_owned(),
            Rule::ByHand => {
                format!("it was moved there by hand, which is left alone{until} more unless it is read")
            }
            Rule::WarmUp => {
                format!("its bucket is being watched{until} more before anything in it is moved by its use")
            }
            Rule::LeastIdle => {
                format!("it was in use {} ago, too lately to go down", terms.lasting(terms.last, terms.now))
            }
            Rule::Model => self.course(),
        }
    }

    fn course(&self) -> String {
        let terms = &self.terms;
        match &terms.course {
            Course::Rest => "no other tier is cheaper for it".to_owned(),
            Course::Return => "it was read again".to_owned(),
            Course::Idle { to, after_days, .. } => format!(
                "it was last in use {} ago, and goes to {to} after {after_days} days",
                terms.lasting(terms.last, terms.now)
            ),
            Course::Ascend(Ascent { reads_to_repay, .. }) if self.tier == terms.tier => {
                format!("it was read, but only {reads_to_repay:.0} more reads would repay the way up")
            }
            Course::Ascend(Ascent { reads_to_repay, .. }) => {
                format!("it was read again, and {:.0} more reads repay the way up", reads_to_repay.ceil())
            }
            Course::Descend(descent) => self.descent(descent),
        }
    }

    fn descent(&self, descent: &Descent) -> String {
        let terms = &self.terms;
        let own = terms.lasting(terms.last, terms.now);
        let group = terms.lasting(terms.group_last, terms.now);
        let known = if terms.gap_days.is_some() && descent.shortened < 1.0 {
            ", and was left for long before"
        } else {
            ""
        };
        let due = if self.tier == terms.tier {
            format!(
                "goes to {} in {} unless it or its group is read",
                descent.to,
                terms.lasting(terms.now, descent.due)
            )
        } else {
            format!("is cheaper in {} if it stays there for {:.0} days", descent.to, descent.break_even_days)
        };
        format!("it was last in use {own} ago and its group {group} ago{known}; it {due}")
    }
}

impl Terms {
    fn lasting(&self, from: u64, to: u64) -> impl Display + use<> {
        let day = Day::new(NonZeroU64::new(self.day).unwrap_or(NonZeroU64::MIN));
        Lasting(day.between(from, to))
    }
}
