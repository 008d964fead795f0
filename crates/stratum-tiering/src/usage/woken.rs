//! The queue of objects that are to be decided about at once: they were read where reads are slow, or spike.
//!
//! The queue is short. An object that finds it full is dropped and counted; the next walk over all objects comes to
//! it. A bucket may take a place only while it has fewer of them than are free, so that a bucket all of whose objects
//! wake leaves room for others.

use std::collections::{BTreeMap, HashSet, VecDeque};

/// Objects in the queue, at most. With S3's longest keys they take 4 MiB.
const MOST_OBJECTS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Woken {
    queues: BTreeMap<u64, VecDeque<String>>,
    waiting: HashSet<(u64, String)>,
    /// The bucket from which an object was taken last.
    turn: u64,
    woken: u64,
    dropped: u64,
}

impl Woken {
    /// Queues an object if it isn't queued yet and there is room.
    pub fn push(&mut self, bucket: u64, key: &str) {
        let object = (bucket, key.to_owned());
        if self.waiting.contains(&object) {
            return;
        }
        let free = MOST_OBJECTS - self.waiting.len().min(MOST_OBJECTS);
        if self.queues.get(&bucket).map_or(0, VecDeque::len) >= free {
            self.dropped += 1;
            return;
        }
        self.woken += 1;
        self.waiting.insert(object);
        self.queues.entry(bucket).or_default().push_back(key.to_owned());
    }

    /// Takes at most `most` objects; the buckets take turns.
    pub fn take(&mut self, most: usize) -> Vec<(u64, String)> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let after = self.queues.range(self.turn.saturating_add(1)..).next();
            let Some(bucket) = after.or_else(|| self.queues.iter().next()).map(|(bucket, _)| *bucket) else {
                break;
            };
            self.turn = bucket;
            let Some(queue) = self.queues.get_mut(&bucket) else { break };
            let key = queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&bucket);
            }
            if let Some(key) = key {
                let object = (bucket, key);
                self.waiting.remove(&object);
                taken.push(object);
            }
        }
        taken
    }

    /// How many objects were ever queued, and how many were dropped.
    pub fn counts(&self) -> (u64, u64) {
        (self.woken, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_waits_once_and_may_wake_again() {
        let mut woken = Woken::default();
        (0..3).for_each(|_| woken.push(1, "a"));
        assert_eq!(woken.take(10), [(1, "a".to_owned())]);
        woken.push(1, "a");
        assert_eq!((woken.take(10).len(), woken.take(10).len(), woken.counts()), (1, 0, (2, 0)));
    }

    #[test]
    fn one_bucket_fills_half_and_leaves_the_rest_to_others() {
        let mut woken = Woken::default();
        (0..MOST_OBJECTS * 2).for_each(|key| woken.push(1, &key.to_string()));
        assert_eq!(woken.counts(), (MOST_OBJECTS as u64 / 2, MOST_OBJECTS as u64 * 3 / 2));
        woken.push(u64::MAX, "other");
        assert_eq!(woken.take(2), [(1, "0".to_owned()), (u64::MAX, "other".to_owned())]);
        assert_eq!(woken.take(usize::MAX).len(), MOST_OBJECTS / 2 - 1);
        assert!(woken.waiting.is_empty() && woken.queues.is_empty());
    }
}
