//! Files in the drives' directories of volumes that no record knows: put aside first, removed much later.
//!
//! What is left over by a crash, by a drive that was away or by a mistake of ours looks the same, so nothing is removed
//! at once. A file is unknown if no record names its volume, or the record names another generation or drive. It is
//! put aside, into `quarantine/` on the same drive, when it was unknown at two looks in a row; at the first already if
//! it is explained: its shard was written anew, and the later file is there ([`StrayKind::Superseded`]). Whoever keeps
//! the state says when it may be removed.
//!
//! A file under a temporary name is another thing: no record can name it, and what it was to be is written anew from
//! the beginning. It is removed at once, at a start, when heal stops, and at a look.
//!
//! A look can't take what is just being made: the directory is listed before the state is read, and a volume's record
//! names its files before the first of them is made. Volumes that somebody else has claimed are not judged, and a volume
//! is claimed while its files are judged.

use crate::ambient::UnixMillis;
use crate::blob::VolumeId;
use crate::drive::{Drive, DriveId};
use crate::volume::{
    DIRECTORY, Stray, StrayKind, Table, finished, list_drive, parse_name, shard_path, volume_of_path,
};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;

const QUARANTINE: &str = "quarantine";

/// A file that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Quarantined {
    /// The drive, for people.
    pub drive: String,
    #[serde(skip)]
    drive_id: DriveId,
    /// What the file was called among the volumes.
    pub name: String,
    pub bytes: u64,
    /// When the file was put aside.
    pub since: UnixMillis,
}

/// What was done about files that were never finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// By drive and path.
    pub removed: Vec<(DriveId, String)>,
    /// Files whose volume somebody works on, or that could not be removed.
    pub left: usize,
}

impl Quarantined {
    fn path(&self) -> String {
        format!("{QUARANTINE}/{}-{}", self.since, self.name)
    }
}

/// Looks for files that no record knows.
pub struct Strays {
    table: Arc<Table>,
    /// Files that no record knew at the last look, by drive and name.
    suspects: Mutex<HashSet<(DriveId, String)>>,
}

impl Strays {
    pub(crate) fn new(table: Arc<Table>) -> Strays {
        Strays { table, suspects: Mutex::default() }
    }

