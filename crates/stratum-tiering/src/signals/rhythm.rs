//! Whether reads come at times that can be foreseen.
//!
//! The next session of reads is expected at the hour at which the last one began, on the next weekday on which reads
//! are usual. Each session puts that to the test, and only what proved right several times in a row is believed. So
//! nothing is made of an object that was read often at one time, nor of one that is read at random: chance hits a
//! window of three hours some times, but hardly three times running.
//!
//! Apart from hours and weekdays, two pauses of the same length in a row let a third be expected.

use super::{SESSION_PAUSE_HOURS, Signals};
use crate::day::Day;

/// A weekday is usual if it has at least one read for so many of the weekday that has most.
const USUAL_DIVISOR: u8 = 4;
/// A session is expected from so many hours before the beginning of its hour until so many after it.
const EARLY_HOURS: f64 = 1.0;
const LATE_HOURS: f64 = 2.0;
/// As many as there is room for.
const MOST_HITS: u8 = 3;
/// Two pauses are alike if the shorter lacks less than this share of the longer.
const ALIKE_SHARE: f64 = 0.1;

/// What is known of the times of sessions, in a byte: the hour of the day at which the last one began (five bits), how
/// many in a row began when they were expected (two bits; one that didn't halves that number, so that a holiday ends
/// no habit), and whether the last two pauses between sessions are alike (one bit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm(pub(super) u8);

impl Rhythm {
    pub(super) const NONE: Rhythm = Rhythm(0);

    fn of(hour: usize, hits: u8, is_steady: bool) -> Rhythm {
        Rhythm(hour as u8 & 31 | hits.min(MOST_HITS) << 5 | u8::from(is_steady) << 7)
    }

    fn hour(self) -> usize {
        usize::from(self.0 & 31).min(23)
    }

    fn hits(self) -> u8 {
        self.0 >> 5 & 3
    }

    fn is_steady(self) -> bool {
        self.0 >> 7 == 1
    }
}

/// When the next session of reads is expected, and by what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The beginning of its hour, in milliseconds of Unix time.
    pub at: u64,
    /// When it is too late for it.
    pub until: u64,
    /// The hour of the day (UTC), and the weekdays from Monday on, on which reads are usual.
    pub hour: usize,
    pub weekdays: [bool; 7],
    /// How many sessions in a row began when they were expected.
    pub hits: u8,
}

impl Signals {
    /// When the next session of reads is expected; `None` before the first read. It may be past: then it didn't come.
    pub fn expected(&self, day: Day) -> Option<Expected> {
        let last = self.last()?;
        let (hour, weekdays) = (self.rhythm.hour(), self.usual_weekdays());
        let pause_ends = last.saturating_add(day.hours(SESSION_PAUSE_HOURS));
        let midnight = last - last % day.milliseconds();
        let days = (0..=8).map(|days: u64| midnight.saturating_add(days.saturating_mul(day.milliseconds())));
        let expected = |date: u64| {
            let at = date.saturating_add(day.hours(hour as f64));
            let until = at.saturating_add(day.hours(LATE_HOURS));
            Expected { at, until, hour, weekdays, hits: self.rhythm.hits() }
        };
        let is_usual = |date: &u64| weekdays.get(day.weekday(*date)).is_some_and(|usual| *usual);
        days.filter(is_usual).map(expected).find(|expected| expected.until > pause_ends)
    }

    /// Whether the last two pauses between sessions were of the same length, or nearly.
    pub fn is_steady(&self) -> bool {
        self.rhythm.is_steady()
    }

    /// Takes note of a session that begins at `now` after a pause, before its first read is counted.
    pub(super) fn begin_session(&mut self, now: u64, pause_days: f64, day: Day) {
        let early = day.hours(EARLY_HOURS);
        let is_in = |expected: Expected| (expected.at.saturating_sub(early)..expected.until).contains(&now);
        let is_expected = self.expected(day).is_some_and(is_in);
        let hits = if is_expected { self.rhythm.hits() + 1 } else { self.rhythm.hits() / 2 };
        let before = self.gap_days().unwrap_or(0.0);
        let is_steady = pause_days.min(before) > pause_days.max(before) * (1.0 - ALIKE_SHARE);
        self.rhythm = Rhythm::of(day.hour(now), hits, is_steady);
    }

