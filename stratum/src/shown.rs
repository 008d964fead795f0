//! Formats numbers for people, in the status and in refusals.

pub use stratum_engine::shown::bytes;

/// A time in milliseconds since 1970, as date and minute in UTC.
pub fn moment(millis: u64) -> String {
    use time::macros::format_description;
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time::OffsetDateTime::from_unix_timestamp((millis / 1000) as i64);
    time.ok().and_then(|time| time.format(format).ok()).unwrap_or_else(|| millis.to_string())
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
    fn durations_are_shown_with_units() {
        assert_eq!([duration(59), duration(7200), duration(90_000)], ["59 s", "2 h 0 min", "1 d 1 h"]);
    }
}
