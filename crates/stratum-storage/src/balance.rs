//! Drives fill evenly: whole shards move from the fuller drives to the emptier ones.
//!
//! New volumes go where there is room ([`crate::placement`]); balancing is for shards that lay on the other drives
//! before one joined, or that have come to lie unevenly. [`plan`] says which shard is best moved where, and when to
//! move none; the [`Balancer`] moves one after the other. A move is heal's way of writing a shard: a copy on the
//! other drive, read again, `ShardRebuilt`, the slot exchanged, and only then the old file removed. So a volume has
//! all its shards at every moment, and a crash leaves the move made or not.
//!
//! Nothing is remembered: what to move follows from the volumes' records and from what is free. It is the least
//! urgent of all background work, and waits while heal is at work or a drive is being emptied.

mod plan;

use crate::ambient::Clock;
use crate::blob::VolumeId;
use crate::drive::{Devices, DriveId};
use crate::heal::{HealError, Healer, Rebuilder};
use crate::pace::{Class, Pace};
use crate::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use crate::volume::{Claim, Phase, Table, TierDrives};
use plan::{Load, Lying, Move, best_move, to_move};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// Less than this is usually not worth moving, in bytes.
pub const LEAST_MOVE_BYTES: u64 = 4 << 20;
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How often a move that is under way looks whether more urgent work waits for its volume or its drives.
const CONFLICT_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// After a failed move, how long no other shard of that volume is tried.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// How evenly the drives are filled, and what balancing does about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BalanceStatus {
    /// The shard that is under way, in words.
    pub moving: Option<String>,
    /// About how many bytes lie on fuller drives and are still to go to emptier ones; 0 if no move is worth it.
    pub bytes_to_do: u64,
    /// Bytes that were moved since the server's start.
    pub bytes_done: u64,
    pub bytes_per_second: u64,
    pub seconds_left: Option<u64>,
    pub shards_moved: u64,
    /// What the next move waits for, if there is one to make.
    pub waits_for: Option<String>,
}

/// Balances a table of volumes. A [`Task`].
pub struct Balancer {
    table: Arc<Table>,
    rebuilder: Arc<Rebuilder>,
    healer: Arc<Healer>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    least: u64,
    state: Mutex<BalanceState>,
}

#[derive(Debug, Default)]
struct BalanceState {
    status: BalanceStatus,
    /// How long all moves that were made took together.
    busy: Duration,
    /// Until when a volume of which a move failed is left alone, by the monotonic clock.
    left_alone: HashMap<VolumeId, Duration>,
}

/// What lies on a tier's drives.
#[derive(Debug, Default)]
struct Picture {
    loads: Vec<Load>,
    /// The volumes of which a shard may be moved.
    volumes: Vec<Lying>,
    least: u64,
}

/// When the task is to stop, a move that is under way is given up: it leaves no file behind, and is begun anew at the
/// next start.
impl Task for Balancer {
    fn row(&self) -> Row {
        Row {
            name: "balance",
            role: Role::Leader,
            class: Some(Class::Balance),
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, stop: &'a Stop) -> Work<'a, Next> {
        task::looking(stop, self.round(), POLL_INTERVAL)
    }

    fn ended(&self) -> Work<'_, ()> {
        Box::pin(self.rebuilder.clear_up_unfinished())
    }
}

impl Balancer {
    pub fn new(
        rebuilder: Arc<Rebuilder>,
        healer: Arc<Healer>,
        pace: Arc<Pace>,
        clock: Arc<dyn Clock>,
    ) -> Balancer {
        let table = rebuilder.table().clone();
        Balancer { table, rebuilder, healer, pace, clock, least: LEAST_MOVE_BYTES, state: Mutex::default() }
    }

    /// The same balancer, for which a surplus of `least` bytes is worth a move, instead of [`LEAST_MOVE_BYTES`].
    pub fn moving_from(self, least: u64) -> Balancer {
        Balancer { least, ..self }
    }

    pub fn status(&self) -> BalanceStatus {
        self.state.lock().status.clone()
    }

    /// Moves shards until the drives are even, or something stands in the way; says how many.
    pub async fn round(&self) -> u64 {
        let mut moved = 0;
        while let Some((next, claim)) = self.next() {
            match self.carry_out(&next, &claim).await {
                true => moved += 1,
                false => break,
            }
        }
        moved
    }

    /// The move to make now, its volume claimed.
    fn next(&self) -> Option<(Move, Claim)> {
        let pictures = self.pictures();
        let has_room = pictures.iter().find_map(|picture| picture.best_move(&picture.loads));
        let next = has_room.or_else(|| pictures.iter().find_map(Picture::move_with_room));
        let to_do = pictures.iter().filter(|picture| picture.is_uneven());
        let to_do = to_do.map(|picture| to_move(&picture.loads)).sum();
        let waits_for = match self.hindrance() {
            Some(hindrance) => Some(hindrance),
            None if has_room.is_none() => Some("room on the emptier drives beside the reserve"),
            None => None,
        };
        let waits_for = waits_for.filter(|_| next.is_some());
        self.state.lock().tell(to_do, waits_for);
        let next = has_room.filter(|_| waits_for.is_none())?;
        Some((next, self.table.try_claim(next.volume)?))
    }

