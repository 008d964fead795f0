//! Whether there is room for one more ordinary command, by how full the journal was at the last look.

use crate::command::Urgency;
use crate::log::Usage;
use crate::order::Order;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From this share of the journal's cap on, ordinary commands are slowed; from the second on they are refused.
const SLOW_FROM_SHARE: f32 = 0.75;
const REFUSE_FROM_SHARE: f32 = 0.95;
/// What an ordinary command takes of the journal without its body, in bytes: most take less, but a group takes whole
/// pages.
const COMMAND_BYTES: usize = 4 << 10;
/// The longest delay, just before commands are refused.
const LONGEST_DELAY: Duration = Duration::from_millis(200);

pub(super) struct Room {
    order: Arc<dyn Order>,
    /// The journal's bytes and cap when it was last looked at.
    used: AtomicU64,
    cap: AtomicU64,
}

/// What happens to an ordinary command when it arrives.
pub(super) enum Pace {
    Go,
    Slow(Duration),
    Refuse,
}

impl Room {
    pub(super) fn new(order: Arc<dyn Order>) -> Room {
        let room = Room { order, used: AtomicU64::new(0), cap: AtomicU64::new(0) };
        room.look();
        room
    }

    /// Looks how full the journal is; called before each group.
    pub(super) fn look(&self) {
        let usage = self.order.usage();
        self.used.store(usage.bytes, Ordering::Relaxed);
        self.cap.store(usage.cap, Ordering::Relaxed);
    }

    /// What happens to a command whose body takes so many bytes of the journal.
    pub(super) fn pace(&self, bytes: usize) -> Pace {
        let usage = Usage { bytes: self.used.load(Ordering::Relaxed), cap: self.cap.load(Ordering::Relaxed) };
        match usage.share() {
            share if share < SLOW_FROM_SHARE => Pace::Go,
            share
                if share < REFUSE_FROM_SHARE
                    && self.order.has_room(COMMAND_BYTES + bytes, Urgency::Ordinary) =>
            {
                let part = (share - SLOW_FROM_SHARE) / (REFUSE_FROM_SHARE - SLOW_FROM_SHARE);
                Pace::Slow(LONGEST_DELAY.mul_f32(part * part))
            }
            _ => {
                self.look();
                Pace::Refuse
            }
        }
    }
}
