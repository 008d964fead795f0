//! The roll: which drive stands at which position of which tier, and as what.
//!
//! Every drive of a set holds the roll in its identity. It has a revision; the highest that is found on formed drives
//! counts, and is written to all others that are named in it. A revision is made of the number of the journal's epoch
//! in which it was decided: two runs of the server never have the same, and a later run's is higher. So a later
//! decision beats whatever an interrupted change left on a drive that was away.

use crate::blob::{Geometry, Tier};
use crate::drive::DriveId;

/// What a drive is to its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Serving,
    /// On its way out: read, but given nothing new.
    Draining,
    /// Not in the set any more; its position may be taken by another.
    Removed,
}

/// A position of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RollEntry {
    pub drive: DriveId,
    pub standing: Standing,
}

impl RollEntry {
    pub(super) fn serving(drive: DriveId) -> RollEntry {
        RollEntry { drive, standing: Standing::Serving }
    }
}

/// One tier of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub tier: Tier,
    pub geometry: Geometry,
    /// By position.
    pub members: Vec<RollEntry>,
}

impl Shape {
    /// How many of its positions have a drive, there or not.
    pub(super) fn drives(&self) -> usize {
        self.members.iter().filter(|member| member.standing != Standing::Removed).count()
    }
}

/// All drives of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Roll {
    /// 0 is the roll that the set was formed with.
    pub revision: u64,
    pub tiers: Vec<Shape>,
}

/// Changes within one run of the server have revisions of their own; this many bits of them.
const REVISION_BITS_A_RUN: u32 = 20;

impl Roll {
    /// The lowest revision of a run that opened the journal's epoch of that number.
    pub(super) fn revision_of(epoch: u64) -> u64 {
        epoch.saturating_mul(1 << REVISION_BITS_A_RUN)
    }

    /// Where a drive stands.
    pub(super) fn place(&self, drive: DriveId) -> Option<(Tier, usize, Standing)> {
        self.tiers.iter().find_map(|shape| {
            let position = shape.members.iter().position(|member| member.drive == drive)?;
            Some((shape.tier, position, shape.members.get(position)?.standing))
        })
    }

    /// Whether the drive is one of the set now.
    pub(super) fn names(&self, drive: DriveId) -> bool {
        self.place(drive).is_some_and(|(_, _, standing)| standing != Standing::Removed)
    }

    pub(super) fn tier(&self, tier: Tier) -> Option<&Shape> {
        self.tiers.iter().find(|shape| shape.tier == tier)
    }

    pub(super) fn member_mut(&mut self, tier: Tier, position: usize) -> Option<&mut RollEntry> {
        self.tiers.iter_mut().find(|shape| shape.tier == tier)?.members.get_mut(position)
    }
}
