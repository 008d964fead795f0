//! What takes a scan of all objects to know: counted when somebody asks, and kept for a minute.

use std::time::Duration;
use stratum_metadata::Metadata;
use stratum_metadata::census::Census;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::heal::Lost;
use tracing_mutex::parkinglot::Mutex;

/// How old a count may be, and how many times as old as it took to make.
const AGE: Duration = Duration::from_secs(60);
const TIMES_ITS_COST: u32 = 20;

/// A count, and how long it is good: while nothing is applied, and else for some time.
#[derive(Debug)]
struct Counted {
    /// The last entry that was applied before it was made.
    entry: u64,
    /// On the monotonic clock.
    good_until: Duration,
    census: Census,
}

/// The last counts, each with when it was made. Counting holds up who asks for the same.
#[derive(Debug, Default)]
pub(super) struct Counts {
    census: Mutex<Option<Counted>>,
    unreadable: Mutex<Option<(Duration, Lost, u64)>>,
}

impl Counts {
    /// How much there is.
    pub(super) fn census(&self, metadata: &Metadata) -> Census {
        let (mut last, now, entry) = (self.census.lock(), System.monotonic(), metadata.applied_index());
        let is_good = |last: &Counted| last.entry == entry || now < last.good_until;
        if let Some(last) = last.as_ref().filter(|last| is_good(last)) {
            return last.census;
        }
        let Ok(census) = metadata.census() else {
            return last.as_ref().map_or(Census::default(), |last| last.census);
        };
        let ended = System.monotonic();
        let cost = ended.saturating_sub(now);
        *last = Some(Counted { entry, good_until: ended + AGE.max(cost * TIMES_ITS_COST), census });
        census
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
