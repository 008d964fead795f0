//! How the objects of a running server are used, in bounded memory.
//!
//! A read takes two short locks: that of one of a few tables of objects, and that of the table of [groups](groups).
//! When memory is full, the entries used least are forgotten first, and counted. Losing all of them costs worse
//! decisions for a while, never a byte.

pub mod accounts;
mod file;
mod groups;
mod looks;
mod members;
pub mod name;
mod saving;
mod slow;
mod table;
mod woken;

use crate::content::Seen;
use crate::day::Day;
use crate::signals::{Read, Signals};
use crate::tier::Tier;
use accounts::{Account, AccountName, Accounts};
pub use file::{End, HeadError};
use groups::Groups;
pub use looks::Looked;
use looks::Looks;
use name::{Name, Seed};
pub use saving::Changes;
use slow::Slow;
pub use slow::SlowReads;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use table::Table;
use tracing_mutex::parkinglot::Mutex;
use woken::Woken;

const SHARDS: usize = 16;
/// Groups get this part of the memory: one byte in so many.
const GROUPS_DIVISOR: usize = 20;
/// What was seen of objects' bytes gets this part on top of the memory: one byte in so many.
const LOOKS_DIVISOR: usize = 20;

/// Counts reads of objects, and keeps what the classifier saw in them.
#[derive(Debug)]
pub struct Usage {
    day: Day,
    seed: Seed,
    objects: [Mutex<Table<Signals>>; SHARDS],
    groups: Mutex<Groups>,
    looks: Mutex<Looks>,
    woken: Mutex<Woken>,
    accounts: Mutex<Accounts>,
    slow: Mutex<Slow>,
    /// When counting began, in milliseconds of Unix time; 0 before the first question.
    since: AtomicU64,
}

/// What is known of an object's use.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub own: Option<Signals>,
    pub group: Option<Signals>,
    /// The prefix that the keys of its group share.
    pub prefix: String,
}

/// How much is known, and how much memory it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageStatus {
    /// Objects of which something is known.
    pub objects: usize,
    pub groups: usize,
    /// Objects of whose bytes something is known, and folders in which something is known of the objects with one
    /// extension.
    pub looks: usize,
    /// The memory that all of it takes, in bytes.
    pub bytes: usize,
    /// Objects and prefixes that were forgotten to make room for others.
    pub forgotten: u64,
    /// Objects that were queued to be decided about at once, and those that found the queue full.
    pub woken: u64,
    pub dropped: u64,
}

impl Usage {
    /// `memory` is for reads, in bytes: about 104 for an object and its part of a group. What was seen of objects'
    /// bytes may take a twentieth of it on top, about 30 bytes an object.
    pub fn new(memory: usize, day: Day, seed: Seed) -> Self {
        let groups = memory / GROUPS_DIVISOR;
        let of_shard = (memory - groups) / SHARDS;
        Self {
            day,
            seed,
            objects: std::array::from_fn(|_| Mutex::new(Table::within(of_shard))),
            groups: Mutex::new(Groups::within(groups)),
            looks: Mutex::new(Looks::within(memory / LOOKS_DIVISOR)),
            woken: Mutex::default(),
            accounts: Mutex::default(),
            slow: Mutex::default(),
            since: AtomicU64::new(0),
        }
    }

    /// Counts a read of an object at `now`, in milliseconds of Unix time. The object is queued to be decided about at
    /// once if it lies below hot, or if this read makes it spike.
    pub fn record(&self, bucket: u64, key: &str, read: Read, below_hot: bool, now: u64) {
        let name = self.seed.name(bucket, key);
        let spikes = {
            let mut shard = self.shard(name).lock();
            let signals = shard.entry(name, now, self.day);
            let spiked = signals.spikes(now, self.day);
            signals.record(read, now, self.day);
            !spiked && signals.spikes(now, self.day)
        };
        self.groups.lock().record(&self.seed, name, key, read, now, self.day);
        if below_hot || spikes {
            self.woken.lock().push(bucket, key);
        }
    }

    /// What is known of an object, and of its group.
    pub fn of(&self, bucket: u64, key: &str) -> Known {
        let name = self.seed.name(bucket, key);
        let own = self.shard(name).lock().get(name).copied();
        let (length, group) = self.groups.lock().of(&self.seed, bucket, key);
        Known { own, group, prefix: key.get(..length).unwrap_or_default().to_owned() }
    }

    /// Keeps what the classifier saw in an object that was `written` at that time, in milliseconds of Unix time.
    pub fn note_seen(&self, bucket: u64, key: &str, written: u64, seen: Seen) {
        self.looks.lock().note(&self.seed, bucket, key, written, seen, self.day);
    }

    /// What is known of the bytes of an object that was `written` at that time. What was seen of another version of
    /// the key doesn't count.
    pub fn seen(&self, bucket: u64, key: &str, written: u64) -> Looked {
        self.looks.lock().of(&self.seed, bucket, key, written)
    }

    /// Since when reads are counted, in milliseconds of Unix time. A restart doesn't change it as long as the counts
    /// survive; of the time before it nobody knows whether an object was read. The first call sets it to `now`.
    pub fn counted_since(&self, now: u64) -> u64 {
        match self.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            Err(since) => since,
        }
    }

    /// Makes counting begin at `since`: older counts no longer tell anything.
    pub fn count_since(&self, since: u64) {
        self.since.store(since, Ordering::Relaxed);
    }

    /// Takes at most `most` of the objects that are queued to be decided about at once, as bucket and key.
    pub fn take_woken(&self, most: usize) -> Vec<(u64, String)> {
        self.woken.lock().take(most)
    }

    /// Forgets an object that was deleted.
    pub fn remove(&self, bucket: u64, key: &str) {
        let name = self.seed.name(bucket, key);
        self.shard(name).lock().remove(name);
        self.looks.lock().table.remove(name);
    }

    /// What tiering saved and spent for a bucket in a month.
    pub fn account(&self, name: AccountName) -> Account {
        self.accounts.lock().get(name)
    }

    /// Adds to an account.
    pub fn charge(&self, name: AccountName, by: Account) {
        let mut accounts = self.accounts.lock();
        let Account { saved, spent } = accounts.get(name);
        accounts.set(name, Account { saved: saved + by.saved, spent: spent + by.spent });
    }

    /// Counts the cost of a read that was served from a tier below hot.
    pub fn record_slow(&self, bucket: u64, tier: Tier, bytes: u64) {
        self.slow.lock().count(bucket, tier, bytes);
    }

    /// The reads from below hot that were counted since the last call, by bucket and tier.
    pub fn take_slow(&self) -> BTreeMap<(u64, Tier), SlowReads> {
        self.slow.lock().take()
    }

    pub fn status(&self) -> UsageStatus {
        let mut status = UsageStatus::default();
        for shard in &self.objects {
            let shard = shard.lock();
            status.objects += shard.len();
            status.bytes += shard.bytes();
            status.forgotten += shard.forgotten();
        }
        let groups = self.groups.lock();
        status.groups = groups.table.len();
        status.bytes += groups.table.bytes();
        status.forgotten += groups.table.forgotten();
        let looks = self.looks.lock();
        status.looks = looks.table.len();
        status.bytes += looks.table.bytes();
        (status.woken, status.dropped) = self.woken.lock().counts();
        status
    }

    fn shard(&self, name: Name) -> &Mutex<Table<Signals>> {
        // Other bits of the hash than those by which a table's index begins to search.
        &self.objects[(name.hash >> 40) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests;
