//! From directories to a set: look at every drive, then decide, and only then write.
//!
//! A set is formed in two rounds. Every drive gets its identity as *forming*, synced; only then is each flipped to
//! *formed*. So a start that finds no formed drive knows that nothing was ever stored and may begin anew, and one
//! that finds any formed drive knows that all have an identity and finishes the flip.

use super::identity::{self, Formation, Identity, SetId, Shape, Unreadable};
use super::{Root, Set, SetConfig, SetError, TierConfig, TierDrives, files};
use crate::ambient::{Clock, Entropy};
use crate::blob::Tier;
use crate::drive::real::RealDrive;
use crate::drive::{Drive, DriveIo};
use crate::volume::DriveId;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// What a fresh filesystem may hold and still be blank.
pub(super) const LOST_AND_FOUND: &str = "lost+found";

/// One place that the configuration names, and what is there.
struct Slot<'a> {
    tier: Tier,
    position: usize,
    root: &'a Root,
    found: Found,
}

enum Found {
    /// No directory at all.
    Absent,
    Blank(Arc<dyn DriveIo>),
    Known(Arc<dyn DriveIo>, Identity),
    /// Something that is neither blank nor one of ours; the text says what, as "it ...".
    Unusable(String),
}

pub(super) fn open(
    config: &SetConfig,
    clock: Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Set, SetError> {
    check(config)?;
    let mut slots = look(config)?;
    let formed = slots.iter().find_map(|slot| match &slot.found {
        Found::Known(_, identity) if identity.formation == Formation::Formed => {
            Some((slot.place(), identity.clone()))
        }
        _ => None,
    });
    match formed {
        Some((place, reference)) => {
            check_against(config, &slots, &place, &reference)?;
            finish_flip(&mut slots);
            assemble(config, slots, &reference, clock, false)
        }
        None => {
            let reference = form(config, &mut slots, entropy)?;
            assemble(config, slots, &reference, clock, true)
        }
    }
}

fn check(config: &SetConfig) -> Result<(), SetError> {
    let total: usize = config.tiers.iter().map(|tier| tier.drives.len()).sum();
    for (index, TierConfig { tier, geometry, drives }) in config.tiers.iter().enumerate() {
        let problem = if config.tiers[..index].iter().any(|other| other.tier == *tier) {
            "it is named twice".to_owned()
        } else if geometry.k == 0 || geometry.shards() > drives.len() {
            format!("{geometry} does not fit on {} drives", drives.len())
        } else if !identity::fits(config.tiers.len(), total) {
            format!("{total} drives are more than a set can have")
        } else {
            continue;
        };
        return Err(SetError::Config { tier: *tier, problem });
    }
    Ok(())
}

/// Opens, locks and reads every place; changes nothing but a damaged copy of an identity.
fn look(config: &SetConfig) -> Result<Vec<Slot<'_>>, SetError> {
    let mut slots = Vec::new();
    for TierConfig { tier, drives, .. } in &config.tiers {
        for (position, root) in drives.iter().enumerate() {
            let found = inspect(root)?;
            slots.push(Slot { tier: *tier, position, root, found });
        }
    }
    Ok(slots)
}

fn inspect(root: &Root) -> Result<Found, SetError> {
    let io: Arc<dyn DriveIo> = match root {
        Root::Open(io) => io.clone(),
        Root::Path(path) => match RealDrive::open(path) {
            Ok(drive) => Arc::new(drive),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Ok(Found::Unusable(format!("cannot be opened: {error}"))),
        },
    };
    inspect_open(io)
}

fn inspect_open(io: Arc<dyn DriveIo>) -> Result<Found, SetError> {
    let place = io.describe();
    match io.lock() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(SetError::InUse { place }),
        Err(error) => return Ok(Found::Unusable(format!("cannot be locked: {error}"))),
    }
    match Identity::read(io.as_ref()) {
        Ok(identity) => Ok(Found::Known(io, identity)),
        Err(Unreadable::Version(found)) => {
            Err(SetError::NewerFormat { place, found, known: identity::VERSION })
        }
        Err(Unreadable::Damaged) => Ok(Found::Unusable("has a damaged identity".into())),
        Err(Unreadable::Io(error)) => Ok(Found::Unusable(format!("cannot be read: {error}"))),
        Err(Unreadable::Absent) => Ok(match other_than(io.as_ref(), &[]) {
            Ok(None) => Found::Blank(io),
            Ok(Some(name)) => Found::Unusable(format!("holds {name:?} but no identity of a drive")),
            Err(error) => Found::Unusable(format!("cannot be listed: {error}")),
        }),
    }
}

