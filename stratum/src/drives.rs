//! What an operator does with drives while the store serves: list, replace, add, drain, keep and remove them.
//!
//! A data folder, in production the mount point of a disk, may hold a drive of every tier: a command names the folder,
//! or one tier's folder in it, and acts on all drives there. Every command may be repeated, also after it was
//! interrupted, and then does what is left to do. Long work goes on in the background after the command has ended: heal
//! fills a drive that joined, and evacuation empties one that is drained.

mod homes;
mod room;
pub mod stopped;

use crate::layout::{DriveFolder, Home, check_apart};
use crate::shown::counted;
use crate::status::DriveStatus;
use homes::Homes;
use room::Drain;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stratum_engine::Engine;
use stratum_storage::ambient::System;
use stratum_storage::blob::Tier;
use stratum_storage::drive::{Drive, disk_of};
use stratum_storage::journal::JournalError;
use stratum_storage::set::{ChangeError, Changed, DriveSlot, DriveState, Root, Set};
use stratum_storage::writepath::Fullness;

/// What is told of a drive that was removed, after its name.
const REMOVED: &str = "is not in the set any more: take it away, and out of the configuration";

/// Why a command was refused. The texts give the numbers that the refusal follows from.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error("{path} is no folder of a drive of this store; its drives are at {known}")]
    Unknown { path: String, known: String },
    #[error(
        "{path} is in no tier's folder: with a single data folder, a new drive is a folder directly in one of {folders}"
    )]
    InNoTier { path: String, folders: String },
    #[error(
        "of which tiers {path} is to hold drives doesn't follow from the configuration, which has drives of some for \
         themselves: say it with --tier, as {choices}, so that the next start finds them where it looks"
    )]
    WhichTier { path: String, choices: String },
    #[error("{0}; the next start would be refused: name a folder outside of all drives")]
    NotApart(String),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(
        "the {tier} tier would have {left} healthy drives left to write to and needs {needed} (any {m} of them may be \
         lost, and it takes one more to hold data): add or replace a drive first"
    )]
    TooFew { tier: &'static str, left: usize, needed: usize, m: u8 },
    #[error(
        "{needed} would come to lie on the {stay} drives of the {tier} tier that stay{why}; they have {free} free \
         beside the reserve: delete something or add a drive first"
    )]
    NoSpace { tier: &'static str, needed: String, stay: u64, why: String, free: String },
    #[error("{place} is not drained: {problem}")]
    NotEmpty { place: String, problem: String },
    #[error(
        "the restored state is not accepted yet, and the drive may hold what it doesn't know: `stratum restore --accept` first"
    )]
    Provisional,
    #[error("the drive is in the set, and the journal takes it in later: {0}")]
    Journal(#[from] JournalError),
    #[error("what was acknowledged may be on the lost drive alone, so no other disk takes its place: {0}")]
    Witness(JournalError),
}

/// What an operator allows to be done with a new folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// If the folder holds a drive that was replaced in this store before, its data may be deleted.
    pub wipe: bool,
    /// The folder may be used even if its disk seems not to be mounted.
    pub unmounted: bool,
}

/// The operations on drives. A clone is a cheap handle. Each operation blocks, so it must not be called on an async
/// thread.
#[derive(Clone)]
pub struct Drives {
    engine: Engine,
    homes: Homes,
}

impl Drives {
    /// `homes` says where a new drive of each tier may come.
    pub fn new(engine: Engine, homes: Vec<(Tier, Home)>) -> Drives {
        Drives { engine, homes: Homes(homes) }
    }

    /// Every position of the set that has a drive, whether that drive is present or not.
    pub fn list(&self) -> Vec<DriveStatus> {
        let slots = self.engine.set.slots().into_iter();
        let fullness = self.engine.volumes.writer.fullness();
        let there = slots.filter(|slot| slot.state != DriveState::Removed);
        there.map(|slot| self.status(slot, &fullness)).collect()
    }

