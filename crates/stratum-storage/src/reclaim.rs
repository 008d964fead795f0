//! Sealing, punching and removal: how space comes back.
//!
//! Space is freed in whole stripes on all shards, so a freed byte is never part of a stripe that parity still covers.
//! What the records no longer name may still be in a reader's hands. So a range is freed in two steps: first the
//! *grace*, after which everybody who looked the old record up under a pin has a hold on the volume or is done; then
//! the holds that were taken until then must go. A hold delays only its own volume.

use crate::blob::{Extent, PackedAt, VolumeId};
use crate::drive::lane::{Work, promise};
use crate::drive::{DriveId, FileIo};
use crate::format::layout::{extent_end, packed_end};
use crate::volume::{
    DIRECTORY, Phase, Reservation, Volume, VolumeEvent, VolumeLogError, VolumeRecord, VolumeState, Volumes,
    each_shard,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Whole stripes, on all shards, that nothing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub volume: VolumeId,
    /// In the shard files.
    pub start: u64,
    pub end: u64,
}

impl Freed {
    /// What a writer had reserved.
    pub fn of(reservation: &Reservation) -> Freed {
        Freed { volume: reservation.volume.id, start: reservation.start, end: reservation.end }
    }
}

/// Shard files that are kept open for readers, at most, when upkeep has been.
const FILES: usize = 512;

/// Something to be freed.
#[derive(Debug)]
enum Due {
    Punch(Freed),
    Removal(Arc<Volume>),
}

/// It has passed the grace and waits for the holds of the ages before to go.
#[derive(Debug)]
pub(crate) struct Waiting {
    due: Due,
    holds: Vec<Weak<()>>,
}

/// What [`Volumes::tend`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    pub sealed: u64,
    pub removed: u64,
    /// Bytes punched, all shards counted.
    pub punched: u64,
}

impl Volumes {
    /// A body's extent is named by nothing any more, durably: its bytes may go when its readers are done.
    pub fn free_extent(&self, extent: &Extent) {
        if let Some(volume) = self.shared.find(extent.volume) {
            let end = extent_end(volume.geometry, extent);
            self.free(Freed { volume: extent.volume, start: extent.start, end });
        }
    }

    /// No body in a packed stripe is named any more, durably. Of `at` only the volume, the stripe and its payload
    /// count.
    pub fn free_stripe(&self, at: &PackedAt) {
        if let Some(volume) = self.shared.find(at.volume) {
            let end = packed_end(volume.geometry, at);
            self.free(Freed { volume: at.volume, start: at.stripe, end });
        }
    }

    /// A range of a volume's shard files that no record names, durably: found by looking, after a crash.
    pub fn free_range(&self, volume: VolumeId, range: std::ops::Range<u64>) {
        self.free(Freed { volume, start: range.start, end: range.end });
    }

    /// What is freed while everything is held back is found again by whoever ends that: it must not pile up here.
    pub(crate) fn free(&self, freed: Freed) {
        if freed.start < freed.end && !self.is_held_back() {
            self.shared.freed.lock().push(freed);
        }
    }

    /// One round of upkeep: seals what is full, removes what is empty, punches what was freed, gives idle memory
    /// back. For a background task, every second or so; it returns when all of that is done or must wait for
    /// readers, which it doesn't wait for.
    pub async fn tend(&self) -> Result<Tended, VolumeLogError> {
        let mut tended = Tended::default();
        self.shared.stripes.shrink();
        self.shared.fragments.shrink();
        for volume in self.volumes() {
            tended.sealed += u64::from(self.seal_if_full(&volume).await?);
        }
        self.close_idle();
        if self.is_held_back() {
            return Ok(tended);
        }
        tended.removed += self.remove_lingering().await?;
        let (emptied, mut outcome) = self.drop_empty().await;
        let mut due = by_volume(std::mem::take(&mut *self.shared.freed.lock()));
        due.extend(emptied.into_iter().map(Due::Removal));
        if !due.is_empty() {
            grace().await;
            let waiting = due.into_iter().filter_map(|due| self.wait_for_readers(due));
            self.shared.waiting.lock().extend(waiting);
        }
        for due in self.unheld() {
            match due {
                Due::Punch(freed) => tended.punched += self.punch(freed).await,
                // One that can't be recorded now doesn't keep the others waiting.
                Due::Removal(volume) => match self.remove(&volume).await {
                    Ok(gone) => tended.removed += u64::from(gone),
                    Err(error) => outcome = Err(error),
                },
            }
        }
        outcome.map(|()| tended)
    }

