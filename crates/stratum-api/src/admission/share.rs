//! How a limited resource is shared between parties.
//!
//! **A party may hold up to four times what it leaves free; where it leaves less than an eighth of the whole, it may
//! hold only an eighth of what it leaves free.** So a party that is alone gets four fifths, and the next party always
//! finds some: two parties that hold all they may leave an eighth free, and each further party leaves eight ninths of
//! what it found.

/// How many times what it leaves free a party may hold.
const SHARE_FACTOR: u64 = 4;

/// The last part of the whole, one in this many, is for parties that hold little: whoever takes of it may hold only one
/// in this many of what they leave free.
pub const LAST_PART_DIVISOR: u64 = 8;

/// Whether a party that holds `held` of a pool of `total` may take `more` of it, while `free` of it is free.
pub fn is_fair(held: u64, more: u64, free: u64, total: u64) -> bool {
    free.checked_sub(more).is_some_and(|left| {
        let most = if left >= total / LAST_PART_DIVISOR {
            left.saturating_mul(SHARE_FACTOR)
        } else {
            left.div_ceil(LAST_PART_DIVISOR)
        };
        held.saturating_add(more) <= most
    })
}

/// The most that a party may still take that holds `held`, while `free` of `total` is free.
pub fn most(held: u64, free: u64, total: u64) -> u64 {
    let before_the_last_part = (free.saturating_mul(SHARE_FACTOR).saturating_sub(held) / (SHARE_FACTOR + 1))
        .min(free.saturating_sub(total / LAST_PART_DIVISOR));
    let of_the_last_part =
        free.saturating_sub(held.saturating_mul(LAST_PART_DIVISOR)) / (LAST_PART_DIVISOR + 1);
    before_the_last_part.max(of_the_last_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_but_one_of_few_places_are_given_away() {
        // Of sixteen places one party holds twelve. Three others get one each. The last place goes to nobody, since
        // nothing would be left free.
        let mut free = 16 - 12;
        while is_fair(0, 1, free, 16) {
            free -= 1;
        }
        assert_eq!(free, 1);
        assert!(!is_fair(12, 1, 4, 16) && is_fair(11, 1, 5, 16));
    }

    proptest! {
        #[test]
        fn the_most_is_fair_and_more_is_not(total in 1000..1_000_000_u64, free in 0.0..1.0, held in 0.0..1.0) {
            let free = (total as f64 * free) as u64;
            let held = ((total - free) as f64 * held) as u64;
            let most = most(held, free, total);
            prop_assert!(most == 0 || is_fair(held, most, free, total), "{most}");
            // As the numbers are whole ones, the most may come out one or two too small.
            prop_assert!(!is_fair(held, most + 3, free, total), "{most}");
        }
    }
}
