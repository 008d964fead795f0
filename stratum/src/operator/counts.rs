//! What takes a scan of all objects to know: counted when somebody asks, and kept for a minute.

use std::time::Duration;
use stratum_metadata::census::Census;
use stratum_metadata::{Metadata, Piece};
use stratum_storage::ambient::{Clock, System};
use stratum_storage::heal::Lost;
use stratum_storage::journal::LostBodies;
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

/// How many objects can't be read, and what was known to be lost then.
#[derive(Debug)]
struct Unreadable {
    /// On the monotonic clock.
    at: Duration,
    lost: Lost,
    bodies: LostBodies,
    objects: u64,
}

/// The last counts, each with when it was made. Counting holds up who asks for the same.
#[derive(Debug, Default)]
pub(super) struct Counts {
    census: Mutex<Option<Counted>>,
    unreadable: Mutex<Option<Unreadable>>,
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

    /// How many objects lie at least partly in what is lost. At least 1 if anything in volumes is: what can't be counted now, or
    /// is no object's yet, is still something to know. The first time all are looked at: bodies that had left the journal
    /// when the server started are lost, too, as after a restore, and nothing else tells of them.
    pub(super) fn unreadable(&self, metadata: &Metadata, lost: Lost) -> u64 {
        let (mut last, now, bodies) = (self.unreadable.lock(), System.monotonic(), metadata.lost_bodies());
        let is_good = |last: &Unreadable| {
            let is_fresh = last.objects == 0 || now.saturating_sub(last.at) < AGE;
            is_fresh && last.lost == lost && last.bodies == bodies
        };
        if let Some(last) = last.as_ref().filter(|last| is_good(last)) {
            return last.objects;
        }
        let (least, first) = (u64::from(!lost.is_empty()), metadata.first_entry());
        let counted = metadata.objects_in(&|piece| match piece {
            Piece::Stripe(volume, offset) => lost.has(volume, offset),
            Piece::Entry(entry) => entry < first || bodies.has(entry),
        });
        let Ok(counted) = counted else {
            return last.as_ref().map_or(least, |last| last.objects.max(least));
        };
        let objects = counted.max(least);
        *last = Some(Unreadable { at: now, lost, bodies, objects });
        objects
    }
}
