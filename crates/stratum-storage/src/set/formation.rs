//! From directories to a set: look at every drive, then decide, and only then write.
//!
//! A set is formed in two rounds. Every drive gets its identity as *forming*, synced; only then is each flipped to
//! *formed*. So a start that finds no formed drive knows that nothing was ever stored and may begin anew, and one that
//! finds any formed drive knows that all have an identity and finishes the flip. Of formed drives the one with the
//! highest revision of the roll counts: what it says is written to all others that it names. Once the journal was
//! opened each says so too, as *begun*: a journal that is then on none of the drives was lost, and is not a new one.

use super::change::Patience;
use super::identity::{self, Formation, Identity, SetId};
use super::look::{PlaceContent, inspect, inspect_open, other_than};
use super::roll::{Roll, RollEntry, Shape, Standing};
use super::seats::{other_order, take_seats};
use super::watch::Watch;
use super::{Root, Set, SetConfig, SetError, TierConfig, TierRoster};
use crate::ambient::{Clock, Entropy};
use crate::blob::{Geometry, Tier};
use crate::drive::real::RealDrive;
use crate::drive::{Drive, DriveId, DriveIo, Threads};
use std::path::Path;
use std::sync::Arc;
use tracing_mutex::parkinglot::Mutex;

/// What is done to the folder of a drive before it is used.
pub(super) const CLOSING: &str = "taking the rights of other users to it away";

/// One place that the configuration names, and what is there.
pub(super) struct ConfiguredPlace<'a> {
    pub(super) tier: Tier,
    pub(super) position: usize,
    pub(super) root: &'a Root,
    pub(super) found: PlaceContent,
    /// The position whose drive is in it, or belongs there: the same, unless drives were swapped, added or removed.
    pub(super) seat: Option<usize>,
}

