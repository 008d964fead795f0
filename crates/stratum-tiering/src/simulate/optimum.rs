//! The least that a trace can cost, for someone who knows all of it: a dynamic program over the reads of each object.
//!
//! Between two reads one move is enough, right after the first of them: going down later only pays for storage longer,
//! and coming up ahead of a read costs more than the read does where it finds the object.

use super::charges::{Costs, Moment, moving, storage};
use super::trace::{Trace, TraceRead};
use crate::prices::Prices;
use crate::tier::{PerTier, Tier};

/// For each tier the least cost of a way that ends there; `None` where there is no such way.
type Ways = PerTier<Option<Costs>>;

/// The costs of placing every object in the cheapest way.
pub fn optimum(trace: &Trace, prices: &Prices) -> Costs {
    let mut sum = Costs::default();
    for reads in by_object(trace) {
        sum += object(trace, prices, &reads);
    }
    sum
}

fn by_object(trace: &Trace) -> Vec<Vec<TraceRead>> {
    let mut reads = vec![Vec::new(); trace.objects()];
    for read in trace.reads() {
        if let Some(reads) = reads.get_mut(read.object as usize) {
            reads.push(*read);
        }
    }
    reads
}

fn object(trace: &Trace, prices: &Prices, reads: &[TraceRead]) -> Costs {
    let Some(first) = reads.first() else { return Costs::default() };
    let size = trace.size(first.object);
    let mut ways =
        Ways { hot: Some(Costs { requests: prices.get(Tier::Hot), ..Costs::default() }), ..Ways::default() };
    let ends = reads.iter().skip(1).map(|read| (read.time, Some(read.bytes))).chain([(trace.end(), None)]);
    let mut since = first.time;
    for (until, bytes) in ends {
        ways = PerTier::of(|to| {
            let mut way = moved(prices, &ways, to, size)?;
            way.storage += storage(prices, to, size, since, until);
            if let Some(bytes) = bytes {
                way.requests += prices.get(to);
                way.retrieval += prices.retrieval(to, bytes as f64);
            }
            Some(way)
        });
        since = until;
    }
    cheapest(Tier::ALL.into_iter().filter_map(|tier| ways[tier])).unwrap_or_default()
}

fn moved(prices: &Prices, ways: &Ways, to: Tier, size: u64) -> Option<Costs> {
    cheapest(Tier::ALL.into_iter().filter_map(|from| {
        let mut way = ways[from]?;
        way.moves += moving(prices, from, to, size, Moment::AfterRead);
        Some(way)
    }))
}

fn cheapest(ways: impl Iterator<Item = Costs>) -> Option<Costs> {
    ways.min_by(|a, b| a.total().total_cmp(&b.total()))
}
