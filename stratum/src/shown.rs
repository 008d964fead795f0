//! Formats numbers for people, in the status and in refusals.

/// A time in milliseconds since 1970, as date and minute in UTC.
pub fn moment(millis: u64) -> String {
    use time::macros::format_description;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time::OffsetDateTime::from_unix_timestamp((millis / 1000) as i64);
    time.ok().and_then(|time| time.format(format).ok()).unwrap_or_else(|| millis.to_string())
}

/// A number of bytes in the largest binary unit that fits, to one decimal.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A number with its noun in singular or plural: `1 object`, `2 objects`.
pub fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A duration in its largest unit, or from an hour on in its two largest units.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_durations_are_shown_with_units() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]
        );
        assert_eq!([duration(59), duration(7200), duration(90_000)], ["59 s", "2 h 0 min", "1 d 1 h"]);
    }
}
