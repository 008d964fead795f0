//! What is missing of the volumes, and what is healed first.
//!
//! First comes the volume that may lose the fewest more drives. Of those that are as endangered, the one whose shards
//! are gone for good: a drive that is merely absent may come back with what it holds before anything of it was written
//! anew. In a volume those shards come first, too.

use super::Rebuilder;
use crate::blob::VolumeId;
use crate::format::layout::Stripe;
use crate::volume::{Phase, PlacedShard, Volume};
use std::cmp::Reverse;

/// A volume that misses shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endangered {
    pub volume: VolumeId,
    /// The shards that are missing, those that are gone for good first.
    pub missing: Vec<u8>,
    /// How many of them are gone for good.
    pub gone: usize,
    /// How many more shards it may lose.
    pub margin: usize,
    /// Whether enough shards are there to read it.
    pub is_readable: bool,
    pub is_sealed: bool,
    /// About how many stripes are live, and about how many bytes are read and written to rebuild one shard.
    pub stripes: u64,
    pub bytes: u64,
}

impl Endangered {
    /// What is healed first comes first in this order.
    pub(super) fn urgency(&self) -> impl Ord + use<> {
        (self.margin, Reverse(self.gone), self.volume)
    }

    /// What a volume misses, if it misses shards and holds anything.
    pub(super) fn of(volume: &Volume) -> Option<Endangered> {
        let (live, _) = volume.usage();
        let phase = volume.phase();
        if live == 0 || phase == Phase::Dropped {
            return None;
        }
        let bad = volume.shards().filter(|(_, file)| !file.is_good());
        let mut missing: Vec<(bool, u8)> = bad.map(|(shard, file)| (!is_gone(&file), shard)).collect();
        if missing.is_empty() {
            return None;
        }
        missing.sort_unstable();
        Some(Endangered {
            volume: volume.id,
            gone: missing.iter().filter(|(may_return, _)| !may_return).count(),
            margin: usize::from(volume.geometry.m).saturating_sub(missing.len()),
            is_readable: missing.len() <= usize::from(volume.geometry.m),
            missing: missing.into_iter().map(|(_, shard)| shard).collect(),
            is_sealed: matches!(phase, Phase::Sealed { .. }),
            stripes: stripes_of(volume),
            bytes: live + live / u64::from(volume.geometry.k.max(1)),
        })
    }
}

/// About how many of a volume's stripes are live.
fn stripes_of(volume: &Volume) -> u64 {
    volume.usage().0.div_ceil(u64::from(Stripe::full(volume.geometry).payload))
}

impl Rebuilder {
    /// How many volumes there are, and about how many live stripes in them.
    pub(super) fn volumes_and_stripes(&self) -> (u64, u64) {
        let volumes = self.table.read();
        (volumes.len() as u64, volumes.values().map(|volume| stripes_of(volume)).sum())
    }

    /// The volumes that miss shards and hold anything.
    pub(super) fn endangered(&self) -> Vec<Endangered> {
        self.table.read().values().filter_map(|volume| Endangered::of(volume)).collect()
    }
}

/// Whether a shard that can't be counted on won't come back by itself.
fn is_gone(file: &PlacedShard) -> bool {
    file.is_lost() || file.drive.as_ref().is_none_or(|drive| !drive.may_return())
}
