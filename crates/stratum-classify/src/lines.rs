//! Logs, which the model takes for text: most of their lines hold the time of what they tell.

/// Lines that are looked at, and how many must be there to tell.
const MOST_LINES: usize = 64;
const LEAST_LINES: usize = 4;
/// The time stands among so many bytes of a line.
const WITHIN: usize = 64;
/// In so many of ten lines.
const OF_TEN: usize = 8;

/// Whether text is a log's, by its first bytes.
pub fn is_log(head: &[u8]) -> bool {
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    // The last one may be cut off.
    let whole = lines.get(..lines.len().saturating_sub(1)).unwrap_or_default();
    let whole = whole.get(..MOST_LINES).unwrap_or(whole);
    let timed = whole.iter().filter(|line| has_time(line.get(..WITHIN).unwrap_or(line))).count();
    whole.len() >= LEAST_LINES && timed * 10 >= whole.len() * OF_TEN
}

/// Whether a time of the day, as `23:59:59`, stands in it.
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
        // A trace beside each line in ten.
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
