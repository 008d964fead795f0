//! What is left of a set, whether or not it could start: every drive that can be read, looked at and left as it is.
//!
//! [`Set::open`](super::Set::open) refuses what doesn't add up, which is right for a server and useless to whoever
//! must get their objects out. Here nothing is refused but a drive that a server is using and a format that this
//! binary doesn't know. A drive whose identity is gone is known by its shard files, which name the drive that they
//! were made on. Nothing is written: the drives are [`ReadOnly`].

use super::identity::{self, Identity, Unreadable};
use super::look::{CONTRADICTORY, LOST_AND_FOUND};
use super::{Root, SetConfig, SetError, SetId};
use crate::ambient::Clock;
use crate::blob::Tier;
use crate::drive::read_only::ReadOnly;
use crate::drive::real::RealDrive;
use crate::drive::{Drive, DriveId, DriveIo, OpenHow};
use crate::format::layout::FILE_HEADER;
use crate::format::v1::ShardHeader;
use crate::volume::{DIRECTORY as VOLUMES, TierDrives};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;

/// Shard files that are asked whose they are.
const MAX_ASKED_FILES: usize = 32;

/// The drives that are there.
#[derive(Debug)]
pub struct Remains {
    /// The set, if any drive could say which.
    pub set: Option<SetId>,
    /// The drives by tier, in the order of the configuration; those that are away are left out.
    pub tiers: Vec<TierDrives>,
    /// What is not as it should be.
    pub remarks: Vec<Remark>,
}

/// Something about the drives that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    #[error("{place} {problem}: nothing of it is used")]
    Unusable { place: String, problem: String },
    #[error("{place} is blank: its disk is not mounted, or was replaced")]
    Blank { place: String },
    #[error("{place} {problem}; by its shard files it is the drive {drive}")]
    Recognised { place: String, problem: String, drive: DriveId },
    #[error(
        "{place} {problem}, and nothing on it says which drive it is; what it holds is used all the same"
    )]
    Nameless { place: String, problem: String },
    #[error(
        "some of the copies of the identity on {place} are damaged, old or not there; the others will do"
    )]
    HalfIdentity { place: String },
    #[error("{place} belongs to another set ({found}): it is left out")]
    Foreign { place: String, found: SetId },
    #[error("{place} is a copy of another drive that is there ({drive})")]
    Twin { place: String, drive: DriveId },
    #[error("the drive {drive} ({}/{position}) is at none of the places that were named", .tier.name())]
    Away { drive: DriveId, tier: Tier, position: usize },
}

/// A place where something could be read.
struct ReadablePlace {
    tier: Tier,
    position: usize,
    place: String,
    io: Arc<dyn DriveIo>,
    who: Who,
}

enum Who {
    Known(Box<Identity>),
    /// It holds something, and no sound identity; the text says what, as "it ...".
    Unknown(String),
}

impl Remains {
    /// Looks at all places and locks the drives that are there.
    ///
    /// # Errors
    /// Only when a server uses one of them ([`SetError::InUse`]) or a newer version wrote it.
    pub fn look(config: &SetConfig, clock: &Arc<dyn Clock>) -> Result<Remains, SetError> {
        let (mut found, mut remarks) = (Vec::new(), Vec::new());
        for tier in &config.tiers {
            for (position, root) in tier.drives.iter().enumerate() {
                match inspect(root, &mut remarks)? {
                    Some((io, who)) => {
                        let place = io.describe();
                        found.push(ReadablePlace { tier: tier.tier, position, place, io, who });
                    }
                    None => continue,
                }
            }
        }
        let set = most_named(&found);
        found.retain(|found| match &found.who {
            Who::Known(identity) if Some(identity.set) != set => {
                remarks.push(Remark::Foreign { place: found.place.clone(), found: identity.set });
                false
            }
            _ => true,
        });
        // The first of those that know of the latest change.
        let known = found.iter().rev().filter_map(|found| match &found.who {
            Who::Known(identity) => Some(identity),
            Who::Unknown(_) => None,
        });
        let newest = known.max_by_key(|identity| identity.roll.revision);
        let reference = newest.map(|identity| identity.as_ref().clone());
        let drives = name(found, config, clock, &mut remarks);
        remarks.extend(reference.iter().flat_map(|reference| away(reference, &drives)));
        let tiers = config.tiers.iter().map(|named| TierDrives {
            tier: named.tier,
            geometry: reference
                .iter()
                .flat_map(|reference| &reference.roll.tiers)
                .find(|shape| shape.tier == named.tier)
                .map_or(named.geometry, |shape| shape.geometry),
            drives: drives
                .iter()
                .filter(|drive| drive.tier() == named.tier)
                .cloned()
                .collect::<Vec<_>>()
                .into(),
        });
        Ok(Remains { set, tiers: tiers.collect(), remarks })
    }

    /// The tier's drives that are there.
    pub fn drives(&self, tier: Tier) -> Vec<Arc<Drive>> {
        let found = self.tiers.iter().find(|found| found.tier == tier);
        found.map_or(Vec::new(), |found| found.drives.now().to_vec())
    }

    /// All drives that are there.
    pub fn all_drives(&self) -> Vec<Arc<Drive>> {
        self.tiers.iter().flat_map(|tier| tier.drives.now().to_vec()).collect()
    }
}

/// A drive that can be read, and who it is.
type Inspected = (Arc<dyn DriveIo>, Who);

