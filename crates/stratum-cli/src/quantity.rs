//! Sizes, spans and moments as people write and read them.

use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::macros::format_description;

const SIZES: [(&str, u64); 13] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("B", 1),
];
const SPANS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];

/// Bytes: `4096`, `4KiB`, `1M`, `2 TB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    counted(text, &SIZES, 1).ok_or_else(|| format!("\"{}\" is no size such as 4KiB", text.escape_debug()))
}

/// A span of time: `90s`, `15m`, `12h`, `7d`, `2w`.
pub fn span(text: &str) -> Result<Duration, String> {
    let seconds = counted(text, &SPANS, 0).filter(|seconds| *seconds > 0);
    let told = || format!("\"{}\" is no time such as 90s, 15m, 12h, 7d or 2w", text.escape_debug());
    seconds.map(Duration::from_secs).ok_or_else(told)
}

/// Reads a number and its unit. A number without a unit is multiplied by `bare`, and refused if `bare` is 0.
fn counted(text: &str, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let found = units.iter().find_map(|(unit, worth)| Some((text.strip_suffix(unit)?, *worth)));
    let (number, worth) = found.unwrap_or((text, bare));
    if worth == 0 || !number.trim_end().bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.trim_end().parse::<u64>().ok()?.checked_mul(worth)
}

/// A number of bytes for people.
pub fn shown_bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A span in its largest units.
pub fn shown_span(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A moment as a list shows it, to the second.
pub fn shown_moment(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    moment.format(format).unwrap_or_else(|_| moment.unix_timestamp().to_string())
}

/// A moment as programs read it, in ISO 8601.
pub fn machine_moment(moment: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    moment.format(format).unwrap_or_else(|_| moment.unix_timestamp().to_string())
}

/// A time of the machine's clock, or of a file, in whole seconds since 1970. A file may carry a time of which no calendar
/// knows; it counts as the nearest there is.
pub fn seconds(time: SystemTime) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => {
            let span = before.duration();
            -whole(span) - i64::from(span.subsec_nanos() > 0)
        }
    }
}

/// The moment in UTC of a time of the machine's clock.
pub fn moment(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_as_written() {
        for (text, count) in [("0", 0), ("4KiB", 4096), ("1 MiB", 1 << 20), ("2M", 2 << 20), ("3kB", 3000)] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for (text, seconds) in [("90s", 90), ("15m", 900), ("7d", 604_800), ("2 w", 1_209_600)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "KiB", "-1", "+1", "1.5M", "99999999999999999999", "20000000TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["", "5", "0s", "d", "-1d", "1y"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_whole_seconds_however_far_away() {
        let (epoch, half) = (SystemTime::UNIX_EPOCH, Duration::from_millis(1500));
        assert_eq!([epoch + half, epoch, epoch - half].map(seconds), [1, 0, -2]);
        let far = Duration::from_secs(i64::MAX as u64);
        assert_eq!((seconds(epoch + far), seconds(epoch - far)), (i64::MAX, -i64::MAX));
    }

    #[test]
    fn sizes_and_spans_are_shown_in_their_largest_units() {
        let shown = [0, 1023, 1536, (1 << 20) - 1, 5 << 40].map(shown_bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.5 KiB", "1.0 MiB", "5.0 TiB"]);
        let span = |seconds| shown_span(Duration::from_secs(seconds));
        assert_eq!([span(2), span(59), span(7200), span(90_000)], ["2.0 s", "59 s", "2 h 0 min", "1 d 1 h"]);
    }
}
