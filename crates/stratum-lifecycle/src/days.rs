//! Days as lifecycle rules count them.

use std::time::Duration;
use stratum_storage::ambient::UnixMillis;
use stratum_tiering::day::Day;

/// How often a day the rules are looked at.
const LOOKS_PER_DAY: u64 = 8;
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// Days of any length: a test may make them short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(pub Day);

impl Default for Days {
    fn default() -> Self {
        Days(Day::REAL)
    }
}

impl Days {
    /// When so many days after `since` are over. As S3 does, this rounds up to the next midnight, UTC.
    pub fn after(self, since: UnixMillis, days: u32) -> UnixMillis {
        let day = self.0.milliseconds();
        let due = since.saturating_add(day.saturating_mul(u64::from(days)));
        due.checked_next_multiple_of(day).unwrap_or(UnixMillis::MAX)
    }

    /// The pause between two looks at the rules: several looks a day.
    pub fn interval(self) -> Duration {
        Duration::from_millis(self.0.milliseconds() / LOOKS_PER_DAY).max(LEAST_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    #[test]
    fn days_end_at_midnight() {
        const DAY: u64 = 86_400_000;
        let days = Days::default();
        assert_eq!(days.after(10 * DAY, 1), 11 * DAY);
        assert_eq!(days.after(10 * DAY + 1, 1), 12 * DAY);
        assert_eq!(days.after(u64::MAX - 1, 1), u64::MAX);
        let short = Days(Day::new(NonZeroU64::new(10_000).unwrap()));
        assert_eq!(short.after(25_000, 3), 60_000);
        assert_eq!(short.interval(), Duration::from_millis(1_250));
    }
}