    /// Nothing is held back any more: what that kept is cut off and removed as a start would do it. Blocks.
    pub fn catch_up(&self) {
        for volume in self.volumes() {
            match volume.phase() {
                Phase::Open(_) => {}
                Phase::Sealed { length } => volume.shards().for_each(|(shard, file)| {
                    let cut_off = |file: Arc<dyn FileIo>| match file.len()? > length {
                        true => file.set_len(length),
                        false => Ok(()),
                    };
                    if let Err(error) = file.open().and_then(cut_off) {
                        tracing::debug!(volume = %volume.id, shard, %error, "a sealed shard file stays longer than it need be");
                    }
                }),
                Phase::Dropped => drop(self.shared.lingering.lock().insert(volume.id)),
            }
        }
    }

    /// Closes the files of sealed volumes that nobody reads now, when there are too many.
    fn close_idle(&self) {
        let volumes = self.volumes();
        let open = |volume: &Arc<Volume>| volume.shards().filter(|(_, file)| file.opened().is_some()).count();
        let mut files: usize = volumes.iter().map(open).sum();
        for volume in volumes.iter().filter(|volume| matches!(volume.phase(), Phase::Sealed { .. })) {
            if files <= FILES {
                return;
            }
            files -= volume.shards().filter(|(_, file)| file.close_if_idle()).count();
        }
    }

    /// Whoever took a hold until now may still want these bytes.
    fn wait_for_readers(&self, due: Due) -> Option<Waiting> {
        let holds = match &due {
            Due::Punch(freed) => self.shared.find(freed.volume)?.turn_holds(),
            Due::Removal(volume) => volume.turn_holds(),
        };
        Some(Waiting { due, holds })
    }

    /// What no reader wants any more.
    fn unheld(&self) -> Vec<Due> {
        let mut waiting = self.shared.waiting.lock();
        let is_held = |waiting: &Waiting| waiting.holds.iter().any(|age| age.strong_count() > 0);
        let (held, unheld) = std::mem::take(&mut *waiting).into_iter().partition(is_held);
        *waiting = held;
        unheld.into_iter().map(|waiting: Waiting| waiting.due).collect()
    }

    pub(crate) fn volumes(&self) -> Vec<Arc<Volume>> {
        let mut volumes: Vec<Arc<Volume>> = self.shared.table.read().values().cloned().collect();
        volumes.sort_by_key(|volume| volume.id);
        volumes
    }

    /// Seals a volume that takes no more and that nobody writes to.
    async fn seal_if_full(&self, volume: &Arc<Volume>) -> Result<bool, VolumeLogError> {
        let Some(length) = volume.ready_to_seal() else { return Ok(false) };
        self.seal(volume, length).await?;
        Ok(true)
    }

    /// Seals a volume: the length is durable before the truncation.
    pub(crate) async fn seal(&self, volume: &Arc<Volume>, length: u64) -> Result<(), VolumeLogError> {
        let is_sealed = |record: Option<VolumeRecord>| {
            record.is_some_and(|record| record.state == VolumeState::Sealed { length })
        };
        self.record_once(VolumeEvent::Sealed { volume: volume.id, length }, volume.id, is_sealed).await?;
        volume.set_phase(Phase::Sealed { length });
        if self.is_held_back() {
            return Ok(());
        }
        let outcomes = each_shard(volume, |_, shard, _| {
            let volume = volume.clone();
            move || match volume.shard(shard) {
                Some(file) => file.open()?.set_len(length),
                None => Ok(()),
            }
        })
        .await;
        for (shard, outcome) in outcomes {
            if let Err(error) = outcome {
                tracing::debug!(volume = %volume.id, shard, %error, "a sealed shard file stays longer than it need be");
            }
        }
        tracing::info!(volume = %volume.id, length, "sealed a volume");
        Ok(())
    }

    /// Records an event that an earlier try may have brought through without hearing of it: then it is refused now, and
    /// the record tells.
    async fn record_once(
        &self,
        event: VolumeEvent,
        volume: VolumeId,
        is_done: impl Fn(Option<VolumeRecord>) -> bool,
    ) -> Result<(), VolumeLogError> {
        match self.shared.log.record(event).await {
            Err(VolumeLogError::Refused) if is_done(self.shared.log.volume(volume)?) => Ok(()),
            outcome => outcome,
        }
    }

    /// Records the drop of sealed volumes that nothing names, and gives those that were recorded.
    async fn drop_empty(&self) -> (Vec<Arc<Volume>>, Result<(), VolumeLogError>) {
        let mut dropped = Vec::new();
        for volume in self.volumes() {
            match self.drop_if_empty(&volume).await {
                Ok(true) => dropped.push(volume),
                Ok(false) => {}
                Err(error) => return (dropped, Err(error)),
            }
        }
        (dropped, Ok(()))
    }

