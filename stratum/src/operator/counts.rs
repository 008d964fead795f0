//! What takes a scan of all objects to know: counted when somebody asks, and kept for a minute.

use parking_lot::Mutex;
use std::time::Duration;
use stratum_metadata::Metadata;
use stratum_metadata::census::Census;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::heal::Lost;

/// How old a count may be.
const AGE: Duration = Duration::from_secs(60);

/// The last counts, each with when it was made. Counting holds up who asks for the same.
#[derive(Debug, Default)]
pub(super) struct Counts {
    census: Mutex<Option<(Duration, Census)>>,
    unreadable: Mutex<Option<(Duration, Lost, u64)>>,
}

impl Counts {
    /// How much there is.
    pub(super) fn census(&self, metadata: &Metadata) -> Census {
        let (mut last, now) = (self.census.lock(), System.monotonic());
        match *last {
            Some((at, census)) if now.saturating_sub(at) < AGE => census,
            _ => {
                let counted = metadata.census().unwrap_or_default();
                *last = Some((now, counted));
                counted
            }
        }
    }

    /// How many objects lie at least partly in what is lost. At least 1 if anything is: what can't be counted now, or
    /// is no object's yet, is still something to know.
    pub(super) fn unreadable(&self, metadata: &Metadata, lost: Lost) -> u64 {
        if lost.is_empty() {
            return 0;
        }
        let (mut last, now) = (self.unreadable.lock(), System.monotonic());
        match &*last {
            Some((at, same, objects)) if *same == lost && now.saturating_sub(*at) < AGE => *objects,
            _ => {
                let counted = metadata.objects_in(&|volume, offset| lost.has(volume, offset));
                let objects = counted.unwrap_or_default().max(1);
                *last = Some((now, lost, objects));
                objects
            }
        }
    }
}
