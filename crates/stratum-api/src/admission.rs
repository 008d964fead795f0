//! The bound on the memory that all requests together may hold, and how parties share that memory ([`share`]).
//!
//! Each request counts for a [`Party`]: the user who signed it, or the address that an unsigned request came from.
//! Anybody can make as many users and roles in an account, and use as many addresses, as they like. So all members of
//! an account together get as much of the pool as one party does, and so do all who send unsigned requests ([`Group`]).
//! The members of a group share that amount in the same way.
//!
//! A request is counted with [`LEAST_MEMORY_BYTES`] from the check of its signature until its answer is sent. What it needs
//! beyond that it takes through its [`Memory`]: its worst case in one step where that is known, before the request
//! reserves or holds anything else, and piece by piece where it gathers what a client sends. No request ever waits for
//! memory, so requests can't wait for each other: over the bound the answer is `503 SlowDown`, after which clients
//! retry.

mod allowance;
mod memory;
mod party;
mod share;

pub use allowance::SMALL_PIECE_BYTES;
pub use memory::{Admitted, Memory, Turn};
use party::Group;
pub use party::{Origin, Party};
pub use share::{LAST_PART_DIVISOR, is_fair};

use crate::error::{Code, S3Error};
use allowance::Allowance;
use metrics::{Counter, Gauge, Unit};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tracing_mutex::parkinglot::Mutex;

/// The bytes that a request in flight is counted with: the buffers of its connection, and an answer that fits into
/// them.
pub const LEAST_MEMORY_BYTES: u64 = 128 << 10;

/// The least number of long scans and documents of one party that are worked on at once. Further ones wait for their
/// turn.
const MIN_TURNS: usize = 2;

/// The pool of request memory. A handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    total: u64,
    /// How many long scans and documents of one party are worked on at once: half as many as there are processors, and
    /// [`MIN_TURNS`] at least.
    turns: usize,
    holdings: Mutex<Holdings>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Holdings {
    used: u64,
    parties: HashMap<Party, Arc<Holding>>,
    /// The bytes that the parties of a group hold together.
    groups: HashMap<Group, Arc<AtomicU64>>,
    refused: u64,
}

/// What one party holds. Each of its requests keeps a reference, so that only the beginning of a request looks the
/// party up.
#[derive(Debug)]
struct Holding {
    /// Changes only while the pool is locked. The party leaves the pool when it comes to nothing.
    bytes: AtomicU64,
    /// The bytes that all parties of the group hold together; `None` for an account's owner, who is in no group.
    group: Option<Arc<AtomicU64>>,
    turns: Arc<Semaphore>,
    allowance: Mutex<Allowance>,
}

impl Holding {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The part of the pool that a party may share in: how much of it is free, and how large it is.
struct Room {
    free: u64,
    total: u64,
}

/// The figures of the pool, for the server's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// Parties that hold something now.
    pub parties: usize,
    /// The party that holds the most, and how many bytes it holds.
    pub largest: Option<(Party, u64)>,
    /// Requests that were refused memory since the start.
    pub refused: u64,
}

impl Admission {
    /// Makes a pool of that many bytes.
    pub fn new(bytes: u64) -> Self {
        let telemetry = Telemetry::register();
        telemetry.total.set(bytes as f64);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = (processors / 2).max(MIN_TURNS);
        Self { pool: Arc::new(Pool { total: bytes, turns, holdings: Mutex::default(), telemetry }) }
    }

    /// Counts a request whose sender is known, until its [`Memory`] is dropped.
    ///
    /// # Errors
    /// `SlowDown` when the party's share, or the pool, is used up.
    pub fn enter(&self, party: Party) -> Result<Memory, S3Error> {
        Memory::open(self.pool.clone(), party)
    }

    /// The bytes that requests hold now.
    pub fn used(&self) -> u64 {
        self.pool.holdings.lock().used
    }

    pub fn status(&self) -> PoolStatus {
        let holdings = self.pool.holdings.lock();
        let largest = holdings.parties.iter().max_by_key(|(_, holding)| holding.bytes());
        PoolStatus {
            total_bytes: self.pool.total,
            used_bytes: holdings.used,
            parties: holdings.parties.len(),
            largest: largest.map(|(party, holding)| (party.clone(), holding.bytes())),
            refused: holdings.refused,
        }
    }
}

impl Pool {
    /// Takes the first bytes of a request, and makes the party known to the pool if it isn't.
    fn enter(&self, party: &Party, bytes: u64) -> Result<Arc<Holding>, S3Error> {
        let mut holdings = self.holdings.lock();
        let holding = holdings.parties.get(party).cloned().unwrap_or_else(|| {
            let group = |group| holdings.groups.get(&group).cloned().unwrap_or_default();
            Arc::new(Holding {
                bytes: AtomicU64::new(0),
                group: party.group().map(group),
                turns: Arc::new(Semaphore::new(self.turns)),
                allowance: Mutex::default(),
            })
        });
        self.take_locked(&mut holdings, party, &holding, bytes)?;
        if holding.bytes() == bytes {
            holdings.parties.insert(party.clone(), holding.clone());
            if let (Some(group), Some(bytes)) = (party.group(), &holding.group) {
                holdings.groups.entry(group).or_insert_with(|| bytes.clone());
            }
        }
        Ok(holding)
    }

