//! How fast a drive answers, as it was lately: what a hedge waits for, and how a slow drive is told.
//!
//! Latencies are counted in buckets that grow by a quarter, and all counts are halved now and then, so that what is
//! told is about the last few thousand operations. Counting costs two atomic additions.

use super::Domain;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Four buckets for every doubling, from a microsecond to over an hour.
const LATENCY_BUCKETS: usize = 128;
/// Reads after which the counts are halved.
const HALVE_AT_READS: u32 = 4096;
/// With fewer reads than this, no latency is given.
const KNOWN_FROM_READS: u32 = 64;
/// From this many waiting reads on, no more are sent to a drive if others can answer.
const BACKLOG_READS: u32 = 64;
/// A drive is slow when its mean latency is over this many times the median of its peers, and at least
/// [`SLOW_FLOOR`], in [`SLOW_WINDOWS`] windows in a row.
const SLOW_FACTOR: u32 = 4;
const SLOW_FLOOR: Duration = Duration::from_millis(20);
/// Windows in a row after which a drive counts as slow; after as many good ones it no longer does.
const SLOW_WINDOWS: i32 = 3;
/// After so many windows without anything to judge by, a slow drive is given another try: it is asked for nothing
/// because it is slow.
const FORGIVEN_AFTER_WINDOWS: u32 = 120;
/// The mean latency assumed of a drive that was asked in a window and answered nothing.
const UNANSWERED_LATENCY: Duration = Duration::from_secs(10);

/// The latencies of a drive's operations of one kind: its reads, or what one of its lanes writes and syncs. Where it
/// says *read* below, it means one of these.
#[derive(Debug)]
pub struct Pulse {
    buckets: [AtomicU32; LATENCY_BUCKETS],
    total: AtomicU32,
    /// Of the window that [`Pulse::turn_window`] ends: reads, and their time in microseconds.
    window: (AtomicU32, AtomicU64),
    waiting: AtomicU32,
    /// Windows in a row in which it was slow; negative: in which it wasn't.
    streak: AtomicI32,
    slow: AtomicBool,
    /// Windows in a row in which there was nothing to judge by.
    idle: AtomicU32,
}

impl Default for Pulse {
    fn default() -> Self {
        Pulse {
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
            window: Default::default(),
            waiting: AtomicU32::new(0),
            streak: AtomicI32::new(0),
            slow: AtomicBool::new(false),
            idle: AtomicU32::new(0),
        }
    }
}

impl Pulse {
    /// A read was sent to the drive; [`Pulse::answered`] follows.
    pub(crate) fn asked(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// A read that was sent to the drive took this long.
    pub(crate) fn answered(&self, took: Duration) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.record(took);
    }

    /// Whether so many reads wait that another would only wait, too.
    pub fn is_backed_up(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= BACKLOG_READS
    }

