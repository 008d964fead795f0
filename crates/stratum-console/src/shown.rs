//! Sizes, times, counts and money as pages write them.

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `1.5 MiB`
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut value, mut unit) = (count as f64 / 1024.0, 0);
    // A value that would be rounded to 1024 is written as 1 of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if value < 99.95 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

/// `1536 KiB`: a size to the byte, as forms show it to be edited.
pub fn exact_bytes(count: u64) -> String {
    let (mut number, mut unit) = (count, "B");
    for larger in UNITS {
        if number == 0 || !number.is_multiple_of(1024) {
            break;
        }
        (number, unit) = (number / 1024, larger);
    }
    format!("{number} {unit}")
}

/// Reads what [`exact_bytes`] writes. A number without a unit is refused, since it might be meant in any unit.
pub fn read_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim();
    let power = match unit.eq_ignore_ascii_case("B") {
        true => 0,
        false => UNITS.iter().position(|known| known.eq_ignore_ascii_case(unit))? + 1,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

/// `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 object`, `2 objects`
pub fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Rewrites a time of S3 or IAM as `2026-11-29 14:05`, in UTC. A text that is no such time stays as it is.
pub fn time(text: &str) -> String {
    OffsetDateTime::parse(text, &Rfc3339).map_or_else(|_| text.to_owned(), minute)
}

/// Rewrites a time of HTTP in the same way.
pub fn http_time(text: &str) -> String {
    OffsetDateTime::parse(text, &Rfc2822).map_or_else(|_| text.to_owned(), minute)
}

/// Writes milliseconds of Unix time in the same way.
pub fn moment(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).ok();
    seconds
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map(minute)
        .unwrap_or_default()
}

fn minute(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    format!("{date} {:02}:{:02}", time.hour(), time.minute())
}

/// A span of time in one unit: `3 days`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        172_800..5_184_000 => (seconds / 86_400, "day"),
        5_184_000..63_072_000 => (seconds / 2_629_800, "month"),
        _ => (seconds / 31_557_600, "year"),
    };
    counted(number, unit)
}

/// A number of days in the largest unit of which it is at least one, as the store's own sentences tell it: `5 days`.
pub fn days(days: f64) -> String {
    let hours = days * 24.0;
    let (number, unit) = match hours {
        moment if moment * 60.0 < 0.5 => return "less than a minute".into(),
        some if some < 1.0 => (some * 60.0, "minute"),
        some if some < 48.0 => (some, "hour"),
        _ if days < 730.0 => (days, "day"),
        _ => (days / 365.25, "year"),
    };
    counted(number.round() as u64, unit)
}

/// Dollars with two decimals, or with two significant digits if they are few.
pub fn dollars(dollars: f64) -> String {
    match dollars {
        0.0 => "$0".to_owned(),
        some if some.abs() >= 0.1 => format!("${some:.2}"),
        little => {
            let digits = (1.0 - little.abs().log10().floor()).clamp(2.0, 12.0) as usize;
            format!("${little:.digits$}")
        }
    }
}

/// A share of a whole, `12.5 %`.
pub fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 { "0 %".into() } else { format!("{:.1} %", part / whole * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_edited_to_the_byte() {
        for (bytes, text) in
            [(0, "0 B"), (1, "1 B"), (1536 << 10, "1536 KiB"), (500 << 20, "500 MiB"), (3 << 40, "3 TiB")]
        {
            assert_eq!((exact_bytes(bytes).as_str(), read_bytes(text)), (text, Some(bytes)));
        }
        assert_eq!(
            (read_bytes("500mib"), read_bytes(&exact_bytes(u64::MAX))),
            (Some(500 << 20), Some(u64::MAX))
        );
        for none in ["", "20", "1.5 GiB", "-1 B", "B", "16 EiB", "99999999999999999999 B", "1 GB", "1 ü"] {
            assert_eq!(read_bytes(none), None, "{none}");
        }
    }

    #[test]
    fn figures_are_written_as_people_write_them() {
        assert_eq!(
            [0, 1023, 1024, 1_572_864, 1 << 40].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "1.0 TiB"]
        );
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(time("2026-11-29T14:05:09.000Z"), "2026-11-29 14:05");
        assert_eq!(time("<soon>"), "<soon>");
        assert_eq!(http_time("Sun, 29 Nov 2026 14:05:09 GMT"), "2026-11-29 14:05");
        assert_eq!(moment(1_795_961_109_000), time("2026-11-29T14:05:09Z"));
        assert_eq!([5_000, 7_200_000, 864_000_000].map(span), ["5 seconds", "2 hours", "10 days"]);
        assert_eq!(
            [0.0, 1.0 / 24.0, 1.9, 5.6, 1_461.0].map(days),
            ["less than a minute", "1 hour", "46 hours", "6 days", "4 years"]
        );
        assert_eq!([0.0, 12.345, 0.012].map(dollars), ["$0", "$12.35", "$0.012"]);
    }
}
