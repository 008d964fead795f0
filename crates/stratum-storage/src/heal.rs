//! Redundancy that comes back by itself.
//!
//! What is missing is seen in three places: shards that the state counts as lost, shards whose drive is missing, has
//! failed or has left the set, and fragments that readers or scrub found bad. Heal looks at them every second and
//! works while there is anything it can do: the most endangered volumes first ([`order`]), a whole shard at a time
//! ([`rebuild`]), then bad fragments in place ([`mend`]). An open volume that misses a shard takes no more bodies, is
//! sealed when its writers are done, and is then healed like any other.
//!
//! Nothing here is kept: what is missing follows from the records and the drives, so a restart goes on where it was,
//! but for the shard that was under way. What can't be done now (no drive or no room to spare, too few fragments
//! left) waits for the drives to change, and is tried again now and then.
//!
//! While the pace is hurried, [`SHARDS_AT_ONCE`] shards are rebuilt at a time, else one: that bounds the memory, at
//! 4+2 to 30 MB.

mod distant;
mod files;
mod lost;
mod mend;
mod order;
mod rebuild;
mod rebuilder;
mod status;
mod target;

pub use lost::Lost;
pub use rebuild::Rebuilt;
pub use rebuilder::Rebuilder;
pub use status::HealStatus;

pub(crate) use mend::Mended;

use crate::ambient::Clock;
use crate::blob::VolumeId;
use crate::drive::DriveId;
use crate::inspect::InspectError;
use crate::pace::{Class, Pace};
use crate::remote::RemoteError;
use crate::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use crate::volume::{BadFragment, Claim, Table, VolumeLogError};
use order::Endangered;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tracing_mutex::parkinglot::Mutex;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Shards that are rebuilt at a time while the pace is hurried; one otherwise.
const SHARDS_AT_ONCE: usize = 3;
/// How long heal waits before it retries what it could not do, unless the drives change first.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The same for what the remote store lost or changed: each request to it is paid for.
const REMOTE_RETRY_INTERVAL: Duration = Duration::from_secs(3600);

/// Why something was not healed. Heal tries it again.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum HealError {
    /// Nothing to heal any more: the volume isn't sealed, or it was dropped or its shard superseded meanwhile.
    #[error("the volume is not there any more")]
    Gone,
    #[error("no healthy drive is without a shard of the volume; add or replace a drive")]
    NoDrive,
    #[error("no drive has room for the shard outside of the reserve; delete something or add space")]
    NoSpace,
    /// A drive that may come back may hold the missing fragments.
    #[error("{0} stripes can't be read without drives that are missing; bring them back or replace them")]
    Unreadable(u64),
    /// A file of the next generation may be there already, and hold what only a newer state names.
    #[error("no shard is rebuilt before the restored state is accepted (`stratum restore --accept`)")]
    HeldBack,
    #[error("drive {drive} did not take it: {error}")]
    Drive { drive: String, error: String },
    #[error(transparent)]
    Log(#[from] VolumeLogError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("it was given up: {0}")]
    Interrupted(String),
}

impl From<InspectError> for HealError {
    fn from(error: InspectError) -> HealError {
        match error {
            InspectError::Gone => HealError::Gone,
            InspectError::Log(error) => HealError::Log(error),
            InspectError::Interrupted(error) => HealError::Interrupted(error),
        }
    }
}

/// Moves what is in a volume into volumes of fewer shards, when there is no drive to heal it onto.
pub trait Narrow: Send + Sync + 'static {
    /// Called when a volume has waited long enough for a drive, and again every half minute while it still waits.
    fn narrow<'a>(&'a self, volume: &'a Claim) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Heals a table of volumes. A [`Task`].
pub struct Healer {
    rebuilder: Arc<Rebuilder>,
    table: Arc<Table>,
    pace: Arc<Pace>,
    clock: Arc<dyn Clock>,
    narrow: Option<(Duration, Arc<dyn Narrow>)>,
    state: Mutex<HealState>,
}

#[derive(Debug, Default)]
struct HealState {
    /// The drives, and whether each was healthy, at the last attempt on the deferred volumes.
    drives: Vec<(DriveId, bool)>,
    waiting: HashMap<VolumeId, DeferredVolume>,
    /// Stripes of which too few fragments are left, by offset, and when they are looked at again.
    unreadable: BTreeSet<(VolumeId, u64)>,
    again: Duration,
    /// When those unreadable stripes are looked at again that lie in the remote store.
    remote_again: Duration,
    /// Volumes that the remote store doesn't have, with the stripes that can't be read for that alone, and when it is asked
    /// again.
    absent: HashMap<VolumeId, Vec<u64>>,
    absent_again: Duration,
    rebuilt: u64,
    mended: u64,
    /// What heal had done at two moments, the older first.
    samples: [(Duration, u64); 2],
}

