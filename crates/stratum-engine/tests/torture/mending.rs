//! Repairs damage: volumes are checked, and shards that are damaged, or badly placed, are rebuilt while everything
//! else goes on.

use crate::hardware::{Harm, Seat};
use crate::life::Life;
use crate::remote;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stratum_metadata::salvage::audit;
use stratum_storage::blob::{Index, Tier, VolumeId};
use stratum_storage::heal::HealError;
use stratum_storage::inspect::{self, Verified};
use stratum_storage::pace::Class;
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// How many times it is checked whether everything is whole again, five seconds apart.
const WAIT: usize = 24;

/// Checks every sealed volume, and rebuilds damaged shards.
pub async fn heal(life: &mut Life<'_>) -> String {
    life.run.pace().hurry(life.dice.percent(50));
    let (mut rebuilt, mut passed_over) = (0, 0);
    let Ok(volumes) = life.run.metadata.local().volumes() else { return String::new() };
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

/// Moves all bodies out of some sealed volume.
pub async fn evacuate(life: &Life<'_>) -> String {
    let Ok(volumes) = life.run.metadata.local().volumes() else { return String::new() };
    let sealed = |record: &&VolumeRecord| matches!(record.state, VolumeState::Sealed { .. });
    let sealed: Vec<VolumeId> = volumes.iter().filter(sealed).map(|record| record.id).collect();
    let Some(volume) = life.dice.pick(&sealed).copied() else { return String::new() };
    let Some(claim) = life.run.volumes.table.try_claim(volume) else { return String::new() };
    let before = life.misled();
    match life.run.mover.evacuate(&claim, Class::Evacuate, &life.run.stopped()).await {
        Ok(done) => {
            let is_excused = life.is_down() || remote::is_why(life, volume, before);
            assert!(done.unreadable == 0 || is_excused, "bodies of {volume} can't be read: {done:?}");
            format!("{volume}: {done:?}")
        }
        Err(error) => format!("{volume}: {error}"),
    }
}

/// Takes a drive out, puts a blank one in its place, and waits until all that it held is restored.
pub async fn replace(life: &mut Life<'_>) -> String {
    if life.hardware.is_small() {
        return String::new();
    }
    let Some(at) = life.hardware.victim(life.dice) else { return String::new() };
    life.hardware.swap(at);
    // The set must first notice that the drive is gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let replaced = life.run.set.replace(Tier::Hot, at, true, life.hardware.entropy.as_ref());
    if let Err(error) = replaced {
        assert!(life.is_down() || life.is_faulty(), "drive {at} can't be replaced: {error}");
        return format!("drive {at}: {error}");
    }
    life.run.set.repair();
    if let Err(error) = life.run.journal.join(&life.run.set.drives(Tier::Hot)) {
        assert!(life.is_down() || life.is_faulty(), "the journal doesn't take drive {at}: {error}");
    }
    (life.hardware.disks[at].harm, life.hardware.disks[at].seat) = (Harm::None, Seat::Serving);
    let mut lacks = String::new();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return format!("drive {at}, then the store went down");
        }
        match lacking(life).await {
            None => {
                life.hardware.is_whole_again();
                return format!("drive {at}, and all is whole");
            }
            Some(lack) => lacks = lack.to_string(),
        }
    }
    let all_there = life.run.healthy() == life.hardware.count();
    assert!(!all_there || life.is_faulty(), "not whole again: {lacks}");
    format!("drive {at}; {lacks}")
}

/// Drives failed, and are back. What they missed must be restored without anybody looking for it, after which as many
/// drives as ever may be lost again. To be called at a start, before anything is read.
pub async fn recover(life: &mut Life<'_>) {
    life.hardware.calm();
    if !life.hardware.is_known_to_lack() || life.run.healthy() < life.hardware.count() {
        return;
    }
    let mut lacks = String::new();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return;
        }
        match lacking(life).await {
            None => {
                life.hardware.is_sound_again();
                return life.trace.note(life.hardware.power.steps(), || "all is whole by itself".into());
            }
            Some(lack) if lack.is_open => return,
            Some(lack) => lacks = lack.to_string(),
        }
    }
    panic!("what drives missed doesn't come back: {lacks}");
}

