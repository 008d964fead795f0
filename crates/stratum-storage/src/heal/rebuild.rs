//! One shard of a sealed volume, written anew.
//!
//! The new file has the next generation, and lies on a drive that holds no other shard of the volume. It is written
//! under a temporary name, live stripe by live stripe (dead ranges stay holes), synced, renamed, its directory
//! synced. Only then is `ShardRebuilt` recorded, then the slot exchanged, then the old file removed.
//!
//! Where the old file is good, its fragments are copied; else they are computed from the others. A shard that only
//! *moves* must lose nothing by it: what was written is read again before the old file ceases to count, and the move is
//! given up if a stripe can't be read.
//!
//! The process may end between any two of these steps:
//! * before the rename there is a temporary file, which the next try removes;
//! * before the record there is a file that no record names: the next try on that drive *replaces* it, never removes
//!   it, since an event whose outcome was unknown may still name it, and its bytes would be the same;
//! * after the record the old file is the one that no record names. A try begins with what the record says.
//!
//! What is live may change meanwhile. A stripe that is freed is written or not, both are right; if it was written,
//! it is freed again. One that a late commit names is looked for before the record and once more after it.

use super::files::{create, give_name, remove, temporary};
use super::target::To;
use super::{HealError, Rebuilder};
use crate::blob::VolumeId;
use crate::drive::{Drive, DriveId, FileIo};
use crate::format::v1::ShardHeader;
use crate::inspect::{blocking, live_stripes};
use crate::pace::{Class, Pace};
use crate::readpath::whole::{WantedFragments, Whole};
use crate::volume::{
    BadFragment, Claim, LiveStripe, Phase, PlacedShard, Shard, Volume, VolumeEvent, VolumeLogError,
    shard_path,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};

/// Stripes that are read, computed and written at a time when there is hurry, else one. Each takes as much memory as
/// a stripe has bytes on all drives, 1.6 MB at 4+2.
const STRIPES_AT_ONCE: usize = 6;
/// Writeback of the new file is started whenever this much of it was written.
const WRITEBACK_BYTES: u64 = 4 << 20;

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
    rebuilder: Arc<Rebuilder>,
    volume: Arc<Volume>,
    shard: u8,
    target: Arc<Drive>,
    record: Shard,
    file: Arc<dyn FileIo>,
    /// The fragments are copied from the old file, where that has them.
    copies: bool,
    /// The old file is good where it is.
    is_move: bool,
}

/// The stripes that the new shard file holds, and those that could not be computed.
#[derive(Debug, Default)]
struct RebuiltStripes {
    /// By offset.
    done: BTreeMap<u64, LiveStripe>,
    unreadable: BTreeSet<u64>,
}

