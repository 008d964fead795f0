//! A decision told in one sentence.

use super::terms::{Ascent, Course, Descent, Regret, Terms};
use super::{Decision, Rule, Visit};
use crate::day::{FORESEEN_DAYS, Lasting};
use crate::prices::dollars;
use crate::tier::Tier;
use std::fmt::Display;

impl Decision {
    /// Why the object stays in its tier, or should move to another, for a person to read.
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
        let until = self.next_review.filter(|until| terms.is_foreseen(*until));
        let until = until.map(|until| format!(" for {}", terms.lasting(terms.now, until)));
        let until = until.unwrap_or_default();
        match self.by {
            Rule::Pin => format!("it is pinned there by hand{until}"),
            Rule::Hint => format!("its metadata asks for that{until}"),
            Rule::StorageClass => "its storage class says so".to_owned(),
            Rule::Lifecycle => "a lifecycle rule says so".to_owned(),
            Rule::Capacity => match terms.regret {
                Some(Regret { dollars: regret, .. }) if regret > 0.0 => {
                    format!(
                        "{} is too full, and leaving it costs {} a GB and month",
                        terms.tier,
                        dollars(regret)
                    )
                }
                _ => format!("{} is too full, and it costs no more in {}", terms.tier, self.tier),
            },
            Rule::Spike => "it is suddenly read ten times as often as usual".to_owned(),
            Rule::ByHand => {
                let more = if until.is_empty() { "" } else { " more" };
                format!("it was moved there by hand, which is left alone{until}{more} unless it is read")
            }
            Rule::WarmUp => {
                let more = if until.is_empty() { "" } else { " more" };
                format!("its bucket is being watched{until}{more} before anything in it is moved by its use")
            }
            Rule::LeastIdle => format!("{}; that is too lately to go down", terms.last_use()),
            Rule::Visit => terms.visit.map_or_else(String::new, |visit| self.visit(&visit)),
            Rule::Model => self.course(),
        }
    }

    fn visit(&self, visit: &Visit) -> String {
        let terms = &self.terms;
        let whose = if visit.of_group { "it and its group are" } else { "it is" };
        let weekdays = weekdays(&visit.weekdays);
        let read = format!(
            "{whose} read {weekdays} about {:02}:00 UTC, the last {} times as expected",
            visit.hour, visit.hits
        );
        let next = match visit.at > terms.now {
            true => format!("the next time in {}", terms.lasting(terms.now, visit.at)),
            false => "the next time now".to_owned(),
        };
        let why = match (terms.tier, self.tier) {
            (Tier::Hot, _) => format!("staying until then costs less than being read in {}", visit.below),
            (_, Tier::Hot) => "being there by then costs less than being read where it lies".to_owned(),
            _ => format!("it goes to hot {} before", terms.lasting(visit.ready, visit.at)),
        };
        format!("{read}, {next}; {why}")
    }

    fn course(&self) -> String {
        let terms = &self.terms;
        match &terms.course {
            Course::Rest => "no other tier is cheaper for it".to_owned(),
            Course::Return => "it was read again".to_owned(),
            Course::Idle { to, after_days, .. } => {
                format!("{}; it goes to {to} after {after_days} days without use", terms.last_use())
            }
            Course::Ascend(Ascent { reads_to_repay, .. }) if self.tier == terms.tier => {
                format!("it was read, but only {} would repay the way up", more_reads(reads_to_repay.round()))
            }
            Course::Ascend(Ascent { reads_to_repay, .. }) => {
                let repaying = reads_to_repay.ceil();
                let repay = if repaying == 1.0 { "repays" } else { "repay" };
                format!("it was read again, and {} {repay} the way up", more_reads(repaying))
            }
            Course::Descend(descent) => self.descent(descent),
        }
    }

    fn descent(&self, descent: &Descent) -> String {
        let terms = &self.terms;
        let known = match terms.gap_days {
            Some(gap) if descent.steady_wait_days > 0.0 => {
                format!(", and twice before was read again after {}", Lasting(gap))
            }
            Some(_) if descent.shortened < 1.0 => ", and was left for long before".to_owned(),
            _ => String::new(),
        };
        let group = match terms.group_last > terms.last {
            true => {
                let ago = terms.lasting(terms.group_last, terms.now);
                format!("; others of its group were read {ago} ago")
            }
            false => String::new(),
        };
        let due = if self.tier != terms.tier {
            format!("is cheaper in {} if it stays there for {:.0} days", descent.to, descent.break_even_days)
        } else if terms.is_foreseen(descent.due) {
            format!(
                "goes to {} in {} unless it or its group is read",
                descent.to,
                terms.lasting(terms.now, descent.due)
            )
        } else {
            format!("would take many years in {} to repay the way there", descent.to)
        };
        format!("{}{known}{group}; it {due}", terms.last_use())
    }
}

impl Terms {
    fn last_use(&self) -> String {
        let ago = self.lasting(self.last, self.now);
        match self.is_read {
            true => format!("it was last read {ago} ago"),
            false => format!("it was written {ago} ago, and no read of it is known since"),
        }
    }

    /// Whether a time is near enough for a person to be told of it.
    fn is_foreseen(&self, time: u64) -> bool {
        self.day().between(self.now, time) < FORESEEN_DAYS
    }

    fn lasting(&self, from: u64, to: u64) -> impl Display + use<> {
        Lasting(self.day().between(from, to))
    }
}

/// "every day", "every Monday and Friday".
fn weekdays(are: &[bool; 7]) -> String {
    const NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let names: Vec<&str> = NAMES.into_iter().zip(are).filter(|(_, is)| **is).map(|(name, _)| name).collect();
    match names.split_last() {
        Some((last, [])) => format!("every {last}"),
        Some((last, others)) if names.len() < NAMES.len() => {
            format!("every {} and {last}", others.join(", "))
        }
        _ => "every day".to_owned(),
    }
}

/// "One more read", "12 more reads".
fn more_reads(count: f64) -> String {
    match count == 1.0 {
        true => "one more read".to_owned(),
        false => format!("{count:.0} more reads"),
    }
}

#[cfg(test)]
mod tests {
    use super::more_reads;

    #[test]
    fn one_read_is_told_as_one() {
        assert_eq!([0.0, 1.0, 2.0].map(more_reads), ["0 more reads", "one more read", "2 more reads"]);
    }
}
