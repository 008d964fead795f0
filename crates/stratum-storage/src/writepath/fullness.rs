//! How full the drives of a tier are, for those who must be told before and when writes are refused.

use super::room::{FIRST_STEP_BYTES, candidates};
use super::{TierWriter, Writer};
use crate::blob::{Geometry, Tier};
use crate::drive::{Devices, Drive, DriveId};
use crate::placement::{Candidate, geometry_over, geometry_with_room};
use std::sync::Arc;

/// A drive is almost full when less than one in this many bytes of its device is free beside the reserve.
const ALMOST_FULL_DIVISOR: u64 = 20;

/// How full a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    HasRoom,
    /// Less than a twentieth of its device is left beside the reserve for upkeep.
    AlmostFull,
    /// Only the reserve is left, or not even that: no new body goes there.
    Full,
}

/// Why a tier takes no new body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too few of its drives have room.
    Space,
    /// So many of its drives take something new, and `needed` are the least that a volume lies on: any `m` of them may
    /// be lost, and it takes one more to hold data.
    Drives { open: usize, needed: usize },
}

/// How full the drives of a tier are that take something new, and what that means for new bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fullness {
    pub tier: Tier,
    pub drives: Vec<(DriveId, Fill)>,
    /// The geometry of new volumes; `None` if too few drives have room for any.
    pub geometry: Option<Geometry>,
    /// The geometry that new volumes would have if all of these drives had room; `None` if they are too few for any.
    pub with_room: Option<Geometry>,
    /// The fewest drives that a volume of the tier lies on.
    pub needed: usize,
}

impl Fullness {
    /// Why new bodies are refused, if they are.
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.geometry, self.with_room) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Refusal::Space),
            (None, None) => Some(Refusal::Drives { open: self.drives.len(), needed: self.needed }),
        }
    }
}

impl Writer {
    /// How full each tier is. Asks every device for its space.
    pub fn fullness(&self) -> Vec<Fullness> {
        let of = |state: &TierWriter| {
            let drives = state.healthy();
            self.fullness_of(state, &drives, &Devices::of(&drives))
        };
        self.tiers.iter().map(of).collect()
    }

    /// How full a tier is whose healthy drives lie on these devices.
    pub(super) fn fullness_of(
        &self,
        state: &TierWriter,
        drives: &[Arc<Drive>],
        devices: &Devices,
    ) -> Fullness {
        let reserve = self.table.kept_free();
        let candidates = candidates(drives, devices, reserve);
        let fill = |candidate: &Candidate<&Arc<Drive>>| {
            let total = devices.space_at(candidate.drive).map_or(0, |space| space.total);
            match candidate.room {
                room if room < FIRST_STEP_BYTES => Fill::Full,
                _ if devices.free_at(candidate.drive, reserve) < total / ALMOST_FULL_DIVISOR => {
                    Fill::AlmostFull
                }
                _ => Fill::HasRoom,
            }
        };
        let with_room = geometry_over(state.drives.geometry, drives.len());
        Fullness {
            tier: state.drives.tier,
            drives: candidates.iter().map(|candidate| (candidate.drive.id(), fill(candidate))).collect(),
            geometry: with_room.and_then(|full| geometry_with_room(full, &candidates, |_| FIRST_STEP_BYTES)),
            with_room,
            needed: usize::from(state.drives.geometry.m) + 1,
        }
    }
}
