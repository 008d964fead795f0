//! The bound on what all requests together may hold in memory.
//!
//! A request takes its worst case in one acquisition before its body is polled and gives it back when it is done,
//! however it ends. Nobody waits: over the bound the answer is `503 SlowDown`, which clients retry.

use crate::error::{Code, S3Error};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this size, since a semaphore counts in 32 bits.
const UNIT: u64 = 4096;

/// A pool of bytes.
#[derive(Clone, Debug)]
pub struct Admission {
    units: Arc<Semaphore>,
    total: u64,
}

/// Bytes that a request holds, given back on drop.
#[derive(Debug)]
#[must_use = "the bytes are given back on drop"]
pub struct Admitted {
    _units: OwnedSemaphorePermit,
}

impl Admission {
    /// A pool of about `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS as u64 >> 1) as usize;
        Self { units: Arc::new(Semaphore::new(units)), total: units as u64 * UNIT }
    }

    /// Takes `bytes` in one step.
    ///
    /// # Errors
    /// `SlowDown` when the pool doesn't hold as much now.
    pub fn admit(&self, bytes: u64) -> Result<Admitted, S3Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| S3Error::new(Code::SlowDown))?;
        match self.units.clone().try_acquire_many_owned(units) {
            Ok(permit) => Ok(Admitted { _units: permit }),
            Err(_) => Err(S3Error::new(Code::SlowDown).because("the pool of request memory is used up")),
        }
    }

    /// Bytes in use now.
    pub fn used(&self) -> u64 {
        self.total - self.units.available_permits() as u64 * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_on_drop() {
        let pool = Admission::new(100 * UNIT);
        let held = pool.admit(60 * UNIT).unwrap();
        assert_eq!(pool.used(), 60 * UNIT);
        assert_eq!(pool.admit(41 * UNIT).unwrap_err().code(), Code::SlowDown);
        drop(held);
        assert_eq!(pool.used(), 0);
        let _all = pool.admit(100 * UNIT).unwrap();
    }
}
