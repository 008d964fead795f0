//! The length of a day: tiering gives every duration in days or hours, and a test may make a day last some seconds.

use std::fmt;
use std::num::NonZeroU64;

/// Days in a month, as prices count it: a twelfth of 365.25.
pub const MONTH_DAYS: f64 = 30.4375;

/// People are not told of times that lie further ahead than this many days: by then much will have changed.
pub const FORESEEN_DAYS: f64 = 3_652.5;

/// The length of a day, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(NonZeroU64);

impl Day {
    pub const REAL: Day = Day(match NonZeroU64::new(86_400_000) {
        Some(milliseconds) => milliseconds,
        None => NonZeroU64::MIN,
    });

    pub fn new(milliseconds: NonZeroU64) -> Self {
        Self(milliseconds)
    }

    pub fn milliseconds(self) -> u64 {
        self.0.get()
    }

    /// This many days, in milliseconds; [`u64::MAX`] if `days` is infinite.
    pub fn days(self, days: f64) -> u64 {
        (days * self.0.get() as f64) as u64
    }

    pub fn hours(self, hours: f64) -> u64 {
        self.days(hours / 24.0)
    }

    /// How many days lie between two times; 0 if `to` is before `from`.
    pub fn between(self, from: u64, to: u64) -> f64 {
        to.saturating_sub(from) as f64 / self.0.get() as f64
    }

    /// The hour of the day, 0-23, in UTC.
    pub fn hour(self, time: u64) -> usize {
        let day = self.0.get();
        ((time % day) as u128 * 24 / day as u128) as usize
    }

    /// The day of the week, 0 for Monday: the Unix epoch was a Thursday.
    pub fn weekday(self, time: u64) -> usize {
        ((time / self.0.get() + 3) % 7) as usize
    }
}

/// A number of days, told in the largest unit of time of which it is at least one.
#[derive(Clone, Copy, Debug)]
pub struct Lasting(pub f64);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Lasting(days) = *self;
        if days > 36_525.0 {
            return f.write_str("over a century");
        }
        if days * 24.0 * 60.0 < 0.5 {
            return f.write_str("less than a minute");
        }
        let (count, unit) = match days * 24.0 {
            hours if hours < 1.0 => (hours * 60.0, "minute"),
            hours if hours < 48.0 => (hours, "hour"),
            _ if days < 730.0 => (days, "day"),
            _ => (days / 365.25, "year"),
        };
        let plural = if count.round() == 1.0 { "" } else { "s" };
        write!(f, "{count:.0} {unit}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_scale_with_the_day() {
        let short = Day::new(NonZeroU64::new(10_000).unwrap());
        assert_eq!((Day::REAL.hours(48.0), short.hours(48.0)), (172_800_000, 20_000));
        assert_eq!(short.between(5_000, 25_000), 2.0);
        assert_eq!(short.between(25_000, 5_000), 0.0);
        assert_eq!(short.days(f64::INFINITY), u64::MAX);
        assert_eq!((short.hour(9_999), short.hour(10_000)), (23, 0));
    }

    #[test]
    fn what_lasts_is_told_in_the_largest_unit_that_it_fills() {
        let told =
            [0.0, 0.01, 1.0 / 24.0, 1.9, 2.0, 729.0, 1_461.0, 1e9].map(|days| Lasting(days).to_string());
        assert_eq!(
            told,
            [
                "less than a minute",
                "14 minutes",
                "1 hour",
                "46 hours",
                "2 days",
                "729 days",
                "4 years",
                "over a century"
            ]
        );
    }

    #[test]
    fn hours_and_weekdays_are_those_of_utc() {
        // 2015-02-15 05:31 UTC, a Sunday.
        let time = 1_423_978_260_000;
        assert_eq!((Day::REAL.hour(time), Day::REAL.weekday(time)), (5, 6));
    }
}