fn inspect(root: &Root, remarks: &mut Vec<Remark>) -> Result<Option<Inspected>, SetError> {
    let io: Arc<dyn DriveIo> = match root {
        Root::Open(io) => io.clone(),
        Root::Path(path) => match RealDrive::open(path) {
            Ok(drive) => Arc::new(drive),
            Err(error) => {
                let (place, problem) = (path.display().to_string(), format!("can't be opened: {error}"));
                remarks.push(Remark::Unusable { place, problem });
                return Ok(None);
            }
        },
    };
    let place = io.describe();
    match io.lock() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(SetError::InUse { place }),
        // Some filesystems have no locks when they are mounted read-only; then no server runs on them either.
        Err(error) => tracing::warn!(place, %error, "the drive can't be locked"),
        Ok(()) => {}
    }
    let io: Arc<dyn DriveIo> = ReadOnly::new(io);
    Ok(who_is(io.as_ref(), place, remarks)?.map(|who| (io, who)))
}

/// Who a drive is by its own word; nothing if it holds nothing.
fn who_is(io: &dyn DriveIo, place: String, remarks: &mut Vec<Remark>) -> Result<Option<Who>, SetError> {
    let who = match Identity::read(io) {
        Ok((identity, whole)) => {
            if !whole {
                remarks.push(Remark::HalfIdentity { place });
            }
            Who::Known(Box::new(identity))
        }
        Err(Unreadable::Version(found)) => {
            return Err(SetError::NewerFormat { place, found, known: identity::VERSION });
        }
        Err(Unreadable::Damaged) => Who::Unknown("has a damaged identity".into()),
        Err(Unreadable::Contradictory) => Who::Unknown(CONTRADICTORY.into()),
        Err(Unreadable::Io(error)) => Who::Unknown(format!("has an identity that can't be read: {error}")),
        Err(Unreadable::Absent) => match io.list("") {
            Ok(names) if names.iter().all(|entry| entry.name == LOST_AND_FOUND) => {
                remarks.push(Remark::Blank { place });
                return Ok(None);
            }
            Ok(_) => Who::Unknown("has no identity".into()),
            Err(error) => {
                remarks.push(Remark::Unusable { place, problem: format!("can't be listed: {error}") });
                return Ok(None);
            }
        },
    };
    Ok(Some(who))
}

/// The set that most drives say they are of.
fn most_named(found: &[ReadablePlace]) -> Option<SetId> {
    let mut counts: Vec<(SetId, usize)> = Vec::new();
    for found in found {
        let Who::Known(identity) = &found.who else { continue };
        match counts.iter_mut().find(|(set, _)| *set == identity.set) {
            Some((_, count)) => *count += 1,
            None => counts.push((identity.set, 1)),
        }
    }
    // The first of several with the highest count.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(set, _)| set)
}

/// Gives each place the drive that it is, as far as that can be told.
fn name(
    found: Vec<ReadablePlace>,
    config: &SetConfig,
    clock: &Arc<dyn Clock>,
    remarks: &mut Vec<Remark>,
) -> Vec<Arc<Drive>> {
    let known = |found: &ReadablePlace| matches!(found.who, Who::Known(_));
    let (known, unknown): (Vec<ReadablePlace>, Vec<ReadablePlace>) = found.into_iter().partition(known);
    let mut drives: Vec<Arc<Drive>> = Vec::new();
    let mut strangers = 0;
    for ReadablePlace { tier, position, place, io, who } in known.into_iter().chain(unknown) {
        let is_taken = |id: DriveId| drives.iter().any(|drive| drive.id() == id);
        let (id, tier, position) = match who {
            Who::Known(identity) if is_taken(identity.drive) => {
                remarks.push(Remark::Twin { place, drive: identity.drive });
                (None, tier, position)
            }
            Who::Known(identity) => {
                let stands = identity.roll.place(identity.drive);
                let (tier, position) =
                    stands.map_or((tier, position), |(tier, position, _)| (tier, position));
                (Some(identity.drive), tier, position)
            }
            Who::Unknown(problem) => match made_on(io.as_ref()).filter(|id| !is_taken(*id)) {
                Some(drive) => {
                    remarks.push(Remark::Recognised { place, problem, drive });
                    (Some(drive), tier, position)
                }
                None => {
                    remarks.push(Remark::Nameless { place, problem });
                    (None, tier, position)
                }
            },
        };
        // Ids are random: none of the highest ones was ever given out.
        let id = id.unwrap_or_else(|| {
            strangers += 1;
            DriveId(u128::MAX - strangers)
        });
        let position = u16::try_from(position).unwrap_or(u16::MAX);
        drives.push(Arc::new(Drive::new(id, tier, position, io, config.threads, clock.clone())));
    }
    drives.sort_by_key(|drive| (drive.tier(), drive.position()));
    drives
}

/// The drive that most of the shard files there say they were made on.
fn made_on(io: &dyn DriveIo) -> Option<DriveId> {
    let mut counts: HashMap<DriveId, usize> = HashMap::new();
    for entry in io.list(VOLUMES).ok()?.iter().take(MAX_ASKED_FILES) {
        let mut page = [0; FILE_HEADER as usize];
        let read = io.open(&format!("{VOLUMES}/{}", entry.name), OpenHow::Read);
        if let Ok(file) = read
            && file.read_at(&mut page, 0).is_ok()
            && let Ok(header) = ShardHeader::decode(&page)
        {
            *counts.entry(header.drive).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(drive, count)| (*count, *drive)).map(|(drive, _)| drive)
}

/// The set's drives that are at none of the places.
fn away(reference: &Identity, drives: &[Arc<Drive>]) -> Vec<Remark> {
    let members = reference.roll.tiers.iter().flat_map(|shape| {
        let members = shape.members.iter().enumerate();
        let named = members.filter(|(_, member)| reference.roll.names(member.drive));
        named.map(|(position, member)| (member.drive, shape.tier, position))
    });
    let absent = members.filter(|(id, ..)| !drives.iter().any(|drive| drive.id() == *id));
    absent.map(|(drive, tier, position)| Remark::Away { drive, tier, position }).collect()
}