    fn status(&self, slot: DriveSlot, fullness: &[Fullness]) -> DriveStatus {
        let (state, reason) = match &slot.state {
            DriveState::Healthy => ("healthy", None),
            DriveState::Draining => self.progress(&slot),
            DriveState::Failed { reason } => ("failed", Some(reason.clone())),
            DriveState::Missing { reason } => ("missing", Some(reason.clone())),
            DriveState::Blank { advice } => ("blank", Some(advice.clone())),
            DriveState::Stale { advice } => ("stale", Some(advice.clone())),
            DriveState::Foreign { advice } => ("foreign", Some(advice.clone())),
            DriveState::Removed => ("removed", None),
        };
        DriveStatus {
            tier: slot.tier.name().into(),
            position: slot.position as u64,
            id: slot.id.to_string(),
            device: slot.drive.as_ref().map(|drive| drive.domain().device_number()),
            state: state.into(),
            reason,
            slow: slot.drive.as_ref().is_some_and(|drive| drive.is_slow()),
            writes_slowly: slot.drive.as_ref().is_some_and(|drive| drive.writes_slowly()),
            read_p99_seconds: slot
                .drive
                .as_ref()
                .and_then(|drive| drive.pulse().p99())
                .map(|p99| p99.as_secs_f64()),
            bad_pieces: slot.drive.as_ref().map_or(0, |drive| drive.bad_pieces()),
            lacking_shards: self.engine.volumes.table.shards_lacking_on(slot.id),
            rotting: slot.drive.as_ref().is_some_and(|drive| drive.is_rotting()),
            fill: crate::fullness::of_drive(fullness, slot.tier, slot.id).map(str::to_owned),
            bytes_used: slot.space.map_or(0, |_| bytes_under(Path::new(&slot.place))),
            bytes_free: slot.space.map_or(0, |space| space.free),
            disk: disk_of(Path::new(&slot.place), slot.tier).display().to_string(),
            path: slot.place,
        }
    }

    /// Takes the blank folders at this path into the set, in place of the lost drives that were at the same paths. With
    /// `wipe`, a folder that holds a stale drive of this store is emptied first.
    pub fn replace(&self, path: &Path, allowed: Allowed) -> Result<Vec<String>, DriveError> {
        let Allowed { wipe, unmounted } = allowed;
        self.check_final(wipe)?;
        let places = self.engine.set.places();
        let wanted: Vec<_> = places.iter().filter(|(_, _, place)| is_at(place, path)).collect();
        if wanted.is_empty() {
            return Err(self.unknown(path));
        }
        for (_, _, place) in wanted.iter().filter(|_| !unmounted) {
            check_mounted(&self.engine.set, Path::new(place))?;
        }
        self.check_apart(wanted.iter().map(|(_, _, place)| Path::new(place)))?;
        let mut turn = self.engine.set.turn()?;
        self.check_given_up(path, wipe)?;
        let replaced = wanted.into_iter().map(|(tier, slot, place)| {
            let changed = turn.replace(*tier, *slot, wipe, &System)?;
            Ok(match changed {
                Changed::Done => format!("{place} is in the set; its data is being rebuilt on it"),
                Changed::Already => format!("{place} is a healthy drive of the set already"),
                Changed::Revived => format!("{place} is used again, with the data that it holds"),
            })
        });
        // All folders at the path are tried: one that is refused doesn't keep the others from being taken.
        let said = first_error(replaced.collect());
        drop(turn);
        self.take_into_use()?;
        said
    }

    /// Adds the folder at a new position of these tiers; of those that follow from the path if none are named.
    pub fn add(&self, path: &Path, tiers: &[Tier], allowed: Allowed) -> Result<Vec<String>, DriveError> {
        let Allowed { wipe, unmounted } = allowed;
        self.check_final(wipe)?;
        let folders = self.homes.new_folders(path, tiers)?;
        for (_, folder) in folders.iter().filter(|_| !unmounted) {
            check_mounted(&self.engine.set, folder)?;
        }
        self.check_apart(folders.iter().map(|(_, folder)| folder.as_path()))?;
        let added = folders.into_iter().map(|(tier, folder)| {
            let place = folder.display().to_string();
            let changed = self.engine.set.add(tier, Root::Path(folder), wipe, &System)?;
            Ok(match changed {
                Changed::Done | Changed::Revived => {
                    format!("{place} is in the {} tier; {}", tier.name(), self.homes.how_found(tier, path))
                }
                Changed::Already => format!("{place} is a drive of the set already"),
            })
        });
        let said = first_error(added.collect());
        self.take_into_use()?;
        said
    }

    /// Marks the drives at this path as draining. From then on their data is moved to other drives.
    pub fn drain(&self, path: &Path) -> Result<Vec<String>, DriveError> {
        self.check_final(true)?;
        let mut turn = self.engine.set.turn()?;
        let drives = self.drives_at(path)?;
        for tier in Tier::ALL {
            self.check_drain(tier, &drives)?;
        }
        let changed = turn.drain(&drives, true)?;
        drop(turn);
        Ok(said(
            &drives,
            match changed {
                Changed::Already => "is being drained already",
                Changed::Done | Changed::Revived => "is being drained",
            },
        ))
    }

