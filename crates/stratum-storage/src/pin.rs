//! Pins: what somebody looked up under one stays until it is let go.
//!
//! The collector is our own. That of the process is shared with the index's engine: its threads would run what we free,
//! whenever they come by, and hold it up as long as they are at work themselves.

use crossbeam_epoch::{Collector, Guard, LocalHandle};
use std::sync::LazyLock;

static COLLECTOR: LazyLock<Collector> = LazyLock::new(Collector::new);

thread_local! {
    static THREAD: LocalHandle = COLLECTOR.register();
}

/// A pin of this thread. It costs some tens of nanoseconds.
pub fn pin() -> Guard {
    // A thread that ends has let go of its handle.
    THREAD.try_with(LocalHandle::pin).unwrap_or_else(|_| COLLECTOR.register().pin())
}
