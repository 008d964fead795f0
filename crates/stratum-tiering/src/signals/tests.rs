use super::*;
use proptest::prelude::*;
use std::num::NonZeroU64;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Long after the epoch, at midnight.
const START: u64 = 20_000 * DAY;

fn whole() -> Read {
    Read { bytes: 1_000, offset: 0, size: 1_000 }
}

fn read_at(times: impl IntoIterator<Item = u64>) -> Signals {
    let mut signals = Signals::NONE;
    times.into_iter().for_each(|time| signals.record(whole(), time, Day::REAL));
    signals
}

#[test]
fn a_steady_reader_shows_its_rate_at_every_scale() {
    let signals = read_at((0..24 * 300).map(|hour| START + hour * HOUR));
    let now = signals.last().unwrap();
    for scale in 0..HALF_LIFE_DAYS.len() {
        let (reads, bytes) =
            (signals.daily_reads(scale, now, Day::REAL), signals.daily_bytes(scale, now, Day::REAL));
        assert!((reads / 24.0 - 1.0).abs() < 0.4, "scale {scale}: {reads}");
        assert!((bytes / reads - 1_000.0).abs() < 1.0, "scale {scale}: {bytes}");
    }
}

#[test]
fn a_rate_halves_in_its_half_life() {
    let signals = read_at([START]);
    for (scale, half_life) in HALF_LIFE_DAYS.into_iter().enumerate() {
        let at = |days: f64| signals.daily_reads(scale, START + Day::REAL.days(days), Day::REAL);
        assert!((at(half_life) / at(0.0) - 0.5).abs() < 1e-9);
    }
}

#[test]
fn only_a_pause_between_sessions_is_a_gap() {
    assert_eq!(read_at([START, START + 12 * HOUR]).gap_days(), None);
    assert_eq!(read_at([START, START + 3 * DAY, START + 3 * DAY + HOUR]).gap_days(), Some(3.0));
    assert_eq!(read_at([START, START + 3 * DAY, START + 4 * DAY]).gap_days(), Some(1.0));
}

#[test]
fn the_share_read_is_the_mean_of_few_and_then_of_the_latest() {
    let mut signals = Signals::NONE;
    let part = |bytes| Read { bytes, offset: 0, size: 1_000 };
    [0, 500, 1_000].into_iter().for_each(|bytes| signals.record(part(bytes), START, Day::REAL));
    assert!((signals.share() - 0.5).abs() < 1e-4, "{}", signals.share());
    assert!((signals.ranged() - 2.0 / 3.0).abs() < 0.01, "{}", signals.ranged());
    (0..100).for_each(|_| signals.record(part(100), START, Day::REAL));
    assert!((signals.share() - 0.1).abs() < 1e-3, "{}", signals.share());
}

#[test]
fn a_player_s_reads_are_sequential() {
    let played = |step: u64| {
        let mut signals = Signals::NONE;
        (0..40).for_each(|piece| {
            signals.record(
                Read { bytes: 500, offset: piece * step, size: 1 << 20 },
                START + piece,
                Day::REAL,
            );
        });
        signals.sequential()
    };
    assert!(played(500) > 0.9, "{}", played(500));
    assert!(played(700) < 0.1, "{}", played(700));
}

#[test]
fn hours_and_weekdays_are_told_apart_and_the_old_ones_fade() {
    let mut signals = read_at((0..60).map(|day| START + day * DAY + 9 * HOUR));
    assert_eq!(signals.hour_shares()[9], 1.0);
    assert!(signals.weekday_shares().iter().all(|share| (share - 1.0 / 7.0).abs() < 0.04));
    (60..120).for_each(|day| signals.record(whole(), START + day * DAY + 17 * HOUR, Day::REAL));
    assert!(signals.hour_shares()[17] > 0.9, "{}", signals.hour_shares()[17]);
    assert!((signals.hour_shares().iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn the_tenth_read_within_an_hour_is_a_spike_and_the_ninth_is_not() {
    let within = |reads: u64, minutes| read_at((0..reads).map(|read| START + read * minutes * MINUTE));
    let spikes = |signals: Signals| signals.spikes(signals.last().unwrap(), Day::REAL);
    assert!(!spikes(within(9, 0)));
    assert!(spikes(within(10, 0)));
    assert!(spikes(within(10, 6)));
    assert!(!spikes(within(40, 30)), "two an hour is no spike");
    let spike = within(10, 1);
    assert!(!spike.spikes(spike.last().unwrap() + 2 * HOUR, Day::REAL), "it is over");
}

#[test]
fn an_object_that_is_always_read_a_lot_does_not_spike() {
    let busy = read_at((0..20 * 12).map(|read| START + read * MINUTE * 3));
    let month = read_at((0..24 * 20 * 30).map(|read| START + read * MINUTE * 3));
    assert!(busy.spikes(busy.last().unwrap(), Day::REAL), "half a day is little beside a week");
    assert!(!month.spikes(month.last().unwrap(), Day::REAL));
}

#[test]
fn a_day_of_seconds_tells_the_same() {
    let short = Day::new(NonZeroU64::new(10_000).unwrap());
    let mut signals = Signals::NONE;
    for day in [0u64, 1, 4, 5] {
        signals.record(whole(), START + day * 10_000, short);
    }
    let real = read_at([0u64, 1, 4, 5].map(|day| START + day * DAY));
    assert_eq!(signals.gap_days(), real.gap_days());
    let now = (START + 60_000, START + 6 * DAY);
    assert!((signals.daily_reads(1, now.0, short) - real.daily_reads(1, now.1, Day::REAL)).abs() < 1e-6);
    (0..9).for_each(|read| signals.record(whole(), START + 50_000 + read * 40, short));
    assert!(signals.spikes(START + 50_400, short));
}

#[test]
fn a_clock_that_leaps_ahead_and_back_leaves_no_trace_but_its_decay() {
    let mut signals = read_at((0..100).map(|hour| START + hour * HOUR));
    let now = START + 100 * HOUR;
    signals.record(whole(), now + 300 * DAY, Day::REAL);
    signals.record(whole(), now, Day::REAL);
    assert_eq!(signals.last(), Some(now));
    signals.record(whole(), now - 10 * MINUTE, Day::REAL);
    assert_eq!(signals.last(), Some(now), "a little back is taken to stand");
}

proptest! {
    /// Whatever the clock does, no figure leaves its bounds.
    #[test]
    fn figures_stay_in_bounds(reads in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 1..60)) {
        let mut signals = Signals::NONE;
        for (now, bytes, offset, size) in reads {
            signals.record(Read { bytes, offset, size }, now, Day::REAL);
            for scale in 0..4 {
                let rate = signals.daily_reads(scale, now, Day::REAL);
                prop_assert!(rate.is_finite() && (0.0..=60.0 * 24.0).contains(&rate), "{rate}");
                prop_assert!(signals.daily_bytes(scale, now, Day::REAL).is_finite());
            }
            prop_assert!((0.0..=1.0).contains(&signals.share()));
            prop_assert!(signals.hour_shares().iter().sum::<f64>() <= 1.000_001);
        }
    }
}
