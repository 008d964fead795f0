//! What an operator sees of the set: every position, where its drive is or should be, and how it is.

use super::formation::{absent, blank, foreign, half_joined, stale, still_there, unmounted};
use super::identity::Unreadable;
use super::look::other_than;
use super::roll::Standing;
use super::{Set, identity::Identity};
use crate::blob::Tier;
use crate::drive::{Drive, DriveId, Health, Space, disk_of, questions};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// What is said of a failed drive that can't be unmounted yet.
const STILL_OPEN: &str = "a read or write of it hangs, and it can be unmounted when that returns";

/// How a position's drive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveState {
    Healthy,
    /// On its way out: read, but given nothing new.
    Draining,
    Failed {
        reason: String,
    },
    Missing {
        reason: String,
    },
    /// Lost, and in its place there is a blank folder, or a disk that was not taken in to the end; the text says what
    /// to do.
    Blank {
        advice: String,
    },
    /// Lost, and in its place there is a drive that was replaced or removed before; the text says what to do.
    Stale {
        advice: String,
    },
    /// Lost, and in its place there is a drive of another store; the text says what to do.
    Foreign {
        advice: String,
    },
    /// Taken out of the set.
    Removed,
}

/// A position of a tier.
#[derive(Clone, Debug)]
pub struct DriveSlot {
    pub tier: Tier,
    pub position: usize,
    /// Where its drive is, or should be.
    pub place: String,
    pub id: DriveId,
    pub state: DriveState,
    /// Of the device that it lies on.
    pub space: Option<Space>,
    /// None where it was removed.
    pub drive: Option<Arc<Drive>>,
}

impl Set {
    /// Every position of every tier. Looks at the folders of drives that are lost; blocks.
    pub fn slots(&self) -> Vec<DriveSlot> {
        let roll = self.roll.lock().clone();
        let spaces = self.spaces();
        let mut slots = Vec::new();
        for shape in &roll.tiers {
            for (position, member) in shape.members.iter().enumerate() {
                let drive = self.drive(member.drive);
                let place = self.place(shape.tier, position, drive.as_deref());
                let state = match &drive {
                    Some(drive) => self.state_of(drive, position),
                    None if member.standing == Standing::Removed => DriveState::Removed,
                    // Between a change of the roll and that of the roster.
                    None => DriveState::Missing { reason: "it is being taken into the set".into() },
                };
                let space = spaces.get(&member.drive).copied();
                slots.push(DriveSlot {
                    tier: shape.tier,
                    position,
                    place,
                    id: member.drive,
                    state,
                    space,
                    drive,
                });
            }
        }
        slots
    }

    /// The space on all drives that answer.
    fn spaces(&self) -> HashMap<DriveId, Space> {
        let mut drives = self.all_drives();
        drives.retain(|drive| drive.still_open() == 0);
        let spaces = questions::ask_in_place(&drives, |drive| drive.io().space().ok());
        let known =
            drives.iter().zip(spaces).filter_map(|(drive, space)| Some((drive.id(), space.flatten()?)));
        known.collect()
    }

    /// The places that the configuration gives to a tier's slots, and what was added since.
    pub fn places(&self) -> Vec<(Tier, usize, String)> {
        let roots = self.roots.lock();
        roots.iter().map(|(tier, slot, root)| (*tier, *slot, root.place())).collect()
    }

    fn place(&self, tier: Tier, position: usize, drive: Option<&Drive>) -> String {
        let there = drive.filter(|drive| !matches!(drive.health(), Health::Missing { .. }));
        let configured = || {
            let places = self.places();
            let found = places.into_iter().find(|(known, slot, _)| (*known, *slot) == (tier, position));
            found.map_or_else(|| format!("{}/{position}", tier.name()), |(_, _, place)| place)
        };
        there.map_or_else(configured, |drive| drive.io().describe())
    }

    fn state_of(&self, drive: &Drive, position: usize) -> DriveState {
        let lost = match drive.health() {
            Health::Healthy if drive.is_draining() => return DriveState::Draining,
            Health::Healthy => return DriveState::Healthy,
            // A look into the folder would only hang, too.
            Health::Failed { reason } if drive.still_open() > 0 => {
                return DriveState::Failed { reason: format!("{reason}; {STILL_OPEN}") };
            }
            Health::Failed { reason } => DriveState::Failed { reason },
            Health::Missing { reason, .. } => DriveState::Missing { reason },
        };
        match self.look_again(drive, position) {
            // The folder of a drive that failed may be gone because somebody sees to its disk.
            Some(DriveState::Missing { .. }) if matches!(lost, DriveState::Failed { .. }) => lost,
            found => found.unwrap_or(lost),
        }
    }

    /// What is at the place of a lost drive, where an operator should be told of it, and what to do while the server serves. Locks
    /// nothing.
    fn look_again(&self, drive: &Drive, position: usize) -> Option<DriveState> {
        let tier = drive.tier();
        let root = {
            let roots = self.roots.lock();
            let found = roots.iter().find(|(known, slot, _)| (*known, *slot) == (tier, position));
            found.map(|(_, _, root)| root.clone())?
        };
        let place = root.place();
        let command = format!("`stratum drive replace {place}`");
        let io = match root.open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let advice = format!("{command} takes the drive back when it is there, or a new disk");
                return Some(DriveState::Missing { reason: format!("{}; {advice}", absent(&place)) });
            }
            opened => opened.ok()?,
        };
        let state = match Identity::read(io.as_ref()) {
            Err(Unreadable::Absent) if other_than(io.as_ref(), &[]).is_ok_and(|name| name.is_none()) => {
                let advice = match self.unmounted(Path::new(&place)) {
                    Some(disk) => unmounted(&place, &disk),
                    None => format!("{}; {command} takes a new disk into the set", blank(&place)),
                };
                DriveState::Blank { advice }
            }
            Ok((identity, _)) if identity.set != self.id => {
                let fact = foreign(&place, identity.set);
                let advice = format!("{fact}; put the right disk there, or an empty one and {command}");
                DriveState::Foreign { advice }
            }
            Ok((identity, _)) if identity.drive == drive.id() => match drive.health() {
                Health::Failed { reason } => {
                    let disk = disk_of(Path::new(&place), tier).display();
                    DriveState::Failed { reason: format!("{reason}; {}", still_there(disk)) }
                }
                Health::Healthy | Health::Missing { .. } => return None,
            },
            Ok((identity, _)) if self.roll.lock().names(identity.drive) => return None,
            Ok((identity, _)) if identity.formation.is_formed() => {
                let command = format!("`stratum drive replace --wipe {place}`");
                let advice = format!("{}; {command} empties it and takes it as a new one", stale(&place));
                DriveState::Stale { advice }
            }
            Ok(_) => DriveState::Blank { advice: format!("{}: {command} takes it in", half_joined(&place)) },
            Err(_) => return None,
        };
        Some(state)
    }
}
