//! One shard of a sealed volume, written anew.
//!
//! The new file has the next generation, and lies on a drive that holds no other shard of the volume. It is written
//! under a temporary name, live stripe by live stripe (dead ranges stay holes), synced, renamed, its directory
//! synced. Only then is `ShardRebuilt` recorded, then the slot exchanged, then the old file removed.
//!
//! It may end between any two of these steps:
//! * before the rename there is a temporary file, which the next try removes;
//! * before the record there is a file that no record names: the next try on that drive *replaces* it, never removes
//!   it, since an event whose outcome was unknown may still name it, and its bytes would be the same;
//! * after the record the old file is one that no record names. A try begins with what the record says.
//!
//! What is live may change meanwhile. A stripe that is freed is written or not, both are right; if it was written,
//! it is freed again. One that a late commit names is looked for before the record and once more after it.

use super::HealError;
use crate::blob::VolumeId;
use crate::drive::{Drive, FileIo, OpenHow};
use crate::format::v1::ShardHeader;
use crate::pace::{Pace, Task};
use crate::readpath::repair::BadFragment;
use crate::readpath::whole::{Wanted, Whole};
use crate::volume::{
    DIRECTORY, DriveId, LiveStripe, Phase, PlacedShard, Shard, Volume, VolumeEvent, VolumeLogError, Volumes,
    is_full, shard_path,
};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::{JoinError, JoinHandle};

/// Stripes that are read, computed and written at a time when there is hurry, else one. Each takes as much memory as
/// a stripe has bytes on all drives, 1.6 MB at 4+2.
const AT_ONCE: usize = 6;
/// Writeback of the new file is started whenever this much of it was written.
const WRITEBACK: u64 = 4 << 20;

/// A shard that was written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub drive: DriveId,
    /// Stripes that are on it.
    pub stripes: u64,
    /// Stripes of which too few fragments are left anywhere.
    pub unreadable: u64,
}

/// A rebuild that is under way.
struct Rebuild {
    volumes: Volumes,
    volume: Arc<Volume>,
    shard: u8,
    target: Arc<Drive>,
    record: Shard,
    file: Arc<dyn FileIo>,
}

/// What became of the stripes.
#[derive(Debug, Default)]
struct Written {
    done: BTreeSet<u64>,
    unreadable: BTreeSet<u64>,
}

impl Volumes {
    /// Writes a shard of a sealed volume anew on a healthy drive, from what is left of the volume: that of the old
    /// file too, so it also moves a good shard. Claim the volume first. Dropping the future ends it at any point.
    pub async fn rebuild_shard(
        &self,
        volume: VolumeId,
        shard: u8,
        pace: &Arc<Pace>,
        task: Task,
    ) -> Result<Rebuilt, HealError> {
        if self.is_held_back() {
            return Err(HealError::HeldBack);
        }
        let volume = self.shared.find(volume).ok_or(HealError::Gone)?;
        self.follow_record(&volume, shard).await?;
        let old = volume.shard(shard).ok_or(HealError::Gone)?;
        let live = self.live_stripes(volume.id).await?;
        let rebuild = Arc::new(self.begin(&volume, shard, &old, &live).await?);
        let written = match rebuild.write_all(live, &old, pace, task).await {
            Ok(written) => written,
            Err(error) => {
                rebuild.give_up().await;
                return Err(error);
            }
        };
        rebuild.commit(&old, &written).await?;
        let (stripes, unreadable) = (written.done.len() as u64, written.unreadable.len() as u64);
        tracing::info!(volume = %volume.id, shard, drive = rebuild.target.label(), stripes, unreadable, "rebuilt a shard");
        metrics::counter!("stratum_shards_rebuilt_total").increment(1);
        Ok(Rebuilt { drive: rebuild.target.id(), stripes, unreadable })
    }

    pub(crate) async fn live_stripes(&self, volume: VolumeId) -> Result<Vec<LiveStripe>, HealError> {
        let log = self.shared.log.clone();
        Ok(blocking(move || log.live_stripes(volume)).await??)
    }

