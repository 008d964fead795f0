//! Which shard is best moved where. Arithmetic only.
//!
//! What a drive can hold is what it holds of our volumes and its part of what is free on its device. Drives are even
//! when all are full to the same part of that: then all are full at the same time, whatever their sizes and whatever
//! else lies on their devices; and drives that share a device hold the same.
//!
//! Between two drives there is a *surplus*: the bytes that would make them even. A shard moves only if it is no
//! larger than the surplus, so the drive that it leaves stays the fuller one; and only while the surplus is worth a
//! move. So every move brings the two drives closer and never swaps them, the sum of all `held² / capacity` falls
//! with each, and the moves come to an end.

use crate::blob::VolumeId;
use crate::drive::{Domain, DriveId};

/// A surplus is worth moving from the mean load of the drives divided by this: they end within twice that of the mean.
const WORTHWHILE_DIVISOR: u128 = 40;

/// A drive that shards may be moved from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub drive: DriveId,
    pub domain: Domain,
    /// Bytes that volumes take of it.
    pub held: u64,
    /// Bytes that they can take of it, those that they do included.
    pub capacity: u64,
    /// Bytes that may be written to it now.
    pub room: u64,
}

/// A volume that is sealed and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lying {
    pub volume: VolumeId,
    /// What each of its shards takes.
    pub bytes: u64,
    /// Where each of its shards lies.
    pub drives: Vec<DriveId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub volume: VolumeId,
    pub shard: u8,
    pub from: DriveId,
    pub to: DriveId,
    pub bytes: u64,
}

/// The move that is worth most: the largest shard that may go from the fullest drive to the emptiest or, where none
/// may, between the pair of drives with the next largest surplus. `None` if the surplus of every pair is too small to
/// be worth a move, or is below `least` bytes.
pub(super) fn best_move(loads: &[Load], volumes: &[Lying], least: u64) -> Option<Move> {
    let worth = worth(loads).max(least.into());
    let pairs = loads.iter().flat_map(|from| loads.iter().map(move |to| (surplus(from, to), from, to)));
    let mut pairs: Vec<_> = pairs.filter(|(surplus, ..)| *surplus >= worth).collect();
    pairs.sort_by_key(|(surplus, from, to)| (std::cmp::Reverse(*surplus), from.drive, to.drive));
    pairs.into_iter().find_map(|(surplus, from, to)| {
        let most = u64::try_from(surplus).unwrap_or(u64::MAX).min(to.room);
        let movable = volumes.iter().filter(|volume| volume.bytes > 0 && volume.bytes <= most);
        let movable = movable.filter_map(|volume| Some((volume, volume.shard_to_move(from, to, loads)?)));
        let (volume, shard) = movable.max_by_key(|(volume, _)| (volume.bytes, volume.volume))?;
        let (from, to) = (from.drive, to.drive);
        Some(Move { volume: volume.volume, shard, from, to, bytes: volume.bytes })
    })
}

/// About how many bytes must move until all are even.
pub(super) fn to_move(loads: &[Load]) -> u64 {
    let sum = |of: fn(&Load) -> u64| loads.iter().map(|load| u128::from(of(load))).sum::<u128>();
    let (held, capacity) = (sum(|load| load.held), sum(|load| load.capacity).max(1));
    let fair = |load: &Load| (held * u128::from(load.capacity) / capacity) as u64;
    loads.iter().map(|load| load.held.saturating_sub(fair(load))).sum()
}

/// The surplus from which on a move is worth its effort.
fn worth(loads: &[Load]) -> u128 {
    let held: u128 = loads.iter().map(|load| u128::from(load.held)).sum();
    (held / loads.len().max(1) as u128 / WORTHWHILE_DIVISOR).max(1)
}

/// The bytes that `from` would give `to` for both to be full to the same part; 0 if `from` is the emptier one.
fn surplus(from: &Load, to: &Load) -> u128 {
    let part = |one: &Load, other: &Load| u128::from(one.held) * u128::from(other.capacity);
    let both = u128::from(from.capacity) + u128::from(to.capacity);
    part(from, to).saturating_sub(part(to, from)) / both.max(1)
}