/// A name in the root other than what a blank drive may hold, and other than these.
fn other_than(io: &dyn DriveIo, known: &[&str]) -> io::Result<Option<String>> {
    let unfinished = files::unfinished(identity::NAME);
    let is_known = |name: &str| name == LOST_AND_FOUND || name == unfinished || known.contains(&name);
    Ok(io.list("")?.into_iter().map(|entry| entry.name).find(|name| !is_known(name)))
}

impl Slot<'_> {
    fn place(&self) -> String {
        match self.root {
            Root::Path(path) => path.display().to_string(),
            Root::Open(io) => io.describe(),
        }
    }
}

/// Forms a new set, if every drive is blank or was never formed.
fn form(config: &SetConfig, slots: &mut [Slot<'_>], entropy: &dyn Entropy) -> Result<Identity, SetError> {
    for slot in slots.iter() {
        let problem = match &slot.found {
            Found::Absent | Found::Blank(_) => continue,
            Found::Unusable(problem) => problem.clone(),
            Found::Known(io, _) => match other_than(io.as_ref(), &[identity::NAME]) {
                Ok(None) => continue,
                Ok(Some(name)) => format!("holds {name:?}"),
                Err(error) => format!("cannot be listed: {error}"),
            },
        };
        return Err(SetError::NotBlank { place: slot.place(), problem });
    }
    for slot in slots.iter_mut() {
        if let (Found::Absent, Root::Path(path)) = (&slot.found, slot.root) {
            slot.found = create(path)?;
        }
    }
    let set = SetId(entropy.next_u128());
    let tiers: Vec<Shape> = config
        .tiers
        .iter()
        .map(|TierConfig { tier, geometry, drives }| {
            let drives = drives.iter().map(|_| DriveId(entropy.next_u128())).collect();
            Shape { tier: *tier, geometry: *geometry, drives }
        })
        .collect();
    let ids: Vec<DriveId> = tiers.iter().flat_map(|shape| shape.drives.clone()).collect();
    for formation in [Formation::Forming, Formation::Formed] {
        for (slot, drive) in slots.iter_mut().zip(&ids) {
            let (Found::Blank(io) | Found::Known(io, _)) = &slot.found else { continue };
            let identity = Identity { drive: *drive, set, formation, tiers: tiers.clone() };
            let place = slot.place();
            let action = "writing the drive's identity";
            identity.write(io.as_ref()).map_err(|source| SetError::Io { place, action, source })?;
            slot.found = Found::Known(io.clone(), identity);
        }
    }
    tracing::info!(%set, drives = ids.len(), "formed a new set");
    let drive = ids.first().copied().unwrap_or(DriveId(0));
    Ok(Identity { drive, set, formation: Formation::Formed, tiers })
}

fn create(path: &Path) -> Result<Found, SetError> {
    let place = path.display().to_string();
    let drive = RealDrive::create(path).map_err(|source| SetError::Io {
        place: place.clone(),
        action: "making the directory",
        source,
    })?;
    match inspect_open(Arc::new(drive))? {
        // Somebody else was faster, and has ended since.
        Found::Known(..) => {
            Err(SetError::NotBlank { place, problem: "has just got an identity from another server".into() })
        }
        Found::Unusable(problem) => Err(SetError::NotBlank { place, problem }),
        found => Ok(found),
    }
}

/// Whether what was found can be the set that `reference` describes, under this configuration.
fn check_against(
    config: &SetConfig,
    slots: &[Slot<'_>],
    reference_place: &str,
    reference: &Identity,
) -> Result<(), SetError> {
    let mut seen: Vec<(DriveId, String)> = Vec::new();
    for slot in slots {
        let Found::Known(_, identity) = &slot.found else { continue };
        let place = slot.place();
        if identity.set != reference.set || identity.tiers != reference.tiers {
            let (found, expected) = (identity.set, reference.set);
            return Err(SetError::Foreign { place, found, reference: reference_place.to_owned(), expected });
        }
        if let Some((id, first)) = seen.iter().find(|(id, _)| *id == identity.drive) {
            return Err(SetError::Twins { first: first.clone(), second: place, id: *id });
        }
        seen.push((identity.drive, place));
    }
    for tier in Tier::ALL {
        let formed = reference.tiers.iter().find(|shape| shape.tier == tier);
        let formed = formed.map_or("no drives".into(), |shape| summary(shape.drives.len(), shape.geometry));
        let configured = config.tiers.iter().find(|named| named.tier == tier);
        let configured =
            configured.map_or("no drives".into(), |named| summary(named.drives.len(), named.geometry));
        if formed != configured {
            return Err(SetError::Changed { tier, formed, configured });
        }
    }
    Ok(())
}

fn summary(drives: usize, geometry: crate::blob::Geometry) -> String {
    format!("{drives} drives with {geometry}")
}

/// Every drive has an identity once any is formed: what an interrupted start left is finished.
fn finish_flip(slots: &mut [Slot<'_>]) {
    for slot in slots {
        let Found::Known(io, identity) = &mut slot.found else { continue };
        if identity.formation == Formation::Forming {
            identity.formation = Formation::Formed;
            if let Err(error) = identity.write(io.as_ref()) {
                slot.found = Found::Unusable(format!("could not be given its identity: {error}"));
            }
        }
    }
}

/// Puts each drive where it belongs, whatever slot it was found in.
fn assemble(
    config: &SetConfig,
    slots: Vec<Slot<'_>>,
    reference: &Identity,
    clock: Arc<dyn Clock>,
    is_new: bool,
) -> Result<Set, SetError> {
    let mut tiers = Vec::new();
    for shape in &reference.tiers {
        let mut drives = Vec::new();
        for (position, id) in shape.drives.iter().enumerate() {
            let number = u16::try_from(position).unwrap_or(u16::MAX);
            let drive = match claim(&slots, *id, shape.tier, position) {
                Some(io) => {
                    let drive = Drive::new(*id, shape.tier, number, io, config.threads, clock.clone());
                    let id = *id;
                    drive.expect_file(identity::NAME, move |bytes| Identity::is_of(id, bytes));
                    drive
                }
                None => {
                    let reason = why_missing(&slots, shape.tier, position);
                    tracing::warn!(tier = shape.tier.name(), position, reason, "a drive is missing");
                    Drive::missing(*id, shape.tier, number, reason)
                }
            };
            drives.push(Arc::new(drive));
        }
        tiers.push(TierDrives { tier: shape.tier, geometry: shape.geometry, drives: drives.into() });
    }
    Ok(Set { id: reference.set, is_new, tiers })
}

/// The drive of that id, from wherever it was found.
fn claim(slots: &[Slot<'_>], id: DriveId, tier: Tier, position: usize) -> Option<Arc<dyn DriveIo>> {
    slots.iter().find_map(|slot| match &slot.found {
        Found::Known(io, identity) if identity.drive == id => {
            if (slot.tier, slot.position) != (tier, position) {
                let (place, tier) = (slot.place(), tier.name());
                tracing::warn!(place, tier, position, "the drive is in another slot than it was formed in");
            }
            Some(io.clone())
        }
        _ => None,
    })
}

/// What is in the slot where the drive should be.
fn why_missing(slots: &[Slot<'_>], tier: Tier, position: usize) -> String {
    let slot = slots.iter().find(|slot| (slot.tier, slot.position) == (tier, position));
    let Some(slot) = slot else { return "no slot is configured for it".into() };
    let place = slot.place();
    match &slot.found {
        Found::Absent => format!("{place} does not exist"),
        Found::Blank(_) => format!("{place} is blank: its disk is not mounted, or was replaced"),
        Found::Known(..) => format!("{place} holds another drive of the set"),
        Found::Unusable(problem) => format!("{place} {problem}"),
    }
}
