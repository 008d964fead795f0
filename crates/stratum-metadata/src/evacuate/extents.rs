//! Moves extents: each is read and written as a body of its own, and the copy replaces it among its owner's extents.

use super::{EvacuateError, Evacuation, Mover, page};
use crate::command::Move;
use crate::keys;
use crate::machine::ReadError;
use crate::record::{ExtentRecord, Owner};
use crate::relocate::{self, Copied, blob_of};
use std::collections::HashSet;
use stratum_storage::blob::{BlobRef, Extent, Place, Tier};
use stratum_storage::blocking;
use stratum_storage::pace::{Class, Turn};
use stratum_storage::readpath::{self, BlobReader};
use stratum_storage::writepath::WriteError;
use tokio::task::JoinSet;

/// Payload bytes that are moved in one turn, of one long extent or of several short ones.
const TURN_BYTES: u64 = 1 << 20;
/// The most short extents that are moved together, since one command names them all.
const EXTENTS_A_COMMAND: usize = 32;

/// An extent with the owner that it had when it was looked up.
#[derive(Clone, Debug)]
struct Owned {
    owner: Owner,
    extent: Extent,
}

/// What became of a copy.
enum Outcome {
    Copied(Copied),
    /// Its owner no longer names it.
    Passed,
    Unreadable(Owner, readpath::ReadError),
}

impl Evacuation<'_> {
    pub(super) async fn move_extents(&mut self) -> Result<(), EvacuateError> {
        let prefix = keys::extents_of(self.volume);
        let mut next = Some(prefix.clone());
        while let Some(from) = next {
            let (metadata, prefix) = (self.mover.metadata.clone(), prefix.clone());
            let look = move || page::<ExtentRecord>(&metadata, &prefix, &from);
            let (found, after) = blocking::spawn(look).await??;
            next = after;
            let owned = found.into_iter().map(|(start, record)| {
                let extent = Extent { volume: self.volume, start, length: record.length };
                Owned { owner: record.owner, extent }
            });
            for group in groups(owned.collect()) {
                if self.is_stopped() {
                    return Ok(());
                }
                self.move_group(group).await?;
            }
        }
        Ok(())
    }

    /// Copies some extents, then points their owners to the copies.
    async fn move_group(&mut self, group: Vec<Owned>) -> Result<(), EvacuateError> {
        let (tier, task) = (self.tier, self.task);
        let bytes: u64 = group.iter().map(|owned| owned.extent.length).sum();
        let turn = match bytes <= TURN_BYTES {
            true => Some(self.mover.pace.turn(task, 2 * bytes).await),
            false => None,
        };
        let mut copying = JoinSet::new();
        for owned in group {
            let (mover, has_turn) = (self.mover.clone(), turn.is_some());
            copying.spawn(async move { mover.copy(owned, tier, (!has_turn).then_some(task)).await });
        }
        let (mut copies, mut failed) = (Vec::new(), None);
        while let Some(outcome) = copying.join_next().await {
            match outcome? {
                Ok(Outcome::Copied(copied)) => copies.push(copied),
                Ok(Outcome::Passed) => {}
                Ok(Outcome::Unreadable(owner, error)) => self.leave(Some(&owner), &error),
                Err(error) => failed = Some(error),
            }
        }
        let moved = relocate::relocate_extents(&self.mover.metadata, &self.mover.volumes, copies).await?;
        drop(turn);
        self.add(moved);
        failed.map_or(Ok(()), Err)
    }
}

impl Mover {
    /// Copies an extent if its owner still names it. With `paced`, every piece takes a turn of that class; else the
    /// caller holds one.
    async fn copy(&self, owned: Owned, tier: Tier, paced: Option<Class>) -> Result<Outcome, EvacuateError> {
        let Owned { owner, extent } = owned;
        let Some((from, mut reader)) = self.read(&owner, &extent)? else { return Ok(Outcome::Passed) };
        let mut writer =
            self.volumes.writer.write_copy(tier, extent.length).await.map_err(EvacuateError::Write)?;
        let mut turn: Option<Turn> = None;
        let mut in_turn = 0;
        while let Some(piece) = reader.next().await {
            let bytes = match piece {
                Ok(bytes) => bytes,
                Err(readpath::ReadError::Gone(_)) => return Ok(Outcome::Passed),
                Err(error) => return Ok(Outcome::Unreadable(owner, error)),
            };
            if let Some(task) = paced
                && (turn.is_none() || in_turn >= TURN_BYTES)
            {
                drop(turn.take());
                turn = Some(self.pace.turn(task, 2 * TURN_BYTES).await);
                in_turn = 0;
            }
            in_turn += bytes.len() as u64;
            writer.push(bytes).await.map_err(EvacuateError::Write)?;
        }
        let written = writer.finish().await.map_err(EvacuateError::Write)?;
        let Place::Extents(extents) = written.blob.place else {
            return Err(EvacuateError::Write(WriteError::Unavailable("a copy has no place".into())));
        };
        let to = replaced(&from, &extent, &extents);
        Ok(Outcome::Copied(Copied { moved: Move { owner, from, to }, extents, hold: written.hold }))
    }