impl Lying {
    /// Its shard on `from`, if `to` may take it: `to` holds no shard of the volume, and its device then has no more
    /// of them than the device that the shard leaves had before.
    fn shard_to_move(&self, from: &Load, to: &Load, loads: &[Load]) -> Option<u8> {
        let shard = self.drives.iter().position(|drive| *drive == from.drive)?;
        let domain = |drive: &DriveId| loads.iter().find(|load| load.drive == *drive).map(|load| load.domain);
        let on = |wanted: Domain| self.drives.iter().filter(|drive| domain(drive) == Some(wanted)).count();
        let may =
            !self.drives.contains(&to.drive) && (from.domain == to.domain || on(to.domain) < on(from.domain));
        may.then_some(shard as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::{Entropy, Simulated};
    use std::collections::BTreeSet;

    const MIB: u64 = 1 << 20;
    const LEAST: u64 = 4 * MIB;
    const SHARDS: usize = 6;

    /// Drives, each by its device and the bytes that are free beside what the volumes take of it.
    #[derive(Clone)]
    struct Shelf {
        free: Vec<(u64, u64)>,
        volumes: Vec<Lying>,
    }

    impl Shelf {
        fn loads(&self) -> Vec<Load> {
            let held = |drive: usize| {
                let on = self.volumes.iter().filter(|volume| volume.drives.contains(&DriveId(drive as u128)));
                on.map(|volume| volume.bytes).sum::<u64>()
            };
            let load = |(drive, (device, free)): (usize, &(u64, u64))| {
                let held = held(drive);
                Load {
                    drive: DriveId(drive as u128),
                    domain: Domain::here(*device),
                    held,
                    capacity: held + free,
                    room: *free,
                }
            };
            self.free.iter().enumerate().map(load).collect()
        }

        /// Moves until nothing is worth it, and checks every move; says how many.
        fn settle(&mut self) -> usize {
            let mut moves = 0;
            while let Some(next) = best_move(&self.loads(), &self.volumes, LEAST) {
                let before = self.unevenness();
                let (from, to) = (next.from.0 as usize, next.to.0 as usize);
                let volume = self.volumes.iter_mut().find(|volume| volume.volume == next.volume).unwrap();
                assert_eq!((volume.drives[usize::from(next.shard)], volume.bytes), (next.from, next.bytes));
                volume.drives[usize::from(next.shard)] = next.to;
                assert_eq!(volume.drives.iter().collect::<BTreeSet<_>>().len(), volume.drives.len());
                self.free[from].1 += next.bytes;
                self.free[to].1 -= next.bytes;
                assert!(self.unevenness() < before, "a move must bring them closer: {next:?}");
                moves += 1;
                assert!(moves < 10_000, "it doesn't end");
            }
            moves
        }

        fn unevenness(&self) -> f64 {
            self.loads().iter().map(|load| (load.held as f64).powi(2) / load.capacity.max(1) as f64).sum()
        }

        fn fullness(&self) -> Vec<f64> {
            self.loads().iter().map(|load| load.held as f64 / load.capacity as f64).collect()
        }
    }

    fn lying(volume: u64, bytes: u64, drives: impl IntoIterator<Item = u128>) -> Lying {
        Lying { volume: VolumeId(volume), bytes, drives: drives.into_iter().map(DriveId).collect() }
    }

    /// Six drives that hold the same volumes, and so many more drives that hold none.
    fn grown(volumes: u64, blank: usize) -> Shelf {
        let volumes: Vec<Lying> = (0..volumes).map(|volume| lying(volume, 256 * MIB, 0..6)).collect();
        let total = 100_000 * MIB;
        let held = volumes.len() as u64 * 256 * MIB;
        let free = (0..6 + blank as u64).map(|drive| (drive, if drive < 6 { total - held } else { total }));
        Shelf { free: free.collect(), volumes }
    }

    fn spread(parts: &[f64]) -> f64 {
        parts.iter().cloned().fold(0.0, f64::max) / parts.iter().cloned().fold(f64::MAX, f64::min)
    }

    #[test]
    fn a_drive_that_joined_gets_its_share_and_no_more_moves_than_that() {
        let mut shelf = grown(200, 1);
        let all = to_move(&shelf.loads());
        let moves = shelf.settle() as u64;
        assert!(spread(&shelf.fullness()) < 1.06, "{:?}", shelf.fullness());
        assert!(moves * 256 * MIB <= all, "{moves} moves of {all} bytes");
        assert_eq!(shelf.settle(), 0, "and then it is quiet");
        let mut shelf = grown(200, 6);
        shelf.settle();
        assert!(spread(&shelf.fullness()) < 1.06, "{:?}", shelf.fullness());
    }

    #[test]
    fn where_nothing_can_be_gained_nothing_moves() {
        assert_eq!(grown(200, 0).settle(), 0, "all volumes are on all drives");
        let mut few = grown(200, 1);
        few.volumes.truncate(1);
        assert_eq!(few.settle(), 0, "a single shard would only change places");
        let mut small = grown(200, 1);
        small.volumes.iter_mut().for_each(|volume| volume.bytes = 10_000);
        assert_eq!(small.settle(), 0, "a few megabytes aren't worth it");
    }

    #[test]
    fn drives_on_one_device_come_to_hold_the_same() {
        let mut shelf = grown(60, 1);
        for moves in 0.. {
            // What is free is free for all of them.
            let held: Vec<u64> = shelf.loads().iter().map(|load| load.held).collect();
            let part = (700_000 * MIB - held.iter().sum::<u64>()) / 7;
            let capacity = part + held.iter().sum::<u64>() / 7;
            let load = |(drive, held): (usize, &u64)| {
                let (drive, held) = (DriveId(drive as u128), *held);
                Load { drive, domain: Domain::here(1), held, capacity, room: 7 * part }
            };
            let loads: Vec<Load> = held.iter().enumerate().map(load).collect();
            let Some(next) = best_move(&loads, &shelf.volumes, LEAST) else {
                let (most, least) = (held.iter().max().unwrap(), held.iter().min().unwrap());
                assert!(most - least <= 2 * 256 * MIB, "{held:?}");
                break;
            };
            assert!(moves < 60);
            let volume = shelf.volumes.iter_mut().find(|volume| volume.volume == next.volume).unwrap();
            volume.drives[usize::from(next.shard)] = next.to;
        }
    }

    #[test]
    fn the_larger_drive_holds_more() {
        let mut shelf = grown(120, 1);
        shelf.free[6].1 *= 4;
        shelf.settle();
        let held: Vec<u64> = shelf.loads().iter().map(|load| load.held).collect();
        assert_eq!(held[6], 120 * 256 * MIB, "a shard of every volume, and more it can't: {held:?}");
    }

    #[test]
    fn a_full_drive_is_given_nothing_and_no_device_more_than_before() {
        let mut shelf = grown(200, 1);
        let loads: Vec<Load> =
            shelf.loads().into_iter().map(|load| Load { room: 255 * MIB, ..load }).collect();
        assert_eq!(best_move(&loads, &shelf.volumes, LEAST), None);
        // The blank drive shares its device with another that holds a shard of everything.
        shelf.free[6].0 = 5;
        let next = best_move(&shelf.loads(), &shelf.volumes, LEAST).unwrap();
        assert_eq!((next.from, next.to), (DriveId(5), DriveId(6)));
    }

    #[test]
    fn it_ends_from_any_beginning() {
        for seed in 0..300 {
            let dice = Simulated::new(0, seed);
            let within =
                |range: std::ops::Range<u64>| range.start + dice.next_u64() % (range.end - range.start);
            let drives = within(SHARDS as u64..14);
            let device = |drive: u64| if seed % 3 == 0 { drive / 2 } else { drive };
            let volume = |volume: u64| {
                let mut on: Vec<u128> = (0..u128::from(drives)).collect();
                for at in 0..SHARDS {
                    on.swap(at, within(at as u64..drives) as usize);
                }
                lying(volume, within(1..256) * MIB, on.into_iter().take(SHARDS))
            };
            let volumes = (0..within(1..80)).map(volume).collect();
            let free = (0..drives).map(|drive| (device(drive), within(0..100_000) * MIB)).collect();
            Shelf { free, volumes }.settle();
        }
    }
}