    /// Puts what the record says into the slot, where an event's outcome was unknown.
    async fn follow_record(&self, volume: &Arc<Volume>, shard: u8) -> Result<(), HealError> {
        let _changing = volume.changing.lock().await;
        let (log, id) = (self.shared.log.clone(), volume.id);
        let record = blocking(move || log.volume(id)).await??.ok_or(HealError::Gone)?;
        let (Some(slot), Some(record)) =
            (volume.slots.get(usize::from(shard)), record.shards.get(usize::from(shard)))
        else {
            return Err(HealError::Gone);
        };
        let now = slot.now();
        if now.generation != record.generation {
            slot.replace(PlacedShard::new(id, shard, record, self.shared.drive(record.drive)));
        } else if record.lost {
            now.set_lost();
        }
        Ok(())
    }

    /// Makes the file, with its header page and its length.
    async fn begin(
        &self,
        volume: &Arc<Volume>,
        shard: u8,
        old: &PlacedShard,
        live: &[LiveStripe],
    ) -> Result<Rebuild, HealError> {
        let Phase::Sealed { length } = volume.phase() else { return Err(HealError::Gone) };
        let bytes = live.iter().map(|live| live.stripe.disk()).sum();
        let target = self.target(volume, shard, bytes)?;
        let generation = old.generation.checked_add(1).ok_or(HealError::Gone)?;
        let record = Shard { drive: target.id(), generation, lost: false };
        let header = ShardHeader {
            volume: volume.id,
            tier: volume.tier,
            geometry: volume.geometry,
            shard,
            generation,
            drive: target.id(),
        };
        let (drive, temporary) = (target.clone(), temporary(volume.id, shard, generation));
        let created = blocking(move || create(&drive, &temporary, &header, length)).await?;
        let file = created.map_err(|error| HealError::of_drive(&target, &error))?;
        Ok(Rebuild { volumes: self.clone(), volume: volume.clone(), shard, target, record, file })
    }

    /// Where a shard is best rebuilt: on the drive that holds it, if that is healthy, else on the emptiest.
    fn target(&self, volume: &Volume, shard: u8, bytes: u64) -> Result<Arc<Drive>, HealError> {
        let tier = self.shared.tier(volume.tier).ok_or(HealError::NoDrive)?;
        let (own, others): (Vec<_>, Vec<_>) = volume.shards().partition(|(each, _)| *each == shard);
        let holds = |shards: &[(u8, Arc<PlacedShard>)], drive: &Arc<Drive>| {
            shards.iter().any(|(_, file)| file.drive_id == drive.id())
        };
        let mut candidates = tier.drives.drives.open_to_new();
        candidates.retain(|drive| !holds(&others, drive));
        if candidates.is_empty() {
            return Err(HealError::NoDrive);
        }
        let needed = bytes.saturating_add(self.shared.reserve.load(Ordering::Relaxed));
        let free = |drive: &Arc<Drive>| drive.io().space().map_or(0, |space| space.free);
        let roomy = candidates.into_iter().map(|drive| (holds(&own, &drive), free(&drive), drive));
        let best = roomy.filter(|(_, free, _)| *free >= needed).max_by_key(|(own, free, _)| (*own, *free));
        best.map(|(_, _, drive)| drive).ok_or(HealError::NoSpace)
    }
}

impl Rebuild {
    /// Writes all live stripes, and those that became live meanwhile.
    async fn write_all(
        self: &Arc<Self>,
        live: Vec<LiveStripe>,
        old: &PlacedShard,
        pace: &Arc<Pace>,
        task: Task,
    ) -> Result<Written, HealError> {
        let mut written = Written::default();
        let mut todo = live;
        while !todo.is_empty() {
            self.write(&todo, &mut written, pace, task).await?;
            todo = self.volumes.live_stripes(self.volume.id).await?;
            let is_live: BTreeSet<u64> = todo.iter().map(|live| live.offset).collect();
            written.unreadable.retain(|offset| is_live.contains(offset));
            todo.retain(|live| !written.knows(live.offset));
        }
        // The old file may hold what is missing: it must not be given up while it can still come back.
        let may_return = !old.is_healthy() && self.volumes.shared.drive(old.drive_id).is_some();
        if may_return && !written.unreadable.is_empty() {
            return Err(HealError::Unreadable(written.unreadable.len() as u64));
        }
        Ok(written)
    }