    /// The owner's present blob and a reader of this extent; `None` if the owner no longer names the extent. The pin
    /// keeps the bytes from being freed between the two.
    fn read(&self, owner: &Owner, extent: &Extent) -> Result<Option<(BlobRef, BlobReader)>, ReadError> {
        let pin = self.volumes.reader.pin();
        let Some(from) = blob_of(self.metadata.state(), owner)? else { return Ok(None) };
        match &from.place {
            Place::Extents(extents) if extents.contains(extent) => {}
            _ => return Ok(None),
        }
        let one = from.moved_to(Place::Extents(vec![*extent]));
        // If the volume is gone, there is nothing to move.
        Ok(self.volumes.reader.read(&pin, &one, 0..extent.length).ok().map(|reader| (from, reader)))
    }
}

/// The blob with one extent replaced by its copy, which may be split differently.
fn replaced(from: &BlobRef, extent: &Extent, copy: &[Extent]) -> BlobRef {
    let Place::Extents(extents) = &from.place else { return from.clone() };
    let mut to = Vec::with_capacity(extents.len() + copy.len());
    for one in extents {
        if one == extent { to.extend_from_slice(copy) } else { to.push(*one) }
    }
    from.moved_to(Place::Extents(to))
}

/// Short extents in groups, long ones alone. No group has two extents of one owner: after the first move the second
/// would not find the blob that it expects.
fn groups(owned: Vec<Owned>) -> Vec<Vec<Owned>> {
    let mut groups: Vec<Vec<Owned>> = Vec::new();
    let (mut bytes, mut owners) = (u64::MAX, HashSet::new());
    for next in owned {
        let fits = bytes.saturating_add(next.extent.length) <= TURN_BYTES;
        match groups.last_mut() {
            Some(group) if fits && group.len() < EXTENTS_A_COMMAND && !owners.contains(&next.owner) => {
                bytes += next.extent.length;
                owners.insert(next.owner.clone());
                group.push(next);
            }
            _ => {
                bytes = next.extent.length;
                owners = HashSet::from([next.owner.clone()]);
                groups.push(vec![next]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BucketId, VersionId};
    use stratum_storage::blob::VolumeId;

    fn owned(key: u8, start: u64, length: u64) -> Owned {
        let owner =
            Owner::Object { bucket: BucketId(1), key: vec![key], version: VersionId::NULL, committed: 0 };
        Owned { owner, extent: Extent { volume: VolumeId(1), start, length } }
    }

    #[test]
    fn short_extents_of_different_owners_go_together() {
        let all = vec![
            owned(1, 0, 300_000),
            owned(2, 1, 300_000),
            owned(2, 2, 1000),
            owned(3, 3, TURN_BYTES * 9),
            owned(4, 4, TURN_BYTES),
            owned(5, 5, 1),
        ];
        let groups_of_all = groups(all);
        let starts = |group: &Vec<Owned>| group.iter().map(|one| one.extent.start).collect();
        let starts: Vec<Vec<u64>> = groups_of_all.iter().map(starts).collect();
        assert_eq!(starts, [vec![0, 1], vec![2], vec![3], vec![4], vec![5]]);
        let many = groups((0..100).map(|number| owned(number, number.into(), 5)).collect());
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 32, 4]);
    }

    #[test]
    fn a_copy_takes_the_place_of_its_extent() {
        let extent = |volume, start| Extent { volume: VolumeId(volume), start, length: 7 };
        let from = BlobRef::plain(Place::Extents(vec![extent(1, 0), extent(2, 5), extent(1, 9)]));
        let to = replaced(&from, &extent(2, 5), &[extent(3, 1), extent(3, 2)]);
        let expected = vec![extent(1, 0), extent(3, 1), extent(3, 2), extent(1, 9)];
        assert_eq!(to.place, Place::Extents(expected));
    }
}
