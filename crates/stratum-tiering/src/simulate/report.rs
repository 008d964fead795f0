//! The result of a simulation: as a table with bars for people, as JSON for programs.

use super::charges::Costs;
use crate::tier::PerTier;
use serde_json::{Value, json};
use std::fmt::{self, Display};

/// The length of the longest bar, in characters.
const BAR_CHARS: f64 = 24.0;
/// The digits behind the point of dollars in the table: with the most there is a blank between columns still.
const LEAST_DIGITS: f64 = 4.0;
const MOST_DIGITS: f64 = 7.0;

/// What one contender's placement cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    pub costs: Costs,
    /// Reads except each object's first, by the tier in which they found the object.
    pub reads: PerTier<u64>,
    /// Moves, by the tier to which they went.
    pub moves: PerTier<u64>,
}

/// The outcomes of all contenders, and the optimum.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub reads: usize,
    pub objects: usize,
    pub bytes: u64,
    pub days: f64,
    pub optimum: Costs,
    pub outcomes: Vec<(String, Outcome)>,
}

impl Report {
    /// A contender's cost as a multiple of the optimum.
    pub fn ratio(&self, outcome: &Outcome) -> f64 {
        let optimum = self.optimum.total();
        if optimum > 0.0 { outcome.costs.total() / optimum } else { 1.0 }
    }

    /// With how many digits behind the point dollars are told: four, or as many as show three digits of the least total,
    /// as far as there is room.
    fn digits(&self) -> usize {
        let totals = self.outcomes.iter().map(|(_, outcome)| outcome.costs.total());
        let least = totals.chain([self.optimum.total()]).filter(|total| *total > 0.0).fold(1.0, f64::min);
        (2.0 - least.log10().floor()).clamp(LEAST_DIGITS, MOST_DIGITS) as usize
    }

    /// `{"optimum": dollars, "policies": {NAME: {"total", "ratio", "storage", ...}}, "trace": {...}}`, in dollars.
    pub fn json(&self) -> Value {
        let policies = self.outcomes.iter().map(|(name, outcome)| (name.clone(), self.outcome_json(outcome)));
        json!({
            "optimum": self.optimum.total(),
            "policies": policies.collect::<serde_json::Map<_, _>>(),
            "trace": { "reads": self.reads, "objects": self.objects, "bytes": self.bytes, "days": self.days },
        })
    }

    fn outcome_json(&self, outcome: &Outcome) -> Value {
        let Outcome { costs, reads, moves } = outcome;
        json!({
            "total": costs.total(),
            "ratio": self.ratio(outcome),
            "storage": costs.storage,
            "requests": costs.requests,
            "retrieval": costs.retrieval,
            "moves": costs.moves,
            "misses": { "warm": reads.warm, "cold": reads.cold },
            "moved": { "hot": moves.hot, "warm": moves.warm, "cold": moves.cold },
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let gib = self.bytes as f64 / (1u64 << 30) as f64;
        writeln!(
            f,
            "{} reads of {} objects, {gib:.1} GiB, over {:.0} days",
            self.reads, self.objects, self.days
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<14}{:>11}{:>7}  {:>11}{:>11}{:>11}{:>11}{:>11}{:>11}",
            "policy",
            "dollars",
            "ratio",
            "storage",
            "requests",
            "retrieval",
            "moves",
            "warm reads",
            "cold reads"
        )?;
        let optimum = ("optimum".to_owned(), Outcome { costs: self.optimum, ..Outcome::default() });
        let rows = || std::iter::once(&optimum).chain(&self.outcomes);
        let longest = rows().map(|(_, outcome)| self.ratio(outcome)).fold(1.0, f64::max);
        let digits = self.digits();
        for (name, outcome) in rows() {
            let Outcome { costs, reads, .. } = outcome;
            write!(f, "{name:<14}{:>11.digits$}{:>7.3}  ", costs.total(), self.ratio(outcome))?;
            write!(f, "{:>11.digits$}{:>11.digits$}", costs.storage, costs.requests)?;
            write!(f, "{:>11.digits$}{:>11.digits$}", costs.retrieval, costs.moves)?;
            let bar = "█".repeat((self.ratio(outcome) / longest * BAR_CHARS).round() as usize);
            match name.as_str() {
                "optimum" => writeln!(f, "{:>11}{:>11}  {bar}", "", "")?,
                _ => writeln!(f, "{:>11}{:>11}  {bar}", reads.warm, reads.cold)?,
            }
        }
        Ok(())
    }
}