    async fn write(
        self: &Arc<Self>,
        live: &[LiveStripe],
        written: &mut Written,
        pace: &Arc<Pace>,
        task: Task,
    ) -> Result<(), HealError> {
        let mut under_way: VecDeque<JoinHandle<Attempt>> = VecDeque::new();
        for live in live.iter().copied() {
            let at_once = if pace.is_hurried() { AT_ONCE } else { 1 };
            while under_way.len() >= at_once
                && let Some(first) = under_way.pop_front()
            {
                written.note(first.await)?;
            }
            let turn = pace.turn(task, cost(&live)).await;
            let rebuild = self.clone();
            under_way.push_back(crate::blocking::spawn(move || {
                let outcome = rebuild.write_stripe(live);
                drop(turn);
                outcome.map(|is_readable| (live.offset, is_readable))
            }));
        }
        for attempt in under_way {
            written.note(attempt.await)?;
        }
        Ok(())
    }

    /// Computes and writes one fragment; says whether enough of the stripe is left for that. Blocks.
    fn write_stripe(&self, live: LiveStripe) -> Result<bool, HealError> {
        if self.volume.phase() == Phase::Dropped {
            return Err(HealError::Gone);
        }
        let mut whole = Whole::read(&self.volume, live, Wanted::Enough);
        if whole.complete().is_err() {
            return Ok(false);
        }
        let Some(fragment) = whole.fragment(self.shard, self.record.generation) else { return Ok(false) };
        let outcome = self.file.write_at(&[&fragment], live.offset);
        outcome.map_err(|error| HealError::of_drive(&self.target, &error))?;
        let (before, now) = (live.offset / WRITEBACK, live.range().end / WRITEBACK);
        if before != now {
            self.file.start_writeback(before * WRITEBACK, (now - before) * WRITEBACK);
        }
        Ok(true)
    }

    /// Makes the file durable under its name, and then the one that counts.
    async fn commit(&self, old: &Arc<PlacedShard>, written: &Written) -> Result<(), HealError> {
        let (drive, file) = (self.target.clone(), self.file.clone());
        let (temporary, path) = (self.temporary(), self.path());
        let named = blocking(move || -> io::Result<()> {
            file.sync()?;
            drive.io().rename(&temporary, &path)?;
            drive.io().sync_dir(DIRECTORY)?;
            drive.io().sync_dir("")
        });
        named.await?.map_err(|error| HealError::of_drive(&self.target, &error))?;
        let changing = self.volume.changing.lock().await;
        let Shard { drive, generation, .. } = self.record;
        let event =
            VolumeEvent::ShardRebuilt { volume: self.volume.id, shard: self.shard, drive, generation };
        match self.volumes.shared.log.record(event).await {
            Ok(()) => {}
            Err(VolumeLogError::Refused) => {
                drop(changing);
                return self.refused().await;
            }
            // It may have been recorded: the file stays.
            Err(error) => return Err(error.into()),
        }
        let new = PlacedShard::new(self.volume.id, self.shard, &self.record, Some(self.target.clone()));
        new.set_file(self.file.clone());
        if let Some(slot) = self.volume.slots.get(usize::from(self.shard)) {
            slot.replace(new);
        }
        drop(changing);
        self.look_again(written).await?;
        remove_old(old).await;
        Ok(())
    }

    /// The state has something else in mind: the volume was dropped, or an earlier try came through.
    async fn refused(&self) -> Result<(), HealError> {
        let followed = self.volumes.follow_record(&self.volume, self.shard).await;
        let now = self.volume.shard(self.shard).ok_or(HealError::Gone)?;
        if followed.is_ok() && (now.drive_id, now.generation) == (self.record.drive, self.record.generation) {
            return Ok(());
        }
        // No event that is still under way can name it: its generation doesn't follow any more.
        remove(&self.target, self.path()).await;
        Err(HealError::Gone)
    }

