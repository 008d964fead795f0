//! Classifies files with the built-in model: a line of JSON for each path on standard input. `bench/classifier` uses
//! it.

use std::io::{BufRead, Write};
use std::time::Duration;
use stratum_classify::{Classified, Classifier};
use stratum_tiering::content::{Sample, Sampler};

#[allow(clippy::disallowed_methods, reason = "it measures")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn sample(path: &str) -> std::io::Result<Sample> {
    let mut sampler = Sampler::default();
    for piece in std::fs::read(path)?.chunks(64 << 10) {
        sampler.push(piece);
    }
    Ok(sampler.finish())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (before, began) = (resident(), now());
    let mut classifier = Classifier::built_in()?;
    let load = began.elapsed();
    let mut out = std::io::stdout().lock();
    let mut spent: Vec<Duration> = Vec::new();
    for path in std::io::stdin().lock().lines() {
        let path = path?;
        let sample = sample(&path)?;
        let began = now();
        let Classified { label, score, best, seen } = classifier.classify(&sample)?;
        spent.push(began.elapsed());
        let line = serde_json::json!({
            "path": path, "label": label, "score": score, "best": best, "class": seen.class, "shrinks": seen.shrinks,
        });
        writeln!(out, "{line}")?;
    }
    spent.sort_unstable();
    let at = |part: usize| spent.get(spent.len().saturating_sub(1) * part / 100).copied().unwrap_or_default();
    let micros = |time: Duration| time.as_micros() as u64;
    let line = serde_json::json!({
        "load_us": micros(load), "p50_us": micros(at(50)), "p99_us": micros(at(99)),
        "memory_kib": resident().saturating_sub(before),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
