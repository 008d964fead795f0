//! Sealing, punching and removal: how space comes back.
//!
//! Space is freed in whole stripes on all shards, so a freed byte is never part of a stripe that parity still covers.
//! What the records no longer name may still be in a reader's hands. So a range is freed in two steps: first the
//! *grace*, after which everybody who looked the old record up under a pin has a hold on the volume or is done; then
//! the holds that were taken until then must go. A hold delays only its own volume.

use crate::blob::VolumeId;
use crate::blocking;
use crate::drive::lane::{Work, promise};
use crate::drive::{self, DriveId};
use crate::pin::Pins;
use crate::remote::RemoteObject;
use crate::volume::{
    AskedShard, DIRECTORY, Freed, Phase, PlacedShard, Table, Volume, VolumeEvent, VolumeLogError,
    VolumeRecord, VolumeState, each_shard, outcomes,
};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How many shard files stay open for readers, at most, after a round of reclaim.
const MAX_OPEN_FILES: usize = 512;

/// Something to be freed.
#[derive(Debug)]
enum Due {
    Punch(Freed),
    Removal(Arc<Volume>),
    /// The shard files of a volume that came to the remote store.
    Files(Arc<Volume>),
}

/// A free or a removal, past its grace period, that waits until the holds of earlier readers are dropped.
#[derive(Debug)]
pub(crate) struct HeldReclaim {
    due: Due,
    holds: Vec<Weak<()>>,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    pub sealed: u64,
    pub removed: u64,
    /// Bytes punched, all shards counted.
    pub punched: u64,
}

/// Gives space back: seals what is full, drops what is empty, punches what was freed.
pub struct Reclaimer {
    table: Arc<Table>,
    /// What has passed its grace and waits for readers.
    waiting: Mutex<Vec<HeldReclaim>>,
}

impl Reclaimer {
    pub(crate) fn new(table: Arc<Table>) -> Reclaimer {
        Reclaimer { table, waiting: Mutex::default() }
    }

    /// How much waits for readers.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// One round: seals what is full, removes what is empty, punches what was freed. It returns when all of that is
    /// done or must wait for readers, which it doesn't wait for.
    pub(crate) async fn round(&self) -> Result<Tended, VolumeLogError> {
        let mut tended = Tended::default();
        for volume in self.table.volumes() {
            tended.sealed += u64::from(self.seal_if_full(&volume).await?);
        }
        self.close_idle();
        if self.table.is_held_back() {
            return Ok(tended);
        }
        tended.removed += self.remove_lingering().await?;
        let (emptied, mut outcome) = self.drop_empty().await;
        let mut due = by_volume(self.table.take_freed());
        due.extend(emptied.into_iter().map(Due::Removal));
        due.extend(self.table.take_uploaded().into_iter().map(Due::Files));
        if !due.is_empty() {
            grace(&self.table.pins).await;
            let waiting = due.into_iter().filter_map(|due| self.wait_for_readers(due));
            self.waiting.lock().extend(waiting);
        }
        for due in self.unheld() {
            match due {
                Due::Punch(freed) => tended.punched += self.punch(freed).await,
                // A file that stays belongs to no record: after the next start it goes into quarantine.
                Due::Files(volume) => drop(self.remove_files(volume.former_shards(), &volume).await),
                // One that can't be recorded now doesn't keep the others waiting.
                Due::Removal(volume) => match self.remove(&volume).await {
                    Ok(gone) => tended.removed += u64::from(gone),
                    Err(error) => outcome = Err(error),
                },
            }
        }
        outcome.map(|()| tended)
    }

    /// Closes the files of sealed volumes that nobody reads now, when there are too many.
    fn close_idle(&self) {
        let volumes = self.table.volumes();
        let open = |volume: &Arc<Volume>| volume.shards().filter(|(_, file)| file.opened().is_some()).count();
        let files: usize = volumes.iter().map(open).sum();
        let mut idle = Vec::new();
        for volume in volumes.iter().filter(|volume| matches!(volume.phase(), Phase::Sealed { .. })) {
            if files - idle.len() <= MAX_OPEN_FILES {
                break;
            }
            idle.extend(volume.shards().filter_map(|(_, file)| file.take_if_idle()));
        }
        if !idle.is_empty() {
            // To close a file may block.
            drop(blocking::spawn(move || drop(idle)));
        }
    }

    /// Keeps bytes that are due until the readers have ended that took a hold before now: they may still want them.
    fn wait_for_readers(&self, due: Due) -> Option<HeldReclaim> {
        let holds = match &due {
            Due::Punch(freed) => self.table.find(freed.volume)?.turn_holds(),
            Due::Removal(volume) | Due::Files(volume) => volume.turn_holds(),
        };
        Some(HeldReclaim { due, holds })
    }

