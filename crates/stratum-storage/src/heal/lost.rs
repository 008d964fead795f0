//! What can't be read at present, for whoever counts the objects that it belongs to.

use super::Healer;
use crate::blob::VolumeId;
use std::collections::BTreeSet;

/// Where too few fragments are left, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Volumes with more shards missing than the redundancy covers: nothing in them can be read.
    volumes: BTreeSet<VolumeId>,
    /// Unreadable stripes of other volumes, by offset.
    stripes: BTreeSet<(VolumeId, u64)>,
}

impl Lost {
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty() && self.stripes.is_empty()
    }

    /// The unreadable stripes, by offset, of volumes of which something can be read.
    pub fn stripes(&self) -> impl Iterator<Item = &(VolumeId, u64)> {
        self.stripes.iter()
    }

    /// Whether the stripe at that offset can't be read.
    pub fn has(&self, volume: VolumeId, offset: u64) -> bool {
        self.volumes.contains(&volume) || self.stripes.contains(&(volume, offset))
    }
}

impl Healer {
    /// What can't be read now. Some of it may come back with a drive.
    pub fn lost(&self) -> Lost {
        let endangered = self.rebuilder.endangered().into_iter().filter(|each| !each.is_readable);
        let is_there = |volume: VolumeId| self.table.find(volume).is_some();
        let stripes = self.state.lock().unreadable.clone();
        Lost {
            volumes: endangered.map(|each| each.volume).collect(),
            stripes: stripes.into_iter().filter(|(volume, _)| is_there(*volume)).collect(),
        }
    }
}
