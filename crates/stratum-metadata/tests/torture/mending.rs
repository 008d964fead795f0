//! What makes damage good: volumes are looked through, and shards that are flawed, or none too well placed, are
//! written anew while everything else goes on.

use crate::life::Life;
use std::collections::BTreeSet;
use stratum_storage::blob::VolumeId;
use stratum_storage::heal::HealError;
use stratum_storage::pace::Task;
use stratum_storage::scrub::Verified;
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// Looks through every sealed volume, and rebuilds.
pub async fn heal(life: &mut Life<'_>) -> String {
    life.hardware.healed = true;
    life.run.mover.pace.hurry(life.dice.percent(50));
    let (mut rebuilt, mut passed_over) = (0, 0);
    let Ok(volumes) = life.run.metadata.volumes() else { return String::new() };
    for record in volumes.iter().filter(|record| matches!(record.state, VolumeState::Sealed { .. })) {
        for shard in wanted(life, record.id, record.geometry.shards()).await {
            if life.is_down() {
                return format!("{rebuilt}, then the power failed");
            }
            match rebuild(life, record.id, shard).await {
                true => rebuilt += 1,
                false => passed_over += 1,
            }
        }
    }
    format!("{rebuilt} shards, passed over {passed_over}")
}

/// Moves everything out of some sealed volume.
pub async fn evacuate(life: &Life<'_>) -> String {
    let Ok(volumes) = life.run.metadata.volumes() else { return String::new() };
    let sealed = |record: &&VolumeRecord| matches!(record.state, VolumeState::Sealed { .. });
    let sealed: Vec<VolumeId> = volumes.iter().filter(sealed).map(|record| record.id).collect();
    let Some(volume) = life.dice.pick(&sealed).copied() else { return String::new() };
    let Some(claim) = life.run.volumes.try_claim(volume) else { return String::new() };
    match life.run.mover.evacuate(&claim, Task::Evacuate, &life.run.stopped()).await {
        Ok(done) => {
            assert!(done.unreadable == 0 || life.is_down(), "bodies of {volume} can't be read: {done:?}");
            format!("{volume}: {done:?}")
        }
        Err(error) => format!("{volume}: {error}"),
    }
}

/// The flawed shards of a volume; sometimes a good one, to move it.
async fn wanted(life: &Life<'_>, volume: VolumeId, shards: usize) -> BTreeSet<u8> {
    let verified = match life.run.volumes.verify(volume).await {
        Ok(verified) => verified,
        Err(_) => return BTreeSet::new(),
    };
    let lost: Vec<_> = verified.stripes_found.iter().filter(|found| !found.is_readable()).collect();
    assert!(lost.is_empty() || life.hardware.power.is_off(), "{volume} has stripes that are lost: {lost:?}");
    let mut wanted = flawed(&verified);
    if life.dice.percent(20) {
        wanted.insert(life.dice.within(0..shards as u64) as u8);
    }
    wanted
}

fn flawed(verified: &Verified) -> BTreeSet<u8> {
    let files = verified.files.iter().map(|(shard, _)| *shard);
    files
        .chain(verified.stripes_found.iter().flat_map(|found| found.flaws.iter().map(|flaw| flaw.0)))
        .collect()
}

/// Whether the shard was written anew. What stands in its way must be a reason.
async fn rebuild(life: &Life<'_>, volume: VolumeId, shard: u8) -> bool {
    let Some(_claim) = life.run.volumes.try_claim(volume) else { return false };
    match life.run.volumes.rebuild_shard(volume, shard, &life.run.mover.pace, Task::Heal).await {
        Ok(rebuilt) => {
            assert!(rebuilt.unreadable == 0, "a rebuild of {volume} gave {} stripes up", rebuilt.unreadable);
            true
        }
        Err(HealError::Gone | HealError::NoDrive) => false,
        Err(error) => {
            let excused = life.is_down() || life.hardware.disks.iter().any(|disk| disk.hurt);
            assert!(excused, "a shard of {volume} can't be rebuilt: {error}");
            false
        }
    }
}
