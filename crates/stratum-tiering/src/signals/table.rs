//! A bounded number of [`Signals`], found by what they are of.
//!
//! Entries lie side by side in a slab; the index beside it holds their numbers only, since a hash table is half empty
//! most of the time. When the slab is full, room is made by forgetting the least read of a few, far apart, that a hand points at.

use super::{Read, SLOW, Signals};
use crate::day::Day;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, RandomState};

/// Of so many entries that the hand points at, the least read is forgotten.
const PASSED: usize = 16;

/// The signals of at most a fixed number of objects, or of groups, named by `K`.
#[derive(Debug)]
pub struct Table<K> {
    index: HashTable<u32>,
    entries: Vec<(K, Signals)>,
    limit: usize,
    hand: usize,
    forgotten: u64,
    hasher: RandomState,
}

impl<K: Copy + Eq + Hash> Table<K> {
    /// Room for `limit` entries, at 99 to 105 bytes each where `K` has 16; it is taken as it is needed.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, u32::MAX as usize);
        Self {
            index: HashTable::with_capacity(limit),
            entries: Vec::with_capacity(limit),
            limit,
            hand: 0,
            forgotten: 0,
            hasher: RandomState::new(),
        }
    }

    /// Counts a read at `now`.
    pub fn record(&mut self, key: K, read: Read, now: u64, day: Day) {
        let place = self.place(key).unwrap_or_else(|| self.admit(key, now, day));
        if let Some((_, signals)) = self.entries.get_mut(place) {
            signals.record(read, now, day);
        }
    }

    pub fn get(&self, key: K) -> Option<&Signals> {
        self.place(key).and_then(|place| self.entries.get(place)).map(|(_, signals)| signals)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many were forgotten to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.index.allocation_size() + self.entries.capacity() * size_of::<(K, Signals)>()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(K, Signals)> {
        self.entries.iter()
    }

    /// Forgets one, because the object is gone.
    pub fn remove(&mut self, key: K) {
        if let Some(place) = self.unlink(key) {
            self.vacate(place);
        }
    }

    fn place(&self, key: K) -> Option<usize> {
        let of = |place: &u32| self.entries.get(*place as usize).is_some_and(|(other, _)| *other == key);
        self.index.find(self.hasher.hash_one(key), of).map(|place| *place as usize)
    }

    fn admit(&mut self, key: K, now: u64, day: Day) -> usize {
        if self.entries.len() >= self.limit {
            self.make_room(now, day);
        }
        let place = self.entries.len();
        self.entries.push((key, Signals::NONE));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of = |place: &u32| entries.get(*place as usize).map_or(0, |(key, _)| hasher.hash_one(key));
        self.index.insert_unique(hasher.hash_one(key), place as u32, hash_of);
        place
    }

    fn make_room(&mut self, now: u64, day: Day) {
        let (held, stride) = (self.entries.len(), (self.entries.len() / PASSED).max(1));
        let passed = (0..PASSED.min(held)).map(|step| (self.hand + step * stride) % held);
        let use_of = |place: &usize| self.entries[*place].1.daily_reads(SLOW, now, day);
        let least = passed.min_by(|a, b| use_of(a).total_cmp(&use_of(b)));
        self.hand = (self.hand + 1) % self.limit;
        if let Some(key) = least.map(|place| self.entries[place].0) {
            self.remove(key);
            self.forgotten += 1;
        }
    }

    fn unlink(&mut self, key: K) -> Option<usize> {
        let entries = &self.entries;
        let of = |place: &u32| entries.get(*place as usize).is_some_and(|(other, _)| *other == key);
        self.index.find_entry(self.hasher.hash_one(key), of).ok().map(|entry| entry.remove().0 as usize)
    }

    /// Fills the place with the last entry, whose number in the index changes with it.
    fn vacate(&mut self, place: usize) {
        let from = self.entries.len() - 1;
        self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place) {
            let number = self.index.find_mut(self.hasher.hash_one(moved), |number| *number as usize == from);
            if let Some(number) = number {
                *number = place as u32;
            }
        }
    }
}
