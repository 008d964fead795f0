//! Tells the table of volumes what is live in them, and what no record names any more.
//!
//! Heal and scrub ask which stripes of a volume are live: an extent is a run of them, a packed stripe is one. After a
//! group is applied, what it released is handed over, to be punched when its readers are done. A crash may come
//! between the two. So at every start the sealed volumes are searched for gaps between the extents and stripes that
//! records name.

use crate::keys;
use crate::machine::{AppliedGroup, Machine, ReadError};
use crate::record::{ExtentRecord, Migrate, StripeRecord, decode};
use crate::state::Freed;
use crate::tree::Base;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use stratum_storage::blob::{Extent, Geometry, VolumeId};
use stratum_storage::format::layout::{FILE_HEADER, Stripe, extent_end, stripes_of};
use stratum_storage::format::v1::Kind;
use stratum_storage::volume::{LiveStripe, Table, VolumeRecord, VolumeState};
use tracing_mutex::parkinglot::RwLock;

/// The table of volumes, once it is attached.
#[derive(Debug, Default)]
pub(crate) struct Space {
    table: RwLock<Option<Arc<Table>>>,
}

impl Space {
    /// Hands over what a group changed. Called for one group after the other.
    pub(crate) fn tell(&self, applied: &AppliedGroup) {
        let table = self.table.read();
        let Some(table) = table.as_ref() else { return };
        for record in &applied.volumes {
            table.applied(record.id, record.live, record.high_water);
        }
        for freed in &applied.freed {
            match freed {
                Freed::Extent(extent) => table.free_extent(extent),
                Freed::Stripe(stripe) => table.free_stripe(stripe),
            }
        }
    }

    pub(crate) fn attach(&self, machine: &Machine, table: Arc<Table>) -> Result<(), ReadError> {
        *self.table.write() = Some(table);
        self.tell_all(machine)?;
        self.look_for_gaps(machine)
    }

    /// Hands over the records of all volumes. Nothing may be applied meanwhile.
    pub(crate) fn tell_all(&self, machine: &Machine) -> Result<(), ReadError> {
        let Some(table) = self.table() else { return Ok(()) };
        for record in records(machine)? {
            table.applied(record.id, record.live, record.high_water);
        }
        Ok(())
    }