impl Rebuilder {
    /// Writes a shard of a sealed volume anew on a healthy drive, from what is left of the volume, the old file
    /// included: so it also moves a good shard. Claim the volume first. Dropping the future ends it at any point.
    pub async fn rebuild_shard(
        self: &Arc<Self>,
        volume: VolumeId,
        shard: u8,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<Rebuilt, HealError> {
        let rebuilt = self.write_anew(volume, shard, To::Best, pace, task).await?;
        metrics::counter!("stratum_shards_rebuilt_total").increment(1);
        Ok(rebuilt)
    }

    /// Moves a good shard of a sealed volume to another drive that has none of the volume. Dropping the future ends it
    /// at any point; then [`Rebuilder::clear_up`] what it left.
    pub(crate) async fn move_shard(
        self: &Arc<Self>,
        claim: &Claim,
        shard: u8,
        to: DriveId,
        pace: &Arc<Pace>,
    ) -> Result<Rebuilt, HealError> {
        let moved = self.write_anew(claim.volume(), shard, To::Drive(to), pace, Class::Balance).await?;
        metrics::counter!("stratum_shards_moved_total").increment(1);
        Ok(moved)
    }

    /// After a move that was broken off: removes the file that it was writing, and follows the record if the move had
    /// come through.
    pub(crate) async fn clear_up(&self, claim: &Claim, shard: u8, to: DriveId) {
        let Some(volume) = self.table.find(claim.volume()) else { return };
        // If the state doesn't answer the file stays, and is found as an unknown one.
        if self.follow_record(&volume, shard).await.is_ok()
            && let (Some(now), Some(drive)) = (volume.shard(shard), self.table.drive(to))
        {
            remove(&drive, temporary(volume.id, shard, now.generation.saturating_add(1))).await;
        }
    }

    async fn write_anew(
        self: &Arc<Self>,
        volume: VolumeId,
        shard: u8,
        to: To,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<Rebuilt, HealError> {
        if self.table.is_held_back() {
            return Err(HealError::HeldBack);
        }
        let volume = self.table.find(volume).ok_or(HealError::Gone)?;
        self.follow_record(&volume, shard).await?;
        let old = volume.shard(shard).ok_or(HealError::Gone)?;
        let live = live_stripes(&self.table, volume.id).await?;
        let rebuild = Arc::new(self.begin(&volume, shard, &old, &live, to).await?);
        let mut written = rebuild.write_all(live, &old, pace, task).await;
        if rebuild.is_move
            && let Ok(so_far) = &written
            && let Err(error) = rebuild.verify(so_far, pace, task).await
        {
            written = Err(error);
        }
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                rebuild.give_up().await;
                return Err(error);
            }
        };
        rebuild.commit(&old, &written).await?;
        let (stripes, unreadable) = (written.done.len() as u64, written.unreadable.len() as u64);
        let (drive, task) = (rebuild.target.label(), task.name());
        tracing::info!(volume = %volume.id, shard, drive, stripes, unreadable, task, "wrote a shard anew");
        Ok(Rebuilt { drive: rebuild.target.id(), stripes, unreadable })
    }

    /// Puts what the record says into the slot, where an event's outcome was unknown.
    async fn follow_record(&self, volume: &Arc<Volume>, shard: u8) -> Result<(), HealError> {
        let _changing = volume.changing.lock().await;
        let (log, id) = (self.table.log.clone(), volume.id);
        let record = blocking(move || log.volume(id)).await??.ok_or(HealError::Gone)?;
        let (Some(slot), Some(record)) =
            (volume.slots().get(usize::from(shard)), record.shards.get(usize::from(shard)))
        else {
            return Err(HealError::Gone);
        };
        let now = slot.now();
        if now.generation != record.generation {
            slot.replace(PlacedShard::new(id, shard, record, self.table.drive(record.drive)));
        } else if record.lost {
            now.set_lost();
        }
        Ok(())
    }

    /// Makes the file, with its header page and its length.
    async fn begin(
        self: &Arc<Self>,
        volume: &Arc<Volume>,
        shard: u8,
        old: &PlacedShard,
        live: &[LiveStripe],
        to: To,
    ) -> Result<Rebuild, HealError> {
        let Phase::Sealed { length } = volume.phase() else { return Err(HealError::Gone) };
        let bytes = live.iter().map(|live| live.stripe.disk()).sum();
        let target = self.target(volume, shard, bytes, to)?;
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
        let (rebuilder, volume) = (self.clone(), volume.clone());
        let (copies, is_move) = (old.is_good(), to != To::Best);
        Ok(Rebuild { rebuilder, volume, shard, target, record, file, copies, is_move })
    }
}