    /// Lets drives that were being drained stay.
    pub fn keep(&self, path: &Path) -> Result<Vec<String>, DriveError> {
        let drives = self.drives_at(path)?;
        self.engine.set.drain(&drives, false)?;
        self.take_into_use()?;
        Ok(said(&drives, "stays in the set"))
    }

    /// Removes drives from the set that are drained, or lost and whose data was healed onto others. Their disks can
    /// then be taken away.
    pub fn remove(&self, path: &Path) -> Result<Vec<String>, DriveError> {
        if let removed @ [_, ..] = self.removed_at(path).as_slice() {
            return Ok(removed.iter().map(|place| format!("{place} {REMOVED}")).collect());
        }
        self.check_final(true)?;
        let mut turn = self.engine.set.turn()?;
        let drives = self.drives_at(path)?;
        for drive in &drives {
            self.check_empty(drive)?;
        }
        for tier in Tier::ALL {
            self.check_count(tier, &drives)?;
        }
        turn.remove(&drives)?;
        Ok(said(&drives, REMOVED))
    }

    /// The places at this path whose drives were removed from the set, if no drive of the set is at the path.
    fn removed_at(&self, path: &Path) -> Vec<String> {
        let at = self.engine.set.slots().into_iter().filter(|slot| is_at(&slot.place, path));
        let (removed, others): (Vec<_>, Vec<_>) = at.partition(|slot| slot.state == DriveState::Removed);
        if others.is_empty() { removed.into_iter().map(|slot| slot.place).collect() } else { Vec::new() }
    }

