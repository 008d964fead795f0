//! The counts of a load: a histogram of latencies for each kind of request, and the number of errors by their text.

use crate::client::connection::{Answer, Failure};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// The kind of a single request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Get,
    Head,
    List,
    Delete,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Put, Kind::Get, Kind::Head, Kind::List, Kind::Delete];

    pub fn name(self) -> &'static str {
        ["put", "get", "head", "list", "delete"][self as usize]
    }
}

/// The counts of one phase, of one worker or of all together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Latencies in nanoseconds by kind of request; nothing for a kind that was never sent.
    latencies: [Option<Histogram<u64>>; Kind::ALL.len()],
    bytes: u64,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts a request that succeeded, and how many bytes of a body it moved.
    pub fn success(&mut self, kind: Kind, took: Duration, bytes: usize) {
        let histogram = self.latencies[kind as usize].get_or_insert_with(empty);
        histogram.saturating_record(took.as_nanos() as u64);
        self.bytes += bytes as u64;
    }

    /// Counts an answer with the wrong status or length, under its S3 error code where it has one.
    pub fn refused(&mut self, answer: &Answer) {
        let text = String::from_utf8_lossy(&answer.error);
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let name = match code {
            Some((code, _)) => format!("{} {code}", answer.status),
            None => format!("unexpected {}", answer.status),
        };
        self.count(name);
    }

    pub fn failed(&mut self, failure: &Failure) {
        self.count(failure.to_string());
    }

    /// Counts an error under its text.
    pub fn count(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    pub fn add(&mut self, other: Tally) {
        for (mine, theirs) in self.latencies.iter_mut().zip(other.latencies) {
            if let Some(theirs) = theirs {
                // All histograms have the same bounds, so that adding one to another cannot fail.
                let _ = mine.get_or_insert_with(empty).add(&theirs);
            }
        }
        self.bytes += other.bytes;
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    pub fn latencies(&self, kind: Kind) -> Option<&Histogram<u64>> {
        self.latencies[kind as usize].as_ref()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn errors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.errors.iter().map(|(error, count)| (error.as_str(), *count))
    }
}

/// A histogram without counts, which holds latencies from a microsecond to ten minutes to three significant digits.
fn empty() -> Histogram<u64> {
    #[allow(clippy::expect_used)] // bounds and digits are constants, which the tests use
    Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("the bounds are valid")
}
