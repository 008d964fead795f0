//! Formats quantities for people.

/// A number of bytes in the largest binary unit that fits, to one decimal.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(name) if unit > 0 => format!("{value:.1} {name}"),
        _ => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_shown_with_their_unit() {
        let told = [0, 1_023, 1_536, 5 << 40].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]);
    }
}
