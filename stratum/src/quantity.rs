//! Sizes and durations as people write them, on a command line and in the configuration.

use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// The largest object that a single PUT may carry.
const MAX_OBJECT_BYTES: u64 = 5 << 30;

/// A number of bytes: `4096`, `4KiB`, `1MiB`, `2 TB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = SIZE_UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = units.unwrap_or((text, 1));
    let count: u64 = number.trim().parse().map_err(|_| format!("\"{text}\" is not a size such as 4KiB"))?;
    count.checked_mul(unit).ok_or_else(|| format!("\"{text}\" is more bytes than 64 bits can count"))
}

/// The size of an object: a number of bytes, as [`bytes()`] reads it, but no more than one PUT may carry.
pub fn object_size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes <= MAX_OBJECT_BYTES => Ok(bytes),
        _ => Err(format!("\"{text}\" is over 5GiB, the most that one PUT carries")),
    }
}

/// A duration of at most a day: `20s`, `500ms`, `2m`; a number without a unit is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, unit) = found.unwrap_or((text, 1.0));
    let count: f64 =
        number.trim().parse().map_err(|_| format!("\"{text}\" is not a duration such as 20s"))?;
    match Duration::try_from_secs_f64(count * unit) {
        Ok(span) if span <= Duration::from_secs(86_400) => Ok(span),
        _ => Err(format!("\"{text}\" is not between 0s and a day")),
    }
}

/// A number of bytes in the largest binary unit that divides it without a rest, so that [`bytes()`] reads the same
/// number back.
pub fn show_size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or(format!("{bytes} B"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_with_their_units() {
        for (text, bytes) in [("0", 0), ("4KiB", 4096), ("1 MiB", 1 << 20), ("2MB", 2_000_000), ("7B", 7)] {
            assert_eq!(object_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "4Kib", "-1", "1.5MiB", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!((bytes("6GiB"), object_size("6GiB").is_err()), (Ok(6 << 30), true));
    }

    #[test]
    fn durations_are_parsed_with_their_units() {
        for (text, millis) in [("20s", 20_000), ("500ms", 500), ("2m", 120_000), ("1.5", 1_500)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "2d", "1e99s", "NaNs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_was_given() {
        for text in ["4 KiB", "1 MiB", "5 GiB", "2 TiB", "1000 B", "0 B"] {
            assert_eq!(show_size(bytes(text).expect("a size")), text);
        }
    }
}
