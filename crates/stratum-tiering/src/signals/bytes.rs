//! The stored form of [`Signals`]: its fields in the order in which the struct has them, little-endian.

use super::{Histogram, Rhythm, Signals};

impl Signals {
    pub const BYTES: usize = 72;

    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, &self.reads.to_le_bytes());
        put(&mut rest, &self.gap_days.to_le_bytes());
        for value in self.counts.iter().chain(&self.bytes) {
            put(&mut rest, &value.to_le_bytes());
        }
        put(&mut rest, &self.last);
        put(&mut rest, &self.hours.0);
        put(&mut rest, &self.weekdays.0);
        for value in [self.end, self.share, self.burst_start] {
            put(&mut rest, &value.to_le_bytes());
        }
        put(&mut rest, &[self.burst, self.ranged, self.sequential, self.rhythm.0]);
        bytes
    }

    /// Reads what [`Signals::to_bytes`] wrote. Any bytes make valid figures: a negative number, or one that is no
    /// number, is read as 0.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Signals {
        let mut rest = bytes.as_slice();
        Signals {
            reads: u32::from_le_bytes(take(&mut rest)),
            gap_days: figure(take(&mut rest)),
            counts: std::array::from_fn(|_| figure(take(&mut rest))),
            bytes: std::array::from_fn(|_| figure(take(&mut rest))),
            last: take(&mut rest),
            hours: Histogram(take(&mut rest)),
            weekdays: Histogram(take(&mut rest)),
            end: u16::from_le_bytes(take(&mut rest)),
            share: u16::from_le_bytes(take(&mut rest)),
            burst_start: u16::from_le_bytes(take(&mut rest)),
            burst: u8::from_le_bytes(take(&mut rest)),
            ranged: u8::from_le_bytes(take(&mut rest)),
            sequential: u8::from_le_bytes(take(&mut rest)),
            rhythm: Rhythm(u8::from_le_bytes(take(&mut rest))),
        }
    }
}

fn put(rest: &mut &mut [u8], field: &[u8]) {
    if let Some((place, behind)) = std::mem::take(rest).split_at_mut_checked(field.len()) {
        place.copy_from_slice(field);
        *rest = behind;
    }
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> [u8; LENGTH] {
    let Some((field, behind)) = rest.split_first_chunk() else { return [0; LENGTH] };
    *rest = behind;
    *field
}

fn figure(bytes: [u8; 4]) -> f32 {
    let value = f32::from_le_bytes(bytes);
    if value.is_finite() && value > 0.0 { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::day::Day;
    use crate::signals::{Read, Signals};

    #[test]
    fn signals_come_back() {
        let mut signals = Signals::NONE;
        for read in 0..40 {
            let read = Read { bytes: 100 + read, offset: read * 7, size: 9_000 };
            signals.record(read, 1_700_000_000_000 + read.bytes * 90_000_000, Day::REAL);
        }
        assert_eq!(Signals::from_bytes(&signals.to_bytes()), signals);
        assert_eq!(size_of::<Signals>(), Signals::BYTES);
    }

    #[test]
    fn any_bytes_make_valid_figures() {
        for byte in 0..=255 {
            let mut signals = Signals::from_bytes(&[byte; Signals::BYTES]);
            signals.record(Read { bytes: 1, offset: 0, size: 1 }, 1_700_000_000_000, Day::REAL);
            let rate = signals.daily_bytes(2, 1_700_000_000_000, Day::REAL);
            assert!(
                rate.is_finite() && rate >= 0.0 && (0.0..=1.0).contains(&signals.share()),
                "{byte}: {rate}"
            );
        }
    }
}
