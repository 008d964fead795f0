//! Which objects are used together: those of a bucket whose keys share a prefix. How long the prefix is follows from
//! the keys.
//!
//! A key belongs to the group of its longest prefix that ends in a slash and has seen
//! [enough](super::members::GROUP_FROM_KEYS) keys. So a folder with one object counts with its siblings, and a folder for each
//! day with its month. A prefix that has seen a [crowd](super::members::SPLIT_FROM_KEYS) of keys and has no such folder below
//! it is split by the next character of its keys, again and again: numbers, dates and hashes are all split into
//! groups of at most about a thousand neighbours.
//!
//! The groups follow from the reads and their order alone. A read counts for its group, and for the next longer
//! folder, which may become a group. A prefix that was split keeps what it knew: that still holds for objects that
//! have not been read since.

use super::members::{Members, Size};
use super::name::{Name, Prefix, Seed};
use super::table::{Entry, Table};
use crate::day::Day;
use crate::signals::{Read, SLOW, Signals};

/// How many prefixes of one key are looked at; keys that share a longer beginning count as one group.
const MOST_PREFIXES: usize = 64;
/// For this many days after a read passed through it, a prefix that was split isn't forgotten: the groups below it
/// are found through it.
const KEPT_DAYS: f64 = 30.0;

/// What is known of a prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Group {
    pub signals: Signals,
    pub members: Members,
    /// When a read last passed through this prefix to a longer one, in milliseconds of Unix time.
    pub passed: u64,
}

impl Entry for Group {
    const NONE: Group = Group { signals: Signals::NONE, members: Members::NONE, passed: 0 };

    fn worth(&self, now: u64, day: Day) -> f64 {
        if self.members.size() > Size::Few && day.between(self.passed, now) < KEPT_DAYS && self.passed > 0 {
            return f64::INFINITY;
        }
        self.signals.daily_reads(SLOW, now, day)
    }
}

impl Entry for Signals {
    const NONE: Signals = Signals::NONE;

    fn worth(&self, now: u64, day: Day) -> f64 {
        self.daily_reads(SLOW, now, day)
    }
}

/// The prefixes of all buckets.
#[derive(Debug)]
pub(super) struct Groups {
    pub table: Table<Group>,
}

impl Groups {
    pub fn within(bytes: usize) -> Self {
        Self { table: Table::within(bytes) }
    }

    /// Counts a read of an object, given by its name and its key.
    pub fn record(&mut self, seed: &Seed, object: Name, key: &str, read: Read, now: u64, day: Day) {
        let mut walk = Walk::new(seed, object.bucket, key);
        for _ in 0..MOST_PREFIXES {
            let Some(next) = walk.next(&self.table) else { break };
            if let Some(passed) = self.table.get_mut(walk.at.name()) {
                passed.passed = passed.passed.max(now);
            }
            walk.go(next);
        }
        let folder = walk.folder.map(|folder| folder.name());
        for name in [Some(walk.at.name()), folder].into_iter().flatten() {
            let group = self.table.entry(name, now, day);
            group.signals.record(read, now, day);
            group.members.count(object.hash);
        }
    }

    /// The length of the prefix that is the object's group, and what is known of that group.
    pub fn of(&self, seed: &Seed, bucket: u64, key: &str) -> (usize, Option<Signals>) {
        let mut walk = Walk::new(seed, bucket, key);
        for _ in 0..MOST_PREFIXES {
            match walk.next(&self.table) {
                Some(next) if self.table.get(next.name()).is_some() => walk.go(next),
                _ => break,
            }
        }
        (walk.at.length(), self.table.get(walk.at.name()).map(|group| group.signals))
    }
}

/// The way from a bucket's root prefix to the group of a key. However long the key is, it is hashed twice at most.
struct Walk<'k> {
    key: &'k str,
    at: Prefix,
    /// The prefix up to and including the next slash of the key.
    folder: Option<Prefix>,
}

impl<'k> Walk<'k> {
    fn new(seed: &Seed, bucket: u64, key: &'k str) -> Self {
        let at = seed.root(bucket);
        Walk { key, folder: at.to_slash(key), at }
    }

    /// The longer prefix to go on to, if there is one.
    fn next(&self, table: &Table<Group>) -> Option<Prefix> {
        let size = |prefix: &Prefix| table.get(prefix.name()).map_or(Size::Few, |group| group.members.size());
        match &self.folder {
            Some(folder) if size(folder) > Size::Few => Some(folder.clone()),
            _ if size(&self.at) == Size::Crowd => self.at.to_character(self.key),
            _ => None,
        }
    }

    fn go(&mut self, next: Prefix) {
        if self.folder.as_ref().is_some_and(|folder| folder.length() <= next.length()) {
            self.folder = next.to_slash(self.key);
        }
        self.at = next;
    }
}

#[cfg(test)]
mod tests;