    fn pictures(&self) -> Vec<Picture> {
        // Before the lock: the status is behind it, and drives are asked for this.
        let mut pictures: Vec<Picture> =
            self.table.tiers.iter().map(|tier| picture(&self.table, tier, self.least)).collect();
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.left_alone.retain(|_, until| *until > now);
        for picture in &mut pictures {
            picture.volumes.retain(|lying| !state.left_alone.contains_key(&lying.volume));
        }
        pictures
    }

    /// The reason why no shard may be moved now.
    fn hindrance(&self) -> Option<&'static str> {
        if self.table.is_held_back() {
            Some("the restored state to be accepted")
        } else if self.pace.is_paused(Class::Balance) {
            Some("`stratum pace resume balance`")
        } else if self.healer.is_at_work() {
            Some("heal")
        } else if !self.table.leaving_shards().is_empty() {
            Some("a drive to be drained")
        } else {
            None
        }
    }

    async fn until_hindered(&self) {
        while self.hindrance().is_none() {
            tokio::time::sleep(CONFLICT_POLL_INTERVAL).await;
        }
    }

    /// Makes a move; says whether it was made.
    async fn carry_out(&self, next: &Move, claim: &Claim) -> bool {
        let began = self.clock.monotonic();
        let words = self.words(next);
        tracing::debug!(moving = words, "moving a shard");
        self.state.lock().status.moving = Some(words);
        let outcome = tokio::select! {
            outcome = self.rebuilder.move_shard(claim, next.shard, next.to, &self.pace) => outcome,
            () = self.until_hindered() => Err(HealError::Interrupted("something else goes first".into())),
        };
        if outcome.is_err() {
            self.rebuilder.clear_up(claim, next.shard, next.to).await;
        }
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.status.moving = None;
        match &outcome {
            Ok(_) => {
                state.busy += now.saturating_sub(began);
                state.status.shards_moved += 1;
                state.status.bytes_done += next.bytes;
            }
            Err(HealError::Interrupted(_)) => {}
            Err(error) => {
                tracing::warn!(volume = %next.volume, shard = next.shard, %error, "a shard was not moved; trying again");
                state.left_alone.insert(next.volume, now + RETRY_INTERVAL);
            }
        }
        outcome.is_ok()
    }

    fn words(&self, Move { volume, shard, from, to, .. }: &Move) -> String {
        let label = |drive: &DriveId| self.table.drive(*drive).map(|drive| drive.label());
        let (from, to) = (label(from).unwrap_or_default(), label(to).unwrap_or_default());
        format!("shard {shard} of {volume} from {from} to {to}")
    }
}

impl BalanceState {
    fn tell(&mut self, to_do: u64, waits_for: Option<&str>) {
        let rate = self.status.bytes_done as f64 / self.busy.as_secs_f64().max(0.001);
        let status = &mut self.status;
        status.bytes_to_do = to_do;
        status.bytes_per_second = rate as u64;
        status.seconds_left = (to_do > 0 && rate >= 1.0).then(|| (to_do as f64 / rate) as u64);
        status.waits_for = waits_for.map(str::to_owned);
    }
}

impl Picture {
    fn is_uneven(&self) -> bool {
        self.move_with_room().is_some()
    }

    /// The best move, if every drive had room for everything.
    fn move_with_room(&self) -> Option<Move> {
        let roomy: Vec<Load> = self.loads.iter().map(|load| Load { room: u64::MAX, ..*load }).collect();
        self.best_move(&roomy)
    }

    fn best_move(&self, loads: &[Load]) -> Option<Move> {
        best_move(loads, &self.volumes, self.least)
    }
}

/// What lies on those drives of a tier that take new data.
fn picture(table: &Table, tier: &TierDrives, least: u64) -> Picture {
    let mut held: HashMap<DriveId, u64> = HashMap::new();
    let mut volumes = Vec::new();
    for volume in table.volumes().into_iter().filter(|volume| volume.tier == tier.tier) {
        let bytes = volume.shard_bytes(volume.geometry);
        let shards: Vec<_> = volume.shards().map(|(_, file)| file).collect();
        let good = shards.iter().filter(|file| file.is_good());
        good.for_each(|file| *held.entry(file.drive_id).or_default() += bytes);
        let is_settled = matches!(volume.phase(), Phase::Sealed { .. }) && !table.is_claimed(volume.id);
        if is_settled && bytes > 0 && shards.iter().all(|file| file.is_good()) {
            let drives = shards.iter().map(|file| file.drive_id).collect();
            volumes.push(Lying { volume: volume.id, bytes, drives });
        }
    }
    let (drives, reserve) = (tier.open_to_new(), table.kept_free());
    let devices = Devices::of(&drives);
    let held = |drive: DriveId| held.get(&drive).copied().unwrap_or_default();
    let loads = drives.iter().map(|drive| {
        let domain = drive.domain();
        let beside = drives.iter().filter(|other| other.domain() == domain);
        let (count, together) =
            beside.fold((0, 0), |(count, sum), other| (count + 1, sum + held(other.id())));
        Load {
            drive: drive.id(),
            domain,
            held: held(drive.id()),
            capacity: devices.part(drive, reserve) + together / count.max(1),
            room: devices.free_at(drive, reserve),
        }
    });
    Picture { loads: loads.collect(), volumes, least }
}
