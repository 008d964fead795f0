//! What owners with a quota hold, remembered for a second: the sum over all their buckets, and what was let in since.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use stratum_metadata::record::Quota;

/// How long it is remembered what an owner's buckets hold.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What the buckets of owners with a quota held lately.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<String, Remembered>>);

#[derive(Debug)]
struct Remembered {
    held: Held,
    /// On the monotonic clock.
    until: Duration,
}

/// Bytes and objects that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub bytes: u64,
    pub objects: u64,
}

/// How much more there will be.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    pub bytes: u64,
    pub objects: u64,
}

impl Held {
    /// Whether a quota has room for more. What doesn't grow is never too much.
    pub fn may_grow(self, growth: Growth, quota: &Quota) -> bool {
        let grown = Quota {
            bytes: quota.bytes.filter(|_| growth.bytes > 0),
            objects: quota.objects.filter(|_| growth.objects > 0),
        };
        grown.admits(self.bytes.saturating_add(growth.bytes), self.objects.saturating_add(growth.objects))
    }
}

impl Quotas {
    /// What an owner's buckets held lately. Who finds nothing looks, and says so by [`Quotas::remember`]; when it gets old one
    /// looks, and all others go by what was there meanwhile.
    pub fn known(&self, owner: &str, now: Duration) -> Option<Held> {
        let mut all = self.0.lock();
        let known = all.get_mut(owner)?;
        if now < known.until {
            return Some(known.held);
        }
        known.until = now + REMEMBERED;
        None
    }

    pub fn remember(&self, owner: &str, held: Held, now: Duration) {
        self.0.lock().insert(owner.to_owned(), Remembered { held, until: now + REMEMBERED });
    }

    /// Something more was let in.
    pub fn grow(&self, owner: &str, growth: Growth) {
        if let Some(Remembered { held, .. }) = self.0.lock().get_mut(owner) {
            held.bytes = held.bytes.saturating_add(growth.bytes);
            held.objects = held.objects.saturating_add(growth.objects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_grow_is_never_too_much() {
        let quota = Quota { bytes: Some(100), objects: Some(2) };
        let fits = |bytes, objects, more, others| {
            Held { bytes, objects }.may_grow(Growth { bytes: more, objects: others }, &quota)
        };
        assert!(fits(90, 1, 10, 1));
        assert!(!fits(90, 1, 11, 1), "a byte too many");
        assert!(!fits(0, 2, 1, 1), "an object too many");
        assert!(fits(500, 9, 0, 0), "what was too much before may be replaced");
        assert!(!fits(1, 1, u64::MAX, 0));
    }

    #[test]
    fn what_was_let_in_counts_until_somebody_looks_again() {
        let (quotas, at) = (Quotas::default(), Duration::from_secs);
        assert_eq!(quotas.known("ann", at(1)), None);
        quotas.remember("ann", Held { bytes: 5, objects: 1 }, at(1));
        quotas.grow("ann", Growth { bytes: 2, objects: 1 });
        assert_eq!(quotas.known("ann", at(1)), Some(Held { bytes: 7, objects: 2 }));
        assert_eq!(quotas.known("ann", at(2)), None, "it is old, and one looks");
        assert!(quotas.known("ann", at(2)).is_some(), "the others don't");
    }
}
