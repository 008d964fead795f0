//! A backup, and the day when it is needed: the journal and all checkpoints are gone from every drive, and so is the
//! index. Only the volumes are still there.
//!
//! The store is restored to the moment of the backup, and must then hold what it held at that moment. Every body that
//! is still where it was then must be readable in full. Bodies that were moved or freed since are lost; it must be
//! known which ones these are, and the client writes them again.

use crate::audit::volume_files;
use crate::dice::Dice;
use crate::hardware::Hardware;
use crate::life::Life;
use crate::model::{Content, Model, Open};
use crate::outside::{Outside, as_drive};
use crate::run::{Run, Virtual};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use stratum_metadata::record::ObjectRecord;
use stratum_metadata::salvage::{self, Basis};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::{BlobRef, Place, Tier, VolumeId};
use stratum_storage::drive::simulated::{Power, SimulatedDrive};
use stratum_storage::drive::{DriveIo, OpenHow};
use stratum_storage::journal::{Export, Exported, History, Refounding, refound};
use stratum_storage::set::Set;
use stratum_storage::volume::{VolumeRecord, VolumeState};

/// An unpacked backup, and what the store held when it was taken.
pub struct Backup {
    disk: Arc<SimulatedDrive>,
    model: Model,
}

/// Takes a backup, as the server does on request.
pub async fn back_up(life: &mut Life<'_>) -> String {
    let disk = SimulatedDrive::new("backup", u64::MAX, &Arc::new(Power::default()));
    match copy_out(life.run, disk.attach().as_ref()) {
        Ok(index) => {
            life.hardware.backup = Some(Backup { disk, model: life.model.clone() });
            format!("up to entry {index}")
        }
        Err(error) => {
            assert!(life.is_down() || life.is_faulty(), "no backup can be taken: {error}");
            error
        }
    }
}

/// What a backup that is taken now has, apart from the one that is kept for the day when it is needed; nothing if none can be taken.
pub fn back_up_now(run: &Run) -> Option<Arc<SimulatedDrive>> {
    let disk = SimulatedDrive::new("another backup", u64::MAX, &Arc::new(Power::default()));
    copy_out(run, disk.attach().as_ref()).ok().map(|_| disk)
}

fn copy_out(run: &Run, to: &dyn DriveIo) -> Result<u64, String> {
    let say = |error: io::Error| error.to_string();
    let checkpoint = run.metadata.export_checkpoint().map_err(|error| error.to_string())?;
    let export = run.journal.export();
    if export.first() > checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.index()) + 1 {
        return Err("no checkpoint reaches the journal".into());
    }
    let last = Export::last(&export).0;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for piece in export {
        match (piece.map_err(|error| error.to_string())?, files.last_mut()) {
            (Exported::Segment(name), _) => files.push((format!("journal/{name}"), Vec::new())),
            (Exported::Bytes(bytes), Some((_, file))) => file.extend_from_slice(&bytes),
            (Exported::Bytes(_), None) => return Err("bytes of no file".into()),
        }
    }
    if let Some(checkpoint) = checkpoint {
        let name = format!("checkpoint/{}", checkpoint.name());
        let blocks: io::Result<Vec<Vec<u8>>> = checkpoint.collect();
        files.push((name, blocks.map_err(say)?.concat()));
    }
    for folder in ["journal", "checkpoint"] {
        to.create_dir(folder).map_err(say)?;
    }
    for (path, bytes) in files {
        let file = to.open(&path, OpenHow::CreateNew).map_err(say)?;
        file.write_at(&[&bytes], 0).map_err(say)?;
    }
    Ok(last)
}

