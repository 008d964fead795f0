//! A bounded number of entries, found by name.
//!
//! Entries lie side by side in a slab; the hash index holds only their positions, since a hash table is half empty
//! most of the time. The index grows with the entries: at its full size it doesn't fit into a processor's caches, and
//! every request looks into it. When the slab is full, a clock hand points at a few entries far apart, and the least
//! used of them is forgotten. Only entries of buckets that hold more than their share count there, so that reading a
//! million objects pushes out none of a bucket with few.
//!
//! A table keeps track of what changed since it was last asked, with a bit for each entry and the names of removed
//! entries, so that only the changes need be written.

use super::name::Name;
use crate::day::Day;
use hashbrown::HashTable;
use std::collections::HashMap;

/// The least used of this many entries is forgotten.
const LOOKED_AT_ENTRIES: usize = 16;
/// Bytes that a slot of the index takes, and the fraction of the slots that may be taken.
const INDEX_PLACE_BYTES: usize = 5;
const MOST_TAKEN_FRACTION: (usize, usize) = (3, 4);
/// Bytes beside the slots of the index, and in the last word of the bits.
const BITS_ROUNDING: usize = 32;

/// Entries that the index has room for at first.
const MIN_ROOM: usize = 1_024;

/// Names of removed entries that are kept, at most, until they are asked for.
const MOST_GONE: usize = 4_096;
const WORD_BITS: usize = u64::BITS as usize;

/// Which entries were removed since the last question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Names(Vec<Name>),
    /// More than are kept: what was saved of the table can't be updated, only rewritten.
    TooMany,
}

/// What a table holds.
pub(super) trait Entry: Copy {
    const NONE: Self;

    /// How much would be lost with the entry: the one worth least is forgotten first.
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
    /// A bit for each entry: whether it changed.
    changed: Vec<u64>,
    gone: Gone,
}

impl<V: Entry> Table<V> {
    /// A table of as many entries as fit into so many bytes. The memory is taken from the system only as it is
    /// needed.
    pub fn within(bytes: usize) -> Self {
        let limit = limit_within::<V>(bytes);
        Self {
            index: HashTable::new(),
            entries: Vec::with_capacity(limit),
            held: HashMap::new(),
            limit,
            hand: 0,
            forgotten: 0,
            changed: vec![0; limit.div_ceil(WORD_BITS)],
            gone: Gone::Names(Vec::new()),
        }
    }

    pub fn get(&self, name: Name) -> Option<&V> {
        self.place(name).and_then(|place| self.entries.get(place)).map(|(_, entry)| entry)
    }

    /// The entry, for a change that need not be saved.
    pub fn get_mut(&mut self, name: Name) -> Option<&mut V> {
        self.place(name).and_then(|place| self.entries.get_mut(place)).map(|(_, entry)| entry)
    }

