//! The table of volumes at a start.
//!
//! Open volumes belong to one run: those of the run before are sealed where the state's high water is, durably, and
//! only then truncated to it; what a crash left beyond is garbage by definition. Volumes that nothing names are
//! removed. Every drive's directory is compared with the records once: files that are gone make lost shards, files
//! that were never finished are removed, and others that no record knows are listed and left to the
//! [quarantine](crate::quarantine).

use super::Volumes;
use crate::blob::VolumeId;
use crate::codec::CodecError;
use crate::drive::DriveId;
use crate::format::layout::FILE_HEADER;
use crate::remote::Remote;
use crate::volume::{
    DIRECTORY, Phase, Table, TierDrives, Volume, VolumeLog, VolumeLogError, VolumeRecord, list_drive,
    volume_of_path,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What the volumes are restored from.
pub struct Restore {
    pub tiers: Vec<TierDrives>,
    pub records: Vec<VolumeRecord>,
    /// The next volume's number, if it is above every number that `records` and the drives know: numbers are never
    /// used twice, so it must be above those of forgotten volumes.
    pub next_id: VolumeId,
    /// See [`Table::set_reserve`].
    pub reserve: u64,
    pub log: Arc<dyn VolumeLog>,
    /// Where sealed volumes of the cold tier go, if there is such a place.
    pub remote: Option<Arc<Remote>>,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub volumes: u64,
    /// Open volumes of the former run.
    pub sealed: u64,
    pub removed: u64,
    pub shards_lost: u64,
    /// Files that a rebuild, a move or a new volume of the former run had not finished: removed.
    pub unfinished: u64,
    /// Files in the drives' directories that belong to no record, with the drive's label: left alone.
    pub unknown: Vec<(String, String)>,
}

/// Why the volumes can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("the record of {volume} makes no sense: {error}")]
    Record {
        volume: VolumeId,
        #[source]
        error: CodecError,
    },
    #[error("volumes of the former run can't be sealed: {0}")]
    Log(#[from] VolumeLogError),
}

/// The files of the drives that could be listed, by drive and path.
type FilesByDrive = HashMap<DriveId, HashMap<String, u64>>;

impl Volumes {
    /// The volumes at the start of a run. Nothing may be written or read before it returns.
    pub async fn restore(restore: Restore) -> Result<(Volumes, Restored), RestoreError> {
        let Restore { tiers, records, next_id, reserve, log, remote } = restore;
        let mut found = list(&tiers);
        let on_drives = found.values().flat_map(HashMap::keys).filter_map(|path| volume_of_path(path)).max();
        let known = records.iter().map(|record| record.id.0).max();
        let next_id = next_id.0.max(known.max(on_drives).map_or(1, |last| last.saturating_add(1)));
        let volumes = Volumes::over(Table::new(tiers, log, reserve, remote), next_id);
        let mut restored = Restored { volumes: records.len() as u64, ..Restored::default() };
        for record in &records {
            let inserted = volumes.table.insert_record(record);
            inserted.map_err(|error| RestoreError::Record { volume: record.id, error })?;
        }
        for (drive, path) in volumes.strays.remove_unfinished().removed {
            restored.unfinished += 1;
            found.get_mut(&drive).and_then(|files| files.remove(&path));
        }
        restored.unknown = unknown(&volumes.table, &found);
        for volume in volumes.table.volumes() {
            volumes.restore_volume(&volume, &found, &mut restored).await?;
        }
        Ok((volumes, restored))
    }

    async fn restore_volume(
        &self,
        volume: &Arc<Volume>,
        found: &FilesByDrive,
        restored: &mut Restored,
    ) -> Result<(), RestoreError> {
        if let Phase::Open(_) = volume.phase() {
            let length = volume.usage().1.max(FILE_HEADER);
            self.reclaimer.seal(volume, length).await?;
            restored.sealed += 1;
        }
        if !self.table.is_held_back() {
            self.reclaimer.drop_if_empty(volume).await?;
        }
        match volume.phase() {
            Phase::Dropped if self.table.is_held_back() => {}
            Phase::Dropped => restored.removed += u64::from(self.reclaimer.remove(volume).await?),
            Phase::Open(_) | Phase::Sealed { .. } => {
                restored.shards_lost += self.check_files(volume, found).await?;
            }
        }
        Ok(())
    }

    /// Compares a sealed volume's files with what its record says.
    async fn check_files(&self, volume: &Arc<Volume>, found: &FilesByDrive) -> Result<u64, VolumeLogError> {
        let Phase::Sealed { length } = volume.phase() else { return Ok(0) };
        let mut lost = 0;
        for (shard, file) in volume.shards().filter(|(_, file)| !file.is_lost()) {
            let Some(files) = file.drive.as_ref().and_then(|drive| found.get(&drive.id())) else { continue };
            match files.get(&file.path) {
                None => {
                    self.table.lose_shard(volume, shard, &file).await?;
                    lost += 1;
                }
                // A crash came between the seal and the truncation.
                Some(len) if *len > length && !self.table.is_held_back() => {
                    if let Err(error) = file.open().and_then(|file| file.set_len(length)) {
                        tracing::warn!(volume = %volume.id, shard, %error, "a sealed shard file stays too long");
                    }
                }
                Some(_) => {}
            }
        }
        Ok(lost)
    }
}

/// The files that no record knows, each with its drive's label.
fn unknown(table: &Table, found: &FilesByDrive) -> Vec<(String, String)> {
    let drives = table.tiers.iter().flat_map(|tier| tier.drives.now().to_vec());
    let known: HashSet<(DriveId, String)> = table
        .volumes()
        .iter()
        .flat_map(|volume| volume.shards())
        .map(|(_, file)| (file.drive_id, file.path.clone()))
        .collect();
    let mut unknown = Vec::new();
    for drive in drives {
        let files = found.get(&drive.id()).into_iter().flat_map(HashMap::keys);
        let strange = files.filter(|path| !known.contains(&(drive.id(), (*path).clone())));
        unknown.extend(strange.map(|path| (drive.label(), path.clone())));
    }
    unknown.sort();
    unknown
}

/// The shard files of every healthy drive that answers. A drive without the directory has no files; one that can't
/// be listed has failed: nothing is known of its shards, and the set is not to be called whole with it.
fn list(tiers: &[TierDrives]) -> FilesByDrive {
    let mut found = FilesByDrive::new();
    for drive in tiers.iter().flat_map(|tier| tier.drives.healthy()) {
        match list_drive(&drive) {
            Ok(files) => {
                let paths = files.into_iter().map(|entry| (format!("{DIRECTORY}/{}", entry.name), entry.len));
                found.insert(drive.id(), paths.collect());
            }
            Err(error) => drive.fail(&format!("its volumes can't be listed: {error}")),
        }
    }
    found
}
