//! Who owns which bytes: extents and packed stripes gain and lose owners, and volumes count what is live.

use super::view::View;
use super::{ApplyError, Step};
use crate::command::{Refusal, UnnamedOfStripe};
use crate::keys;
use crate::record::{ExtentRecord, Level, Owner, StripeRecord};
use stratum_storage::blob::{BlobRef, Extent, Index, PackedAt, Place, VolumeId};
use stratum_storage::format::layout::{extent_end, packed_end};
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// A place that has no owner any more; its bytes may be freed once the group is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freed {
    Extent(Extent),
    /// A packed stripe in which no body is live.
    Stripe(PackedAt),
}

/// Replaces "this entry" in a blob by the index of the entry that brought the body.
pub(super) fn settle(blob: &mut BlobRef, entry: Index) {
    if let Place::ThisEntry { length, crc32c } = blob.place {
        blob.place = Place::Journal { index: entry, length, crc32c };
    }
}

/// Refuses a body in a volume that is absent or being dropped, and one in an extent that has an owner already.
pub(super) fn check(view: &mut View<'_>, blob: &BlobRef) -> Step<()> {
    match &blob.place {
        Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => Ok(()),
        Place::Packed(at) => check_volume(view, at.volume),
        Place::Extents(extents) => {
            for extent in extents {
                check_volume(view, extent.volume)?;
                if view.contains(keys::extent(extent.volume, extent.start))? {
                    return Err(Refusal::VolumeGone.into());
                }
            }
            Ok(())
        }
    }
}

/// Takes new bytes only in an open volume of the writer that proposed the command. Nothing vouches for bytes beyond a
/// volume's end, or in a volume that another writer fills. A state of level 1 took them in every volume that wasn't
/// dropped, and its journal must be replayed as it was applied.
fn check_volume(view: &mut View<'_>, volume: VolumeId) -> Step<()> {
    let Some(record) = view.get::<VolumeRecord>(keys::volume(volume))? else {
        return Err(Refusal::VolumeGone.into());
    };
    let takes = match view.level()? {
        Level::FIRST => record.state != VolumeState::Dropped,
        _ => {
            let is_its_writers = record.writer.is_none() || record.writer == view.proposer();
            record.state == VolumeState::Open && is_its_writers
        }
    };
    if takes { Ok(()) } else { Err(Refusal::VolumeGone.into()) }
}

/// Makes `owner` the owner of a body that has passed [`check`].
pub(super) fn claim(view: &mut View<'_>, owner: &Owner, blob: &BlobRef) -> Result<(), ApplyError> {
    match &blob.place {
        Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => Ok(()),
        Place::Packed(at) => claim_packed(view, at),
        Place::Extents(extents) => {
            for extent in extents {
                let record = ExtentRecord { owner: owner.clone(), length: extent.length };
                view.put(keys::extent(extent.volume, extent.start), &record)?;
                raise_live(view, extent.volume, extent.length, |volume| extent_end(volume.geometry, extent))?;
            }
            Ok(())
        }
    }
}

fn claim_packed(view: &mut View<'_>, at: &PackedAt) -> Result<(), ApplyError> {
    let key = keys::stripe(at.volume, at.stripe);
    let empty = StripeRecord { payload: at.payload, live: 0, bodies: 0 };
    let mut stripe = view.get(key.clone())?.unwrap_or(empty);
    stripe.live = counted(at.volume, stripe.live.checked_add(u64::from(at.length)))?;
    stripe.bodies = counted(at.volume, stripe.bodies.checked_add(1))?;
    view.put(key, &stripe)?;
    raise_live(view, at.volume, u64::from(at.length), |volume| packed_end(volume.geometry, at))
}

/// Releases a body, which then has no owner.
pub(super) fn release(view: &mut View<'_>, blob: &BlobRef) -> Result<(), ApplyError> {
    match &blob.place {
        Place::Empty | Place::ThisEntry { .. } | Place::Journal { .. } => Ok(()),
        Place::Packed(at) => release_packed(view, at),
        Place::Extents(extents) => {
            for extent in extents {
                view.remove(keys::extent(extent.volume, extent.start))?;
                view.free(Freed::Extent(*extent));
                lower_live(view, extent.volume, extent.length)?;
            }
            Ok(())
        }
    }
}

fn release_packed(view: &mut View<'_>, at: &PackedAt) -> Result<(), ApplyError> {
    let length = u64::from(at.length);
    if let Some(stripe) = view.get::<StripeRecord>(keys::stripe(at.volume, at.stripe))? {
        let live = counted(at.volume, stripe.live.checked_sub(length))?;
        let bodies = counted(at.volume, stripe.bodies.checked_sub(1))?;
        leave_in_stripe(view, at.volume, at.stripe, StripeRecord { live, bodies, ..stripe })?;
    }
    lower_live(view, at.volume, length)
}

/// Takes bodies that nobody owns out of a packed stripe. Nothing happens where the stripe has fewer bodies.
pub(super) fn release_unnamed(view: &mut View<'_>, unnamed: &UnnamedOfStripe) -> Result<bool, ApplyError> {
    let UnnamedOfStripe { volume, stripe: at, live, bodies } = *unnamed;
    let Some(stripe) = view.get::<StripeRecord>(keys::stripe(volume, at))? else { return Ok(false) };
    let left = stripe.live.checked_sub(live).zip(stripe.bodies.checked_sub(bodies));
    let Some((left, bodies)) = left else { return Ok(false) };
    leave_in_stripe(view, volume, at, StripeRecord { live: left, bodies, ..stripe })?;
    lower_live(view, volume, live)?;
    Ok(true)
}

/// Records what is left of a packed stripe, which is removed if nothing is left.
fn leave_in_stripe(
    view: &mut View<'_>,
    volume: VolumeId,
    stripe: u64,
    left: StripeRecord,
) -> Result<(), ApplyError> {
    let key = keys::stripe(volume, stripe);
    if left.bodies > 0 {
        return view.put(key, &left);
    }
    view.remove(key)?;
    view.free(Freed::Stripe(PackedAt {
        volume,
        stripe,
        payload: left.payload,
        offset: 0,
        length: 0,
        crc32c: 0,
    }));
    Ok(())
}

/// Adds live bytes to a volume; `end` says how far they reach in its files.
fn raise_live(
    view: &mut View<'_>,
    volume: VolumeId,
    length: u64,
    end: impl FnOnce(&VolumeRecord) -> u64,
) -> Result<(), ApplyError> {
    change_volume(view, volume, |record| {
        record.live = counted(volume, record.live.checked_add(length))?;
        record.high_water = record.high_water.max(end(record));
        Ok(())
    })
}

fn lower_live(view: &mut View<'_>, volume: VolumeId, length: u64) -> Result<(), ApplyError> {
    change_volume(view, volume, |record| {
        record.live = counted(volume, record.live.checked_sub(length))?;
        Ok(())
    })
}

fn change_volume(
    view: &mut View<'_>,
    volume: VolumeId,
    change: impl FnOnce(&mut VolumeRecord) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let key = keys::volume(volume);
    if let Some(mut record) = view.get(key.clone())? {
        change(&mut record)?;
        view.put(key, &record)?;
    }
    Ok(())
}

/// A count below zero, or beyond all bytes that there can be, means that the state is inconsistent: then nothing more
/// may be freed because of its counts.
fn counted<T>(volume: VolumeId, count: Option<T>) -> Result<T, ApplyError> {
    count.ok_or(ApplyError::Miscounted(volume))
}
