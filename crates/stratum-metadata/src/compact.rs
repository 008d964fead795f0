//! Compaction: frees the space of volumes that hold more garbage than live bodies, and merges small volumes.
//!
//! From time to time it looks at all sealed volumes. Their records alone say which ones may be worth moving; those
//! are measured ([`footprint`]), and the ones that are worth it are evacuated ([`crate::evacuate`]), one at a time,
//! if there is room for their live bodies. A volume on which somebody else works is skipped. Volumes that were
//! written over fewer drives, because some were missing, are written anew over all of them when the drives have been
//! back for `widen_after`.
//!
//! Nothing of this is remembered over a restart: the volumes' records say everything.
//! Nothing of this is remembered over a restart: a volume is what its records say.

mod footprint;
mod plan;

use crate::evacuate::{EvacuateError, Evacuated, Mover};
use crate::machine::ReadError;
use footprint::{Footprint, least_needed, measure, sealed_length};
use plan::{Job, Seen, Wholeness, plan};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::VolumeId;
use stratum_storage::blocking;
use stratum_storage::heal::Narrow;
use stratum_storage::pace::Class;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::volume::{Claim, VolumeRecord};
use stratum_storage::writepath::Leave;
use tokio::sync::watch;
use tracing_mutex::parkinglot::Mutex;

pub use plan::Why;

/// The pause between two looks at the volumes.
const POLL_INTERVAL: Duration = Duration::from_secs(15);
/// How long a volume that could not be emptied is left alone.
const STUCK_PERIOD: Duration = Duration::from_secs(3600);
/// A volume is measured again when its live bytes have changed by its length divided by this.
const CHANGED_DIVISOR: u64 = 32;

/// What compaction is doing, and what it did in this run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CompactionStatus {
    /// Volumes whose bodies are to be moved.
    pub waiting: u64,
    /// The volume whose bodies are being moved, and why.
    pub moving: Option<(u64, Why)>,
    pub volumes: u64,
    pub bodies: u64,
    /// Bytes that the copies took on the drives.
    pub written: u64,
    /// Bytes of garbage that were freed, on all shards together.
    pub reclaimed: u64,
    /// Bodies that could not be read when they were to be moved.
    pub unreadable: u64,
    /// What compaction waits for if it can't go on, in words.
    pub waits_for: Option<String>,
    pub last_error: Option<String>,
    /// Bytes that the copies of the cheapest volume with garbage will take on the drives, out of the reserve.
    pub next_needs: u64,
}

/// Whether a volume was rewritten over fewer drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowed {
    Moved(Evacuated),
    /// Its copies don't fit beside the reserve, or too few drives are left.
    WaitsForDrive,
}

/// The compactor, one for a store.
pub struct Compactor {
    mover: Mover,
    clock: Arc<dyn Clock>,
    /// How long all drives of a tier must have been healthy before its narrow volumes are widened.
    widen_after: Duration,
    status: Mutex<CompactionStatus>,
    memory: Mutex<Memory>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    wholeness: Wholeness,
    /// Measured volumes, with their live bytes at that time.
    measured: HashMap<VolumeId, (u64, Footprint)>,
    /// Volumes that are left alone, and until when.
    stuck: HashMap<VolumeId, Duration>,
}

impl Task for Compactor {
    fn row(&self) -> Row {
        Row {
            name: "compact",
            role: Role::Leader,
            class: Some(Class::Compact),
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            if let Err(error) = self.look(stop).await {
                self.failed(&error);
            }
            Next::After(POLL_INTERVAL)
        })
    }
}

impl Compactor {
    pub fn new(mover: Mover, clock: Arc<dyn Clock>, widen_after: Duration) -> Arc<Compactor> {
        let (status, memory) = (Mutex::default(), Mutex::default());
        Arc::new(Compactor { mover, clock, widen_after, status, memory })
    }

    pub fn status(&self) -> CompactionStatus {
        self.status.lock().clone()
    }

    /// Looks at all volumes once, and moves those that are worth it and fit.
    pub async fn look(&self, stop: &watch::Receiver<bool>) -> Result<(), EvacuateError> {
        if self.mover.volumes.table.is_held_back() {
            self.status.lock().waits_for = Some("the restored state to be accepted".into());
            return Ok(());
        }
        let jobs = self.jobs().await?;
        let mut waits_for = None;
        self.begin(&jobs);
        for (at, job) in jobs.iter().enumerate() {
            if *stop.borrow() {
                break;
            }
            let Some(claim) = self.mover.volumes.table.try_claim(job.volume) else { continue };
            if let Err(error) = self.mover.volumes.writer.check_room(job.tier, job.payload, leave(job.why)) {
                waits_for = Some(error.to_string());
                continue;
            }
            self.status.lock().moving = Some((job.volume.0, job.why));
            let moved = self.mover.evacuate(&claim, Class::Compact, stop).await;
            self.status.lock().moving = None;
            match moved {
                Ok(done) => self.account(job, &done),
                Err(EvacuateError::Write(error)) if error.is_waiting() => waits_for = Some(error.to_string()),
                Err(error) => return Err(error),
            }
            self.status.lock().waiting = (jobs.len() - at - 1) as u64;
        }
        self.status.lock().waits_for = waits_for;
        Ok(())
    }