    fn usual_weekdays(&self) -> [bool; 7] {
        let counts: [u8; 7] = std::array::from_fn(|weekday| self.weekdays.cell(weekday));
        let most = counts.iter().copied().max().unwrap_or(0);
        counts.map(|count| count > 0 && count * USUAL_DIVISOR >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Read;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// A Monday.
    const MONDAY: u64 = 20_003 * DAY;

    fn read_at(hours: impl IntoIterator<Item = u64>) -> Signals {
        let mut signals = Signals::NONE;
        let whole = Read { bytes: 1, offset: 0, size: 1 };
        hours.into_iter().for_each(|hours| signals.record(whole, MONDAY + hours * HOUR, Day::REAL));
        signals
    }

    fn expected(signals: &Signals) -> (u64, u8) {
        let expected = signals.expected(Day::REAL).unwrap();
        ((expected.at - MONDAY) / HOUR, expected.hits)
    }

    #[test]
    fn a_session_that_comes_each_monday_at_nine_is_expected_at_the_next() {
        assert_eq!(Day::REAL.weekday(MONDAY), 0);
        let weeks =
            |weeks: u64| read_at((0..weeks).flat_map(|week| (0..4).map(move |hour| week * 168 + 9 + hour)));
        assert_eq!([1, 2, 5].map(|count| expected(&weeks(count))), [(177, 0), (345, 1), (849, MOST_HITS)]);
        assert_eq!(expected(&weeks(30)), (30 * 168 + 9, MOST_HITS));
    }

    #[test]
    fn working_days_are_expected_one_after_the_other_and_the_weekend_is_not() {
        let working = |days: u64| read_at((0..days).filter(|day| day % 7 < 5).map(|day| day * 24 + 9));
        // After a Friday.
        let friday = working(19);
        assert_eq!(expected(&friday), (21 * 24 + 9, MOST_HITS));
        let weekdays = friday.expected(Day::REAL).unwrap().weekdays;
        assert_eq!(weekdays, [true, true, true, true, true, false, false]);
    }

    #[test]
    fn a_holiday_ends_no_habit_and_another_hour_does() {
        let mondays = (0..20).filter(|week| *week != 18).map(|week| week * 168 + 9);
        assert_eq!(expected(&read_at(mondays)), (20 * 168 + 9, MOST_HITS / 2));
        let other = (0..20).map(|week| week * 168 + if week < 10 { 9 } else { 15 });
        assert_eq!(expected(&read_at(other)), (20 * 168 + 15, MOST_HITS));
        let wandering = (0..20).map(|week| week * 168 + week * 5 % 24);
        assert_eq!(expected(&read_at(wandering)).1, 0);
    }

    #[test]
    fn an_hour_more_or_less_is_the_same_time_and_many_reads_at_once_are_one_session() {
        let about = (0..8).map(|week| week * 168 + 9 + week % 2);
        assert_eq!(expected(&read_at(about)).1, MOST_HITS);
        assert_eq!(expected(&read_at([9; 500])).1, 0);
    }

    #[test]
    fn reads_at_random_prove_nothing() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut proven = 0;
        for _ in 0..1_000 {
            let mut hours: Vec<u64> = (0..60).map(|_| random.u64(0..24 * 120)).collect();
            hours.sort_unstable();
            proven += u32::from(expected(&read_at(hours)).1 == MOST_HITS);
        }
        assert!(proven <= 5, "{proven} of 1000");
    }

    #[test]
    fn two_pauses_alike_are_steady_until_one_is_not() {
        let days = |days: &[u64]| read_at(days.iter().map(|day| day * 24)).is_steady();
        let told = [
            &[0][..],
            &[0, 10],
            &[0, 10, 20],
            &[0, 10, 21],
            &[0, 10, 22],
            &[0, 10, 20, 22],
            &[0, 10, 20, 22, 24],
        ];
        assert_eq!(told.map(days), [false, false, true, true, false, false, true]);
    }

    #[test]
    fn days_of_seconds_and_any_byte_make_a_time() {
        let short = Day::new(std::num::NonZeroU64::new(1_000).unwrap());
        let mut signals = Signals::NONE;
        let start = MONDAY - MONDAY % 7_000 + 4_000;
        (0..6).for_each(|week| {
            signals.record(Read { bytes: 1, offset: 0, size: 1 }, start + week * 7_000 + 400, short);
        });
        let expected = signals.expected(short).unwrap();
        assert_eq!((expected.at, expected.hits), (start + 42_000 + 375, MOST_HITS));
        for byte in 0..=255 {
            let odd = Signals { rhythm: Rhythm(byte), ..signals };
            assert!(odd.expected(Day::REAL).is_some_and(|expected| expected.hour < 24));
        }
    }
}
