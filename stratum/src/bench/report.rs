//! The result of a load as it is printed: a table for people, or a JSON document for programs.

use super::BenchArgs;
use super::tally::{Kind, Tally};
use crate::quantity::show_size;
use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The result of a load.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    op: String,
    size: u64,
    concurrency: u32,
    seconds: f64,
    /// Requests that succeeded.
    requests: u64,
    requests_per_second: f64,
    mib_per_second: f64,
    /// The latencies of each kind of request; only a `mixed` load has more than one kind.
    latency: BTreeMap<&'static str, Latency>,
    errors: BTreeMap<String, u64>,
}

/// Latencies in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    requests: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            requests: histogram.len(),
            mean: histogram.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

impl Report {
    pub fn new(args: &BenchArgs, tally: Tally, elapsed: Duration) -> Report {
        let kinds = Kind::ALL.into_iter();
        let latency: BTreeMap<_, _> =
            kinds.filter_map(|kind| Some((kind.name(), Latency::of(tally.latencies(kind)?)))).collect();
        let requests = latency.values().map(|of| of.requests).sum();
        let seconds = elapsed.as_secs_f64().max(1e-9);
        let op = args.op.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        Report {
            op,
            size: args.size,
            concurrency: args.concurrency,
            seconds,
            requests,
            requests_per_second: requests as f64 / seconds,
            mib_per_second: tally.bytes() as f64 / seconds / f64::from(1 << 20),
            latency,
            errors: tally.errors().map(|(error, count)| (error.to_owned(), count)).collect(),
        }
    }

    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The result as a JSON document on one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { op, size, concurrency, seconds, requests, .. } = self;
        let size = show_size(*size);
        writeln!(f, "{op} {size}, {concurrency} at a time: {requests} requests in {seconds:.1} s")?;
        writeln!(f, "  {:.0} requests/s, {:.1} MiB/s", self.requests_per_second, self.mib_per_second)?;
        for (kind, latency) in &self.latency {
            write!(f, "  {kind:6}")?;
            let Latency { p50, p90, p99, p99_9, max, .. } = latency;
            for (name, value) in [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("max", max)] {
                write!(f, "  {name} {:.3} ms", value / 1000.0)?;
            }
            writeln!(f)?;
        }
        if self.errors.is_empty() {
            return write!(f, "  no errors");
        }
        let total: u64 = self.errors.values().sum();
        write!(f, "  {total} errors")?;
        for (error, count) in &self.errors {
            write!(f, "\n    {count} x {error}")?;
        }
        Ok(())
    }
}
