//! Volumes: opened, sealed, healed, dropped, forgotten.

use super::Step;
use super::view::View;
use crate::command::{Outcome, Refusal};
use crate::keys;
use crate::record::{HighestIds, Level};
use stratum_storage::blob::VolumeId;
use stratum_storage::remote::RemoteObject;
use stratum_storage::volume::{Shard, VolumeEvent, VolumeRecord, VolumeState};

pub(super) fn event(view: &mut View<'_>, event: VolumeEvent) -> Step {
    match event {
        VolumeEvent::Opened { id, tier, geometry, shards } => {
            let state = VolumeState::Open;
            let writer = view.proposer();
            let (high_water, live, remote) = (0, 0, None);
            open(view, VolumeRecord { id, tier, geometry, shards, state, high_water, live, writer, remote })
        }
        VolumeEvent::ShardLost { volume, shard } => change(view, volume, |record| {
            record.shards.get_mut(usize::from(shard)).map(|shard| shard.lost = true)
        }),
        VolumeEvent::Sealed { volume, length } => seal(view, volume, length),
        VolumeEvent::Dropped { volume } => change(view, volume, |record| {
            let empty = record.live == 0;
            empty.then(|| record.state = VolumeState::Dropped)
        }),
        VolumeEvent::Forgotten { volume } => forget(view, volume),
        VolumeEvent::ShardRebuilt { volume, shard, drive, generation } => {
            let rebuilt = Shard { drive, generation, lost: false };
            change(view, volume, |record| rebuild(record, shard, rebuilt))
        }
        VolumeEvent::Uploaded { volume, object } => change(view, volume, |record| upload(record, object)),
    }
}

fn open(view: &mut View<'_>, record: VolumeRecord) -> Step {
    let highest = view.get::<HighestIds>(keys::highest_ids())?.unwrap_or_default();
    let was_used = match view.level()? {
        // Level 1 only knew the ids of volumes that weren't forgotten.
        Level::FIRST => view.contains(keys::volume(record.id))?,
        _ => record.id.0 <= highest.volume,
    };
    if was_used {
        return Err(Refusal::VolumeState.into());
    }
    let volume = highest.volume.max(record.id.0);
    view.put(keys::highest_ids(), &HighestIds { volume, ..highest })?;
    view.put(keys::volume(record.id), &record)?;
    Ok(Outcome::Done)
}

fn seal(view: &mut View<'_>, volume: VolumeId, length: u64) -> Step {
    change(view, volume, |record| {
        let fits = record.state == VolumeState::Open && length >= record.high_water;
        fits.then(|| record.state = VolumeState::Sealed { length })
    })
}

/// Records a rebuilt shard. Open volumes aren't healed but sealed first, and dropped ones not at all. If two rebuilt
/// the same shard, the second is refused.
fn rebuild(record: &mut VolumeRecord, shard: u8, rebuilt: Shard) -> Option<()> {
    let place = usize::from(shard);
    let lies_elsewhere = |(other, at): (usize, &Shard)| other != place && at.drive == rebuilt.drive;
    let is_taken = record.shards.iter().enumerate().any(lies_elsewhere);
    let is_sealed = matches!(record.state, VolumeState::Sealed { .. });
    let current = record.shards.get_mut(place)?;
    let follows = current.generation.checked_add(1) == Some(rebuilt.generation);
    (is_sealed && follows && !is_taken).then(|| *current = rebuilt)
}

/// Records the copy in the remote store: a volume is uploaded once, and as it was sealed.
fn upload(record: &mut VolumeRecord, object: RemoteObject) -> Option<()> {
    let may_go = matches!(record.state, VolumeState::Sealed { .. }) && record.remote.is_none();
    may_go.then(|| {
        record.remote = Some(object);
        record.shards.clear();
    })
}

fn forget(view: &mut View<'_>, volume: VolumeId) -> Step {
    let record = view.get::<VolumeRecord>(keys::volume(volume))?;
    if record.is_none_or(|record| record.state != VolumeState::Dropped) {
        return Err(Refusal::VolumeState.into());
    }
    view.remove(keys::volume(volume))?;
    Ok(Outcome::Done)
}

/// Changes a volume; refused if it doesn't exist or `change` returns `None`, as its state doesn't allow the change.
fn change(
    view: &mut View<'_>,
    volume: VolumeId,
    change: impl FnOnce(&mut VolumeRecord) -> Option<()>,
) -> Step {
    let key = keys::volume(volume);
    let Some(mut record) = view.get::<VolumeRecord>(key.clone())? else {
        return Err(Refusal::VolumeState.into());
    };
    change(&mut record).ok_or(Refusal::VolumeState)?;
    view.put(key, &record)?;
    Ok(Outcome::Done)
}
