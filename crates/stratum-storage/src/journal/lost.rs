//! Bodies that can't be read, as far as is known: those of segments of which no drive that is there has a copy, and those
//! that somebody asked for and that were bad in every copy.
//!
//! A drive that comes back brings its copies with it, and a body that was read after all is known no longer.

use super::BodyError;
use super::core::Core;
use crate::blob::Index;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use tracing_mutex::parkinglot::RwLock;

/// How many bodies are remembered that were bad in every copy. Where there are more, the store has other troubles.
const REMEMBERED: usize = 10_000;

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
pub(super) struct Damaged(RwLock<BTreeSet<Index>>);

impl Damaged {
    /// A body was asked for, and was there or wasn't.
    pub(super) fn saw(&self, entry: Index, is_damaged: bool) {
        if is_damaged {
            let mut bodies = self.0.write();
            if bodies.len() < REMEMBERED {
                bodies.insert(entry);
            }
        } else if !self.0.read().is_empty() {
            self.0.write().remove(&entry);
        }
    }

    /// Those of entries that are still in the journal.
    fn from(&self, first: Index) -> BTreeSet<Index> {
        let mut bodies = self.0.write();
        *bodies = bodies.split_off(&first);
        bodies.clone()
    }
}

impl Core {
    /// Somebody asked for a body.
    pub(super) fn saw<T>(&self, entry: Index, read: &Result<T, BodyError>) {
        match read {
            Ok(_) => self.damaged.saw(entry, false),
            Err(BodyError::Damaged { .. }) => self.damaged.saw(entry, true),
            Err(BodyError::Gone { .. } | BodyError::NotCached | BodyError::Late { .. }) => {}
        }
    }

    /// Whose bodies can't be read now, as far as is known.
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