    /// Takes out the frees and removals that no reader holds up any more.
    fn unheld(&self) -> Vec<Due> {
        let mut waiting = self.waiting.lock();
        let is_held = |waiting: &HeldReclaim| waiting.holds.iter().any(|age| age.strong_count() > 0);
        let (held, unheld) = std::mem::take(&mut *waiting).into_iter().partition(is_held);
        *waiting = held;
        unheld.into_iter().map(|waiting: HeldReclaim| waiting.due).collect()
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
        if self.table.is_held_back() {
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
        match self.table.log.record(event).await {
            Err(VolumeLogError::Refused) if is_done(self.table.log.volume(volume)?) => Ok(()),
            outcome => outcome,
        }
    }

    /// Records the drop of sealed volumes that nothing names, and gives those that were recorded.
    async fn drop_empty(&self) -> (Vec<Arc<Volume>>, Result<(), VolumeLogError>) {
        let mut dropped = Vec::new();
        for volume in self.table.volumes() {
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
        match self.table.log.record(VolumeEvent::Dropped { volume: volume.id }).await {
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
        let Some(volume) = self.table.find(freed.volume) else { return 0 };
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
        let mut punched = 0;
        for (shard, outcome) in outcomes {
            match outcome {
                Ok(()) => punched += length,
                Err(error) => tell_of_failure(&volume, shard, length, &error),
            }
        }
        punched
    }

    /// Removes what is left of dropped volumes whose drives have all come back.
    async fn remove_lingering(&self) -> Result<u64, VolumeLogError> {
        let lingering: Vec<VolumeId> = self.table.lingering.lock().iter().copied().collect();
        let mut removed = 0;
        for volume in lingering.into_iter().filter_map(|volume| self.table.find(volume)) {
            let is_there = |drive: DriveId| self.table.drive(drive).is_none_or(|drive| drive.is_healthy());
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
        let mut gone = self.remove_files(volume.former_shards(), volume).await;
        if let Some(object) = volume.remote() {
            gone &= self.remove_object(volume, object).await;
        }
        if gone {
            let event = VolumeEvent::Forgotten { volume: volume.id };
            let forgotten = self.record_once(event, volume.id, |record| record.is_none()).await;
            if forgotten.is_err() {
                self.table.lingering.lock().insert(volume.id);
            }
            forgotten?;
            self.table.remove(volume.id);
            self.table.lingering.lock().remove(&volume.id);
            tracing::info!(volume = %volume.id, "removed an empty volume");
        } else {
            self.table.lingering.lock().insert(volume.id);
        }
        Ok(gone)
    }
}

impl Reclaimer {
    /// Removes shard files; says whether none is left on any drive of the store.
    async fn remove_files(&self, files: impl Iterator<Item = Arc<PlacedShard>>, volume: &Volume) -> bool {
        let mut asked = Vec::new();
        for (shard, file) in (0..).zip(files) {
            let Some(drive) = self.table.drive(file.drive_id) else {
                file.close();
                continue;
            };
            let (done, answer) = promise();
            let io = drive.io().clone();
            drive.volume_lane().submit(Work::Run(Box::new(move || {
                file.close();
                done(match io.remove(&file.path) {
                    Ok(()) => io.sync_dir(DIRECTORY),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                });
            })));
            asked.push(AskedShard { shard, drive, answer });
        }
        let mut gone = true;
        for (_, outcome) in outcomes(asked).await {
            if let Err(error) = &outcome {
                tracing::debug!(volume = %volume.id, %error, "a shard file can't be removed now");
            }
            gone &= outcome.is_ok();
        }
        gone
    }

    /// Removes what the remote store holds of a volume, once no copy of the state there names it; says whether it is gone.
    async fn remove_object(&self, volume: &Volume, object: RemoteObject) -> bool {
        let Some(remote) = &self.table.remote else { return false };
        if !remote.may_go(volume.id) {
            return false;
        }
        let outcome = remote.delete(volume.id, object).await;
        if let Err(error) = &outcome {
            tracing::debug!(volume = %volume.id, %error, "the remote store can't be told now to remove a volume");
        }
        outcome.is_ok()
    }
}

/// Space that can't be given back now is found again: when the volume is compacted, and at the next start. On a drive that
/// is out that is to be expected.
fn tell_of_failure(volume: &Volume, shard: u8, bytes: u64, error: &io::Error) {
    metrics::counter!("stratum_punch_failures_total").increment(1);
    match drive::is_out(error) {
        true => {
            tracing::debug!(volume = %volume.id, shard, bytes, %error, "a shard's space is not given back")
        }
        false => tracing::warn!(
            volume = %volume.id, shard, bytes, %error,
            "a shard's space could not be given back; it is when the volume is compacted, or at the next start"
        ),
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
async fn grace(pins: &Pins) {
    let over = Arc::new(AtomicBool::new(false));
    let tell = over.clone();
    pins.when_gone(move || tell.store(true, Ordering::Release));
    while !over.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        pins.look();
    }
}
