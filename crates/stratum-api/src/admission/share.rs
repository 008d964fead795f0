//! How what is limited is shared.
//!
//! **Somebody may hold up to four times what is left free then, and an eighth of that where less than an eighth of all is left.** So
//! one who is alone gets four fifths, and whoever comes next always finds some: two that hold all that they may leave an
//! eighth, and each further one eight ninths of what it found.

/// Somebody may hold so many times what they leave free.
const SHARE: u64 = 4;

/// The last part of all, one in so many, is for those who hold little: so small a part of what they leave free.
pub const LAST_PART: u64 = 8;

/// Whether somebody who has `held` of a pool of `total` may take `more` of it while `free` of it is free.
pub fn is_fair(held: u64, more: u64, free: u64, total: u64) -> bool {
    free.checked_sub(more).is_some_and(|left| {
        let most =
            if left >= total / LAST_PART { left.saturating_mul(SHARE) } else { left.div_ceil(LAST_PART) };
        held.saturating_add(more) <= most
    })
}

/// The most that is fair: how much somebody may still take who has `held` of it.
pub fn most(held: u64, free: u64, total: u64) -> u64 {
    let before_the_last_part = (free.saturating_mul(SHARE).saturating_sub(held) / (SHARE + 1))
        .min(free.saturating_sub(total / LAST_PART));
    let of_the_last_part = free.saturating_sub(held.saturating_mul(LAST_PART)) / (LAST_PART + 1);
    before_the_last_part.max(of_the_last_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_places_are_shared_to_the_last() {
        // Of sixteen places one holds twelve; three others get one each, and one is nobody's to keep from the fifth.
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
            // By whole numbers it may be one or two less.
            prop_assert!(!is_fair(held, most + 3, free, total), "{most}");
        }
    }
}
