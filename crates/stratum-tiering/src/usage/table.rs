//! A bounded number of entries, found by their names.
//!
//! Entries lie side by side in a slab; the index beside it holds their numbers only, since a hash table is half empty
//! most of the time. When the slab is full, room is made by forgetting the least used of a few, far apart, that a hand
//! points at. Only entries of buckets that hold more than their share are looked at, so that whoever reads a million
//! objects pushes out none of a bucket that has few.

use super::name::Name;
use crate::day::Day;
use hashbrown::HashTable;
use std::collections::HashMap;

/// Of so many entries that the hand points at, the least used is forgotten.
const PASSED: usize = 16;
/// Bytes that a place of the index takes, and which part of the places may be taken.
const INDEX_PLACE_BYTES: usize = 5;
const MOST_TAKEN: (usize, usize) = (7, 8);

/// What a table holds.
pub(super) trait Entry: Copy {
    const NONE: Self;

    /// How much would be lost with it: what has least is forgotten first.
    fn worth(&self, now: u64, day: Day) -> f64;
}

/// At most a fixed number of entries.
#[derive(Debug)]
pub(super) struct Table<V> {
    index: HashTable<u32>,
    entries: Vec<(Name, V)>,
    /// How many entries each bucket has.
    held: HashMap<u64, usize>,
    limit: usize,
    hand: usize,
    forgotten: u64,
}

impl<V: Entry> Table<V> {
    /// Room for as many entries as fit into so many bytes, which are taken from the system as they are needed.
    pub fn within(bytes: usize) -> Self {
        let limit = limit_within::<V>(bytes);
        Self {
            index: HashTable::with_capacity(limit),
            entries: Vec::with_capacity(limit),
            held: HashMap::new(),
            limit,
            hand: 0,
            forgotten: 0,
        }
    }

    pub fn get(&self, name: Name) -> Option<&V> {
        self.place(name).and_then(|place| self.entries.get(place)).map(|(_, entry)| entry)
    }

    pub fn get_mut(&mut self, name: Name) -> Option<&mut V> {
        self.place(name).and_then(|place| self.entries.get_mut(place)).map(|(_, entry)| entry)
    }

    /// The entry of this name, for which another may be forgotten.
    pub fn entry(&mut self, name: Name, now: u64, day: Day) -> &mut V {
        let place = self.place(name).unwrap_or_else(|| self.admit(name, now, day));
        &mut self.entries[place].1
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many were forgotten to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The memory that is in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.index.allocation_size() + self.entries.len() * size_of::<(Name, V)>()
    }

    /// Forgets one, because what it was about is gone.
    pub fn remove(&mut self, name: Name) {
        if let Some(place) = self.unlink(name) {
            self.vacate(place);
            if let Some(held) = self.held.get_mut(&name.bucket) {
                *held -= 1;
                if *held == 0 {
                    self.held.remove(&name.bucket);
                }
            }
        }
    }

    fn place(&self, name: Name) -> Option<usize> {
        let of = |place: &u32| self.entries.get(*place as usize).is_some_and(|(other, _)| *other == name);
        self.index.find(hash_of(name), of).map(|place| *place as usize)
    }

    fn admit(&mut self, name: Name, now: u64, day: Day) -> usize {
        if self.entries.len() >= self.limit {
            self.make_room(now, day);
        }
        let place = self.entries.len();
        self.entries.push((name, V::NONE));
        *self.held.entry(name.bucket).or_default() += 1;
        let entries = &self.entries;
        let hash_at = |place: &u32| entries.get(*place as usize).map_or(0, |(name, _)| hash_of(*name));
        self.index.insert_unique(hash_of(name), place as u32, hash_at);
        place
    }