    /// The volumes worth moving now.
    async fn jobs(&self) -> Result<Vec<Job>, EvacuateError> {
        let metadata = self.mover.metadata.clone();
        let records = blocking::spawn(move || metadata.local().volumes()).await??;
        let now = self.clock.monotonic();
        let tiers = self.mover.volumes.table.tiers();
        let tiers = self.memory.lock().wholeness.look(&tiers, now);
        let mut seen = Vec::new();
        for record in records.into_iter().filter(|record| record.live > 0) {
            let Some(length) = sealed_length(&record) else { continue };
            if self.is_stuck(record.id, now) {
                continue;
            }
            let footprint = self.footprint(&record, length).await?;
            seen.push(Seen { record, footprint });
        }
        let known: HashSet<VolumeId> = seen.iter().map(|volume| volume.record.id).collect();
        self.memory.lock().measured.retain(|id, _| known.contains(id));
        Ok(plan(&seen, &tiers, self.widen_after))
    }

    /// A volume's footprint. It is measured only if the volume's record says that moving it may be worth it.
    async fn footprint(&self, record: &VolumeRecord, length: u64) -> Result<Footprint, EvacuateError> {
        let needed = least_needed(record);
        if needed >= length.saturating_sub(needed) {
            return Ok(Footprint { held: length, needed: needed.max(length / 2) });
        }
        let known = self.memory.lock().measured.get(&record.id).copied();
        if let Some((live, footprint)) = known
            && live.abs_diff(record.live) < length / CHANGED_DIVISOR
        {
            return Ok(footprint);
        }
        let mut footprint = measure(&self.mover, record).await?;
        if record.remote.is_some() {
            // Nothing can be punched in the remote store: dead bytes are paid for until the whole volume is gone.
            footprint.held = length;
        }
        self.memory.lock().measured.insert(record.id, (record.live, footprint));
        Ok(footprint)
    }

    fn is_stuck(&self, volume: VolumeId, now: Duration) -> bool {
        let mut memory = self.memory.lock();
        memory.stuck.retain(|_, until| *until > now);
        memory.stuck.contains_key(&volume)
    }

    fn begin(&self, jobs: &[Job]) {
        let needs = jobs.iter().filter(|job| job.why == Why::Garbage).map(|job| job.disk).min();
        let mut status = self.status.lock();
        status.waiting = jobs.len() as u64;
        status.next_needs = needs.unwrap_or_default();
        status.last_error = None;
    }

    fn account(&self, job: &Job, done: &Evacuated) {
        tracing::info!(volume = %job.volume, why = %job.why, bodies = done.bodies, written = done.written,
            unreadable = done.unreadable, empty = done.empty, "moved a volume's bodies");
        let mut status = self.status.lock();
        status.bodies += done.bodies;
        status.written += done.written;
        status.unreadable += done.unreadable;
        if done.empty {
            status.volumes += 1;
            status.reclaimed += job.gain;
            metrics::counter!("stratum_compacted_volumes_total").increment(1);
            metrics::counter!("stratum_compacted_bytes_total").increment(job.gain);
        } else {
            self.memory.lock().stuck.insert(job.volume, self.clock.monotonic() + STUCK_PERIOD);
        }
    }

    fn failed(&self, error: &EvacuateError) {
        tracing::warn!(%error, "compaction ended early; trying again");
        let mut status = self.status.lock();
        (status.moving, status.last_error) = (None, Some(error.to_string()));
    }
}

/// How much room must stay free. Compaction of garbage frees more than it takes, so it may use half of the reserve;
/// merging and widening may not touch it.
fn leave(why: Why) -> Leave {
    match why {
        Why::Garbage => Leave::HalfOfReserve,
        Why::Narrow | Why::Small => Leave::Reserve,
    }
}

impl Narrow for Mover {
    fn narrow<'a>(&'a self, volume: &'a Claim) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            // This never stops by itself: healing drops the future when it is to stop.
            let (_never, stop) = watch::channel(false);
            match Mover::narrow(self, volume, &stop).await {
                Ok(Narrowed::Moved(done)) => {
                    let Evacuated { bodies, written, unreadable, empty } = done;
                    tracing::info!(volume = %volume.volume(), bodies, written, unreadable, empty, "narrowed a volume");
                }
                Ok(Narrowed::WaitsForDrive) => {
                    tracing::info!(volume = %volume.volume(), "a volume waits for a drive: narrowed it would not fit");
                }
                Err(error) => {
                    tracing::warn!(volume = %volume.volume(), %error, "a volume can't be narrowed now")
                }
            }
        })
    }
}

impl Mover {
    /// Rewrites a volume's bodies over the drives that are left, if they fit beside the reserve: for a volume that
    /// lost shards which no drive can take.
    pub async fn narrow(
        &self,
        claim: &Claim,
        stop: &watch::Receiver<bool>,
    ) -> Result<Narrowed, EvacuateError> {
        let missing = || EvacuateError::Read(ReadError::Unavailable(format!("{} is gone", claim.volume())));
        let record = self.record(claim.volume())?.ok_or_else(missing)?;
        let payload = measure(self, &record).await?.needed * u64::from(record.geometry.k);
        if self.volumes.writer.check_room(record.tier, payload, Leave::Reserve).is_err() {
            return Ok(Narrowed::WaitsForDrive);
        }
        match self.evacuate(claim, Class::Heal, stop).await {
            Ok(done) => Ok(Narrowed::Moved(done)),
            Err(EvacuateError::Write(error)) if error.is_waiting() => Ok(Narrowed::WaitsForDrive),
            Err(error) => Err(error),
        }
    }
}
