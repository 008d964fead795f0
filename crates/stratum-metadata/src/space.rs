//! What the table of volumes is told: what is live, and what nothing names any more.
//!
//! After a group is applied, what it released is handed over, to be punched when its readers are done. A crash may
//! come between the two; so at every start the sealed volumes are looked through for gaps between the extents and
//! stripes that are named.

use crate::keys;
use crate::machine::{AppliedGroup, Machine};
use crate::record::{ExtentRecord, StripeRecord, decode};
use crate::state::Freed;
use crate::store::ReadError;
use parking_lot::RwLock;
use std::ops::{ControlFlow, Range};
use stratum_storage::blob::{Extent, PackedAt};
use stratum_storage::format::layout::{FILE_HEADER, extent_end, packed_end};
use stratum_storage::volume::{VolumeRecord, VolumeState, Volumes};

/// The table of volumes, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Space {
    volumes: RwLock<Option<Volumes>>,
}

impl Space {
    /// Hands over what a group changed. Called for one group after the other.
    pub(crate) fn tell(&self, applied: &AppliedGroup) {
        let volumes = self.volumes.read();
        let Some(volumes) = volumes.as_ref() else { return };
        for record in &applied.volumes {
            volumes.applied(record.id, record.live, record.high_water);
        }
        for freed in &applied.freed {
            match freed {
                Freed::Extent(extent) => volumes.free_extent(extent),
                Freed::Stripe(stripe) => volumes.free_stripe(stripe),
            }
        }
    }

    pub(crate) fn attach(&self, machine: &Machine, volumes: Volumes) -> Result<(), ReadError> {
        *self.volumes.write() = Some(volumes.clone());
        for record in records(machine)? {
            volumes.applied(record.id, record.live, record.high_water);
            if let VolumeState::Sealed { length } = record.state {
                for gap in gaps(named(machine, &record)?, length) {
                    volumes.free_range(record.id, gap);
                }
            }
        }
        Ok(())
    }

    /// Tells nobody any more. The volumes hold on to the metadata, their log: one of the two must let go.
    pub(crate) fn detach(&self) {
        *self.volumes.write() = None;
    }
}

/// All volumes, by id.
pub(crate) fn records(machine: &Machine) -> Result<Vec<VolumeRecord>, ReadError> {
    let mut records = Vec::new();
    let mut failed = None;
    machine.scan(&keys::start_of(keys::Tag::Volume), &keys::end_of(keys::Tag::Volume), |_, value| {
        match decode(value) {
            Ok(record) => records.push(record),
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(records), |error| Err(error.into()))
}

/// The ranges of a volume's shard files that records name, in no order.
fn named(machine: &Machine, volume: &VolumeRecord) -> Result<Vec<Range<u64>>, ReadError> {
    let mut named = Vec::new();
    let mut failed = None;
    let extents = keys::extents_of(volume.id);
    machine.scan(&extents, &keys::end_of_prefix(&extents), |key, value| {
        match (keys::parse_offset(key), decode::<ExtentRecord>(value)) {
            (Some(start), Ok(record)) => {
                let extent = Extent { volume: volume.id, start, length: record.length };
                named.push(start..extent_end(volume.geometry, &extent));
            }
            (_, outcome) => failed = outcome.err().or(failed.take()),
        }
        ControlFlow::Continue(())
    })?;
    let stripes = keys::stripes_of(volume.id);
    machine.scan(&stripes, &keys::end_of_prefix(&stripes), |key, value| {
        match (keys::parse_offset(key), decode::<StripeRecord>(value)) {
            (Some(stripe), Ok(record)) => {
                let payload = record.payload;
                let at = PackedAt { volume: volume.id, stripe, payload, offset: 0, length: 0, crc32c: 0 };
                named.push(stripe..packed_end(volume.geometry, &at));
            }
            (_, outcome) => failed = outcome.err().or(failed.take()),
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(named), |error| Err(error.into()))
}

/// What lies between the ranges, from the first fragment to the end.
fn gaps(mut named: Vec<Range<u64>>, end: u64) -> Vec<Range<u64>> {
    named.sort_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut at = FILE_HEADER;
    for range in named {
        if at < range.start {
            gaps.push(at..range.start.min(end));
        }
        at = at.max(range.end);
    }
    if at < end {
        gaps.push(at..end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_no_range_covers() {
        assert_eq!(gaps(vec![], FILE_HEADER), vec![]);
        assert_eq!(gaps(vec![], 12_288), vec![4096..12_288]);
        let named = vec![16_384..20_480, 8192..12_288];
        assert_eq!(gaps(named, 24_576), vec![4096..8192, 12_288..16_384, 20_480..24_576]);
        assert_eq!(gaps(vec![4096..16_384, 16_384..24_576], 24_576), vec![]);
    }
}
