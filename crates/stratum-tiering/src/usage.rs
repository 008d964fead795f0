//! How the objects of a running server are used: what reads tell, kept in bounded memory.
//!
//! A read takes two short locks: of one of a few tables of objects, and of the table of [groups](groups). What memory
//! doesn't hold is forgotten, the least used first, and counted. Losing all of it costs worse decisions for a while,
//! never a byte.

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
/// Which part of the memory groups get: one in so many bytes.
const GROUPS_PART: usize = 20;
/// Beside it, what was seen of objects' bytes gets one in so many more.
const LOOKS_PART: usize = 20;

/// Counts reads of objects, and tells what they say.
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
    /// When counting began, in milliseconds of Unix time; 0 before anybody asked.
    since: AtomicU64,
}

/// What is known of an object's use.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub own: Option<Signals>,
    pub group: Option<Signals>,
    /// What the keys of its group begin with.
    pub prefix: String,
}

/// How much is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageStatus {
    /// Objects and prefixes of which something is known.
    pub objects: usize,
    pub groups: usize,
    /// Objects, and folders' objects of one ending, of whose bytes something is known.
    pub looks: usize,
    /// The memory that it takes.
    pub bytes: usize,
    /// Objects and prefixes that made room for others.
    pub forgotten: u64,
    /// Objects that were to be decided about at once, and those that found no place in the queue.
    pub woken: u64,
    pub dropped: u64,
}

impl Usage {
    /// `memory` is what use may take, in bytes: about 104 for an object and its part of a group. What was seen of objects' bytes
    /// may take a twentieth of it beside that, about 30 an object.
    pub fn new(memory: usize, day: Day, seed: Seed) -> Self {
        let groups = memory / GROUPS_PART;
        let of_shard = (memory - groups) / SHARDS;
        Self {
            day,
            seed,
            objects: std::array::from_fn(|_| Mutex::new(Table::within(of_shard))),
            groups: Mutex::new(Groups::within(groups)),
            looks: Mutex::new(Looks::within(memory / LOOKS_PART)),
            woken: Mutex::default(),
            accounts: Mutex::default(),
            slow: Mutex::default(),
            since: AtomicU64::new(0),
        }
    }

    /// Counts a read of an object at `now`, in milliseconds of Unix time. One that lies below hot wakes.
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

    /// Notes what was seen of the bytes of an object that was `written` then, in milliseconds of Unix time.
    pub fn note_seen(&self, bucket: u64, key: &str, written: u64, seen: Seen) {
        self.looks.lock().note(&self.seed, bucket, key, written, seen, self.day);
    }

    /// What was seen of them. Nothing of what was written at another time under that key.
    pub fn seen(&self, bucket: u64, key: &str, written: u64) -> Looked {
        self.looks.lock().of(&self.seed, bucket, key, written)
    }

    /// Since when reads are counted, in milliseconds of Unix time: over restarts, as long as what is known survives them. Of what
    /// was before it isn't known whether it was read. Who asks first at `now` begins.
    pub fn counted_since(&self, now: u64) -> u64 {
        match self.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            Err(since) => since,
        }
    }

    /// What was counted before that time is of no worth.
    pub fn count_since(&self, since: u64) {
        self.since.store(since, Ordering::Relaxed);
    }

    /// Takes at most so many of the objects that woke, as bucket and key.
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

    /// Adds to it.
    pub fn charge(&self, name: AccountName, by: Account) {
        let mut accounts = self.accounts.lock();
        let Account { saved, spent } = accounts.get(name);
        accounts.set(name, Account { saved: saved + by.saved, spent: spent + by.spent });
    }

    /// Counts a read that was served from a tier below hot, for what it costs.
    pub fn record_slow(&self, bucket: u64, tier: Tier, bytes: u64) {
        self.slow.lock().count(bucket, tier, bytes);
    }

    /// Those that were counted since this was last asked, by bucket and tier.
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
        // Bits that the tables' own indexes don't begin with.
        &self.objects[(name.hash >> 40) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests;
