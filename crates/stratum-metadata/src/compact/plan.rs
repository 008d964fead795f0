//! Decides which volumes are worth moving, and in which order, from figures alone and without I/O.

use super::footprint::Footprint;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;
use stratum_storage::blob::{Geometry, Tier, VolumeId};
use stratum_storage::volume::{TierHealth, VolumeRecord};

/// Volumes with fewer live bytes than the last of these are small, in classes that each hold up to eight times as
/// much as the one before. The volumes of a class are merged when there are [`MERGE_FROM_VOLUMES`] of them, so a byte is
/// merged at most once in each class.
const SMALL_CLASS_BYTES: [u64; 3] = [2 << 20, 16 << 20, 128 << 20];
const MERGE_FROM_VOLUMES: usize = 8;

/// Why a volume's bodies are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// More than half of what the volume takes of its drives is garbage.
    Garbage,
    /// The volume was written over fewer drives while some were missing or full, and they are back.
    Narrow,
    /// The volume is one of many small ones.
    Small,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Garbage => "garbage",
            Why::Narrow => "written over few drives",
            Why::Small => "small",
        })
    }
}

/// A volume to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub volume: VolumeId,
    pub tier: Tier,
    pub why: Why,
    /// What its live bodies take as payload, with the overhead of their stripes, in bytes.
    pub payload: u64,
    /// The same with parity, which is what the copies take on the drives.
    pub disk: u64,
    /// Bytes that are freed, on all shards together.
    pub gain: u64,
}

/// A sealed volume with live bodies.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub record: VolumeRecord,
    pub footprint: Footprint,
}

/// The present state of a tier.
#[derive(Clone, Copy, Debug)]
pub(super) struct TierNow {
    pub geometry: Geometry,
    /// How long all of its drives have been healthy and had room; `None` if one isn't or hasn't.
    pub whole_for: Option<Duration>,
}

/// Since when tiers have been whole, remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Wholeness {
    since: HashMap<Tier, Duration>,
}

impl Wholeness {
    pub fn look(&mut self, tiers: &[TierHealth], now: Duration) -> HashMap<Tier, TierNow> {
        let mut seen = HashMap::new();
        for health in tiers {
            let whole_for = if health.healthy == health.drives && health.with_room == health.drives {
                Some(now.saturating_sub(*self.since.entry(health.tier).or_insert(now)))
            } else {
                self.since.remove(&health.tier);
                None
            };
            seen.insert(health.tier, TierNow { geometry: health.geometry, whole_for });
        }
        seen
    }
}

/// The volumes to move, the most rewarding first.
pub(super) fn plan(seen: &[Seen], tiers: &HashMap<Tier, TierNow>, widen_after: Duration) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut small: HashMap<(Tier, usize), Vec<Job>> = HashMap::new();
    for volume in seen.iter().filter(|volume| volume.record.live > 0) {
        let Some(tier) = tiers.get(&volume.record.tier) else { continue };
        let is_narrow = volume.record.geometry.k < tier.geometry.k;
        if volume.footprint.garbage() > volume.footprint.needed {
            jobs.push(volume.job(Why::Garbage));
        } else if volume.record.remote.is_some() {
            // A volume in the remote store has no shards to add, and reading it costs money.
        } else if is_narrow && tier.whole_for.is_some_and(|whole| whole >= widen_after) {
            jobs.push(volume.job(Why::Narrow));
        } else if let Some(class) = SMALL_CLASS_BYTES.iter().position(|limit| volume.record.live < *limit)
            && tier.whole_for.is_some()
        {
            small.entry((volume.record.tier, class)).or_default().push(volume.job(Why::Small));
        }
    }
    jobs.extend(small.into_values().filter(|class| class.len() >= MERGE_FROM_VOLUMES).flatten());
    jobs.sort_by_key(|job| (job.rank(), job.volume));
    jobs
}

impl Job {
    /// The order of jobs: garbage first, by what is copied for each byte freed; then narrow volumes; then small ones,
    /// the smallest first.
    fn rank(&self) -> (u8, u64) {
        match self.why {
            Why::Garbage => (0, self.payload.saturating_mul(1024) / self.gain.max(1)),
            Why::Narrow => (1, self.volume.0),
            Why::Small => (2, self.payload),
        }
    }
}

