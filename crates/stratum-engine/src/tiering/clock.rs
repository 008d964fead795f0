//! Notices when the wall clock leaps.

use std::time::Duration;
use stratum_storage::ambient::UnixMillis;

/// A smaller change than this is an ordinary correction of the clock.
pub(super) const LEAST_LEAP: Duration = Duration::from_secs(5);

/// Compares the wall clock with the monotonic one, which never leaps.
#[derive(Debug)]
pub(super) struct Watch {
    now: UnixMillis,
    monotonic: Duration,
}

impl Watch {
    pub(super) fn new(now: UnixMillis, monotonic: Duration) -> Watch {
        Watch { now, monotonic }
    }

    /// By how many seconds the wall clock leapt since the last look, if by more than `most`.
    pub(super) fn look(&mut self, now: UnixMillis, monotonic: Duration, most: Duration) -> Option<i64> {
        let passed = monotonic.saturating_sub(self.monotonic).as_millis() as i64;
        let leap = (now as i64).saturating_sub(self.now as i64).saturating_sub(passed);
        *self = Watch { now, monotonic };
        (leap.unsigned_abs() > most.as_millis() as u64).then_some(leap / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_is_a_difference_between_the_clocks() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        let mut watch = Watch::new(1_000_000_000, second);
        // A process that was stopped for a day: both clocks went on.
        assert_eq!(watch.look(1_086_400_000, second * 86_401, hour), None);
        assert_eq!(watch.look(1_090_000_000, second * 86_402, hour), None, "set by an hour less a second");
        assert_eq!(watch.look(2_000_001_000, second * 86_403, hour), Some(910_000));
        assert_eq!(watch.look(1_000_002_000, second * 86_404, hour), Some(-1_000_000));
        assert_eq!(watch.look(1_000_003_000, second * 86_405, hour), None);
    }
}