    /// Refuses folders that are those of other drives of the set, or lie in them or around them.
    fn check_apart<'a>(&self, wanted: impl Iterator<Item = &'a Path>) -> Result<(), DriveError> {
        let wanted: Vec<PathBuf> = wanted.map(absolute).collect();
        let of_another = |slot: &DriveSlot| {
            slot.state != DriveState::Removed && !wanted.iter().any(|folder| folder == Path::new(&slot.place))
        };
        let others = self.engine.set.slots().into_iter().filter(of_another).map(|slot| match slot.state {
            DriveState::Healthy | DriveState::Draining => DriveFolder::resolved(Path::new(&slot.place)),
            _ => DriveFolder::as_named(Path::new(&slot.place)),
        });
        let wanted = wanted.iter().map(|folder| DriveFolder::resolved(folder));
        check_apart(&wanted.chain(others).collect::<Vec<_>>()).map_err(DriveError::NotApart)
    }

    /// Refuses what gives up the data of a drive, as long as a restored state is not accepted: the drive may hold what
    /// that state doesn't know.
    fn check_final(&self, gives_up: bool) -> Result<(), DriveError> {
        match gives_up && self.engine.volumes.table.is_held_back() {
            true => Err(DriveError::Provisional),
            false => Ok(()),
        }
    }

    /// Refuses to give up a lost hot drive at this path while too few of the journal's drives are there to know what was
    /// acknowledged. One whose folder may still hold it is taken back, unless that is to be wiped.
    fn check_given_up(&self, path: &Path, wipe: bool) -> Result<(), DriveError> {
        let is_given_up = |slot: &DriveSlot| match slot.state {
            DriveState::Healthy | DriveState::Draining | DriveState::Removed => false,
            DriveState::Failed { .. } | DriveState::Missing { .. } => wipe,
            DriveState::Blank { .. } | DriveState::Stale { .. } | DriveState::Foreign { .. } => true,
        };
        let at = self.engine.set.slots().into_iter().filter(|slot| is_at(&slot.place, path));
        match at.filter(|slot| slot.tier == Tier::JOURNAL).any(|slot| is_given_up(&slot)) {
            true => self.engine.journal.check_present().map_err(DriveError::Witness),
            false => Ok(()),
        }
    }

    /// Puts the journal, and the files that every hot drive holds, onto the drives that joined.
    fn take_into_use(&self) -> Result<(), DriveError> {
        self.engine.set.repair();
        self.engine.journal.join(&self.engine.set.drives(Tier::JOURNAL))?;
        Ok(())
    }

    fn drives_at(&self, path: &Path) -> Result<Vec<Arc<Drive>>, DriveError> {
        let at = self.engine.set.slots().into_iter().filter(|slot| is_at(&slot.place, path));
        let drives: Vec<Arc<Drive>> = at.filter_map(|slot| slot.drive).collect();
        if drives.is_empty() { Err(self.unknown(path)) } else { Ok(drives) }
    }

    fn unknown(&self, path: &Path) -> DriveError {
        let mut known: Vec<String> =
            self.engine.set.places().into_iter().map(|(_, _, place)| place).collect();
        known.sort();
        DriveError::Unknown { path: path.display().to_string(), known: known.join(", ") }
    }

    /// Refuses a drain that a tier can't bear: enough drives must stay to write to, and they must have room.
    fn check_drain(&self, tier: Tier, leaving: &[Arc<Drive>]) -> Result<(), DriveError> {
        let stay = self.check_count(tier, leaving)?;
        let leaving: Vec<&Arc<Drive>> = leaving.iter().filter(|drive| drive.tier() == tier).collect();
        if leaving.iter().all(|drive| drive.is_draining()) {
            return Ok(());
        }
        Drain::of(&self.engine.volumes, tier, &leaving, &stay).map_or(Ok(()), |drain| drain.check())
    }

    /// The drives of a tier to which new data goes when the leaving drives are gone. Refuses if they are too few; an
    /// empty list if no leaving drive is of this tier.
    fn check_count(&self, tier: Tier, leaving: &[Arc<Drive>]) -> Result<Vec<Arc<Drive>>, DriveError> {
        let (Some(roster), Some(geometry)) = (self.engine.set.roster(tier), self.engine.set.geometry(tier))
        else {
            return Ok(Vec::new());
        };
        if !leaving.iter().any(|drive| drive.tier() == tier) {
            return Ok(Vec::new());
        }
        let stays = |drive: &Arc<Drive>| !leaving.iter().any(|other| other.id() == drive.id());
        let left: Vec<Arc<Drive>> = roster.open_to_new().into_iter().filter(stays).collect();
        let needed = usize::from(geometry.m) + 1;
        match left.len() >= needed {
            true => Ok(left),
            false => Err(DriveError::TooFew { tier: tier.name(), left: left.len(), needed, m: geometry.m }),
        }
    }

    /// Refuses a drive that holds data which the store still counts on.
    fn check_empty(&self, drive: &Arc<Drive>) -> Result<(), DriveError> {
        let place = drive.io().describe();
        let shards = self.engine.volumes.table.shards_on(drive.id());
        let is_journals = self.engine.journal.counts_on(drive.id());
        // A lost drive that nothing counts on any more needs no drain. Until then it is waited for to come back.
        let problem = if drive.takes_new() || !drive.is_draining() && (shards > 0 || is_journals) {
            "`stratum drive drain` it first".to_owned()
        } else if shards > 0 {
            format!(
                "{} of volumes still to move off the drive; wait, or see `stratum status`",
                counted(shards, "shard")
            )
        } else if is_journals {
            "the journal still counts on it; wait, or see `stratum status`".to_owned()
        } else {
            return Ok(());
        };
        Err(DriveError::NotEmpty { place, problem })
    }

    /// How far the drain of a drive has come: its state, and what is left or to be done.
    fn progress(&self, slot: &DriveSlot) -> (&'static str, Option<String>) {
        let shards = self.engine.volumes.table.shards_on(slot.id);
        match (shards, self.engine.journal.counts_on(slot.id)) {
            (0, false) => ("drained", Some(format!("`stratum drive remove {}` takes it out", slot.place))),
            (0, true) => ("draining", Some("the journal is still on the drive".into())),
            (shards, _) => (
                "draining",
                Some(format!("{} of volumes still to move off the drive", counted(shards, "shard"))),
            ),
        }
    }
}

/// Refuses a folder whose disk is not mounted, unless a healthy drive is there.
fn check_mounted(set: &Set, place: &Path) -> Result<(), ChangeError> {
    let is_there = |drive: &Arc<Drive>| drive.is_healthy() && drive.io().folder() == Some(place);
    if set.all_drives().iter().any(is_there) {
        return Ok(());
    }
    let place = absolute(place);
    set.unmounted(&place).map_or(Ok(()), |disk| {
        let (place, disk) = (place.display().to_string(), disk.display().to_string());
        Err(ChangeError::Unmounted { place, disk })
    })
}

/// All the sentences, or else the first error.
fn first_error(said: Vec<Result<String, ChangeError>>) -> Result<Vec<String>, DriveError> {
    Ok(said.into_iter().collect::<Result<Vec<_>, _>>()?)
}

/// A sentence about each of the drives.
fn said(drives: &[Arc<Drive>], what: &str) -> Vec<String> {
    drives.iter().map(|drive| format!("{} ({}) {what}", drive.label(), drive.io().describe())).collect()
}

/// Whether a drive's place is this path or lies below it.
fn is_at(place: &str, path: &Path) -> bool {
    Path::new(place).starts_with(absolute(path))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The disk space that the files below a folder take, in bytes. What can't be read counts for nothing.
pub fn bytes_under(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