    /// The entry of this name, for a change that is to be saved. A missing entry is made; another one may be
    /// forgotten for it.
    pub fn entry(&mut self, name: Name, now: u64, day: Day) -> &mut V {
        let place = self.place(name).unwrap_or_else(|| self.admit(name, now, day));
        self.set_changed(place, true);
        &mut self.entries[place].1
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries were forgotten to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The memory that is in use, in bytes.
    pub fn bytes(&self) -> usize {
        let bits = self.changed.len() * size_of::<u64>();
        self.index.allocation_size() + self.entries.len() * size_of::<(Name, V)>() + bits
    }

    /// Marks all entries as changed and none as removed: for a caller that saves all of them anew.
    pub fn mark_all(&mut self) {
        (0..self.entries.len()).for_each(|place| self.set_changed(place, true));
        self.gone = Gone::Names(Vec::new());
    }

    /// Marks all entries as saved.
    pub fn forget_changes(&mut self) {
        self.changed.fill(0);
        self.gone = Gone::Names(Vec::new());
        self.forgotten = 0;
    }

    /// Hands out the removed entries. If an entry was added again under such a name, it counts as changed, too.
    pub fn take_gone(&mut self) -> Gone {
        std::mem::replace(&mut self.gone, Gone::Names(Vec::new()))
    }

    /// Hands out about `most` of the changed entries, and says whether there may be more.
    pub fn take_changed(&mut self, most: usize, mut each: impl FnMut(Name, &V)) -> bool {
        let mut told = 0;
        for (number, word) in self.changed.iter_mut().enumerate() {
            if told >= most {
                return true;
            }
            while *word != 0 {
                let place = number * WORD_BITS + word.trailing_zeros() as usize;
                *word &= *word - 1;
                if let Some((name, entry)) = self.entries.get(place) {
                    each(*name, entry);
                    told += 1;
                }
            }
        }
        false
    }

    /// Removes an entry, since what it was about is gone.
    pub fn remove(&mut self, name: Name) {
        if let Some(place) = self.unlink(name) {
            self.vacate(place);
            self.gone = match std::mem::replace(&mut self.gone, Gone::TooMany) {
                Gone::Names(mut names) if names.len() < MOST_GONE => {
                    names.push(name);
                    Gone::Names(names)
                }
                _ => Gone::TooMany,
            };
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
        if self.index.len() == self.index.capacity() {
            self.renew_index();
        }
        let place = self.entries.len();
        self.entries.push((name, V::NONE));
        *self.held.entry(name.bucket).or_default() += 1;
        self.index.insert_unique(hash_of(name), place as u32, |place| hash_at(&self.entries, *place));
        place
    }

    /// Makes room in the index: frees the slots that removed entries left unusable, and doubles the index where that
    /// isn't enough. It never grows by itself, which could take more memory than it may have.
    fn renew_index(&mut self) {
        self.index.clear();
        let (held, room) = (self.entries.len(), self.index.capacity());
        if room < self.limit && held * 2 >= room {
            self.index = HashTable::new();
            self.index.reserve((held * 2).clamp(MIN_ROOM.min(self.limit), self.limit), |_| 0);
        }
        for (place, (name, _)) in (0..).zip(&self.entries) {
            self.index.insert_unique(hash_of(*name), place, |place| hash_at(&self.entries, *place));
        }
    }

    fn make_room(&mut self, now: u64, day: Day) {
        let (held, stride) = (self.entries.len(), (self.entries.len() / LOOKED_AT_ENTRIES).max(1));
        let share = self.limit / self.held.len().max(1);
        let passed = (0..LOOKED_AT_ENTRIES.min(held)).map(|step| (self.hand + step * stride) % held);
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

    /// Moves the last entry into this place, and corrects its position in the index.
    fn vacate(&mut self, place: usize) {
        let from = self.entries.len() - 1;
        let moved_changed = self.is_changed(from);
        self.set_changed(from, false);
        if place < from {
            self.set_changed(place, moved_changed);
        }
        self.entries.swap_remove(place);
        if let Some((moved, _)) = self.entries.get(place) {
            let number = self.index.find_mut(hash_of(*moved), |number| *number as usize == from);
            if let Some(number) = number {
                *number = place as u32;
            }
        }
    }
}

impl<V> Table<V> {
    fn is_changed(&self, place: usize) -> bool {
        self.changed.get(place / WORD_BITS).is_some_and(|word| word >> (place % WORD_BITS) & 1 == 1)
    }

    fn set_changed(&mut self, place: usize, changed: bool) {
        if let Some(word) = self.changed.get_mut(place / WORD_BITS) {
            let bit = 1 << (place % WORD_BITS);
            *word = if changed { *word | bit } else { *word & !bit };
        }
    }
}

/// The hash of a name is already one that nobody can choose.
fn hash_of(name: Name) -> u64 {
    name.hash
}

fn hash_at<V>(entries: &[(Name, V)], place: u32) -> u64 {
    entries.get(place as usize).map_or(0, |(name, _)| hash_of(*name))
}

/// How many entries fit, together with the index that they need, whose number of slots is a power of two.
fn limit_within<V>(bytes: usize) -> usize {
    let fitting = |places: usize| {
        let left = bytes.saturating_sub(places * INDEX_PLACE_BYTES + BITS_ROUNDING);
        (left * 8 / (size_of::<(Name, V)>() * 8 + 1))
            .min(places / MOST_TAKEN_FRACTION.1 * MOST_TAKEN_FRACTION.0)
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
    fn what_changed_is_told_once_and_what_is_gone() {
        let mut table = Table::<Signals>::within(100_000);
        let changed = |table: &mut Table<Signals>| {
            let mut names = Vec::new();
            while table.take_changed(100, |name, _| names.push(name)) {}
            names.sort_unstable();
            names
        };
        (0..300).for_each(|hash| read(&mut table, name(1, hash), 1));
        assert_eq!((changed(&mut table).len(), changed(&mut table).len()), (300, 0));
        // The last entry changes, then moves into the place of one that is removed.
        read(&mut table, name(1, 299), 1);
        table.remove(name(1, 5));
        assert_eq!(table.take_gone(), Gone::Names(vec![name(1, 5)]));
        assert_eq!((table.take_gone(), changed(&mut table)), (Gone::Names(vec![]), vec![name(1, 299)]));
        (0..10_000).for_each(|hash| read(&mut table, name(2, hash), 1));
        assert_eq!(table.take_gone(), Gone::TooMany);
        table.mark_all();
        assert_eq!((changed(&mut table).len(), table.take_gone()), (table.len(), Gone::Names(vec![])));
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
