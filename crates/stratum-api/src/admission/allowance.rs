//! How many small pieces of bodies a party may send.
//!
//! HTTP lets a body come in chunks of a single byte, and receiving such a piece takes about as long as receiving one of
//! some KiB. So a few connections could keep all processors busy with framing. A party that sends small pieces faster
//! than [`PIECES_A_SECOND`] is read from more slowly, and nobody else waits for that.

use std::time::Duration;

/// A piece of fewer bytes than this is small.
pub const SMALL_PIECE_BYTES: usize = 512;

/// The small pieces that a party may send in a second. At a microsecond or two each, they take a tenth of a processor.
const PIECES_A_SECOND: u32 = 50_000;

/// How far a party may be ahead of that rate, so that a body that happens to come in small pieces needn't wait.
const LONGEST_LEAD: Duration = Duration::from_millis(100);

/// The account of the small pieces that one party has sent.
#[derive(Debug, Default)]
pub struct Allowance {
    /// When all pieces so far would have come at the allowed rate, on the monotonic clock.
    even_at: Duration,
}

impl Allowance {
    /// Counts pieces that came. Returns how long their sender is not to be read from.
    pub fn take(&mut self, pieces: u32, now: Duration) -> Duration {
        let cost = Duration::from_secs(pieces.into()) / PIECES_A_SECOND;
        self.even_at = self.even_at.max(now).saturating_add(cost);
        self.even_at.saturating_sub(now + LONGEST_LEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_small_pieces_are_cut_a_party_is_read_at_the_allowed_rate() {
        let (mut allowance, mut now, mut pieces) = (Allowance::default(), Duration::from_secs(1000), 0);
        let end = now + Duration::from_secs(10);
        while now < end {
            now += allowance.take(64, now) + Duration::from_micros(10);
            pieces += 64;
        }
        assert!((500_000..=510_000).contains(&pieces), "{pieces}");
        let later = end + Duration::from_secs(60);
        assert_eq!(
            allowance.take(PIECES_A_SECOND / 10, later),
            Duration::ZERO,
            "nobody waits for what was long ago"
        );
        assert_eq!(allowance.take(50, later), Duration::from_millis(1));
    }
}