pub(super) fn open(
    config: &SetConfig,
    clock: Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Set, SetError> {
    check(config)?;
    let mut slots = look(config)?;
    put_foreign_aside(&mut slots)?;
    match newest(&slots) {
        Some((place, reference)) => {
            check_against(config, &slots, &place, &reference)?;
            bring_up(&mut slots, &reference);
            assemble(config, slots, &reference, clock, false)
        }
        None => {
            let reference = form(config, &mut slots, entropy)?;
            let set = assemble(config, slots, &reference, clock, true)?;
            set.warn_of_unmounted();
            Ok(set)
        }
    }
}

/// The set is the one of which most drives are there. A drive of another set is not used, and its place counts as
/// missing; where as many drives of another set are there, nobody can say which of the two is meant.
fn put_foreign_aside(slots: &mut [ConfiguredPlace<'_>]) -> Result<(), SetError> {
    let mut sets: Vec<(SetId, usize, String)> = Vec::new();
    for slot in slots.iter() {
        let PlaceContent::Known(_, identity) = &slot.found else { continue };
        match sets.iter_mut().find(|(set, ..)| *set == identity.set) {
            _ if !identity.formation.is_formed() => {}
            Some((_, count, _)) => *count += 1,
            None => sets.push((identity.set, 1, slot.place())),
        }
    }
    sets.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    let expected = match sets.as_slice() {
        [] => return Ok(()),
        [(expected, most, reference), (found, as_many, place), ..] if most == as_many => {
            let (place, reference) = (place.clone(), reference.clone());
            return Err(SetError::Foreign { place, found: *found, reference, expected: *expected });
        }
        [(expected, ..), ..] => *expected,
    };
    for slot in slots {
        if let PlaceContent::Known(_, identity) = &slot.found
            && identity.set != expected
        {
            tracing::error!(place = slot.root.place(), found = %identity.set, %expected, "a drive of another store is not used");
            slot.found = PlaceContent::Foreign(identity.set);
        }
    }
    Ok(())
}

/// The identity of a formed drive with the highest revision of the roll, and where that drive is; of several with
/// that revision, the first whose formation has come furthest.
fn newest(slots: &[ConfiguredPlace<'_>]) -> Option<(String, Identity)> {
    let rank = |identity: &Identity| (identity.roll.revision, identity.formation);
    let mut newest: Option<(String, &Identity)> = None;
    for slot in slots {
        if let PlaceContent::Known(_, identity) = &slot.found
            && identity.formation.is_formed()
            && newest.as_ref().is_none_or(|(_, other)| rank(other) < rank(identity))
        {
            newest = Some((slot.place(), identity));
        }
    }
    newest.map(|(place, identity)| (place, identity.clone()))
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

/// Opens, locks and reads every place; changes nothing.
fn look(config: &SetConfig) -> Result<Vec<ConfiguredPlace<'_>>, SetError> {
    let mut slots = Vec::new();
    for TierConfig { tier, drives, .. } in &config.tiers {
        for (position, root) in drives.iter().enumerate() {
            let found = inspect(root)?;
            slots.push(ConfiguredPlace { tier: *tier, position, root, found, seat: None });
        }
    }
    Ok(slots)
}

impl ConfiguredPlace<'_> {
    pub(super) fn place(&self) -> String {
        self.root.place()
    }
}

/// Forms a new set, if every drive is blank or was never formed.
fn form(
    config: &SetConfig,
    slots: &mut [ConfiguredPlace<'_>],
    entropy: &dyn Entropy,
) -> Result<Identity, SetError> {
    for slot in slots.iter() {
        let problem = match &slot.found {
            PlaceContent::Absent | PlaceContent::Blank(_) => continue,
            PlaceContent::Unusable(problem) => problem.clone(),
            PlaceContent::HalfJoined | PlaceContent::Stale | PlaceContent::Foreign(_) => {
                "holds a drive of another set".to_owned()
            }
            PlaceContent::Known(io, _) => match other_than(io.as_ref(), &identity::FILES) {
                Ok(None) => continue,
                Ok(Some(name)) => format!("holds \"{}\"", name.escape_debug()),
                Err(error) => format!("cannot be listed: {error}"),
            },
        };
        return Err(SetError::NotBlank { place: slot.place(), problem });
    }
    for slot in slots.iter_mut() {
        if let (PlaceContent::Absent, Root::Path(path)) = (&slot.found, slot.root) {
            slot.found = create(path)?;
        }
    }
    let set = SetId(entropy.next_u128());
    let tiers: Vec<Shape> = config
        .tiers
        .iter()
        .map(|TierConfig { tier, geometry, drives }| {
            let members = drives.iter().map(|_| RollEntry::serving(DriveId(entropy.next_u128()))).collect();
            Shape { tier: *tier, geometry: *geometry, members }
        })
        .collect();
    let roll = Roll { revision: 0, tiers };
    let members = roll.tiers.iter().flat_map(|shape| &shape.members);
    let ids: Vec<DriveId> = members.map(|member| member.drive).collect();
    for formation in [Formation::Forming, Formation::Formed] {
        for (slot, drive) in slots.iter_mut().zip(&ids) {
            let (PlaceContent::Blank(io) | PlaceContent::Known(io, _)) = &slot.found else { continue };
            let identity = Identity { drive: *drive, set, formation, roll: roll.clone() };
            let place = slot.place();
            let private = io.keep_private();
            private.map_err(|source| SetError::Io { place: place.clone(), action: CLOSING, source })?;
            let action = "writing the drive's identity";
            identity.write(io.as_ref()).map_err(|source| SetError::Io { place, action, source })?;
            slot.found = PlaceContent::Known(io.clone(), identity);
        }
    }
    tracing::info!(%set, drives = ids.len(), "formed a new set");
    let drive = ids.first().copied().unwrap_or(DriveId(0));
    Ok(Identity { drive, set, formation: Formation::Formed, roll })
}

fn create(path: &Path) -> Result<PlaceContent, SetError> {
    let place = path.display().to_string();
    let drive = RealDrive::create(path).map_err(|source| SetError::Io {
        place: place.clone(),
        action: "making the directory",
        source,
    })?;
    match inspect_open(Arc::new(drive))? {
        // Another server formed it just now, and has ended since.
        PlaceContent::Known(..) => {
            Err(SetError::NotBlank { place, problem: "has just got an identity from another server".into() })
        }
        PlaceContent::Unusable(problem) => Err(SetError::NotBlank { place, problem }),
        found => Ok(found),
    }
}

/// Whether what was found can be the set that `reference` describes, under this configuration.
fn check_against(
    config: &SetConfig,
    slots: &[ConfiguredPlace<'_>],
    reference_place: &str,
    reference: &Identity,
) -> Result<(), SetError> {
    let mut seen: Vec<(DriveId, String)> = Vec::new();
    for slot in slots {
        let PlaceContent::Known(_, identity) = &slot.found else { continue };
        let place = slot.place();
        let same_revision = identity.roll.revision == reference.roll.revision;
        if same_revision && identity.formation.is_formed() && identity.roll != reference.roll {
            return Err(SetError::Contradiction { place, reference: reference_place.to_owned() });
        }
        if let Some((id, first)) = seen.iter().find(|(id, _)| *id == identity.drive) {
            return Err(SetError::Twins { first: first.clone(), second: place, id: *id });
        }
        seen.push((identity.drive, place));
    }
    Tier::ALL.into_iter().try_for_each(|tier| check_tier(config, tier, &reference.roll))
}

/// Whether the configuration of a tier fits the set. Drives that were added must be named, one that was removed
/// needn't be; a geometry that merely follows from the number of drives is no wish to change the set's.
fn check_tier(config: &SetConfig, tier: Tier, roll: &Roll) -> Result<(), SetError> {
    let formed = roll.tier(tier);
    let configured = config.tiers.iter().find(|named| named.tier == tier);
    let fits = match (formed, configured) {
        (Some(formed), Some(named)) => {
            let count = named.drives.len();
            let follows = roll.revision > 0 && named.geometry == Geometry::for_drives(count);
            (formed.drives()..=formed.members.len()).contains(&count)
                && (named.geometry == formed.geometry || follows)
        }
        (formed, configured) => formed.is_none() && configured.is_none(),
    };
    if fits {
        return Ok(());
    }
    let none = || "no drives".to_owned();
    let formed = formed.map_or_else(none, |shape| summary(shape.drives(), shape.geometry));
    let configured = configured.map_or_else(none, |named| summary(named.drives.len(), named.geometry));
    Err(SetError::Changed { tier, formed, configured })
}

fn summary(drives: usize, geometry: Geometry) -> String {
    format!("{drives} drives with {geometry}")
}

/// Every drive that the roll names gets it, and is formed: what an interrupted start or change left is finished, and
/// what was lost of an identity is written anew. A drive that the roll doesn't name is let go of.
fn bring_up(slots: &mut [ConfiguredPlace<'_>], reference: &Identity) {
    for slot in slots {
        let PlaceContent::Known(io, identity) = &mut slot.found else { continue };
        if !reference.roll.names(identity.drive) {
            let (place, id) = (slot.root.place(), identity.drive);
            let is_stale = identity.formation.is_formed();
            if is_stale {
                tracing::warn!(place, %id, "a drive that was replaced or removed is back; it is not used");
            }
            slot.found = if is_stale { PlaceContent::Stale } else { PlaceContent::HalfJoined };
            continue;
        }
        if let Err(error) = io.keep_private() {
            slot.found = PlaceContent::Unusable(format!("is not used: {CLOSING} failed: {error}"));
            continue;
        }
        let wanted = Identity { drive: identity.drive, ..reference.clone() };
        let written = wanted.lacking(io.as_ref()).into_iter().try_for_each(|(file, problem)| {
            tracing::warn!(place = io.describe(), file, problem, "an identity is written anew");
            wanted.write_file(io.as_ref(), file)
        });
        match written {
            Ok(()) => *identity = wanted,
            Err(error) => {
                slot.found = PlaceContent::Unusable(format!("could not be given its identity: {error}"));
            }
        }
    }
}

/// Puts each drive where it belongs, whatever slot it was found in.
fn assemble(
    config: &SetConfig,
    mut slots: Vec<ConfiguredPlace<'_>>,
    reference: &Identity,
    clock: Arc<dyn Clock>,
    is_new: bool,
) -> Result<Set, SetError> {
    let mut tiers = Vec::new();
    for shape in &reference.roll.tiers {
        take_seats(&mut slots, shape);
        if let Some(order) = other_order(&slots, shape.tier) {
            tracing::info!(
                order,
                "the configuration names drives in another order than they joined in; each is used where it is"
            );
        }
        let mut drives = Vec::new();
        for (position, member) in shape.members.iter().enumerate() {
            if member.standing == Standing::Removed {
                continue;
            }
            let (id, number) = (member.drive, u16::try_from(position).unwrap_or(u16::MAX));
            let drive = match claim(&slots, id) {
                Some(io) => known_drive(id, shape.tier, number, io, config.threads, clock.clone()),
                None => {
                    let (reason, is_gone) = why_missing(&slots, shape.tier, position);
                    tracing::warn!(tier = shape.tier.name(), position, reason, "a drive is missing");
                    match is_gone {
                        true => Drive::gone(id, shape.tier, number, reason),
                        false => Drive::missing(id, shape.tier, number, reason),
                    }
                }
            };
            drive.set_draining(member.standing == Standing::Draining);
            drives.push(Arc::new(drive));
        }
        tiers.push(TierRoster { tier: shape.tier, geometry: shape.geometry, drives: drives.into() });
    }
    let seated = slots.iter().filter_map(|slot| Some((slot.tier, slot.seat?, slot.root.clone())));
    let roots = seated.collect();
    Ok(Set {
        id: reference.set,
        is_new,
        tiers,
        formation: Mutex::new(reference.formation),
        roll: Mutex::new(reference.roll.clone()),
        next_revision: Mutex::default(),
        roots: Mutex::new(roots),
        threads: config.threads,
        clock,
        watch: Watch::default(),
        patience: Patience::default(),
    })
}

/// A drive that is there and has its identity.
pub(super) fn known_drive(
    id: DriveId,
    tier: Tier,
    position: u16,
    io: Arc<dyn DriveIo>,
    threads: Threads,
    clock: Arc<dyn Clock>,
) -> Drive {
    let drive = Drive::new(id, tier, position, io, threads, clock);
    drive.expect_file(&identity::FILES, move |bytes| Identity::is_of(id, bytes));
    drive
}

/// The drive of that id, from wherever it was found.
fn claim(slots: &[ConfiguredPlace<'_>], id: DriveId) -> Option<Arc<dyn DriveIo>> {
    slots.iter().find_map(|slot| match &slot.found {
        PlaceContent::Known(io, identity) if identity.drive == id => Some(io.clone()),
        _ => None,
    })
}

/// What is in the slot where the drive should be, and whether that means that the drive has been taken away.
fn why_missing(slots: &[ConfiguredPlace<'_>], tier: Tier, position: usize) -> (String, bool) {
    let slot = slots.iter().find(|slot| (slot.tier, slot.seat) == (tier, Some(position)));
    let Some(slot) = slot else { return ("no folder is configured for it".into(), false) };
    let place = slot.place();
    let reason = match &slot.found {
        PlaceContent::Absent => absent(&place),
        PlaceContent::Blank(_) => blank(&place),
        PlaceContent::Known(..) => format!("{place} holds another drive of the set"),
        PlaceContent::HalfJoined => half_joined(&place),
        PlaceContent::Stale => stale(&place),
        PlaceContent::Foreign(found) => foreign(&place, *found),
        PlaceContent::Unusable(problem) => format!("{place} {problem}"),
    };
    let may_return =
        matches!(slot.found, PlaceContent::Absent | PlaceContent::Known(..) | PlaceContent::Unusable(_));
    (reason, !may_return)
}

// What is wrong with a place. What to do about it depends on whether the server serves, so that is said where that is known: for a
// server that serves by `Set::slots`, for one that waits for drives by who has it wait.

/// A folder that isn't there.
pub(super) fn absent(place: &str) -> String {
    not_there(place, "does not exist")
}

/// A blank folder.
pub(super) fn blank(place: &str) -> String {
    not_there(place, "is blank")
}

/// An unmounted disk leaves the folder that it is mounted at behind, so what lies in it is blank or isn't there at all.
fn not_there(place: &str, what: &str) -> String {
    format!("{place} {what}: its disk is not mounted, or was replaced")
}

/// What is to be done about a failed drive whose folder can be read.
pub(super) fn still_there(disk: impl std::fmt::Display) -> String {
    format!("once its disk is well, `stratum drive replace {disk}` takes it back with its data")
}

/// A blank folder on a disk that others are mounted on.
pub(super) fn unmounted(place: &str, disk: &std::path::Path) -> String {
    format!(
        "{place} is blank, and lies on the disk of {}, as no drive does: its own disk is not mounted",
        disk.display()
    )
}

/// A drive of another store.
pub(super) fn foreign(place: &str, found: SetId) -> String {
    format!("{place} holds a drive of another store ({found}): it is not used, and nothing is written to it")
}

/// A disk that was being taken into the set when that was cut short.
pub(super) fn half_joined(place: &str) -> String {
    format!("{place} holds a new disk that was not taken into the set to the end")
}

/// A drive that is not in the set any more.
pub(super) fn stale(place: &str) -> String {
    format!("{place} holds a drive that was replaced or removed before: it is not used")
}