    fn room(&self, holdings: &Holdings, holding: &Holding) -> Room {
        let (free, total) = (self.total.saturating_sub(holdings.used), self.total);
        match &holding.group {
            None => Room { free, total },
            Some(group) => {
                let held = group.load(Ordering::Relaxed);
                let free = share::most(held, free, total);
                Room { free, total: held + free }
            }
        }
    }

    fn take(&self, party: &Party, holding: &Holding, bytes: u64) -> Result<(), S3Error> {
        self.take_locked(&mut self.holdings.lock(), party, holding, bytes)
    }

    fn take_locked(
        &self,
        holdings: &mut Holdings,
        party: &Party,
        holding: &Holding,
        bytes: u64,
    ) -> Result<(), S3Error> {
        let Room { free, total } = self.room(holdings, holding);
        if !is_fair(holding.bytes(), bytes, free, total) {
            holdings.refused += 1;
            return Err(self.refusal(bytes > self.total.saturating_sub(holdings.used), party));
        }
        holdings.used += bytes;
        holding.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(group) = &holding.group {
            group.fetch_add(bytes, Ordering::Relaxed);
        }
        self.telemetry.used.set(holdings.used as f64);
        Ok(())
    }

    fn give_back(&self, party: &Party, holding: &Holding, bytes: u64) {
        let mut holdings = self.holdings.lock();
        holdings.used = holdings.used.saturating_sub(bytes);
        let before = holding.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before <= bytes {
            holdings.parties.remove(party);
        }
        if let (Some(group), Some(held)) = (party.group(), &holding.group)
            && held.fetch_sub(bytes, Ordering::Relaxed) <= bytes
        {
            holdings.groups.remove(&group);
        }
        self.telemetry.used.set(holdings.used as f64);
    }

    /// Whether the party holds more than it leaves to all others that it shares with.
    fn is_pressed_by(&self, holding: &Holding) -> bool {
        holding.bytes() > self.room(&self.holdings.lock(), holding).free
    }

    fn refusal(&self, is_used_up: bool, party: &Party) -> S3Error {
        if is_used_up {
            self.telemetry.refused_pool.increment(1);
            return S3Error::new(Code::SlowDown).because("the pool of request memory is used up");
        }
        self.telemetry.refused_share.increment(1);
        S3Error::new(Code::SlowDown)
            .because(format_args!("the share of request memory that {party} may hold is used up"))
    }
}

#[derive(Debug)]
struct Telemetry {
    total: Gauge,
    used: Gauge,
    refused_pool: Counter,
    refused_share: Counter,
}