    fn record(&self, took: Duration) {
        let micros = took.as_micros().min(u128::from(u64::MAX)) as u64;
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.window.0.fetch_add(1, Ordering::Relaxed);
        self.window.1.fetch_add(micros, Ordering::Relaxed);
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 >= HALVE_AT_READS {
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
        if total < KNOWN_FROM_READS {
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

    /// Ends a window; the mean of its reads, if it was asked for any.
    fn turn_window(&self) -> Option<Duration> {
        let reads = self.window.0.swap(0, Ordering::Relaxed);
        let micros = self.window.1.swap(0, Ordering::Relaxed);
        match micros.checked_div(u64::from(reads)) {
            Some(mean) => Some(Duration::from_micros(mean)),
            None => (self.waiting.load(Ordering::Relaxed) > 0).then_some(UNANSWERED_LATENCY),
        }
    }

    /// Judges drives, each with its domain, beside each other by the window that this ends; gives the positions in
    /// `pulses` of those whose judgement changed. To be called every five seconds or so.
    pub fn judge(pulses: &[(Domain, &Pulse)]) -> Vec<usize> {
        let means: Vec<(Domain, Option<Duration>)> =
            pulses.iter().map(|(domain, pulse)| (*domain, pulse.turn_window())).collect();
        let mut changed = Vec::new();
        for (place, (_, pulse)) in pulses.iter().enumerate() {
            let is_news = match (means.get(place).and_then(|(_, mean)| *mean), median_of_peers(&means, place))
            {
                (Some(mean), Some(median)) => pulse.count(mean >= SLOW_FLOOR && mean > median * SLOW_FACTOR),
                // Nobody to compare it with: it stays what it was.
                (Some(_), None) => false,
                (None, _) => pulse.pass_over(),
            };
            if is_news {
                changed.push(place);
            }
        }
        changed
    }

    /// A window in which nothing was asked of it; says whether that changed the judgement.
    fn pass_over(&self) -> bool {
        let idle = self.idle.fetch_add(1, Ordering::Relaxed) + 1;
        if idle < FORGIVEN_AFTER_WINDOWS || !self.is_slow() {
            return false;
        }
        self.streak.store(0, Ordering::Relaxed);
        self.slow.store(false, Ordering::Relaxed);
        true
    }

    /// Counts a window; says whether that changed the judgement.
    fn count(&self, was_slow: bool) -> bool {
        self.idle.store(0, Ordering::Relaxed);
        let streak = self.streak.load(Ordering::Relaxed);
        let streak = match was_slow {
            true => streak.max(0) + 1,
            false => streak.min(0) - 1,
        };
        self.streak.store(streak.clamp(-SLOW_WINDOWS, SLOW_WINDOWS), Ordering::Relaxed);
        match self.is_slow() {
            false if streak >= SLOW_WINDOWS => self.slow.store(true, Ordering::Relaxed),
            true if streak <= -SLOW_WINDOWS => self.slow.store(false, Ordering::Relaxed),
            _ => return false,
        }
        true
    }

    /// Whether the drive is slow beside its peers, as was last judged.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }
}

/// The median of the others' means: of those on other devices, if there are any.
fn median_of_peers(means: &[(Domain, Option<Duration>)], place: usize) -> Option<Duration> {
    let (own, _) = means.get(place)?;
    let others = || means.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, mean)| mean);
    let mut peers: Vec<Duration> =
        others().filter(|(domain, _)| domain != own).filter_map(|(_, mean)| *mean).collect();
    if peers.is_empty() {
        peers = others().filter_map(|(_, mean)| *mean).collect();
    }
    peers.sort_unstable();
    peers.get(peers.len() / 2).copied()
}

fn bucket_of(micros: u64) -> usize {
    let doublings = micros.max(1).ilog2();
    let quarter = (micros.max(1) >> doublings.saturating_sub(2)) & 3;
    let quarter = if doublings < 2 { 0 } else { quarter };
    (doublings as usize * 4 + quarter as usize).min(LATENCY_BUCKETS - 1)
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

    /// A window in which each drive answers one read, in so many milliseconds; none: it is asked and silent.
    fn window(pulses: &[Pulse; 4], millis: [Option<u64>; 4]) -> Vec<usize> {
        for (pulse, millis) in pulses.iter().zip(millis) {
            pulse.asked();
            if let Some(millis) = millis {
                pulse.answered(Duration::from_millis(millis));
            }
        }
        judge(pulses)
    }

    /// Each on a device of its own.
    fn judge(pulses: &[Pulse; 4]) -> Vec<usize> {
        let pulses: Vec<(Domain, &Pulse)> = (0..).map(Domain::here).zip(pulses).collect();
        Pulse::judge(&pulses)
    }

    #[test]
    fn a_drive_that_stays_slow_beside_its_peers_is_told_and_forgiven() {
        let pulses: [Pulse; 4] = Default::default();
        let (even, slow) = ([Some(5); 4], [Some(5), Some(100), Some(6), Some(4)]);
        assert_eq!(
            [window(&pulses, slow), window(&pulses, even)],
            [[]; 2].map(|none: [usize; 0]| none.to_vec())
        );
        assert!(window(&pulses, slow).is_empty() && window(&pulses, slow).is_empty());
        assert_eq!(window(&pulses, slow), [1]);
        assert!(pulses[1].is_slow() && !pulses[0].is_slow());
        assert!(window(&pulses, even).is_empty() && window(&pulses, even).is_empty());
        assert_eq!(window(&pulses, even), [1]);
        assert!(!pulses[1].is_slow());
    }

    #[test]
    fn where_all_are_slow_none_counts_as_slow_and_silence_counts_as_slow() {
        let pulses: [Pulse; 4] = Default::default();
        for _ in 0..5 {
            assert!(window(&pulses, [Some(200); 4]).is_empty());
        }
        let changed: Vec<usize> =
            (0..3).flat_map(|_| window(&pulses, [None, Some(5), Some(5), Some(5)])).collect();
        assert_eq!(changed, [0]);
        assert!(!pulses[0].is_backed_up());
        (0..BACKLOG_READS).for_each(|_| pulses[0].asked());
        assert!(pulses[0].is_backed_up());
    }

    #[test]
    fn a_slow_drive_that_is_not_asked_any_more_is_given_another_try() {
        let pulses: [Pulse; 4] = Default::default();
        (0..3).for_each(|_| drop(window(&pulses, [Some(300), Some(5), Some(5), Some(5)])));
        assert!(pulses[0].is_slow());
        let changed: Vec<usize> = (0..FORGIVEN_AFTER_WINDOWS).flat_map(|_| judge(&pulses)).collect();
        assert_eq!(changed, [0]);
        assert!(!pulses[0].is_slow());
    }

    #[test]
    fn drives_are_compared_with_those_on_other_devices() {
        let pulses: [Pulse; 4] = Default::default();
        let mut changed = Vec::new();
        for _ in 0..3 {
            for (pulse, millis) in pulses.iter().zip([200, 200, 200, 5]) {
                pulse.asked();
                pulse.answered(Duration::from_millis(millis));
            }
            // Three drives on a slow disk, one on another.
            changed =
                Pulse::judge(&[1, 1, 1, 2].map(Domain::here).into_iter().zip(&pulses).collect::<Vec<_>>());
        }
        assert_eq!(changed, [0, 1, 2]);
    }
}