    /// Frees what no record names in the sealed volumes. Nothing new is written into a sealed volume, so what no
    /// record names now is never named later.
    pub(crate) fn look_for_gaps(&self, machine: &Machine) -> Result<(), ReadError> {
        let Some(table) = self.table() else { return Ok(()) };
        for record in records(machine)? {
            if let VolumeState::Sealed { length } = record.state {
                let named = match Named::of(machine, record.id) {
                    Err(error @ ReadError::Lost(_)) => {
                        tracing::warn!(volume = %record.id, %error, "nothing of a volume is freed at this start");
                        continue;
                    }
                    named => named?,
                };
                for gap in gaps(named.ranges(record.geometry), length) {
                    table.free_range(record.id, gap);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn table(&self) -> Option<Arc<Table>> {
        self.table.read().clone()
    }

    /// Detaches the table of volumes. It holds the metadata as its log, so one of the two must release the other.
    pub(crate) fn detach(&self) {
        *self.table.write() = None;
    }
}

/// A volume's record in the state.
pub(crate) fn volume(machine: &Machine, volume: VolumeId) -> Result<Option<VolumeRecord>, ReadError> {
    let value = machine.get(&keys::volume(volume))?;
    Ok(value.map(|value| decode(&value)).transpose()?)
}

/// The stripes of a volume that records name, by offset; empty if there is no such volume.
pub(crate) fn live_stripes(machine: &Machine, volume: VolumeId) -> Result<Vec<LiveStripe>, ReadError> {
    match self::volume(machine, volume)? {
        Some(record) => Ok(Named::of(machine, volume)?.live(record.geometry)),
        None => Ok(Vec::new()),
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

/// What records name of a volume, in no order.
#[derive(Debug, Default)]
struct Named {
    extents: Vec<Extent>,
    /// The offset and the payload length of each packed stripe.
    stripes: Vec<(u64, u32)>,
}

impl Named {
    fn of(machine: &Machine, volume: VolumeId) -> Result<Named, ReadError> {
        let mut named = Named::default();
        visit(machine, &keys::extents_of(volume), |start, record: ExtentRecord| {
            named.extents.push(Extent { volume, start, length: record.length });
        })?;
        visit(machine, &keys::stripes_of(volume), |offset, record: StripeRecord| {
            named.stripes.push((offset, record.payload));
        })?;
        Ok(named)
    }

    /// The ranges of the shard files that these take, in no order.
    fn ranges(&self, geometry: Geometry) -> Vec<Range<u64>> {
        let extents = self.extents.iter().map(|extent| extent.start..extent_end(geometry, extent));
        let stripes = self.stripes.iter().map(|(offset, payload)| {
            let stripe = Stripe { geometry, payload: *payload };
            *offset..offset.saturating_add(stripe.disk())
        });
        extents.chain(stripes).collect()
    }

    /// The stripes, by offset.
    fn live(&self, geometry: Geometry) -> Vec<LiveStripe> {
        let plain = |(offset, stripe)| LiveStripe { offset, stripe, kind: Kind::Plain };
        let packed = |(offset, payload): &(u64, u32)| {
            let stripe = Stripe { geometry, payload: *payload };
            LiveStripe { offset: *offset, stripe, kind: Kind::Packed }
        };
        let mut live: Vec<LiveStripe> = self.stripes.iter().map(packed).collect();
        live.extend(self.extents.iter().flat_map(|extent| stripes_of(geometry, extent)).map(plain));
        live.retain(|live| live.stripe.is_valid());
        live.sort_by_key(|live| live.offset);
        live
    }
}

/// Visits the records under a volume's prefix, each with its offset in the shard files.
fn visit<T: Migrate>(
    machine: &Machine,
    prefix: &[u8],
    mut visit: impl FnMut(u64, T),
) -> Result<(), ReadError> {
    let mut failed = None;
    machine.scan(prefix, &keys::end_of_prefix(prefix), |key, value| {
        match (keys::parse_offset(key), decode::<T>(value)) {
            (Some(offset), Ok(record)) => visit(offset, record),
            (_, outcome) => failed = outcome.err().or(failed.take()),
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The gaps between the ranges, from the first fragment to `end`.
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

    const G: Geometry = Geometry { k: 4, m: 2 };

    #[test]
    fn live_stripes_are_those_of_extents_and_the_packed_ones_by_offset() {
        let extent = Extent { volume: VolumeId(1), start: 8192, length: (2 << 20) + 5 };
        let named = Named { extents: vec![extent], stripes: vec![(4096, 3000), (1 << 20, 0)] };
        let full = Stripe::full(G).disk();
        let live: Vec<(u64, u32, Kind)> =
            named.live(G).iter().map(|live| (live.offset, live.stripe.payload, live.kind)).collect();
        let expected = [
            (4096, 3000, Kind::Packed),
            (8192, 1 << 20, Kind::Plain),
            (8192 + full, 1 << 20, Kind::Plain),
            (8192 + 2 * full, 5, Kind::Plain),
        ];
        assert_eq!(live, expected, "and none that can't exist");
        assert_eq!(named.ranges(G)[0], 8192..8192 + 2 * full + 4096);
    }

    #[test]
    fn gaps_are_what_no_range_covers() {
        assert_eq!(gaps(vec![], FILE_HEADER), vec![]);
        assert_eq!(gaps(vec![], 12_288), vec![4096..12_288]);
        let named = vec![16_384..20_480, 8192..12_288];
        assert_eq!(gaps(named, 24_576), vec![4096..8192, 12_288..16_384, 20_480..24_576]);
        assert_eq!(gaps(vec![4096..16_384, 16_384..24_576], 24_576), vec![]);
    }
}
