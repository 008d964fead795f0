//! What runs beside the requests: the watch over the drives, the journal's housekeeping, packing, freeing space, and
//! healing.
//!
//! Each is a row of [`start`], kept running by the [`Supervisor`].
//!
//! Packing and checkpoints keep pace with what is appended, since the journal's room depends on them; the rest is a
//! look every second. All of it is idle when nothing happens.

use crate::fullness;
use crate::supervisor::Supervisor;
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::copies::run_copies;
use stratum_engine::{Engine, LEAST_RESERVE};
use stratum_metadata::{run_compactor, run_emptying, run_packer, run_quarantine, run_sweeper};
use stratum_storage::ambient::System;
use stratum_storage::balance::run_balancer;
use stratum_storage::blob::Tier;
use stratum_storage::drive::{Doing, JUDGED_EVERY, judge};
use stratum_storage::heal::run_healer;
use stratum_storage::scrub::run_scrubber;
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(1);
/// Checkpoints are due at any time, and clients may wait for one: how often it is looked, and how many of these looks
/// are a whole round of the journal's.
const OFTEN: Duration = Duration::from_millis(100);
const WHOLE: u64 = 10;
/// How many rounds lie between two looks at what metrics have gathered.
const SELDOM: u64 = 5;
/// How many rounds lie between two looks at the small files that every drive holds.
const SMALL_FILES: u64 = 600;

/// Begins all of it. The names are those of the status.
pub fn start(supervisor: &mut Supervisor, engine: Engine, telemetry: Telemetry) -> std::io::Result<()> {
    let (set, files, metadata) = (engine.set.clone(), engine.set.clone(), engine.metadata.clone());
    let (index, journal) = (engine.metadata.clone(), engine.metadata.clone());
    let mut whole_round = now_and_then(WHOLE, move || journal.heal_journal());
    supervisor.every("drive watch", EVERY, move || set.check())?;
    let judging = engine.clone();
    supervisor.every("slow drives", JUDGED_EVERY, move || leave_slow_drives(&judging))?;
    supervisor.every("replicated files", EVERY, now_and_then(SMALL_FILES, move || drop(files.repair())))?;
    supervisor.every("journal", OFTEN, move || {
        whole_round();
        metadata.take_due_checkpoint();
    })?;
    supervisor.every("index", EVERY, move || index.tend_index())?;

    let Engine { metadata, volumes, healer, scrubber, balancer, compactor, quarantine, mover, .. } =
        engine.clone();
    let (sweeping, copying) = (metadata.clone(), engine.clone());
    supervisor.run("pack", move |stopped| run_packer(metadata.clone(), volumes.clone(), stopped));
    supervisor.run("heal", move |stopped| run_healer(healer.clone(), stopped));
    supervisor.run("scrub", move |stopped| run_scrubber(scrubber.clone(), stopped));
    supervisor.run("balance", move |stopped| run_balancer(balancer.clone(), stopped));
    supervisor.run("sweep", move |stopped| run_sweeper(sweeping.clone(), Arc::new(System), stopped));
    supervisor.run("compact", move |stopped| run_compactor(compactor.clone(), stopped));
    supervisor.run("quarantine", move |stopped| run_quarantine(quarantine.clone(), stopped));
    supervisor.run("scrub of copies", move |stopped| run_copies(copying.clone(), stopped));
    supervisor.run("drain", move |stopped| run_emptying(mover.clone(), stopped));
    supervisor.run("volumes and metrics", move |stopped| tend(engine.clone(), telemetry.clone(), stopped));
    Ok(())
}

/// Work for the first of so many rounds.
fn now_and_then(rounds: u64, mut work: impl FnMut()) -> impl FnMut() {
    let mut round = 0u64;
    move || {
        if round.is_multiple_of(rounds) {
            work();
        }
        round += 1;
    }
}

/// Waits for the next round; false when it is time to end.
async fn next_round(every: Duration, stopped: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(every, stopped.wait_for(|stopped| *stopped)).await.is_err()
}

async fn tend(engine: Engine, telemetry: Telemetry, mut stopped: watch::Receiver<bool>) {
    let mut round = 0u64;
    while next_round(EVERY, &mut stopped).await {
        engine.volumes.set_reserve(reserve(&engine));
        if let Err(error) = engine.volumes.tend().await {
            tracing::warn!(%error, "the volumes could not be tended; trying again");
        }
        if round.is_multiple_of(SELDOM) {
            measure(&engine);
            telemetry.fold();
        }
        round += 1;
    }
}

/// Judges the drives beside each other, and has the journal go on without a member that is slow.
fn leave_slow_drives(engine: &Engine) {
    judge_drives(engine);
    if let Err(error) = engine.journal.leave_slow() {
        tracing::warn!(%error, "the journal can't go on without a slow member; trying again");
    }
}

/// Tells which drives have become slow beside their peers, or are no longer.
fn judge_drives(engine: &Engine) {
    for (drive, doing) in Tier::ALL.into_iter().flat_map(|tier| judge(&engine.set.drives(tier))) {
        let slow = match doing {
            Doing::Reads => drive.pulse().is_slow(),
            Doing::JournalWrites | Doing::VolumeWrites => drive.writes_slowly(),
        };
        let drive = drive.label();
        match (slow, doing) {
            (true, Doing::Reads) => {
                tracing::warn!(drive, "answers far later than its peers; what it holds is read elsewhere")
            }
            (true, _) => {
                tracing::warn!(drive, "writes far later than its peers; what is new avoids it")
            }
            (false, _) => tracing::info!(drive, "is as fast as its peers again, or gets another try"),
        }
    }
}

/// What packing the whole journal, a checkpoint, a compaction and the spare segments would take of one device, if
/// all drives were on it.
fn reserve(engine: &Engine) -> u64 {
    let drives = engine.set.drives(Tier::Hot).len() as u64;
    let stretch = engine.set.geometry(Tier::Hot).map_or(1, |geometry| u64::from(geometry.m) + 1);
    let journal = engine.journal.usage().bytes;
    LEAST_RESERVE / 6 * drives.max(1)
        + journal * 2
        + engine.metadata.checkpoint_bytes() * stretch
        + engine.compactor.status().next_needs
}

/// What only the layers together know, for the metrics page.
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
    fullness::measure(&engine.volumes.fullness(), fullness::Pressure::of(usage));
    gauge("stratum_index_available", u64::from(engine.metadata.is_available()));
    gauge("stratum_drives", engine.set.all_drives().len() as u64);
    gauge(
        "stratum_drives_healthy",
        engine.set.all_drives().iter().filter(|drive| drive.is_healthy()).count() as u64,
    );
}
