//! What is known of the use of one object, or of a group of objects: all that a decision needs of it, in 72 bytes.
//!
//! A million of these are to fit in memory, hence the packing: histograms with four bits a cell, all halved when one
//! is full, shares in one or two bytes, times in six. Rates are exponentially decayed counts that are brought up to
//! date at each read, so that a read costs the same however many came before it. All durations scale with the
//! [`Day`]. [`Usage`](crate::usage::Usage) keeps a bounded number of signals.

mod bytes;
mod rhythm;

use crate::day::Day;
pub use rhythm::Expected;
use rhythm::Rhythm;
use serde::Serialize;

/// Half-lives of the rates, in days: an hour, a day, a week, a month.
pub const HALF_LIFE_DAYS: [f64; 4] = [1.0 / 24.0, 1.0, 7.0, 30.0];
/// The index in [`HALF_LIFE_DAYS`] of the slow rate, that of a week: costs are weighed by it, and a spike stands out
/// from it.
pub const SLOW: usize = 2;
/// A read after a pause of this length opens a session.
pub const SESSION_PAUSE_HOURS: f64 = 12.0;
/// A spike has this many reads in an hour, at this multiple of the slow rate.
pub const SPIKE_READS: u8 = 10;
pub const SPIKE_FACTOR: f64 = 10.0;

/// No decayed count grows over this: while the clock stands still or runs backwards, nothing decays.
const MOST_COUNTED: f32 = 1e9;
/// A running mean is over about this many of the latest reads.
const MEAN_READS: u32 = 8;
/// Parts of an hour in which the start of a burst is kept.
const BURST_TICKS: f64 = 1_024.0;

/// One read of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// How many bytes it takes, from which offset, of an object of which size.
    pub bytes: u64,
    pub offset: u64,
    pub size: u64,
}

/// The reads of the last hour beside what is usual, by which a spike is told from ordinary use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Burst {
    /// How many reads count for the last hour: those since the burst began, or the decayed count if that is more.
    pub reads: f64,
    /// The rate of these reads, and the slow rate as it was before the burst, in reads an hour.
    pub hourly: f64,
    pub usual_hourly: f64,
    /// From when on the burst is over, in milliseconds of Unix time.
    pub ends: u64,
}

impl Burst {
    /// Whether there were [`SPIKE_READS`] or more, [`SPIKE_FACTOR`] times as many as usual, within the hour before `now`.
    pub fn is_spike(&self, now: u64) -> bool {
        self.reads >= f64::from(SPIKE_READS)
            && now < self.ends
            && self.hourly >= SPIKE_FACTOR * self.usual_hourly
    }
}

/// The use of one object or group.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Signals {
    reads: u32,
    /// The length of the last pause between two sessions, in days; 0 before there was one.
    gap_days: f32,
    /// For each of [`HALF_LIFE_DAYS`] a decayed count of reads, and of bytes read, as of the last read.
    counts: [f32; 4],
    bytes: [f32; 4],
    /// When the last read was, in milliseconds of Unix time, low byte first: six bytes reach beyond the year 10,000.
    last: [u8; 6],
    hours: Histogram<12>,
    weekdays: Histogram<4>,
    /// The offset at which the last read ended, hashed to 16 bits.
    end: u16,
    share: u16,
    /// When the burst of the present hour began, in ticks of an hour, and its reads so far.
    burst_start: u16,
    burst: u8,
    ranged: u8,
    sequential: u8,
    rhythm: Rhythm,
}

impl Signals {
    pub const NONE: Signals = Signals {
        reads: 0,
        gap_days: 0.0,
        counts: [0.0; 4],
        bytes: [0.0; 4],
        last: [0; 6],
        hours: Histogram([0; 12]),
        weekdays: Histogram([0; 4]),
        end: 0,
        share: 0,
        burst_start: 0,
        burst: 0,
        ranged: 0,
        sequential: 0,
        rhythm: Rhythm::NONE,
    };

