//! The repair of a stopped server's store: the store is opened as a server opens it, and its own healing is run to the
//! end.
//!
//! Nothing here changes the store in a way of its own. Opening it seals and truncates what a crash left, writes a
//! half-damaged identity again, heals the journal and, if the index was found bad, builds it anew. Then checkpoints and
//! replicated files are copied to all their drives again, and every shard with a flaw is written anew. A server does
//! all of this, too, and each step may be interrupted; what is left then is found by the check that follows.

use crate::failure::Failure;
use crate::layout::Layout;
use crate::opening;
use std::sync::Arc;
use std::time::Duration;
use stratum_engine::{Config, Engine};
use stratum_metadata::salvage;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::blob::{Tier, VolumeId};
use stratum_storage::drive::Threads;
use stratum_storage::heal::HealError;
use stratum_storage::inspect::{self, InspectError};
use stratum_storage::pace::{Class, Pace};
use stratum_storage::readpath::Parity;
use stratum_storage::set::{Remains, Set, SetError};
use stratum_storage::volume::VolumeState;
use stratum_storage::volumes::Volumes;
use tokio::runtime::Runtime;

/// Repairs what can be repaired; gives sentences about what was done.
pub fn repair(layout: &Layout, runtime: &Runtime, index_is_bad: bool) -> Result<Vec<String>, String> {
    let mut mended = Vec::new();
    let opened = open(layout, runtime, index_is_bad, &mut mended);
    let engine = opened.map_err(|error| format!("the store can't be opened: {error}"))?;
    checkpoints(&engine, &mut mended);
    small_files(&engine.set, &mut mended);
    let healed = runtime.block_on(heal(&engine, &mut mended));
    engine.shutdown();
    drop(engine);
    await_release(layout);
    healed.map(|()| mended)
}

/// Opens the store as a server does, with a new index if the old one is bad.
fn open(
    layout: &Layout,
    runtime: &Runtime,
    index_is_bad: bool,
    mended: &mut Vec<String>,
) -> Result<Engine, Failure> {
    let foundation = opening::foundation(layout)?;
    let mut layout = layout.clone();
    layout.settle(&foundation.set.all_drives());
    if index_is_bad {
        salvage::remove_index(&layout.index(), &foundation.set.drives(Tier::JOURNAL))
            .map_err(|error| format!("its index can't be removed: {error}"))?;
        mended.push("the server's index was built anew from the checkpoint and the journal".into());
    }
    std::fs::create_dir_all(&layout.meta).map_err(|error| format!("{}: {error}", layout.meta.display()))?;
    Ok(runtime.block_on(Engine::open(foundation, Config::new(layout.index())))?)
}

/// Waits until the drives are unlocked: the threads of the store that was just closed may hold the locks a moment
/// longer.
fn await_release(layout: &Layout) {
    const MOST_LOOKS: usize = 100;
    let clock: Arc<dyn Clock> = Arc::new(System);
    for _ in 0..MOST_LOOKS {
        match Remains::look(&layout.set_config(Threads::Own), &clock) {
            Err(SetError::InUse { .. }) => std::thread::sleep(Duration::from_millis(100)),
            _ => return,
        }
    }
}

/// Removes bad copies of checkpoints, and has the store copy journal and checkpoints to all their drives. What is bad in every copy
/// it writes anew of what can be read, or takes another checkpoint.
fn checkpoints(engine: &Engine, mended: &mut Vec<String>) {
    for copy in salvage::remove_bad_copies(&engine.set.drives(Tier::JOURNAL)) {
        mended.push(format!("the checkpoint at entry {} on {} was copied anew", copy.index, copy.drive));
    }
    engine.metadata.tend_journal();
    for copy in engine.metadata.check_checkpoints().into_iter().filter(|copy| copy.repaired) {
        mended.push(format!("{} on {} was written anew", copy.file, copy.drive));
    }
    // What is bad in every copy may be had of the checkpoint before: then the index failed, to be built anew from that.
    engine.metadata.tend_index();
}

/// Has the set write what its drives hold too few sound copies of, by the rule of a server that runs: the newest sound copy counts,
/// however many are damaged.
fn small_files(set: &Set, mended: &mut Vec<String>) {
    for copy in set.repair().into_iter().filter(|copy| copy.repaired) {
        mended.push(format!("{} on {} was written anew", copy.file, copy.drive));
    }
}

/// Writes every shard with a flaw anew, where that is possible.
async fn heal(engine: &Engine, mended: &mut Vec<String>) -> Result<(), String> {
    let Engine { metadata, volumes, .. } = engine;
    let records = metadata.local().volumes().map_err(|error| error.to_string())?;
    let pace = Pace::unbounded(Arc::new(System));
    for record in records.into_iter().filter(|record| record.state != VolumeState::Dropped) {
        let flawed = match flawed(volumes, record.id).await {
            Ok(flawed) => flawed,
            Err(InspectError::Gone) => continue,
            // The other volumes are mended nevertheless, and the check that follows tells of this one, too.
            Err(error) => {
                mended
                    .push(format!("{} stays as it is, since it could not be looked at: {error}", record.id));
                continue;
            }
        };
        for shard in flawed {
            let Some(_claim) = volumes.table.try_claim(record.id) else { continue };
            match volumes.rebuilder.rebuild_shard(record.id, shard, &pace, Class::Heal).await {
                Ok(rebuilt) => mended.push(format!(
                    "shard {shard} of {} was written anew ({} stripes)",
                    record.id, rebuilt.stripes
                )),
                Err(HealError::Gone) => {}
                Err(error) => mended.push(format!("shard {shard} of {} stays as it is: {error}", record.id)),
            }
        }
    }
    Ok(())
}

/// The shards of a volume whose file, or any of whose fragments, has a flaw.
async fn flawed(volumes: &Volumes, volume: VolumeId) -> Result<Vec<u8>, InspectError> {
    let verified = inspect::verify(&volumes.table, volume).await?;
    let fragments = verified.stripes_found.iter().flat_map(|found| {
        let disagreeing = match found.parity {
            Parity::Disagrees { shard } => Some(shard),
            _ => None,
        };
        found.flaws.iter().map(|(shard, _)| *shard).chain(disagreeing)
    });
    let mut shards: Vec<u8> = verified.files.iter().map(|(shard, _)| *shard).chain(fragments).collect();
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}