    fn make_room(&mut self, now: u64, day: Day) {
        let (held, stride) = (self.entries.len(), (self.entries.len() / PASSED).max(1));
        let share = self.limit / self.held.len().max(1);
        let passed = (0..PASSED.min(held)).map(|step| (self.hand + step * stride) % held);
        let rank = |place: &usize| {
            let (name, entry) = &self.entries[*place];
            let within_share = self.held.get(&name.bucket).is_some_and(|held| *held <= share);
            (within_share, entry.worth(now, day))
        };
        let least = passed.map(|place| (rank(&place), place)).min_by(|(a, _), (b, _)| {
            let ((a_within, a_worth), (b_within, b_worth)) = (a, b);
            a_within.cmp(b_within).then(a_worth.total_cmp(b_worth))
        });
        self.hand = (self.hand + 1) % self.limit;
        if let Some((_, place)) = least {
            self.remove(self.entries[place].0);
            self.forgotten += 1;
        }
    }

    fn unlink(&mut self, name: Name) -> Option<usize> {
        let entries = &self.entries;
        let of = |place: &u32| entries.get(*place as usize).is_some_and(|(other, _)| *other == name);
        self.index.find_entry(hash_of(name), of).ok().map(|entry| entry.remove().0 as usize)
    }

    /// Fills the place with the last entry, whose number in the index changes with it.
    fn vacate(&mut self, place: usize) {
        let from = self.entries.len() - 1;
        self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place) {
            let number = self.index.find_mut(hash_of(*moved), |number| *number as usize == from);
            if let Some(number) = number {
                *number = place as u32;
            }
        }
    }
}

/// A name's hash is one that nobody can choose, so it needs no other.
fn hash_of(name: Name) -> u64 {
    name.hash
}

/// How many entries fit, with the index that so many need: its places are a power of two.
fn limit_within<V>(bytes: usize) -> usize {
    let fitting = |places: usize| {
        let left = bytes.saturating_sub(places * INDEX_PLACE_BYTES);
        (left / size_of::<(Name, V)>()).min(places / MOST_TAKEN.1 * MOST_TAKEN.0)
    };
    (3..32).map(|power| fitting(1 << power)).max().unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::{Read, Signals};

    const NOW: u64 = 1_700_000_000_000;

    fn name(bucket: u64, hash: u64) -> Name {
        Name { bucket, hash: hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    fn read(table: &mut Table<Signals>, name: Name, reads: u64) {
        let read = Read { bytes: 1, offset: 0, size: 1 };
        (0..reads).for_each(|at| table.entry(name, NOW + at, Day::REAL).record(read, NOW + at, Day::REAL));
    }

    #[test]
    fn as_many_fit_as_the_memory_holds() {
        for bytes in [0, 1_000, 100_000, 1 << 20, 6_225_920] {
            let mut table = Table::<Signals>::within(bytes);
            (0..table.limit as u64 * 2).for_each(|hash| read(&mut table, name(1, hash), 1));
            assert!(table.len() == table.limit && table.forgotten() == table.limit as u64);
            assert!(table.bytes() <= bytes.max(200), "{} of {bytes}", table.bytes());
        }
    }

    #[test]
    fn a_full_table_forgets_the_least_read_and_counts_them() {
        let mut table = Table::<Signals>::within(100_000);
        let (limit, few) = (table.limit as u64, 100);
        (0..few).for_each(|hash| read(&mut table, name(1, hash), 20));
        (few..5 * limit).for_each(|hash| read(&mut table, name(1, hash), 1));
        assert_eq!((table.len() as u64, table.forgotten()), (limit, 4 * limit));
        assert!((0..few).all(|hash| table.get(name(1, hash)).is_some_and(|signals| signals.reads() == 20)));
        table.remove(name(1, 7));
        assert!(table.get(name(1, 7)).is_none());
        assert!(table.entries.iter().all(|(name, _)| table.get(*name).is_some()));
        assert_eq!(table.held[&1], table.len());
    }

    #[test]
    fn whoever_reads_a_lot_pushes_out_none_of_a_bucket_that_has_few() {
        let mut table = Table::<Signals>::within(100_000);
        let (limit, few) = (table.limit as u64, 100);
        (0..few).for_each(|hash| read(&mut table, name(1, hash), 1));
        (0..10 * limit).for_each(|hash| read(&mut table, name(2, hash), 3));
        assert!((0..few).all(|hash| table.get(name(1, hash)).is_some()));
    }
}