impl HealState {
    /// The remote store has the volume again: the stripes that couldn't be read for that alone can be read.
    fn came_back(&mut self, volume: VolumeId) {
        for offset in self.absent.remove(&volume).unwrap_or_default() {
            self.unreadable.remove(&(volume, offset));
        }
    }
}

/// A volume that can't be healed now.
#[derive(Clone, Debug)]
struct DeferredVolume {
    since: Duration,
    again: Duration,
    error: HealError,
}

/// A rebuild that is under way when heal is stopped leaves no file behind; the next start begins it anew.
impl Task for Arc<Healer> {
    fn row(&self) -> Row {
        Row {
            name: "heal",
            role: Role::Leader,
            class: Some(Class::Heal),
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

impl Healer {
    pub fn new(rebuilder: Arc<Rebuilder>, pace: Arc<Pace>, clock: Arc<dyn Clock>) -> Healer {
        let table = rebuilder.table.clone();
        Healer { rebuilder, table, pace, clock, narrow: None, state: Mutex::default() }
    }

    /// Hands a volume that has waited for a drive for `after` to `narrow`, which can do without that drive.
    pub fn narrowing(self, after: Duration, narrow: Arc<dyn Narrow>) -> Healer {
        Healer { narrow: Some((after, narrow)), ..self }
    }

    /// Does all that can be done now; says how many shards and fragments came back.
    pub async fn round(self: &Arc<Self>) -> u64 {
        let before = self.done();
        self.rebuilder.follow_drives();
        self.look_at_drives();
        self.look_for_absent().await;
        self.rebuilder.retire_endangered();
        self.rebuild_shards().await;
        self.mend_fragments().await;
        self.done() - before
    }

    fn done(&self) -> u64 {
        let state = self.state.lock();
        state.rebuilt + state.mended
    }

    /// When drives came or went, volumes that wait are tried at once. Unreadable stripes are looked at now and then
    /// besides: their objects may have been deleted.
    fn look_at_drives(&self) {
        let (drives, now) = (self.rebuilder.drives_now(), self.clock.monotonic());
        let mut state = self.state.lock();
        if state.drives != drives {
            state.drives = drives;
            state.waiting.values_mut().for_each(|waiting| waiting.again = Duration::ZERO);
            state.again = now;
        }
        if state.again <= now {
            state.again = now + RETRY_INTERVAL;
            let with_remote = state.remote_again <= now;
            if with_remote {
                state.remote_again = now + REMOTE_RETRY_INTERVAL;
            }
            let is_remote = |volume| self.table.find(volume).is_some_and(|volume| volume.remote().is_some());
            let unreadable = state.unreadable.iter().copied();
            for (volume, offset) in unreadable.filter(|(volume, _)| with_remote || !is_remote(*volume)) {
                self.table.repairs.add(BadFragment { volume, shard: 0, offset });
            }
        }
        let is_endangered = |volume: &VolumeId| {
            self.table.find(*volume).is_some_and(|volume| Endangered::of(&volume).is_some())
        };
        state.waiting.retain(|volume, _| is_endangered(volume));
    }

    /// Rebuilds one shard after the other, always of the most endangered volume, until there is none that can be.
    async fn rebuild_shards(self: &Arc<Self>) {
        let mut under_way: JoinSet<()> = JoinSet::new();
        loop {
            let at_once = if self.pace.is_hurried() { SHARDS_AT_ONCE } else { 1 };
            let next = if under_way.len() < at_once { self.next() } else { None };
            match next {
                Some((shard, claim)) => {
                    let healer = self.clone();
                    under_way.spawn(async move { healer.rebuild(shard, &claim).await });
                }
                None if under_way.is_empty() => return,
                None => drop(under_way.join_next().await),
            }
        }
    }

    /// The most urgent shard that can be tried, claimed.
    fn next(&self) -> Option<(u8, Claim)> {
        let now = self.clock.monotonic();
        let mut endangered = self.rebuilder.endangered();
        endangered.retain(|each| each.is_sealed);
        endangered.sort_by_key(Endangered::urgency);
        endangered.into_iter().find_map(|each| {
            let waits =
                self.state.lock().waiting.get(&each.volume).is_some_and(|waiting| waiting.again > now);
            let shard = each.missing.first().filter(|_| !waits)?;
            Some((*shard, self.table.try_claim(each.volume)?))
        })
    }

    async fn rebuild(&self, shard: u8, claim: &Claim) {
        let volume = claim.volume();
        match self.rebuilder.rebuild_shard(volume, shard, &self.pace, Class::Heal).await {
            Ok(_) => {
                let mut state = self.state.lock();
                state.rebuilt += 1;
                state.waiting.remove(&volume);
            }
            Err(error) => {
                let is_for_drive = error == HealError::NoDrive;
                let waited = self.wait(volume, error);
                match &self.narrow {
                    Some((after, narrow)) if is_for_drive && waited >= *after => narrow.narrow(claim).await,
                    _ => {}
                }
            }
        }
    }

    /// Notes that a volume can't be healed now; says for how long that has been so.
    fn wait(&self, volume: VolumeId, error: HealError) -> Duration {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let former = state.waiting.get(&volume);
        let since = former.map_or(now, |former| former.since);
        if former.is_none_or(|former| former.error != error) {
            tracing::warn!(%volume, %error, "a shard can't be rebuilt now");
        }
        state.waiting.insert(volume, DeferredVolume { since, again: now + RETRY_INTERVAL, error });
        now.saturating_sub(since)
    }

    /// Looks at a volume's files and at some of its stripes again and mends what is wrong now; a shard that must be
    /// rebuilt as a whole counts as lost, and comes back by itself. Says how many fragments were written anew, and how
    /// many shards are to be rebuilt; nothing while somebody else works on the volume.
    pub async fn look_again(
        &self,
        volume: VolumeId,
        offsets: &BTreeSet<u64>,
    ) -> Result<Option<(u64, usize)>, HealError> {
        let Some(_claim) = self.table.try_claim(volume) else { return Ok(None) };
        let found = self.table.find(volume).ok_or(HealError::Gone)?;
        let mended = self.rebuilder.mend(&found, offsets, &self.pace, Class::Heal).await?;
        self.note(volume, offsets, &mended);
        Ok(Some((mended.written, mended.lost.len())))
    }

    /// Writes bad fragments anew, volume by volume.
    async fn mend_fragments(&self) {
        for (id, offsets) in mend::by_volume(&self.table.bad_fragments()) {
            let repairs = &self.table.repairs;
            let Some(volume) = self.table.find(id) else {
                repairs.forget(id, &offsets);
                continue;
            };
            let Some(claim) = self.table.try_claim(id) else { continue };
            match self.rebuilder.mend(&volume, &offsets, &self.pace, Class::Heal).await {
                Ok(mended) => {
                    repairs.forget(id, &offsets);
                    self.note(id, &offsets, &mended);
                }
                // Scrub, or whoever reads the stripe, finds it again when the remote store can be asked.
                Err(HealError::Remote(error)) => {
                    repairs.forget(id, &offsets);
                    tracing::warn!(volume = %id, %error, "the remote store can't be looked at now");
                }
                // Full or failing drives: the fragments stay in the queue.
                Err(error) => tracing::warn!(volume = %id, %error, "bad fragments can't be mended now"),
            }
            drop(claim);
        }
    }

    /// Takes note of what became of the stripes that were looked at, whoever looked.
    pub(crate) fn note(&self, volume: VolumeId, looked_at: &BTreeSet<u64>, mended: &Mended) {
        let mut state = self.state.lock();
        state.mended += mended.written;
        if !mended.is_absent {
            state.came_back(volume);
        }
        for offset in looked_at.difference(&mended.unreadable) {
            state.unreadable.remove(&(volume, *offset));
        }
        let news = mended.unreadable.iter().filter(|offset| state.unreadable.insert((volume, **offset)));
        let news: Vec<u64> = news.copied().collect();
        if mended.is_absent {
            state.absent.entry(volume).or_default().extend(&news);
        }
        if let Some(offset) = news.first() {
            tracing::error!(%volume, stripes = news.len(), offset, "too few fragments of stripes are good");
        }
    }

    /// Whether something can be healed now: a bad fragment, or a missing shard of a sealed volume that doesn't wait
    /// for a drive, for space or for time to pass.
    pub fn is_at_work(&self) -> bool {
        let state = self.state.lock();
        let waits = |each: &Endangered| state.waiting.contains_key(&each.volume) || !each.is_sealed;
        !self.table.repairs.is_empty() || !self.rebuilder.endangered().iter().all(waits)
    }
}
