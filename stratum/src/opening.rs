//! The engine as this configuration wants it.

use crate::config::Config;
use crate::layout::Layout;
use crate::scrubbing;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::{Foundation, OpenError};
use stratum_storage::ambient::System;
use stratum_storage::drive::Threads;
use stratum_storage::journal;
use stratum_storage::pace::Budget;

/// How long a start that lacks drives waits between two tries.
const DRIVES_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The drives and their journal.
pub fn foundation(layout: &Layout) -> Result<Foundation, OpenError> {
    let drives = layout.set_config(Threads::Own);
    Foundation::open(&drives, journal::Options::default(), Arc::new(System), Arc::new(System))
}

/// [`foundation`], once enough drives are there to start safely. Says so while it waits.
pub fn await_foundation(layout: &Layout) -> Result<Foundation, OpenError> {
    loop {
        match foundation(layout) {
            Err(error) if error.is_for_want_of_drives() => {
                tracing::error!(%error, "not serving; waiting for the drives to come back");
            }
            outcome => return outcome,
        }
        std::thread::sleep(DRIVES_POLL_INTERVAL);
    }
}

/// What the configuration says of the engine, where the drives that are there have settled where the index lies.
pub fn engine_config(config: &Config, layout: &Layout) -> stratum_engine::Config {
    stratum_engine::Config {
        budget: Budget {
            bytes_per_second: config.background.bytes_per_second,
            operations_per_second: config.background.operations_per_second,
        },
        narrow_after: config.heal.narrow_after,
        scrub: scrubbing::progress(&layout.meta),
        ..stratum_engine::Config::new(layout.index())
    }
}
