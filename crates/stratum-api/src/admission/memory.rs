//! What one request holds of the pool of request memory.

use super::{Holding, LEAST_MEMORY_BYTES, Party, Pool};
use crate::error::S3Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The least rate, in bytes a second, at which any peer must send a body or read an answer.
const LEAST_BYTES_A_SECOND: u64 = 1024;

/// Once a party holds most of the pool, a peer of it must move as many bytes as the server holds for it within this
/// many seconds.
const TURNOVER_SECONDS: u64 = 64;

/// A request's account with the pool. The request stays counted as long as this handle, a clone of it, or anything
/// admitted through one lives.
#[derive(Clone, Debug)]
pub struct Memory {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    pool: Arc<Pool>,
    party: Party,
    holding: Arc<Holding>,
    held: AtomicU64,
}

/// Bytes that a request holds, given back on drop.
#[derive(Debug)]
#[must_use = "the bytes are given back on drop"]
pub struct Admitted {
    memory: Memory,
    bytes: u64,
}

/// The right to work on one long scan or document.
#[derive(Debug)]
#[must_use = "the turn ends on drop"]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn open(pool: Arc<Pool>, party: Party) -> Result<Self, S3Error> {
        let holding = pool.enter(&party, LEAST_MEMORY_BYTES)?;
        let held = AtomicU64::new(LEAST_MEMORY_BYTES);
        Ok(Self { account: Arc::new(Account { pool, party, holding, held }) })
    }

    /// Takes `bytes` in one step.
    ///
    /// # Errors
    /// `SlowDown` when the party's share, or the pool, is used up.
    pub fn admit(&self, bytes: u64) -> Result<Admitted, S3Error> {
        let mut admitted = Admitted { memory: self.clone(), bytes: 0 };
        admitted.grow(bytes)?;
        Ok(admitted)
    }

    /// The least rate, in bytes a second, at which the peer must send or read. Once the party holds more than it leaves
    /// to all others, the rate grows with what the server holds for this request.
    pub fn minimum_rate(&self) -> u64 {
        let Account { pool, holding, held, .. } = &*self.account;
        match pool.is_pressed_by(holding) {
            true => LEAST_BYTES_A_SECOND.max(held.load(Ordering::Relaxed) / TURNOVER_SECONDS),
            false => LEAST_BYTES_A_SECOND,
        }
    }

    /// Counts pieces of fewer than [`SMALL_PIECE_BYTES`](super::SMALL_PIECE_BYTES) that came for the request. Returns
    /// how long the peer is not to be read from, because its party sends too many of them. `now` is on the monotonic
    /// clock.
    pub fn small_pieces(&self, pieces: u32, now: Duration) -> Duration {
        self.account.holding.allowance.lock().take(pieces, now)
    }

    /// Waits until few enough of the party's long scans and documents are worked on. Take a turn right before such
    /// work, and while you hold it take nothing that others wait for.
    pub async fn turn(&self) -> Turn {
        // The semaphore is never closed, so this never fails.
        Turn { _permit: self.account.holding.turns.clone().acquire_owned().await.ok() }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pool.give_back(&self.party, &self.holding, LEAST_MEMORY_BYTES);
    }
}

impl Admitted {
    /// The account of the request that holds the bytes.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// `SlowDown`; the bytes that were held before are still held.
    pub fn grow(&mut self, bytes: u64) -> Result<(), S3Error> {
        let account = &self.memory.account;
        account.pool.take(&account.party, &account.holding, bytes)?;
        account.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let account = &self.memory.account;
        account.held.fetch_sub(self.bytes, Ordering::Relaxed);
        account.pool.give_back(&account.party, &account.holding, self.bytes);
    }
}