    /// Counts a read at `now`, in milliseconds of Unix time.
    ///
    /// A clock that goes back a little is taken to stand. One that goes back by over an hour is believed, so that a
    /// leap into the future and back doesn't leave the object in use for ever; neither makes anything decay or grow.
    pub fn record(&mut self, read: Read, now: u64, day: Day) {
        let hour = day.hours(1.0);
        let last = self.last().unwrap_or(now);
        let now = if now < last && last - now <= hour { last } else { now };
        self.decay(day.between(last, now));
        let pause = now.saturating_sub(last);
        let is_first = self.reads == 0;
        if is_first || pause > day.hours(SESSION_PAUSE_HOURS) {
            let pause_days = day.between(last, now);
            self.begin_session(now, pause_days, day);
            self.gap_days = pause_days as f32;
        }
        self.count_burst(pause > hour || is_first, now, hour);
        for (count, bytes) in self.counts.iter_mut().zip(&mut self.bytes) {
            *count = (*count + 1.0).min(MOST_COUNTED);
            *bytes += read.bytes as f32;
        }
        self.reads = self.reads.saturating_add(1);
        self.learn_shape(read);
        self.hours.count(day.hour(now));
        self.weekdays.count(day.weekday(now));
        self.last = six_bytes(now);
    }

    /// Updates what is known of the reads' shape: the share of the object that a read takes, whether it takes only a
    /// part, and whether it goes on where the last read ended.
    fn learn_shape(&mut self, read: Read) {
        let weight = 1.0 / f64::from(self.reads.clamp(1, MEAN_READS));
        let whole = read.bytes >= read.size;
        let share = if whole { 1.0 } else { read.bytes as f64 / read.size as f64 };
        let follows = self.reads > 1 && read.offset > 0 && fold(read.offset) == self.end;
        self.share = toward(self.share, share, weight, u16::MAX);
        self.ranged = toward(self.ranged.into(), f64::from(u8::from(!whole)), weight, 255) as u8;
        self.sequential = toward(self.sequential.into(), f64::from(u8::from(follows)), weight, 255) as u8;
        self.end = fold(read.offset.saturating_add(read.bytes));
    }

    /// Counts reads of the hour that began with a burst's first read; the first read after that hour begins anew.
    fn count_burst(&mut self, paused: bool, now: u64, hour: u64) {
        let tick = (now as f64 / (hour.max(1) as f64 / BURST_TICKS)) as u64 as u16;
        if paused || f64::from(tick.wrapping_sub(self.burst_start)) > BURST_TICKS {
            (self.burst_start, self.burst) = (tick, 0);
        }
        self.burst = self.burst.saturating_add(1);
    }

    fn decay(&mut self, days: f64) {
        for (scale, half_life) in HALF_LIFE_DAYS.iter().enumerate() {
            let kept = (-days / half_life).exp2() as f32;
            self.counts[scale] *= kept;
            self.bytes[scale] *= kept;
        }
    }

    /// Reads counted so far.
    pub fn reads(&self) -> u32 {
        self.reads
    }