/// Loses everything but the volumes, and restores the backup. Returns what the store must hold then.
pub async fn strike(hardware: &mut Hardware, dice: &Dice, model: &Model, backup: &Backup) -> Model {
    hardware.all_well();
    let before = Before::of(&Outside::look(hardware, None).expect("the store can be looked at"));
    hardware.kill();
    hardware.lose_all_but_volumes();
    let restored = Outside::look(hardware, Some(&backup.disk)).expect("the backup can be looked at");
    let then = Then { before, restored };
    if let Some(remote) = &mut hardware.remote {
        remote.is_of_another_time(&then.restored.records);
    }
    let mut model = model.back_to(&backup.model);
    let objects = then.restored.objects().expect("the backup has objects");
    assert!(objects.keys().all(|key| model.objects.contains_key(key)), "a backup has a key of nobody's");
    let (mut lost, unreadable) = (BTreeSet::new(), then.restored.unreadable().await);
    let (mut found_again, again) = (BTreeMap::new(), then.comes_back(hardware));
    for (key, open) in &mut model.objects {
        let content = then.find(key, objects.get(key), open);
        if let (Some(record), Some(content)) = (objects.get(key), &content)
            && (!then.is_readable(key, record, content).await || then.is_in(record, &unreadable))
        {
            match then.lies_in(record, &again, &unreadable).await {
                Some(volumes) => drop(found_again.insert(key.clone(), volumes)),
                None => drop(lost.insert(key.clone())),
            }
        }
        *open = Open::known(content);
    }
    (model.restored, model.found_again) = (Some(lost), found_again);
    drop(then);
    hardware.kill();
    restore(hardware, dice, &backup.disk);
    hardware.worn = true;
    model
}

/// The state that was lost, and the state of the backup.
struct Then {
    before: Before,
    restored: Outside,
}

/// What must be known of the lost state, read before it is lost.
struct Before {
    volumes: Vec<VolumeRecord>,
    /// For each key, where its bytes were.
    blobs: BTreeMap<Vec<u8>, Option<Vec<(BlobRef, u64)>>>,
}

impl Before {
    fn of(outside: &Outside) -> Before {
        let objects = outside.objects().expect("the state has objects");
        let blobs = objects.iter().map(|(key, record)| (key.clone(), outside.blobs(record)));
        Before { volumes: outside.records.clone(), blobs: blobs.collect() }
    }
}

impl Then {
    /// The record of a key after the restore.
    fn find(
        &self,
        key: &[u8],
        record: Option<&ObjectRecord>,
        open: &Open<Option<Content>>,
    ) -> Option<Content> {
        let is = |content: &&Option<Content>| {
            content.as_ref().map(|content| (content.etag, content.len()))
                == record.map(|record| (record.etag, record.size))
        };
        let found = open.possibilities().iter().find(is);
        let name = String::from_utf8_lossy(key);
        found.unwrap_or_else(|| panic!("{name} was {open:?} and is restored as {record:?}")).clone()
    }

    /// Whether the object's bytes are still there. If they were not touched since the backup, they must be.
    async fn is_readable(&self, key: &[u8], record: &ObjectRecord, content: &Content) -> bool {
        let name = String::from_utf8_lossy(key);
        if let Some(bytes) = self.restored.bytes(record).await {
            assert!(bytes == content.bytes(), "{name} is restored with wrong bytes");
            return true;
        }
        let blobs = self.restored.blobs(record);
        let is_same = self.before.blobs.get(key).is_some_and(|now| *now == blobs);
        let is_there = |(blob, _): &(BlobRef, u64)| match &blob.place {
            Place::Journal { .. } | Place::Empty | Place::ThisEntry { .. } => true,
            Place::Packed(at) => is_same && self.is_untouched(at.volume),
            Place::Extents(extents) => is_same && extents.iter().all(|at| self.is_untouched(at.volume)),
        };
        let must = blobs.is_some_and(|blobs| blobs.iter().all(is_there));
        assert!(!must, "{name} is where it was, and can't be read: {record:?}");
        false
    }

    /// Volumes whose files are gone from the drives since they were brought to the remote store, of which the restored state knows
    /// nothing. Where nothing of one was deleted in between, its object holds all that this state names.
    fn comes_back(&self, hardware: &Hardware) -> BTreeSet<VolumeId> {
        let Some(remote) = &hardware.remote else { return BTreeSet::new() };
        let (names, files): (Vec<String>, Vec<String>) =
            (remote.store.names(), hardware.all().flat_map(volume_files).collect());
        let comes_back = |now: &&VolumeRecord| {
            let before = self.before.volumes.iter().find(|record| record.id == now.id);
            let there = before.and_then(|record| Some((record.remote?, record.live)));
            let is_sealed = matches!(now.state, VolumeState::Sealed { .. }) && now.remote.is_none();
            is_sealed
                && there.is_some_and(|(object, live)| {
                    live == now.live
                        && live > 0
                        && names.contains(&object.name(now.id))
                        && !remote.is_harmed(now.id, object)
                })
                && !files.iter().any(|path| path.contains(&now.id.to_string()))
        };
        self.restored.records.iter().filter(comes_back).map(|record| record.id).collect()
    }