    /// Looks at all drives for files that no record knows, and puts those aside that are superseded, or that a look
    /// before found unknown too. Gives what it put aside. Blocks.
    pub fn quarantine_unknown(&self, now: UnixMillis) -> Vec<Quarantined> {
        let mut unknown = HashSet::new();
        let mut put_aside = Vec::new();
        if self.table.is_held_back() {
            return put_aside;
        }
        let before = std::mem::take(&mut *self.suspects.lock());
        for drive in self.healthy_drives() {
            // Before the state is read.
            let Ok(entries) = list_drive(&drive) else { continue };
            for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
                if unfinished(&entry.name).is_some() {
                    self.remove_unfinished_file(&drive, &entry.name);
                    continue;
                }
                let suspect = (drive.id(), entry.name);
                if before.contains(&suspect) || self.is_superseded(&suspect.1) {
                    put_aside.extend(self.put_aside(&drive, &suspect.1, entry.len, now));
                } else if self.is_unknown(&drive, &suspect.1) {
                    unknown.insert(suspect);
                }
            }
        }
        *self.suspects.lock() = unknown;
        put_aside
    }

    /// The files that no record knows at this look; changes nothing. What two looks in a row give is unknown. Blocks.
    pub fn find(&self) -> HashSet<Stray> {
        let mut unknown = HashSet::new();
        for drive in self.healthy_drives() {
            // Before the state is read.
            let Ok(entries) = list_drive(&drive) else { continue };
            for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
                let path = format!("{DIRECTORY}/{}", entry.name);
                let is_worked_on =
                    volume_of_path(&path).is_some_and(|volume| self.table.is_claimed(VolumeId(volume)));
                let kind = match unfinished(&entry.name) {
                    Some(_) => StrayKind::Unfinished,
                    None if self.is_superseded(&entry.name) => StrayKind::Superseded,
                    None => StrayKind::Unknown,
                };
                let name = unfinished(&entry.name).unwrap_or(&entry.name);
                if !is_worked_on && self.is_unknown(&drive, name) {
                    unknown.insert(Stray { drive: drive.id(), path, kind });
                }
            }
        }
        unknown
    }

    /// Removes the files that whoever wrote them could not finish. Blocks.
    pub fn remove_unfinished(&self) -> Unfinished {
        let mut outcome = Unfinished::default();
        if self.table.is_held_back() {
            return outcome;
        }
        for drive in self.healthy_drives() {
            // Before the state is read.
            let Ok(entries) = list_drive(&drive) else { continue };
            for name in entries.into_iter().map(|entry| entry.name).filter(|name| unfinished(name).is_some())
            {
                match self.remove_unfinished_file(&drive, &name) {
                    true => outcome.removed.push((drive.id(), format!("{DIRECTORY}/{name}"))),
                    false => outcome.left += 1,
                }
            }
        }
        outcome
    }

    /// Removes a file under a temporary name, unless somebody works on its volume, or a record names the very file that
    /// it was to be: should that have lost its name since, this is all there is of it.
    fn remove_unfinished_file(&self, drive: &Drive, name: &str) -> bool {
        let Some((to_be, (volume, ..))) =
            unfinished(name).and_then(|to_be| Some((to_be, parse_name(to_be)?)))
        else {
            return false;
        };
        let Some(_claim) = self.table.try_claim(volume) else { return false };
        // Who opens a volume makes its first files, and claims nothing; but the record names them already.
        if self.is_named(drive, volume, &format!("{DIRECTORY}/{to_be}")) {
            return false;
        }
        let removed = drive.io().remove(&format!("{DIRECTORY}/{name}"));
        match removed.and_then(|()| drive.io().sync_dir(DIRECTORY)) {
            Ok(()) => {
                tracing::info!(drive = drive.label(), name, "removed a file that was never finished");
                true
            }
            Err(error) => {
                tracing::warn!(drive = drive.label(), name, %error, "a file that was never finished stays");
                false
            }
        }
    }

    /// All files that lie in quarantine, on the drives that answer. Blocks.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let mut files = Vec::new();
        for drive in self.healthy_drives() {
            for entry in drive.io().list(QUARANTINE).unwrap_or_default() {
                let Some((since, name)) = entry.name.split_once('-') else { continue };
                let Ok(since) = since.parse() else { continue };
                let (label, drive_id) = (drive.label(), drive.id());
                files.push(Quarantined {
                    drive: label,
                    drive_id,
                    name: name.to_owned(),
                    bytes: entry.len,
                    since,
                });
            }
        }
        files.sort_by(|one, other| {
            (one.since, &one.drive, &one.name).cmp(&(other.since, &other.drive, &other.name))
        });
        files
    }

    /// Removes a file from quarantine for good. Blocks.
    pub fn remove_quarantined(&self, file: &Quarantined) -> io::Result<()> {
        if self.table.is_held_back() {
            return Err(io::Error::other("nothing is removed before the restored state is accepted"));
        }
        let drive = self.table.drive(file.drive_id).ok_or(ErrorKind::NotFound)?;
        drive.io().remove(&file.path())?;
        drive.io().sync_dir(QUARANTINE)
    }

    fn healthy_drives(&self) -> Vec<Arc<Drive>> {
        self.table.tiers.iter().flat_map(|tier| tier.drives.healthy()).collect()
    }

    /// Whether neither the table nor the state knows the file.
    fn is_unknown(&self, drive: &Drive, name: &str) -> bool {
        let path = format!("{DIRECTORY}/{name}");
        let Some(volume) = volume_of_path(&path).map(VolumeId) else { return true };
        !self.is_named(drive, volume, &path)
    }

    /// Whether the table or the state names a file of a drive.
    fn is_named(&self, drive: &Drive, volume: VolumeId, path: &str) -> bool {
        let here = |on: DriveId, at: &str| on == drive.id() && at == path;
        let in_table = self.table.find(volume);
        // The files of a volume that came to the remote store wait for their readers, and are removed after that.
        if in_table.is_some_and(|volume| volume.former_shards().any(|file| here(file.drive_id, &file.path))) {
            return true;
        }
        match self.table.log.volume(volume) {
            Ok(Some(record)) => record
                .shards
                .iter()
                .enumerate()
                .any(|(shard, at)| here(at.drive, &shard_path(volume, shard as u8, at.generation))),
            Ok(None) => false,
            // A state that doesn't answer condemns nothing.
            Err(_) => true,
        }
    }

    /// Whether the file's shard was written anew as another, which is good.
    fn is_superseded(&self, name: &str) -> bool {
        let Some((volume, shard, generation)) = parse_name(name) else { return false };
        let now = self.table.find(volume).and_then(|volume| volume.shard(shard));
        now.is_some_and(|now| now.generation > generation && now.is_good())
    }

    /// Moves a file into quarantine if it is still unknown and nobody works on its volume.
    fn put_aside(&self, drive: &Drive, name: &str, bytes: u64, now: UnixMillis) -> Option<Quarantined> {
        let path = format!("{DIRECTORY}/{name}");
        let volume = volume_of_path(&path).map(VolumeId);
        let claim = volume.map(|volume| self.table.try_claim(volume));
        if matches!(claim, Some(None)) || !self.is_unknown(drive, name) {
            return None;
        }
        let (label, drive_id) = (drive.label(), drive.id());
        let file = Quarantined { drive: label, drive_id, name: name.to_owned(), bytes, since: now };
        let moved = move_file(drive, &path, &file.path());
        drop(claim);
        match moved {
            Ok(()) => {
                tracing::warn!(
                    drive = file.drive,
                    name,
                    "a file that no record knows was put into quarantine"
                );
                Some(file)
            }
            Err(error) => {
                tracing::warn!(drive = file.drive, name, %error, "a file that no record knows stays where it is");
                None
            }
        }
    }
}

/// What a file under a temporary name was to be called; nothing if it has no such name.
fn unfinished(name: &str) -> Option<&str> {
    finished(name).filter(|to_be| parse_name(to_be).is_some())
}

/// Durable when it returns.
fn move_file(drive: &Drive, from: &str, to: &str) -> io::Result<()> {
    let io = drive.io();
    io.create_dir(QUARANTINE)?;
    io.sync_dir("")?;
    io.rename(from, to)?;
    io.sync_dir(QUARANTINE)?;
    io.sync_dir(DIRECTORY)
}
