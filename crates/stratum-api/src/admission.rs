//! The bound on what all requests together may hold in memory, and how it is shared.
//!
//! Whoever a request counts for is its [`Party`]: the user who signed it, or the address that an unsigned one came
//! from. **A party may hold up to four times what is left free then, and an eighth of that where less than an eighth
//! of the pool is left.** So one that is alone gets four fifths of the pool, and whoever comes next always finds some of
//! it free: two that hold all that they may leave an eighth, and each further one eight ninths of what it found.
//!
//! A request is counted with [`LEAST_MEMORY`] from its signature until its answer is sent. What it needs beyond
//! that it takes through its [`Memory`]: its worst case in one step where that is known, before it reserves or holds
//! anything else, and piece by piece where it gathers what a client sends. Nobody ever waits for memory, so nobody
//! can wait for each other: over the bound the answer is `503 SlowDown`, which clients retry.

mod allowance;
mod memory;
mod party;

pub use allowance::SMALL_PIECE_BYTES;
pub use memory::{Admitted, Memory, Turn};
pub use party::{Origin, Party};

use crate::error::{Code, S3Error};
use allowance::Allowance;
use metrics::{Counter, Gauge, Unit};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tracing_mutex::parkinglot::Mutex;

/// What a request in flight is counted with, in bytes: what its connection buffers, and an answer that fits there.
pub const LEAST_MEMORY: u64 = 128 << 10;

/// A party may hold so many times what it leaves free.
const SHARE: u64 = 4;

/// The last part of a pool, one in so many, is for those who hold little: so small a part of what they leave free.
pub const LAST_PART: u64 = 8;

/// How many long scans and documents of one party are worked on at once at least; more of them wait for each other.
const MIN_TURNS: usize = 2;

/// Whether somebody who has `held` of a pool of `total` may take `more` of it while `free` of it is free.
pub fn is_fair(held: u64, more: u64, free: u64, total: u64) -> bool {
    free.checked_sub(more).is_some_and(|left| {
        let most =
            if left >= total / LAST_PART { left.saturating_mul(SHARE) } else { left.div_ceil(LAST_PART) };
        held.saturating_add(more) <= most
    })
}

/// A pool of bytes. A cheap handle.
#[derive(Clone, Debug)]
pub struct Admission {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    total: u64,
    /// Long scans and documents that a party has worked on at once: half of the processors.
    turns: usize,
    holdings: Mutex<Holdings>,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct Holdings {
    used: u64,
    parties: HashMap<Party, Arc<Holding>>,
    refused: u64,
}

/// What one party has. Every request of it knows it, so that only the first has to be looked for.
#[derive(Debug)]
struct Holding {
    /// Changes while the pool is locked, and nobody holds it when it comes to nothing.
    bytes: AtomicU64,
    turns: Arc<Semaphore>,
    allowance: Mutex<Allowance>,
}

impl Holding {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What the pool came to, for whoever asks how the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    pub total_bytes: u64,
    pub used_bytes: u64,
    /// Parties that hold something.
    pub parties: usize,
    /// Who holds the most, and how many bytes.
    pub largest: Option<(Party, u64)>,
    /// Requests that were refused memory since the start.
    pub refused: u64,
}

impl Admission {
    /// A pool of that many bytes.
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

    /// Bytes in use now.
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
    /// Takes the first bytes of a request.
    fn enter(&self, party: &Party, bytes: u64) -> Result<Arc<Holding>, S3Error> {
        let mut holdings = self.holdings.lock();
        let holding = holdings.parties.get(party).cloned().unwrap_or_else(|| {
            let turns = Arc::new(Semaphore::new(self.turns));
            Arc::new(Holding { bytes: AtomicU64::new(0), turns, allowance: Mutex::default() })
        });
        self.take_locked(&mut holdings, party, &holding, bytes)?;
        if holding.bytes() == bytes {
            holdings.parties.insert(party.clone(), holding.clone());
        }
        Ok(holding)
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
        let free = self.total.saturating_sub(holdings.used);
        if !is_fair(holding.bytes(), bytes, free, self.total) {
            holdings.refused += 1;
            return Err(self.refusal(bytes > free, party));
        }
        holdings.used += bytes;
        holding.bytes.fetch_add(bytes, Ordering::Relaxed);
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
        self.telemetry.used.set(holdings.used as f64);
    }

    /// Whether the party holds more than it leaves to all the others.
    fn is_pressed_by(&self, holding: &Holding) -> bool {
        holding.bytes() > self.total.saturating_sub(self.holdings.lock().used)
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
        assert_eq!(pool.used(), (60 << 20) + LEAST_MEMORY);
        assert_eq!(memory.admit(POOL).unwrap_err().code(), Code::SlowDown);
        drop(held);
        assert_eq!(pool.used(), LEAST_MEMORY);
        drop(memory);
        assert_eq!(pool.used(), 0);
        assert_eq!(pool.status().parties, 0);
    }

    #[test]
    fn what_is_admitted_outlives_the_request() {
        let pool = Admission::new(POOL);
        let held = pool.enter(user(1)).unwrap().admit(1 << 20).unwrap();
        assert_eq!(pool.used(), (1 << 20) + LEAST_MEMORY);
        drop(held);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn one_alone_gets_four_fifths_and_the_next_one_still_finds_room() {
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
    fn only_who_holds_most_of_the_pool_has_to_hurry() {
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

    /// What the party takes, by halves from the whole pool down to a page.
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
    fn however_many_hold_all_that_they_may_the_next_one_finds_some() {
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

    /// Parties that want all.
    const HOGS: usize = 9;

    /// What somebody asks for: who, and how many KiB, or to give the oldest back.
    fn asking() -> impl Strategy<Value = (usize, Option<u64>)> {
        (0..HOGS, proptest::option::weighted(0.8, 0..200_000_u64))
    }

    proptest! {
        #[test]
        fn whatever_a_few_do_another_gets_its_request(asked in proptest::collection::vec(asking(), 0..300)) {
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
                // What a long GET takes of drives in the usual geometries, and more than a page of a list does.
                let newcomer = pool.enter(user(HOGS)).unwrap();
                prop_assert!(newcomer.admit(2816 << 10).is_ok(), "{} free", POOL - pool.used());
            }
            drop(held);
            drop(memories);
            prop_assert_eq!(pool.used(), 0);
        }
    }
}