    /// When the last read was, in milliseconds of Unix time; `None` before the first.
    pub fn last(&self) -> Option<u64> {
        let [a, b, c, d, e, f] = self.last;
        (self.reads > 0).then(|| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// The length of the last pause between two sessions, in days; `None` before there was one.
    pub fn gap_days(&self) -> Option<f64> {
        (self.gap_days > 0.0).then(|| self.gap_days.into())
    }

    /// Reads a day at one of [`HALF_LIFE_DAYS`] (an index), as of `now`.
    pub fn daily_reads(&self, scale: usize, now: u64, day: Day) -> f64 {
        self.daily(&self.counts, scale, now, day)
    }

    /// Bytes read a day at one of [`HALF_LIFE_DAYS`] (an index), as of `now`.
    pub fn daily_bytes(&self, scale: usize, now: u64, day: Day) -> f64 {
        self.daily(&self.bytes, scale, now, day)
    }

    fn daily(&self, counts: &[f32; 4], scale: usize, now: u64, day: Day) -> f64 {
        let (Some(half_life), Some(count), Some(last)) =
            (HALF_LIFE_DAYS.get(scale), counts.get(scale), self.last())
        else {
            return 0.0;
        };
        f64::from(*count) * (-day.between(last, now) / half_life).exp2() * std::f64::consts::LN_2 / half_life
    }

    /// The mean share of the object that a read takes, 0 to 1; 1 before the first read.
    pub fn share(&self) -> f64 {
        if self.reads == 0 { 1.0 } else { f64::from(self.share) / f64::from(u16::MAX) }
    }

    /// The share of reads that took only a part of the object, 0 to 1.
    pub fn ranged(&self) -> f64 {
        f64::from(self.ranged) / 255.0
    }

    /// The share of reads that went on where the one before ended, as a media player's do, 0 to 1.
    pub fn sequential(&self) -> f64 {
        f64::from(self.sequential) / 255.0
    }

    /// For each hour of the day (UTC) its share of the reads, 0 to 1.
    pub fn hour_shares(&self) -> [f64; 24] {
        self.hours.shares()
    }

    /// For each weekday (UTC), Monday first, its share of the reads, 0 to 1.
    pub fn weekday_shares(&self) -> [f64; 7] {
        self.weekdays.shares()
    }

    /// Whether the object had [`SPIKE_READS`] or more reads within an hour, [`SPIKE_FACTOR`] times as many as usual.
    pub fn spikes(&self, now: u64, day: Day) -> bool {
        self.burst(day).is_some_and(|burst| burst.is_spike(now))
    }

    /// The reads of the hour before the last read, beside what is usual; `None` before the first read.
    pub fn burst(&self, day: Day) -> Option<Burst> {
        let (begun, decayed) = (f64::from(self.burst), f64::from(self.counts[0]));
        // The slow rate as it was before the burst: the burst's own reads are no part of what is usual.
        let usual_count = (f64::from(self.counts[SLOW]) - begun).max(0.0);
        self.last().map(|last| Burst {
            reads: begun.max(decayed),
            hourly: begun.max(decayed * std::f64::consts::LN_2),
            usual_hourly: usual_count * std::f64::consts::LN_2 / (HALF_LIFE_DAYS[SLOW] * 24.0),
            ends: last.saturating_add(day.hours(1.0)),
        })
    }
}

/// Counts in cells of four bits. When a cell is full all are halved, so that old reads count less and less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Histogram<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Histogram<BYTES> {
    fn cell(&self, index: usize) -> u8 {
        self.0.get(index / 2).map_or(0, |pair| pair >> (index % 2 * 4) & 15)
    }

    fn count(&mut self, index: usize) {
        if self.cell(index) == 15 {
            self.0.iter_mut().for_each(|pair| *pair = (*pair >> 1) & 0x77);
        }
        if let Some(pair) = self.0.get_mut(index / 2) {
            *pair += 1 << (index % 2 * 4);
        }
    }

    fn shares<const CELLS: usize>(&self) -> [f64; CELLS] {
        let counts: [f64; CELLS] = std::array::from_fn(|index| self.cell(index).into());
        let sum: f64 = counts.iter().sum();
        counts.map(|count| if sum > 0.0 { count / sum } else { 0.0 })
    }
}

fn six_bytes(time: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = time.min((1 << 48) - 1).to_le_bytes();
    [a, b, c, d, e, f]
}

fn fold(offset: u64) -> u16 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}

/// Moves a running mean, kept as a fraction of `whole`, towards a value of 0 to 1.
fn toward(mean: u16, value: f64, weight: f64, whole: u16) -> u16 {
    let mean = f64::from(mean);
    (mean + (value.clamp(0.0, 1.0) * f64::from(whole) - mean) * weight).round() as u16
}

#[cfg(test)]
mod tests;
