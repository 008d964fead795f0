//! The report of a check, as text or as JSON.
//!
//! A badly damaged store has more findings than anybody reads, and the report is held in memory: of each severity it
//! holds the first [`MAX_TOLD_FINDINGS`] findings, and only the number of the others.

use super::examine::Examined;
use super::finding::Finding;
use serde::{Deserialize, Serialize};
use stratum_metadata::check::{Checked, Severity};

/// The most findings of one severity that a report holds.
const MAX_TOLD_FINDINGS: u64 = 2_000;

/// The report of a check.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub findings: Vec<Told>,
    /// How many findings there are that the report doesn't hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untold: u64,
    /// How many findings there are in all.
    #[serde(default)]
    pub counts: Counts,
    /// Sentences about what `--repair` did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mended: Vec<String>,
    pub objects: u64,
    pub parts: u64,
    pub stripes: u64,
    pub bytes: u64,
}

/// How many findings of each severity there are, whether the report holds them or not.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    pub losses: u64,
    pub wrong: u64,
    pub weak: u64,
    pub notes: u64,
}

impl Counts {
    fn of(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Loss => &mut self.losses,
            Severity::Wrong => &mut self.wrong,
            Severity::Weak => &mut self.weak,
            Severity::Note => &mut self.notes,
        }
    }
}

/// A finding as the report holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    pub severity: Severity,
    pub text: String,
}

impl From<Examined> for Report {
    fn from(examined: Examined) -> Report {
        let mut report = Report::default();
        examined.findings.iter().for_each(|finding| report.tell(finding));
        report.count(&examined.checked);
        (report.stripes, report.bytes) = (examined.stripes, examined.bytes);
        report.sort();
        report
    }
}

impl Report {
    /// Adds a finding, or only counts it if the report holds enough of its severity.
    pub fn tell(&mut self, finding: &Finding) {
        let severity = finding.severity();
        let count = self.counts.of(severity);
        *count += 1;
        if *count <= MAX_TOLD_FINDINGS {
            self.findings.push(Told { severity, text: finding.to_string() });
        } else {
            self.untold += 1;
        }
    }

    pub fn count(&mut self, checked: &Checked) {
        (self.objects, self.parts) = (checked.objects, checked.parts);
    }

    /// Sorts the findings, the worst first.
    pub fn sort(&mut self) {
        self.findings.sort_by_key(|told| std::cmp::Reverse(told.severity));
    }

    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|told| told.severity == Severity::Note)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for text in &self.mended {
            writeln!(f, "mended: {text}")?;
        }
        for Told { severity, text } in &self.findings {
            let word = match severity {
                Severity::Note => "note",
                Severity::Weak => "weak",
                Severity::Wrong => "wrong",
                Severity::Loss => "LOST",
            };
            writeln!(f, "{word}: {text}")?;
        }
        if self.untold > 0 {
            writeln!(f, "and {} more of the same", self.untold)?;
        }
        let (objects, parts, stripes) = (self.objects, self.parts, self.stripes);
        writeln!(
            f,
            "{objects} objects, {parts} parts, {stripes} stripes ({} MiB) were checked.",
            self.bytes >> 20
        )?;
        let Counts { losses, wrong, weak, .. } = self.counts;
        match self.is_well() {
            true => writeln!(f, "All is well."),
            false => writeln!(
                f,
                "{losses} losses, {wrong} things that are wrong, {weak} that are weaker than they should be."
            ),
        }
    }
}

/// The sentence about the unfinished files that a repair removed, if there were any.
pub fn removed(leftovers: usize) -> Option<String> {
    (leftovers > 0).then(|| format!("{leftovers} files that were never finished were removed"))
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_severity_the_report_holds_the_first_findings_and_counts_the_others() {
        let lost = |number: u64| Finding::Lost { owner: format!("object {number}") };
        let mut report = Report::default();
        (0..MAX_TOLD_FINDINGS + 7).for_each(|number| report.tell(&lost(number)));
        report.tell(&Finding::UnknownFile { drive: "hot/0".into(), path: "volumes/x".into() });
        assert_eq!((report.findings.len() as u64, report.untold), (MAX_TOLD_FINDINGS + 1, 7));
        let text = report.to_string();
        assert!(!report.is_well() && text.contains("and 7 more of the same\n"), "{text}");
        let last = format!("{} losses, 1 things that are wrong, 0 that are weaker", MAX_TOLD_FINDINGS + 7);
        assert!(text.lines().next_back().is_some_and(|line| line.starts_with(&last)), "{text}");
    }
}