    /// Records the drop of a volume if it is sealed and nothing names it; says whether that is so.
    pub(crate) async fn drop_if_empty(&self, volume: &Volume) -> Result<bool, VolumeLogError> {
        if !matches!(volume.phase(), Phase::Sealed { .. }) || volume.usage().0 > 0 {
            return Ok(false);
        }
        match self.shared.log.record(VolumeEvent::Dropped { volume: volume.id }).await {
            Ok(()) => {
                volume.set_phase(Phase::Dropped);
                Ok(true)
            }
            // Somebody moved a body into it meanwhile.
            Err(VolumeLogError::Refused) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Punches a range on all shards.
    async fn punch(&self, freed: Freed) -> u64 {
        let Some(volume) = self.shared.find(freed.volume) else { return 0 };
        if volume.phase() == Phase::Dropped {
            return 0;
        }
        let length = freed.end - freed.start;
        let outcomes = each_shard(&volume, |_, shard, _| {
            let volume = volume.clone();
            move || match volume.shard(shard) {
                Some(file) => file.open()?.punch(freed.start, length),
                None => Ok(()),
            }
        })
        .await;
        let punched = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        length * punched as u64
    }

    /// Removes what is left of dropped volumes whose drives have all come back.
    async fn remove_lingering(&self) -> Result<u64, VolumeLogError> {
        let lingering: Vec<VolumeId> = self.shared.lingering.lock().iter().copied().collect();
        let mut removed = 0;
        for volume in lingering.into_iter().filter_map(|volume| self.shared.find(volume)) {
            let is_there = |drive: DriveId| self.shared.drive(drive).is_none_or(|drive| drive.is_healthy());
            if volume.shards().all(|(_, file)| is_there(file.drive_id)) {
                removed += u64::from(self.remove(&volume).await?);
            }
        }
        Ok(removed)
    }

    /// Removes a dropped volume's files, and forgets it when none is left on any drive of the store. A shard on a
    /// drive that isn't there keeps the record, so that the file is known when the drive comes back; one on a drive
    /// that left the store for good doesn't count.
    pub(crate) async fn remove(&self, volume: &Arc<Volume>) -> Result<bool, VolumeLogError> {
        let mut answers = Vec::new();
        for (_, file) in volume.shards() {
            file.close();
            let Some(drive) = self.shared.drive(file.drive_id) else { continue };
            let (done, answer) = promise();
            let (io, path) = (drive.io().clone(), file.path.clone());
            drive.volume_lane().submit(Work::Run(Box::new(move || {
                done(match io.remove(&path) {
                    Ok(()) => io.sync_dir(DIRECTORY),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                });
            })));
            answers.push(answer);
        }
        let mut gone = true;
        for answer in answers {
            gone &= answer.await.is_ok();
        }
        if gone {
            let event = VolumeEvent::Forgotten { volume: volume.id };
            let forgotten = self.record_once(event, volume.id, |record| record.is_none()).await;
            if forgotten.is_err() {
                self.shared.lingering.lock().insert(volume.id);
            }
            forgotten?;
            self.shared.table.write().remove(&volume.id);
            self.shared.lingering.lock().remove(&volume.id);
            tracing::info!(volume = %volume.id, "removed an empty volume");
        } else {
            self.shared.lingering.lock().insert(volume.id);
        }
        Ok(gone)
    }
}

/// Ranges of one volume that touch become one.
fn by_volume(mut freed: Vec<Freed>) -> Vec<Due> {
    freed.sort_by_key(|freed| (freed.volume, freed.start));
    let mut merged: Vec<Freed> = Vec::with_capacity(freed.len());
    for next in freed {
        match merged.last_mut() {
            Some(last) if last.volume == next.volume && last.end == next.start => last.end = next.end,
            _ => merged.push(next),
        }
    }
    merged.into_iter().map(Due::Punch).collect()
}

/// Waits until every pin that exists now is gone.
async fn grace() {
    let over = Arc::new(AtomicBool::new(false));
    // In a scope of its own: a pin must not live across an await, and its task may change threads.
    {
        let (tell, guard) = (over.clone(), crate::pin::pin());
        guard.defer(move || tell.store(true, Ordering::Release));
        guard.flush();
    }
    while !over.load(Ordering::Acquire) {
        // Each flush may advance the epoch and run what is due.
        crate::pin::pin().flush();
        if over.load(Ordering::Acquire) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