impl Seen {
    fn job(&self, why: Why) -> Job {
        let VolumeRecord { id, tier, geometry, .. } = self.record;
        let payload = self.footprint.needed * u64::from(geometry.k);
        let shards = geometry.shards() as u64;
        let (disk, gain) = (self.footprint.needed * shards, self.footprint.garbage() * shards);
        Job { volume: id, tier, why, payload, disk, gain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::remote::RemoteObject;
    use stratum_storage::volume::VolumeState;

    const G: Geometry = Geometry { k: 4, m: 2 };
    const WIDEN: Duration = Duration::from_secs(60);

    fn seen(id: u64, k: u8, live: u64, held: u64, needed: u64) -> Seen {
        let geometry = Geometry { k, m: 2 };
        let state = VolumeState::Sealed { length: held + 4096 };
        let id = VolumeId(id);
        let record = VolumeRecord {
            id,
            tier: Tier::Hot,
            geometry,
            shards: vec![],
            state,
            high_water: 0,
            live,
            writer: None,
            remote: None,
        };
        Seen { record, footprint: Footprint { held, needed } }
    }

    fn health(healthy: usize) -> [TierHealth; 1] {
        [TierHealth { tier: Tier::Hot, geometry: G, drives: 6, healthy, with_room: healthy }]
    }

    fn whole(seconds: u64) -> HashMap<Tier, TierNow> {
        let mut wholeness = Wholeness::default();
        wholeness.look(&health(6), Duration::from_secs(5));
        wholeness.look(&health(6), Duration::from_secs(5 + seconds))
    }

    fn chosen(seen: &[Seen], tiers: &HashMap<Tier, TierNow>) -> Vec<(u64, Why)> {
        plan(seen, tiers, WIDEN).iter().map(|job| (job.volume.0, job.why)).collect()
    }

    #[test]
    fn of_the_remote_store_only_what_is_garbage_comes_back() {
        let remote = |volume: Seen| {
            let remote = Some(RemoteObject { upload: 7 });
            Seen { record: VolumeRecord { remote, ..volume.record }, ..volume }
        };
        let mut all: Vec<Seen> = (1..20).map(|id| remote(seen(id, 2, 1 << 20, 1 << 20, 1 << 20))).collect();
        assert!(chosen(&all, &whole(3600)).is_empty(), "neither narrow nor small");
        all.push(remote(seen(30, 4, 200 << 20, 256 << 20, 10 << 20)));
        assert_eq!(chosen(&all, &whole(3600)), [(30, Why::Garbage)]);
    }

    #[test]
    fn garbage_over_half_is_moved_the_most_rewarding_first() {
        let all = [
            seen(1, 4, 200 << 20, 256 << 20, 120 << 20),
            seen(2, 4, 600 << 20, 256 << 20, 150 << 20),
            seen(3, 4, 200 << 20, 256 << 20, 10 << 20),
            seen(4, 4, 0, 0, 0),
        ];
        assert_eq!(chosen(&all, &whole(0)), [(3, Why::Garbage), (1, Why::Garbage)]);
        let job = plan(&all, &whole(0), WIDEN)[1];
        assert_eq!((job.payload, job.gain), (480 << 20, 6 * (136 << 20)));
    }

    #[test]
    fn narrow_ones_are_widened_when_drives_have_been_back_for_long() {
        let all = [seen(1, 2, 200 << 20, 100 << 20, 100 << 20), seen(2, 4, 200 << 20, 50 << 20, 50 << 20)];
        assert_eq!(chosen(&all, &whole(59)), []);
        assert_eq!(chosen(&all, &whole(60)), [(1, Why::Narrow)]);
        let mut wholeness = Wholeness::default();
        wholeness.look(&health(6), Duration::ZERO);
        wholeness.look(&health(5), Duration::from_secs(50));
        let again = wholeness.look(&health(6), Duration::from_secs(70));
        assert_eq!(chosen(&all, &again), [], "the time begins anew");
    }

    #[test]
    fn many_small_ones_of_a_size_are_merged() {
        let small = |id| seen(id, 4, 1 << 20, 1 << 18, 1 << 18);
        let mut all: Vec<Seen> = (1..8).map(small).collect();
        all.push(seen(20, 4, 9 << 20, 3 << 20, 3 << 20));
        assert_eq!(chosen(&all, &whole(0)), []);
        all.push(small(8));
        assert_eq!(chosen(&all, &whole(0)).len(), 8);
        let broken = Wholeness::default().look(&health(5), Duration::ZERO);
        assert_eq!(chosen(&all, &broken), [], "not into a geometry that must be widened later");
    }
}