    /// Those of these volumes in which an object lies that can be read but for them; `None` if something else is missing.
    async fn lies_in(
        &self,
        record: &ObjectRecord,
        volumes: &BTreeSet<VolumeId>,
        unreadable: &HashSet<(VolumeId, u64)>,
    ) -> Option<BTreeSet<VolumeId>> {
        let mut needed = BTreeSet::new();
        for (blob, size) in self.restored.blobs(record)? {
            let (those, is_lost) = match &blob.place {
                Place::Packed(at) => {
                    (BTreeSet::from([at.volume]), unreadable.contains(&(at.volume, at.stripe)))
                }
                Place::Extents(extents) => (extents.iter().map(|extent| extent.volume).collect(), false),
                Place::Empty | Place::Journal { .. } | Place::ThisEntry { .. } => (BTreeSet::new(), false),
            };
            if !those.is_empty() && those.is_subset(volumes) {
                needed.extend(those);
            } else if is_lost || self.restored.read(&blob, size).await.is_none() {
                return None;
            }
        }
        (!needed.is_empty()).then_some(needed)
    }

    /// Whether the object is packed in one of these stripes. A lost stripe may still have some pieces, and with them
    /// some bodies; those are given up with the others, since nothing heals such a stripe.
    fn is_in(&self, record: &ObjectRecord, stripes: &HashSet<(VolumeId, u64)>) -> bool {
        let is_in = |(blob, _): &(BlobRef, u64)| match &blob.place {
            Place::Packed(at) => stripes.contains(&(at.volume, at.stripe)),
            _ => false,
        };
        self.restored.blobs(record).is_some_and(|blobs| blobs.iter().any(is_in))
    }

    /// Whether the volume is still in the files, or in the object, that the backup knows, and those are unchanged.
    fn is_untouched(&self, volume: VolumeId) -> bool {
        let place = |volumes: &[VolumeRecord]| {
            let record = volumes.iter().find(|record| record.id == volume);
            record.map(|record| (record.shards.clone(), record.remote))
        };
        place(&self.before.volumes) == place(&self.restored.records) && !self.restored.has_lost(volume)
    }
}

/// Makes the backup the store's history; if the power fails meanwhile, it is done again.
fn restore(hardware: &Hardware, dice: &Dice, backup: &Arc<SimulatedDrive>) {
    loop {
        if dice.percent(40) {
            hardware.power.fail_at(dice.magnitude(1..200));
        }
        let outcome = accept(hardware, backup);
        let is_off = hardware.power.is_off();
        if is_off {
            hardware.power_cycle(dice);
        }
        hardware.power.restore();
        hardware.kill();
        match outcome {
            Ok(()) => return,
            Err(error) => assert!(is_off, "the backup can't be restored: {error}"),
        }
    }
}

fn accept(hardware: &Hardware, backup: &Arc<SimulatedDrive>) -> Result<(), String> {
    if Outside::look(hardware, None)?.state.doubts().is_empty() {
        return Ok(());
    }
    hardware.kill();
    let store = Outside::look(hardware, Some(backup))?;
    let (index, basis) = (store.state.reached(), store.state.basis());
    let run = store.history.runs().into_iter().find(|run| (run.first..=run.last).contains(&index));
    let floor = run.map_or(index + 1, |run| run.first);
    let m = usize::from(hardware.geometry.m);
    let what = Refounding { last: (index, store.state.reached_hash()), floor, m };
    drop(store);
    hardware.kill();
    let clock: Arc<dyn Clock> = Arc::new(Virtual::new(hardware.now));
    let entropy = hardware.entropy.as_ref();
    let set = Set::open(&hardware.config(), clock.clone(), entropy).map_err(|error| error.to_string())?;
    let drives = set.drives(Tier::Hot);
    let mut sources = drives.to_vec();
    sources.push(as_drive(backup, clock));
    let history = History::read(&sources).map_err(|error| error.to_string())?;
    if let Basis::Checkpoint(index) = basis {
        salvage::remove_bad_copies(&sources);
        salvage::copy_checkpoint(index, &sources, &drives, m + 1).map_err(|error| error.to_string())?;
    }
    refound(&history, what, &drives, entropy).map_err(|error| error.to_string())
}
