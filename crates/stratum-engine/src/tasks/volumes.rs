//! Has volumes sealed, dropped and punched, and sets the reserve that background work needs; also updates the metrics
//! that need several layers.

use crate::{Engine, Pressure};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::remote::RemoteUse;
use stratum_storage::task::{Executor, Next, Role, Row, Stop, Task, Work};

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Metrics are updated at one in so many of these looks.
const LOOKS_A_MEASURE: u64 = 5;

pub(super) struct VolumeKeeper {
    engine: Engine,
    looks: AtomicU64,
}

impl VolumeKeeper {
    pub fn new(engine: Engine) -> VolumeKeeper {
        VolumeKeeper { engine, looks: AtomicU64::new(0) }
    }
}

impl Task for VolumeKeeper {
    fn row(&self) -> Row {
        Row {
            name: "volumes and metrics",
            role: Role::Owner,
            class: None,
            executor: Executor::Runtime,
            delay: POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        Box::pin(async {
            self.engine.volumes.table.set_reserve(reserve(&self.engine));
            if let Err(error) = self.engine.volumes.tend().await {
                tracing::warn!(%error, "the volumes could not be tended; trying again");
            }
            if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS_A_MEASURE) {
                measure(&self.engine);
            }
            Next::After(POLL_INTERVAL)
        })
    }
}

/// How many bytes packing the whole journal, a checkpoint, a compaction and the spare segments would take on one
/// device, if all drives were on it.
fn reserve(engine: &Engine) -> u64 {
    let drives = engine.set.drives(Tier::JOURNAL).len() as u64;
    let stretch = engine.set.geometry(Tier::JOURNAL).map_or(1, |geometry| u64::from(geometry.m) + 1);
    let journal = engine.journal.usage().bytes;
    engine.reserve / 6 * drives.max(1)
        + journal * 2
        + engine.metadata.checkpoint_bytes() * stretch
        + engine.compactor.status().next_needs
}

/// Updates the metrics that need several layers.
fn measure(engine: &Engine) {
    let (stats, usage) = (engine.volumes.stats(), engine.journal.usage());
    let gauge = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
    gauge("stratum_volumes_open", stats.open);
    gauge("stratum_volumes_sealed", stats.sealed);
    gauge("stratum_volumes_dropped", stats.dropped);
    gauge("stratum_volumes_live_bytes", stats.live);
    gauge("stratum_volumes_sealed_disk_bytes", stats.sealed_disk);
    gauge("stratum_volumes_lost_shards", stats.lost_shards);
    gauge("stratum_volumes_repairs_waiting", stats.repairs);
    gauge("stratum_buffers_idle_bytes", stats.idle_buffers);
    gauge("stratum_journal_bytes", usage.bytes);
    gauge("stratum_journal_cap_bytes", usage.cap);
    if let Some(remote) = engine.uploader.status() {
        let is_reached = !matches!(remote.usable_for, RemoteUse::Away | RemoteUse::Unconfigured);
        gauge("stratum_remote_reachable", u64::from(is_reached));
        gauge("stratum_remote_writable", u64::from(remote.usable_for == RemoteUse::Open));
        gauge("stratum_remote_volumes", remote.volumes);
        gauge("stratum_remote_stored_bytes", remote.bytes);
        gauge("stratum_remote_missing_volumes", remote.missing);
        gauge("stratum_remote_waiting_bytes", remote.waiting_bytes);
    }
    if let Some(copy) = engine.state_copies.status() {
        // A metric can't be taken back.
        let age = copy.age_seconds.map_or(f64::NAN, |age| age as f64);
        metrics::gauge!("stratum_state_copy_age_seconds").set(age);
    }
    for fullness in engine.volumes.writer.fullness() {
        let is_stopped = fullness.tier == Tier::JOURNAL && engine.journal.why_stopped().is_some();
        let refuses = f64::from(u8::from(is_stopped || fullness.refusal().is_some()));
        metrics::gauge!("stratum_tier_refuses_writes", "tier" => fullness.tier.name()).set(refuses);
    }
    metrics::gauge!("stratum_journal_pressure").set(match Pressure::of(usage) {
        Pressure::None => 0.0,
        Pressure::Slowing => 1.0,
        Pressure::Refusing => 2.0,
    });
    gauge("stratum_index_available", u64::from(engine.metadata.is_available()));
    gauge("stratum_drives", engine.set.all_drives().len() as u64);
    gauge(
        "stratum_drives_healthy",
        engine.set.all_drives().iter().filter(|drive| drive.is_healthy()).count() as u64,
    );
}