impl Telemetry {
    fn register() -> Self {
        const TOTAL: &str = "stratum_request_memory_limit_bytes";
        const USED: &str = "stratum_request_memory_used_bytes";
        const REFUSED: &str = "stratum_request_memory_refused_total";
        metrics::describe_gauge!(TOTAL, Unit::Bytes, "Memory that all requests together may hold.");
        metrics::describe_gauge!(USED, Unit::Bytes, "Memory that requests in flight hold.");
        metrics::describe_counter!(
            REFUSED,
            Unit::Count,
            "Requests refused with 503: the whole pool was used up (pool), or what one user or address may hold (share)."
        );
        Self {
            total: metrics::gauge!(TOTAL),
            used: metrics::gauge!(USED),
            refused_pool: metrics::counter!(REFUSED, "reason" => "pool"),
            refused_share: metrics::counter!(REFUSED, "reason" => "share"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POOL: u64 = 512 << 20;

    fn user(number: usize) -> Party {
        Party::User(number.to_string())
    }

    #[test]
    fn bytes_are_given_back_on_drop() {
        let pool = Admission::new(POOL);
        let memory = pool.enter(user(1)).unwrap();
        let held = memory.admit(60 << 20).unwrap();
        assert_eq!(pool.used(), (60 << 20) + LEAST_MEMORY_BYTES);
        assert_eq!(memory.admit(POOL).unwrap_err().code(), Code::SlowDown);
        drop(held);
        assert_eq!(pool.used(), LEAST_MEMORY_BYTES);
        drop(memory);
        assert_eq!(pool.used(), 0);
        assert_eq!(pool.status().parties, 0);
    }

    #[test]
    fn admitted_bytes_stay_counted_when_their_request_is_gone() {
        let pool = Admission::new(POOL);
        let held = pool.enter(user(1)).unwrap().admit(1 << 20).unwrap();
        assert_eq!(pool.used(), (1 << 20) + LEAST_MEMORY_BYTES);
        drop(held);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_party_alone_gets_four_fifths_and_the_next_one_still_finds_room() {
        let pool = Admission::new(POOL);
        let memory = pool.enter(user(1)).unwrap();
        let mut held = Vec::new();
        while let Ok(more) = memory.admit(1 << 20) {
            held.push(more);
        }
        assert_eq!(held.len(), 409);
        let next = pool.enter(user(2)).expect("room for another user");
        let _write = next.admit(32 << 20).expect("and for what it writes");
        assert_eq!(pool.status().largest.unwrap().0, user(1));
        assert_eq!(pool.status().refused, 1);
    }

    #[test]
    fn only_a_party_that_holds_most_of_the_pool_must_move_bytes_faster() {
        let pool = Admission::new(POOL);
        let (hog, other) = (pool.enter(user(1)).unwrap(), pool.enter(user(2)).unwrap());
        let _small = other.admit(1 << 20).unwrap();
        let held = hog.admit(6 << 20).unwrap();
        assert_eq!(hog.minimum_rate(), other.minimum_rate());
        let (_many, more) = (pool.enter(user(1)).unwrap().admit(300 << 20).unwrap(), hog.minimum_rate());
        assert!(more > (6 << 20) / 100, "{more}");
        assert_eq!(other.minimum_rate(), 1024);
        drop(held);
    }

    /// Takes all that the party may have, in pieces that are halved from the whole pool down to a page.
    fn takes_all_it_may(memory: &Memory) -> Vec<Admitted> {
        let mut held = Vec::new();
        let mut bytes = POOL;
        while bytes >= 4096 {
            match memory.admit(bytes) {
                Ok(more) => held.push(more),
                Err(_) => bytes /= 2,
            }
        }
        held
    }

    #[test]
    fn however_many_parties_hold_all_they_may_the_next_one_finds_some() {
        let pool = Admission::new(POOL);
        let mut hogs = Vec::new();
        let mut left = Vec::new();
        for number in 0..20 {
            let memory = pool.enter(user(number)).expect("room to begin");
            hogs.push((takes_all_it_may(&memory), memory));
            left.push((POOL - pool.used()) >> 20);
        }
        assert_eq!(left[..10], [102, 64, 56, 50, 44, 39, 35, 31, 28, 24]);
        assert!(left[19] >= 7, "{left:?}");
    }

    fn member(number: usize) -> Party {
        Party::Member { account: "mallory".into(), principal: format!("arn:aws:iam::mallory:user/{number}") }
    }

    fn stranger(number: usize) -> Party {
        Party::Address(Origin::of([192, 0, 2, number as u8].into()))
    }

    #[test]
    fn however_large_a_group_is_its_next_party_and_others_find_some() {
        for one_of_many in [member, stranger] {
            fill_with_a_group(one_of_many);
        }
    }

    fn fill_with_a_group(one_of_many: fn(usize) -> Party) {
        let pool = Admission::new(POOL);
        let mut hogs = Vec::new();
        for number in 0..3 {
            let memory = pool.enter(one_of_many(number)).expect("room to begin");
            hogs.push((takes_all_it_may(&memory), memory));
        }
        let next = pool.enter(one_of_many(3)).expect("room to begin");
        drop(next.admit(4 << 20).expect("room for the group's next one"));
        for number in 4..200 {
            let Ok(memory) = pool.enter(one_of_many(number)) else { break };
            hogs.push((takes_all_it_may(&memory), memory));
        }
        let held = pool.used();
        assert!((POOL * 4 / 5 - (4 << 20)..=POOL * 4 / 5).contains(&held), "{held}");
        let other = pool.enter(user(1)).expect("room for another user");
        drop(other.admit(30 << 20).expect("and for what it writes"));
        drop((hogs, other, next));
        assert_eq!((pool.used(), pool.pool.holdings.lock().groups.len()), (0, 0));
    }

    /// How many parties want as much as they can get.
    const HOGS: usize = 9;

    /// One step: which party asks and for how many KiB, or gives its oldest piece back.
    fn asking() -> impl Strategy<Value = (usize, Option<u64>)> {
        (0..HOGS, proptest::option::weighted(0.8, 0..200_000_u64))
    }

    proptest! {
        #[test]
        fn whatever_some_parties_do_another_gets_its_request(asked in proptest::collection::vec(asking(), 0..300)) {
            let pool = Admission::new(POOL);
            let memories: Vec<_> = (0..HOGS).map(|number| pool.enter(user(number)).unwrap()).collect();
            let mut held = Vec::new();
            for (who, kib) in asked {
                match kib {
                    Some(kib) => held.extend(memories[who].admit(kib << 10)),
                    None if held.is_empty() => {}
                    None => drop(held.remove(0)),
                }
                prop_assert!(pool.used() <= POOL);
                // A long GET takes this much in the usual geometries, which is more than a page of a list takes.
                let newcomer = pool.enter(user(HOGS)).unwrap();
                prop_assert!(newcomer.admit(2816 << 10).is_ok(), "{} free", POOL - pool.used());
            }
            drop(held);
            drop(memories);
            prop_assert_eq!(pool.used(), 0);
        }
    }
}
