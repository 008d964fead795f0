//! How near the journal is to its cap, which clients feel before it is reached.

use stratum_storage::journal::Usage;

/// How near the journal is to its cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    None,
    /// Above three quarters: PUTs are slowed, so that packing and checkpoints can follow.
    Slowing,
    /// PUTs are refused until there is room.
    Refusing,
}

impl Pressure {
    pub fn of(usage: Usage) -> Pressure {
        let taken = usage.bytes.saturating_sub(usage.releasable);
        if taken > usage.cap - usage.cap / 20 {
            Pressure::Refusing
        } else if taken > usage.cap / 4 * 3 {
            Pressure::Slowing
        } else {
            Pressure::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_can_be_released_are_no_pressure() {
        let usage = |bytes, releasable| Pressure::of(Usage { bytes, releasable, cap: 1000 });
        assert_eq!(
            [usage(750, 0), usage(751, 0), usage(951, 0)],
            [Pressure::None, Pressure::Slowing, Pressure::Refusing]
        );
        assert_eq!(usage(951, 300), Pressure::None);
    }
}