/// Something that is not on all drives on which it should be.
pub struct Lack {
    pub what: String,
    /// Whether it is still being written, and so is checked only when it is closed.
    pub is_open: bool,
}

impl Lack {
    pub fn of(what: impl Into<String>) -> Lack {
        Lack { what: what.into(), is_open: false }
    }
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// What of everything that was ever acknowledged is not on all drives on which it should be; `None` if all is.
pub async fn lacking(life: &Life<'_>) -> Option<Lack> {
    let status = life.run.healer.status();
    // What the remote store lost can't be restored.
    let lost = remote::lost_volumes(life);
    let gone = life.run.healer.lost().stripes().filter(|(volume, _)| lost.contains(volume)).count() as u64;
    if status.missing_fragments > gone || status.bad_fragments > 0 {
        return Some(Lack::of(format!("{status:?}")));
    }
    if life.run.healthy() < life.hardware.count() {
        return Some(Lack::of("drives are missing"));
    }
    let volumes = life.run.metadata.local().volumes().ok()?;
    let is_expected =
        |record: &&VolumeRecord| record.state != VolumeState::Dropped && !lost.contains(&record.id);
    for record in volumes.iter().filter(is_expected) {
        match inspect::verify(&life.run.volumes.table, record.id).await {
            // A volume without live bodies has nothing to lose.
            Ok(verified) if verified.is_whole() || verified.stripes == 0 => {}
            Ok(verified) => {
                let is_open = record.state == VolumeState::Open;
                return Some(Lack { what: format!("{}: {verified:?}", record.id), is_open });
            }
            // The volume was dropped meanwhile.
            Err(_) => {}
        }
    }
    life.run.metadata.tend_journal();
    match life.run.journal.heal() {
        Ok(healed) if healed.short == 0 => {}
        other => return Some(Lack::of(format!("the journal: {other:?}"))),
    }
    checkpoints_lack(life).map(Lack::of)
}

/// Which of the last two checkpoints is not on as many drives as it should be.
fn checkpoints_lack(life: &Life<'_>) -> Option<String> {
    let mut sound: BTreeMap<Index, usize> = BTreeMap::new();
    for copy in audit(&life.run.set.drives(Tier::Hot)) {
        *sound.entry(copy.index).or_default() += usize::from(copy.problem.is_none());
    }
    let enough = usize::from(life.hardware.geometry.m) + 1;
    let short = sound.iter().rev().take(2).find(|(_, count)| **count < enough);
    short.map(|(index, count)| format!("the checkpoint at {index} is sound on {count} drives"))
}

/// The damaged shards of a volume; sometimes a good one, in order to move it.
async fn wanted(life: &Life<'_>, volume: VolumeId, shards: usize) -> BTreeSet<u8> {
    let before = life.misled();
    let verified = match inspect::verify(&life.run.volumes.table, volume).await {
        Ok(verified) => verified,
        Err(_) => return BTreeSet::new(),
    };
    let lost: Vec<_> = verified.stripes_found.iter().filter(|found| !found.is_readable()).collect();
    let is_excused = life.hardware.power.is_off() || remote::is_why(life, volume, before);
    assert!(lost.is_empty() || is_excused, "{volume} has stripes that are lost: {lost:?}");
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

/// Rebuilds a shard; returns whether that succeeded. A failure must have a reason.
async fn rebuild(life: &Life<'_>, volume: VolumeId, shard: u8) -> bool {
    let Some(_claim) = life.run.volumes.table.try_claim(volume) else { return false };
    match life.run.volumes.rebuilder.rebuild_shard(volume, shard, life.run.pace(), Class::Heal).await {
        Ok(rebuilt) => {
            assert!(rebuilt.unreadable == 0, "a rebuild of {volume} gave {} stripes up", rebuilt.unreadable);
            true
        }
        Err(HealError::Gone | HealError::NoDrive) => false,
        Err(error) => {
            let excused = life.is_down() || life.is_faulty();
            assert!(excused, "a shard of {volume} can't be rebuilt: {error}");
            false
        }
    }
}
