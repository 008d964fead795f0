//! Whether a small body may come.
//!
//! It rides in the journal at first, which fills whatever there is, and comes into a volume by packing, which may use the
//! reserve. So whether there is room for it is asked when it comes, as for any other body. Else small bodies would take
//! the reserve, too, and then nothing can be written that gives space back: no delete, no packing.

use super::{Refusal, Writer};
use crate::blob::Tier;
use crate::drive::Devices;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes of small bodies may come before the drives are asked again: a small part of the least reserve.
const LOOK_EVERY_BYTES: u64 = 4 << 20;

/// What a body takes in the journal besides its bytes, about.
const ENTRY_BYTES: u64 = 512;

/// Bytes that may come before the drives are asked again.
#[derive(Debug, Default)]
pub(super) struct Allowed(AtomicU64);

impl Allowed {
    fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Writer {
    /// Whether a body of so many bytes that is to ride in the journal has room beside the reserve. Now and then it asks the
    /// devices, and always where there was none.
    pub async fn takes_small(&self, bytes: u64) -> bool {
        if self.allowed.take(bytes + ENTRY_BYTES) {
            return true;
        }
        let refuses = match self.tier(Tier::JOURNAL) {
            Some(state) => {
                let drives = state.healthy();
                let fullness = self.fullness_of(state, &drives, &Devices::ask(&drives).await);
                fullness.refusal() == Some(Refusal::Space)
            }
            None => false,
        };
        self.allowed.0.store(if refuses { 0 } else { LOOK_EVERY_BYTES }, Ordering::Relaxed);
        !refuses
    }
}