impl Rebuild {
    /// Writes all live stripes, and those that became live meanwhile.
    async fn write_all(
        self: &Arc<Self>,
        live: Vec<LiveStripe>,
        old: &PlacedShard,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<RebuiltStripes, HealError> {
        let mut written = RebuiltStripes::default();
        let mut todo = live;
        while !todo.is_empty() {
            self.write(&todo, &mut written, pace, task).await?;
            todo = live_stripes(&self.rebuilder.table, self.volume.id).await?;
            let is_live: BTreeSet<u64> = todo.iter().map(|live| live.offset).collect();
            written.unreadable.retain(|offset| is_live.contains(offset));
            todo.retain(|live| !written.knows(live.offset));
        }
        // The old file may hold what is missing: it must not be given up while it can still come back, nor for a move.
        let may_return = !old.is_healthy() && self.rebuilder.table.drive(old.drive_id).is_some();
        if (may_return || self.is_move) && !written.unreadable.is_empty() {
            return Err(HealError::Unreadable(written.unreadable.len() as u64));
        }
        Ok(written)
    }

    async fn write(
        self: &Arc<Self>,
        live: &[LiveStripe],
        written: &mut RebuiltStripes,
        pace: &Arc<Pace>,
        task: Class,
    ) -> Result<(), HealError> {
        let mut under_way: VecDeque<JoinHandle<Attempt>> = VecDeque::new();
        for live in live.iter().copied() {
            let at_once = if pace.is_hurried() { STRIPES_AT_ONCE } else { 1 };
            while under_way.len() >= at_once
                && let Some(first) = under_way.pop_front()
            {
                written.note(first.await)?;
            }
            let turn = pace.turn(task, self.cost(&live)).await;
            let rebuild = self.clone();
            under_way.push_back(crate::blocking::spawn(move || {
                let outcome = rebuild.write_stripe(live);
                drop(turn);
                outcome.map(|is_readable| (live, is_readable))
            }));
        }
        for attempt in under_way {
            written.note(attempt.await)?;
        }
        Ok(())
    }

    /// Copies or computes one fragment and writes it; says whether enough of the stripe is left for that. Blocks.
    fn write_stripe(&self, live: LiveStripe) -> Result<bool, HealError> {
        if self.volume.phase() == Phase::Dropped {
            return Err(HealError::Gone);
        }
        let wanted = if self.copies { WantedFragments::One(self.shard) } else { WantedFragments::Enough };
        let mut whole = Whole::read(&self.volume, live, wanted);
        if !whole.has(self.shard) && whole.complete().is_err() {
            return Ok(false);
        }
        let Some(fragment) = whole.fragment(self.shard, self.record.generation) else { return Ok(false) };
        let outcome = self.file.write_at(&[&fragment], live.offset);
        outcome.map_err(|error| HealError::of_drive(&self.target, &error))?;
        let (before, now) = (live.offset / WRITEBACK_BYTES, live.range().end / WRITEBACK_BYTES);
        if before != now {
            self.file.start_writeback(before * WRITEBACK_BYTES, (now - before) * WRITEBACK_BYTES);
        }
        Ok(true)
    }

    /// Bytes that are read and written for a stripe.
    fn cost(&self, live: &LiveStripe) -> u64 {
        let read = if self.copies { 1 } else { u64::from(live.stripe.geometry.k) };
        (read + 1) * live.stripe.disk()
    }

    /// Reads again what was written, once it is on the drive.
    async fn verify(&self, written: &RebuiltStripes, pace: &Arc<Pace>, task: Class) -> Result<(), HealError> {
        let file = self.file.clone();
        let synced = blocking(move || file.sync()).await?;
        synced.map_err(|error| HealError::of_drive(&self.target, &error))?;
        let new = Arc::new(self.placed());
        for live in written.done.values().copied() {
            let turn = pace.turn(task, live.stripe.disk()).await;
            let (volume, shard, new) = (self.volume.clone(), self.shard, new.clone());
            let is_right = blocking(move || Whole::is_right_in(&volume, live, shard, &new)).await?;
            drop(turn);
            if !is_right {
                let error = format!("what was written at {} is not what is read", live.offset);
                return Err(HealError::Drive { drive: self.target.label(), error });
            }
        }
        Ok(())
    }

    /// The new file, as it will stand in the volume.
    fn placed(&self) -> PlacedShard {
        let new = PlacedShard::new(self.volume.id, self.shard, &self.record, Some(self.target.clone()));
        new.set_file(self.file.clone());
        new
    }

    /// Makes the file durable under its name, and then has the record name it.
    async fn commit(&self, old: &Arc<PlacedShard>, written: &RebuiltStripes) -> Result<(), HealError> {
        let (drive, file) = (self.target.clone(), self.file.clone());
        let (temporary, path) = (self.temporary(), self.path());
        let named = blocking(move || give_name(&drive, file.as_ref(), &temporary, &path));
        named.await?.map_err(|error| HealError::of_drive(&self.target, &error))?;
        let changing = self.volume.changing.lock().await;
        if !self.target.takes_new() {
            drop(changing);
            // No event names the file.
            remove(&self.target, self.path()).await;
            return Err(HealError::NoDrive);
        }
        let Shard { drive, generation, .. } = self.record;
        let event =
            VolumeEvent::ShardRebuilt { volume: self.volume.id, shard: self.shard, drive, generation };
        match self.rebuilder.table.log.record(event).await {
            Ok(()) => {}
            Err(VolumeLogError::Refused) => {
                drop(changing);
                return self.refused().await;
            }
            Err(error @ VolumeLogError::NotWritten(_)) => {
                drop(changing);
                // Nothing names it, and nothing will.
                remove(&self.target, self.path()).await;
                return Err(error.into());
            }
            // It may have been recorded: the file stays.
            Err(error) => return Err(error.into()),
        }
        if let Some(slot) = self.volume.slots().get(usize::from(self.shard)) {
            slot.replace(self.placed());
        }
        drop(changing);
        self.look_again(written).await?;
        // A reader of the old file has it open.
        if let Some(drive) = old.drive.as_ref().filter(|drive| drive.is_healthy()) {
            remove(drive, old.path.clone()).await;
        }
        Ok(())
    }

    /// The state refused the event: the volume was dropped, or an earlier try came through.
    async fn refused(&self) -> Result<(), HealError> {
        let followed = self.rebuilder.follow_record(&self.volume, self.shard).await;
        let now = self.volume.shard(self.shard).ok_or(HealError::Gone)?;
        if followed.is_ok() && (now.drive_id, now.generation) == (self.record.drive, self.record.generation) {
            return Ok(());
        }
        // No event that is still under way can name it: its generation doesn't follow any more.
        remove(&self.target, self.path()).await;
        Err(HealError::Gone)
    }

    /// Frees again what was written and isn't live any more, and queues what is live and couldn't be written.
    async fn look_again(&self, written: &RebuiltStripes) -> Result<(), HealError> {
        let live = live_stripes(&self.rebuilder.table, self.volume.id).await?;
        let is_live: BTreeSet<u64> = live.iter().map(|live| live.offset).collect();
        for offset in is_live.iter().filter(|offset| !written.done.contains_key(offset)) {
            let bad = BadFragment { volume: self.volume.id, shard: self.shard, offset: *offset };
            self.rebuilder.table.repairs.add(bad);
        }
        if written.done.keys().any(|offset| !is_live.contains(offset)) {
            let mut end = crate::format::layout::FILE_HEADER;
            for live in &live {
                self.rebuilder.table.free_range(self.volume.id, end..live.offset);
                end = end.max(live.range().end);
            }
            if let Phase::Sealed { length } = self.volume.phase() {
                self.rebuilder.table.free_range(self.volume.id, end..length);
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

impl RebuiltStripes {
    fn knows(&self, offset: u64) -> bool {
        self.done.contains_key(&offset) || self.unreadable.contains(&offset)
    }

    /// Takes note of what became of one stripe.
    fn note(&mut self, outcome: Result<Attempt, JoinError>) -> Result<(), HealError> {
        let (live, is_readable) = outcome.map_err(|error| HealError::Interrupted(error.to_string()))??;
        match is_readable {
            true => drop(self.done.insert(live.offset, live)),
            false => drop(self.unreadable.insert(live.offset)),
        }
        Ok(())
    }
}

/// A stripe, and whether enough of it was left.
type Attempt = Result<(LiveStripe, bool), HealError>;