    /// Frees again what was written and isn't live any more, and queues what is live and couldn't be written.
    async fn look_again(&self, written: &Written) -> Result<(), HealError> {
        let live = self.volumes.live_stripes(self.volume.id).await?;
        let is_live: BTreeSet<u64> = live.iter().map(|live| live.offset).collect();
        for offset in is_live.iter().filter(|offset| !written.done.contains(offset)) {
            let bad = BadFragment { volume: self.volume.id, shard: self.shard, offset: *offset };
            self.volumes.shared.repairs.add(bad);
        }
        if written.done.iter().any(|offset| !is_live.contains(offset)) {
            let mut end = crate::format::layout::FILE_HEADER;
            for live in &live {
                self.volumes.free_range(self.volume.id, end..live.offset);
                end = end.max(live.range().end);
            }
            if let Phase::Sealed { length } = self.volume.phase() {
                self.volumes.free_range(self.volume.id, end..length);
            }
        }
        Ok(())
    }

    async fn give_up(&self) {
        remove(&self.target, self.temporary()).await;
    }

    fn path(&self) -> String {
        shard_path(self.volume.id, self.shard, self.record.generation)
    }

    fn temporary(&self) -> String {
        temporary(self.volume.id, self.shard, self.record.generation)
    }
}

impl Written {
    fn knows(&self, offset: u64) -> bool {
        self.done.contains(&offset) || self.unreadable.contains(&offset)
    }

    /// Takes note of what became of one stripe.
    fn note(&mut self, outcome: Result<Attempt, JoinError>) -> Result<(), HealError> {
        let (offset, is_readable) = outcome.map_err(|error| HealError::Interrupted(error.to_string()))??;
        match is_readable {
            true => self.done.insert(offset),
            false => self.unreadable.insert(offset),
        };
        Ok(())
    }
}

/// A stripe's offset, and whether enough of it was left.
type Attempt = Result<(u64, bool), HealError>;

/// Bytes that are read and written for one fragment of a stripe.
pub(super) fn cost(live: &LiveStripe) -> u64 {
    (u64::from(live.stripe.geometry.k) + 1) * live.stripe.disk()
}

fn temporary(volume: VolumeId, shard: u8, generation: u32) -> String {
    format!("{}.tmp", shard_path(volume, shard, generation))
}

fn create(drive: &Drive, temporary: &str, header: &ShardHeader, length: u64) -> io::Result<Arc<dyn FileIo>> {
    if !drive.check() {
        return Err(ErrorKind::NotConnected.into());
    }
    let io = drive.io();
    io.create_dir(DIRECTORY)?;
    match io.remove(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = io.open(temporary, OpenHow::CreateNew)?;
    file.set_len(length)?;
    file.write_at(&[&header.encode()], 0)?;
    Ok(file)
}

/// Removes the file that doesn't count any more. Whoever reads it has it open.
async fn remove_old(old: &Arc<PlacedShard>) {
    if let Some(drive) = old.drive.as_ref().filter(|drive| drive.is_healthy()) {
        remove(drive, old.path.clone()).await;
    }
}

/// Removes a file that nothing names. If it stays, it is found as an unknown file.
async fn remove(drive: &Arc<Drive>, path: String) {
    let (drive, name) = (drive.clone(), path.clone());
    let outcome = blocking(move || match drive.io().remove(&path) {
        Ok(()) => drive.io().sync_dir(DIRECTORY),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    });
    if let Ok(Err(error)) = outcome.await {
        tracing::warn!(file = name, %error, "a superseded shard file stays");
    }
}

/// Does what may block where that is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HealError> {
    crate::blocking::spawn(work).await.map_err(|error| HealError::Interrupted(error.to_string()))
}

impl HealError {
    pub(super) fn of_drive(drive: &Drive, error: &io::Error) -> HealError {
        match is_full(error) {
            true => HealError::NoSpace,
            false => HealError::Drive { drive: drive.label(), error: error.to_string() },
        }
    }
}
