//! Bodies that can't be read, as far as is known: those of segments of which no drive that is there has a copy, those
//! that somebody asked for and that were bad in every copy, and those that the journal went on without.
//!
//! A drive that comes back brings its copies with it, and a body that was read after all is known no longer.

use super::BodyError;
use super::core::Core;
use crate::blob::Index;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use tracing_mutex::parkinglot::RwLock;

/// How many bodies are remembered that were bad in every copy. Where there are more, the store has other troubles.
const REMEMBERED_BODIES: usize = 10_000;

/// Entries whose bodies can't be read now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostBodies {
    spans: Vec<RangeInclusive<Index>>,
    bodies: BTreeSet<Index>,
}

impl LostBodies {
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.bodies.is_empty()
    }

    pub fn has(&self, entry: Index) -> bool {
        self.bodies.contains(&entry) || self.spans.iter().any(|span| span.contains(&entry))
    }
}

/// Bodies that were bad in every copy when they were asked for.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    bodies: RwLock<BTreeSet<Index>>,
    /// The bodies of which every drive was asked that may have them. They stay known when their entries have left the
    /// journal.
    lost: RwLock<BTreeSet<Index>>,
}

impl Damaged {
    /// A body was asked for, and was there or wasn't.
    pub(super) fn saw(&self, entry: Index, is_damaged: bool) {
        if is_damaged {
            remember(&self.bodies, entry);
        } else if !self.bodies.read().is_empty() {
            self.bodies.write().remove(&entry);
            self.lost.write().remove(&entry);
        }
    }

    /// No drive has a body.
    pub(super) fn saw_lost(&self, entry: Index) {
        self.saw(entry, true);
        remember(&self.lost, entry);
    }

    /// The damaged bodies of entries that are still in the journal, and the lost ones of any entry.
    fn from(&self, first: Index) -> BTreeSet<Index> {
        let mut bodies = self.bodies.write();
        *bodies = bodies.split_off(&first);
        bodies.union(&self.lost.read()).copied().collect()
    }
}

fn remember(among: &RwLock<BTreeSet<Index>>, entry: Index) {
    let mut bodies = among.write();
    if bodies.len() < REMEMBERED_BODIES {
        bodies.insert(entry);
    }
}

impl Core {
    /// Takes note of what came of reading a body.
    pub(super) fn saw<T>(&self, entry: Index, read: &Result<T, BodyError>) {
        match read {
            Ok(_) => self.damaged.saw(entry, false),
            Err(BodyError::Damaged { .. }) => self.damaged.saw(entry, true),
            Err(BodyError::Gone { .. } | BodyError::NotCached | BodyError::Late { .. }) => {}
        }
    }

    /// The entries whose bodies can't be read now, as far as is known.
    pub(super) fn lost_bodies(&self) -> LostBodies {
        let places = self.places();
        let (first, spans) = {
            let table = self.table.read();
            let segments = table.segments().enumerate();
            let is_there = |place: usize| places.get(place).is_some_and(|known| known.is_present());
            let lost =
                segments.filter(|(_, segment)| !segment.copies.iter().any(|copy| is_there(copy.drive)));
            let spans = lost.map(|(place, segment)| segment.first()..=table.last_of(place));
            (table.first(), spans.filter(|span| !span.is_empty()).collect())
        };
        LostBodies { spans, bodies: self.damaged.from(first) }
    }
}
