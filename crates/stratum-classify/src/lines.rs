//! Tells logs apart, which the model takes for text: most of their lines have a time near their beginning.

/// How many lines are looked at, and how many there must be.
const MOST_LINES: usize = 64;
const LEAST_LINES: usize = 4;
/// The time must stand among so many bytes at a line's beginning.
const TIME_WITHIN_BYTES: usize = 64;
/// How many lines of ten must have a time.
const TIMED_LINES_OF_TEN: usize = 8;

/// Whether a text is a log, by its first bytes.
pub fn is_log(head: &[u8]) -> bool {
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    // The last line may be cut off.
    let whole = lines.get(..lines.len().saturating_sub(1)).unwrap_or_default();
    let whole = whole.get(..MOST_LINES).unwrap_or(whole);
    let timed = whole.iter().filter(|line| has_time(line.get(..TIME_WITHIN_BYTES).unwrap_or(line))).count();
    whole.len() >= LEAST_LINES && timed * 10 >= whole.len() * TIMED_LINES_OF_TEN
}

/// Whether the line holds a time of day, such as `23:59:59`.
fn has_time(line: &[u8]) -> bool {
    line.windows(8).any(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_times_in_their_lines() {
        let syslog = "Nov 29 01:02:03 host sshd[7]: Accepted publickey for ann\n".repeat(6);
        let access = "10.0.0.1 - - [29/Nov/2026:01:02:03 +0000] \"GET / HTTP/1.1\" 200 5\n".repeat(6);
        let json = "{\"timestamp\":\"2026-11-29T01:02:03.5Z\",\"level\":\"INFO\",\"message\":\"serving\"}\n"
            .repeat(6);
        assert!([&syslog, &access, &json].iter().all(|log| is_log(log.as_bytes())));
        // A line of a stack trace among ten lines with a time.
        let traced = format!("{syslog}{syslog}    at main.rs:7\n{syslog}");
        assert!(is_log(traced.as_bytes()));
    }

    #[test]
    fn texts_have_not() {
        let prose = "It was a bright cold day in April, and the clocks were striking thirteen.\n".repeat(9);
        assert!(!is_log(prose.as_bytes()));
        assert!(!is_log(b""));
        assert!(!is_log("01:02:03 one line alone\n".as_bytes()));
        assert!(!is_log(format!("{prose}at 01:02:03 it rained\n").as_bytes()));
    }
}
