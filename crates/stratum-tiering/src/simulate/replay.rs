//! Replays a trace with one contender: charges every read, and decides anew for each object when its review is due,
//! with the trace's times as the clock.

use super::charges::{Moment, moving, storage};
use super::contender::{Contender, Way};
use super::report::Outcome;
use super::trace::{Trace, TraceRead};
use crate::day::Day;
use crate::policy::{Features, Priority, Wishes};
use crate::prices::Prices;
use crate::signals::{Read, Signals};
use crate::tier::Tier;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Replays the trace with one contender; `priority` is that of all objects.
pub fn replay(trace: &Trace, prices: &Prices, contender: &Contender, priority: Priority) -> Outcome {
    let mut replay = Replay {
        trace,
        prices,
        way: &contender.way,
        wishes: Wishes { priority, ..Wishes::default() },
        objects: vec![None; trace.objects()],
        groups: vec![Signals::NONE; trace.objects()],
        reviews: BinaryHeap::new(),
        outcome: Outcome::default(),
    };
    for read in trace.reads() {
        replay.hold_reviews(read.time);
        replay.read(*read);
    }
    replay.hold_reviews(trace.end());
    replay.finish()
}

struct Replay<'a> {
    trace: &'a Trace,
    prices: &'a Prices,
    way: &'a Way,
    wishes: Wishes,
    /// The objects that have been read so far, by number.
    objects: Vec<Option<Object>>,
    groups: Vec<Signals>,
    /// When to review which object. An entry may be too early: the review may have been put off since.
    reviews: BinaryHeap<Reverse<(u64, u32)>>,
    outcome: Outcome,
}

#[derive(Clone, Copy)]
struct Object {
    tier: Tier,
    since: u64,
    first: u64,
    signals: Signals,
    /// When the object's review is due, and the time of its earliest entry in `reviews`.
    review: Option<u64>,
    queued: Option<u64>,
}

impl Replay<'_> {
    fn read(&mut self, read: TraceRead) {
        let (index, now) = (read.object as usize, read.time);
        let size = self.trace.size(read.object);
        let counted = Read { bytes: read.bytes, offset: 0, size };
        let group = self.trace.group(read.object) as usize;
        if let Some(group) = self.groups.get_mut(group) {
            group.record(counted, now, Day::REAL);
        }
        let Some(place) = self.objects.get_mut(index) else { return };
        let is_first = place.is_none();
        let object = place.get_or_insert(Object {
            tier: Tier::Hot,
            since: now,
            first: now,
            signals: Signals::NONE,
            review: None,
            queued: None,
        });
        object.signals.record(counted, now, Day::REAL);
        let found_in = if matches!(self.way, Way::Cloud) { Tier::Hot } else { object.tier };
        self.outcome.costs.requests += self.prices.get(found_in);
        if !is_first {
            self.outcome.costs.retrieval += self.prices.retrieval(found_in, read.bytes as f64);
            self.outcome.reads[object.tier] += 1;
        }
        let moment =
            if is_first && matches!(self.way, Way::Static(_)) { Moment::Placed } else { Moment::AfterRead };
        self.decide(read.object, now, moment);
    }

    /// Holds the reviews that are due by `now`, each at its own time.
    fn hold_reviews(&mut self, now: u64) {
        while let Some(Reverse((due, number))) =
            self.reviews.peek().copied().filter(|Reverse((due, _))| *due <= now)
        {
            self.reviews.pop();
            match self.objects.get_mut(number as usize) {
                Some(Some(object)) if object.queued == Some(due) => object.queued = None,
                _ => continue,
            }
            match self.objects.get(number as usize).copied().flatten().and_then(|object| object.review) {
                Some(review) if review <= due => self.decide(number, due, Moment::Between),
                _ => self.queue(number),
            }
        }
    }

    /// Has the contender decide where the object lies, then asks again from its new tier.
    fn decide(&mut self, number: u32, now: u64, moment: Moment) {
        let size = self.trace.size(number);
        let group = self.groups.get(self.trace.group(number) as usize);
        let Some(Some(object)) = self.objects.get_mut(number as usize) else { return };
        for _ in Tier::ALL {
            let features = Features {
                size,
                tier: object.tier,
                since: object.since,
                written: object.first,
                own: Some(&object.signals),
                group,
                watched_since: self.trace.start(),
                wishes: self.wishes,
                pressure: None,
            };
            let choice = self.way.choose(&features, self.prices, now, moment != Moment::Between);
            object.review = choice.review;
            if choice.tier == object.tier {
                break;
            }
            let costs = &mut self.outcome.costs;
            costs.storage += storage(self.prices, object.tier, size, object.since, now);
            if !matches!(self.way, Way::Cloud) {
                costs.moves += moving(self.prices, object.tier, choice.tier, size, moment);
            }
            if moment != Moment::Placed {
                self.outcome.moves[choice.tier] += 1;
            }
            (object.tier, object.since) = (choice.tier, now);
        }
        self.queue(number);
    }

    /// Queues the object's review, unless an entry that is early enough is queued already.
    fn queue(&mut self, number: u32) {
        let Some(Some(object)) = self.objects.get_mut(number as usize) else { return };
        if let Some(review) =
            object.review.filter(|review| object.queued.is_none_or(|queued| *review < queued))
        {
            object.queued = Some(review);
            self.reviews.push(Reverse((review, number)));
        }
    }

    fn finish(mut self) -> Outcome {
        let end = self.trace.end();
        for (number, object) in self.objects.iter().enumerate() {
            let Some(object) = object else { continue };
            let size = self.trace.size(number as u32);
            let costs = &mut self.outcome.costs;
            costs.storage += storage(self.prices, object.tier, size, object.since, end);
            costs.storage += self.way.monitoring(size, Day::REAL.between(object.first, end));
        }
        self.outcome
    }
}
