//! How much of its drives a volume takes now, and how much its live bodies would take elsewhere.
//!
//! Extents without an owner are punched, and so are stripes without live bodies: both take nothing. So compaction
//! frees only the dead bodies in packed stripes that are partly live. Sizes are bytes of a shard file, which include
//! the overhead of stripes, and not payload: a volume of tiny bodies holds more directories than bodies, and must not
//! seem to be garbage because of that.

use crate::evacuate::{EvacuateError, Mover, page};
use crate::keys;
use crate::record::{ExtentRecord, StripeRecord};
use stratum_storage::blob::PackedAt;
use stratum_storage::blocking;
use stratum_storage::format::directory;
use stratum_storage::format::layout::{FILE_HEADER, FULL_FRAGMENT_BYTES, Stripe, extent_disk, packed_end};
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// How many stripes' directories are read to find out how long the owners' names are.
const SAMPLED_STRIPES: usize = 4;

/// Sizes in bytes of each shard file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// What the extents and stripes take that aren't punched.
    pub held: u64,
    /// What the live bodies would take if they were written anew.
    pub needed: u64,
}

impl Footprint {
    pub fn garbage(self) -> u64 {
        self.held.saturating_sub(self.needed)
    }
}

/// The length of a sealed volume's shard files without their headers; `None` of a volume that isn't sealed.
pub(super) fn sealed_length(record: &VolumeRecord) -> Option<u64> {
    match record.state {
        VolumeState::Sealed { length } => Some(length.saturating_sub(FILE_HEADER)),
        VolumeState::Open | VolumeState::Dropped => None,
    }
}

/// The least that the live bytes take of each shard file: without the overhead of short stripes.
pub(super) fn least_needed(record: &VolumeRecord) -> u64 {
    let full = Stripe::full(record.geometry).disk();
    let of_shard = record.live / u64::from(record.geometry.k.max(1));
    of_shard.saturating_mul(full) / u64::from(FULL_FRAGMENT_BYTES)
}

/// Measures a volume by its records, page by page.
pub(super) async fn measure(mover: &Mover, record: &VolumeRecord) -> Result<Footprint, EvacuateError> {
    let mut footprint = Footprint::default();
    let mut next = Some(keys::extents_of(record.id));
    while let Some(from) = next {
        let (metadata, prefix) = (mover.metadata.clone(), keys::extents_of(record.id));
        let look = move || page::<ExtentRecord>(&metadata, &prefix, &from);
        let (extents, after) = blocking::spawn(look).await??;
        let disk = |(_, extent): &(u64, ExtentRecord)| extent_disk(record.geometry, extent.length);
        let disk: u64 = extents.iter().map(disk).sum();
        footprint.held += disk;
        footprint.needed += disk;
        next = after;
    }
    let mut names = Names::default();
    let mut next = Some(keys::stripes_of(record.id));
    while let Some(from) = next {
        let (metadata, prefix) = (mover.metadata.clone(), keys::stripes_of(record.id));
        let look = move || page::<StripeRecord>(&metadata, &prefix, &from);
        let (stripes, after) = blocking::spawn(look).await??;
        for (start, stripe) in stripes {
            let volume = record.id;
            let payload = stripe.payload;
            let at = PackedAt { volume, stripe: start, payload, offset: 0, length: payload, crc32c: 0 };
            let disk = packed_end(record.geometry, &at).saturating_sub(start);
            names.learn(mover, &at).await?;
            footprint.held += disk;
            footprint.needed += names.share(disk, &stripe);
        }
        next = after;
    }
    Ok(footprint)
}

/// The length of a body's entry in a directory, estimated from some of them.
#[derive(Default)]
struct Names {
    samples: usize,
    entries: usize,
    bytes: usize,
}

impl Names {
    async fn learn(&mut self, mover: &Mover, at: &PackedAt) -> Result<(), EvacuateError> {
        if self.samples == SAMPLED_STRIPES {
            return Ok(());
        }
        self.samples += 1;
        let Some(payload) = mover.read_payload(at).await? else { return Ok(()) };
        let Ok(entries) = directory::decode(&payload) else { return Ok(()) };
        self.entries += entries.len();
        self.bytes += entries.iter().map(|entry| directory::entry_len(&entry.owner)).sum::<usize>();
        Ok(())
    }

    /// How much of the stripe's size on disk its live bodies need.
    fn share(&self, disk: u64, stripe: &StripeRecord) -> u64 {
        let entry = (self.bytes / self.entries.max(1)) as u64;
        let needed = stripe.live + u64::from(stripe.bodies) * entry + directory::empty_len() as u64;
        let share = u128::from(disk) * u128::from(needed) / u128::from(stripe.payload.max(1));
        disk.min(share as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_garbage() {
        let names = Names { samples: 1, entries: 10, bytes: 1000 };
        let all = StripeRecord { payload: 1000 * 110 + 16, live: 10_000, bodies: 1000 };
        assert_eq!(names.share(40_960, &all), 40_960, "ten bytes a body, a hundred a name");
        let half = StripeRecord { live: 5_000, bodies: 500, ..all };
        assert!((20_000..21_000).contains(&names.share(40_960, &half)));
        assert_eq!(Names::default().share(40_960, &StripeRecord { live: u64::MAX / 2, ..all }), 40_960);
    }
}
