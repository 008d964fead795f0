//! How fast a drive answers reads, as it was lately: what a hedge waits for, and how a slow drive is told.
//!
//! Latencies are counted in buckets that grow by a quarter, and all counts are halved now and then, so that what is
//! told is about the last few thousand reads. Counting costs two atomic additions.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Four buckets for every doubling, from a microsecond to over an hour.
const BUCKETS: usize = 128;
/// Reads after which the counts are halved.
const HALVE_AT: u32 = 4096;
/// Below this many reads nothing is known.
const KNOWN_FROM: u32 = 64;

/// The latencies of a drive's reads.
#[derive(Debug)]
pub struct Pulse {
    buckets: [AtomicU32; BUCKETS],
    total: AtomicU32,
    /// Of the window that [`Pulse::turn_window`] ends: reads, and their time in microseconds.
    window: (AtomicU32, AtomicU64),
    slow: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Pulse {
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
            window: Default::default(),
            slow: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// A read that waited for the drive took this long.
    pub fn record(&self, took: Duration) {
        let micros = took.as_micros().min(u128::from(u64::MAX)) as u64;
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.window.0.fetch_add(1, Ordering::Relaxed);
        self.window.1.fetch_add(micros, Ordering::Relaxed);
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 >= HALVE_AT {
            self.halve();
        }
    }

    fn halve(&self) {
        let mut total = 0;
        for bucket in &self.buckets {
            let count = bucket.load(Ordering::Relaxed) / 2;
            bucket.store(count, Ordering::Relaxed);
            total += count;
        }
        self.total.store(total, Ordering::Relaxed);
    }

    /// What 99 of 100 of the last reads stayed under, once enough were seen.
    pub fn p99(&self) -> Option<Duration> {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed));
        let total: u32 = counts.iter().sum();
        if total < KNOWN_FROM {
            return None;
        }
        let mut above = total / 100;
        let top = counts.iter().rposition(|count| match above.checked_sub(*count) {
            Some(rest) => {
                above = rest;
                false
            }
            None => true,
        });
        Some(Duration::from_micros(end_of(top.unwrap_or_default())))
    }

    /// Ends a window; the mean of its reads, if there were any.
    pub fn turn_window(&self) -> Option<Duration> {
        let reads = self.window.0.swap(0, Ordering::Relaxed);
        let micros = self.window.1.swap(0, Ordering::Relaxed);
        (reads > 0).then(|| Duration::from_micros(micros / u64::from(reads)))
    }

    /// Whether the drive is slow beside its peers, as was last judged.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    pub fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }
}

fn bucket_of(micros: u64) -> usize {
    let doublings = micros.max(1).ilog2();
    let quarter = (micros.max(1) >> doublings.saturating_sub(2)) & 3;
    let quarter = if doublings < 2 { 0 } else { quarter };
    (doublings as usize * 4 + quarter as usize).min(BUCKETS - 1)
}

/// Where a bucket ends, in microseconds.
fn end_of(bucket: usize) -> u64 {
    let (doublings, quarter) = (bucket / 4, bucket as u64 % 4);
    match doublings {
        0 | 1 => 2 << doublings,
        _ => (5 + quarter) << (doublings - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        for micros in [1, 2, 3, 4, 5, 100, 1000, 12_345, 1 << 30] {
            let end = end_of(bucket_of(micros));
            assert!(micros < end && end <= micros * 2, "{micros} is below {end}");
            assert!(micros < 4 || end <= micros + micros / 4 + 1, "{micros} is below {end}");
        }
        assert!((1..100_000).map(bucket_of).is_sorted());
    }

    #[test]
    fn the_last_in_a_hundred_is_told() {
        let pulse = Pulse::default();
        assert_eq!(pulse.p99(), None);
        for read in 0..1000 {
            pulse.record(Duration::from_micros(if read % 50 == 0 { 30_000 } else { 200 }));
        }
        let p99 = pulse.p99().expect("enough reads");
        assert!((30_000..40_000).contains(&p99.as_micros()), "{p99:?}");
        for _ in 0..20_000 {
            pulse.record(Duration::from_micros(200));
        }
        assert!(
            pulse.p99().expect("enough reads") < Duration::from_micros(300),
            "the slow ones are forgotten"
        );
    }

    #[test]
    fn a_window_has_its_own_mean() {
        let pulse = Pulse::default();
        pulse.record(Duration::from_micros(100));
        pulse.record(Duration::from_micros(300));
        assert_eq!(pulse.turn_window(), Some(Duration::from_micros(200)));
        assert_eq!(pulse.turn_window(), None);
    }
}
