//! Which drives a new volume lies on, and with what geometry.
//!
//! New volumes open at full parity over the drives that are healthy: with fewer of them `k` shrinks and `m` stays.
//! Where there are more drives than shards, a drive is chosen as often as its part of the free space says, so that
//! all are full at the same time; but at most twice as often as the mean, so that one which just joined doesn't get
//! all that is new and busy. A difference of a few percent counts for nothing, and a drive without room is left out.
//!
//! It is systematic sampling, without chance: the drives stand in a line, each as long as its weight, and are chosen
//! at even steps along it. Each volume starts a golden section further, so that of any few volumes in a row every
//! drive gets its share, and its number turns the shards, so that parity and the work of narrower volumes spread. The
//! drives of a zone, of a node and of a device stand side by side, so that none of these holds more of a volume than
//! need be. The line is shuffled now and then: a drive shares its volumes with many others, and when it is lost all of
//! those help to rebuild it.

use crate::blob::{Geometry, VolumeId};
use crate::drive::{Domain, NodeId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The weight of a drive that has as much room as the drives have in the mean.
const MEAN_WEIGHT: u64 = 16;
/// The step from a volume's start to that of the next, as a fraction of 2^64: the golden section.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// The line of drives is shuffled anew after this many volumes.
const VOLUMES_A_SHUFFLE: u64 = 64;

/// A drive that a new volume may lie on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<D> {
    pub drive: D,
    pub domain: Domain,
    /// Bytes that it may take: its part of what is free on its device.
    pub room: u64,
}

/// The geometry over `healthy` drives, at most `full`: `k' = min(k, healthy - m)`. Nothing if that leaves no data.
pub fn geometry_over(full: Geometry, healthy: usize) -> Option<Geometry> {
    let data = healthy.checked_sub(full.m.into())?.min(full.k.into());
    (data > 0).then_some(Geometry { k: data as u8, m: full.m })
}

/// The widest geometry, at most `full`, of which each shard finds a drive with as much room as `each` says that it
/// takes. Parity stays whole: it is the data that lies on fewer drives.
pub fn geometry_with_room<D>(
    full: Geometry,
    candidates: &[Candidate<D>],
    each: impl Fn(Geometry) -> u64,
) -> Option<Geometry> {
    let narrower = (1..=full.k).rev().map(|k| Geometry { k, m: full.m });
    let fits = |geometry: &Geometry| {
        let each = each(*geometry);
        candidates.iter().filter(|candidate| candidate.room >= each).count() >= geometry.shards()
    };
    narrower.into_iter().find(fits)
}

/// The geometry of a volume and the drive of each of its shards, chosen from the healthy ones (in the order of
/// their positions).
pub fn place<D: Copy>(
    full: Geometry,
    volume: VolumeId,
    healthy: &[Candidate<D>],
) -> Option<(Geometry, Vec<D>)> {
    let geometry = geometry_over(full, healthy.len())?;
    let chosen = choose(volume, geometry.shards(), healthy);
    let turn = (volume.0 % geometry.shards() as u64) as usize;
    let drives = chosen.into_iter().filter_map(|place| healthy.get(place)).map(|candidate| candidate.drive);
    let drives: Vec<D> = drives.collect();
    Some((geometry, drives.iter().cycle().skip(turn).take(drives.len()).copied().collect()))
}

/// A shard of a volume, as [`enough_shards`] counts it.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The node of the drive that it lies on.
    pub node: NodeId,
    /// It holds everything that was written so far.
    pub is_good: bool,
}

/// How many shards must hold a body before it is acknowledged, given all shards of its volume.
///
/// That is `k + ceil(m/2)`, so that half of the parity may still be lost, drive by drive. A volume of which no node was
/// given more than `m` shards promises more: any one node may be lost. A node takes all its shards at once, so there
/// `k` must be left without those of the node that holds the most good ones.
pub fn enough_shards(geometry: Geometry, shards: &[Counted]) -> usize {
    let (k, m) = (usize::from(geometry.k), usize::from(geometry.m));
    let on_one_node = |count: fn(&Counted) -> bool| {
        let on = |node| shards.iter().filter(|shard| shard.node == node && count(shard)).count();
        shards.iter().map(|shard| on(shard.node)).max().unwrap_or_default()
    };
    let survives_a_node = on_one_node(|_| true) <= m;
    let lost_at_once = if survives_a_node { on_one_node(|shard| shard.is_good) } else { 0 };
    k + m.div_ceil(2).max(lost_at_once)
}

/// The places of as many different candidates as there are shards, in order.
fn choose<D>(volume: VolumeId, shards: usize, candidates: &[Candidate<D>]) -> Vec<usize> {
    let mut line: Vec<(usize, u64)> = weights(shards, candidates).into_iter().enumerate().collect();
    line.sort_by_cached_key(|(place, _)| stand(volume, *place, candidates));
    let mut chosen = Vec::with_capacity(shards);
    let mut left = shards as u64;
    let mut total: u64 = line.iter().map(|(_, weight)| weight).sum();
    // A drive that is as long as a step is chosen in any case. Any other is met by one step at most.
    while left > 0
        && let Some(certain) = line.iter().position(|(_, weight)| weight * left >= total)
    {
        let (place, weight) = line.remove(certain);
        chosen.push(place);
        left -= 1;
        total -= weight;
    }
    // In units of which each step has `total` and each drive `left` times its weight.
    let start = (u128::from(volume.0.wrapping_mul(GOLDEN)) * u128::from(total)) >> 64;
    let (mut next, mut end) = (start as u64, 0);
    for (place, weight) in line {
        end += weight * left;
        if next < end {
            chosen.push(place);
            next += total;
        }
    }
    chosen.sort_unstable();
    chosen
}

/// How often each candidate is to be chosen, beside the others. At least as many as there are shards have a weight
/// above 0.
fn weights<D>(shards: usize, candidates: &[Candidate<D>]) -> Vec<u64> {
    let rooms: Vec<u128> = candidates.iter().map(|candidate| candidate.room.into()).collect();
    let mean = mean_up_to_twice(&rooms);
    let weight = |room: &u128| (((*room).min(2 * mean) * u128::from(MEAN_WEIGHT) + mean / 2) / mean) as u64;
    let mut weights: Vec<u64> = rooms.iter().map(weight).collect();
    if weights.iter().filter(|weight| **weight > 0).count() < shards {
        weights.iter_mut().for_each(|weight| *weight = (*weight).max(1));
    }
    weights
}

/// The mean of the rooms that aren't 0, where none counts for more than twice the mean.
fn mean_up_to_twice(rooms: &[u128]) -> u128 {
    let count = rooms.iter().filter(|room| **room > 0).count().max(1) as u128;
    let mut mean = u128::MAX / 2;
    loop {
        let next = (rooms.iter().map(|room| (*room).min(2 * mean)).sum::<u128>() / count).max(1);
        if next >= mean {
            return mean;
        }
        mean = next;
    }
}

/// Where a candidate stands in the line.
fn stand<D>(volume: VolumeId, place: usize, candidates: &[Candidate<D>]) -> [u64; 4] {
    let shuffled = |number: u64| xxh3_64_with_seed(&number.to_le_bytes(), volume.0 / VOLUMES_A_SHUFFLE);
    let Some(Candidate { domain, .. }) = candidates.get(place) else { return [0; 4] };
    let (zone, node) = (domain.zone().0.into(), domain.node().0.into());
    [zone, node, domain.device_number(), place as u64].map(shuffled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::ZoneId;
    use std::collections::BTreeSet;

    const G: Geometry = Geometry { k: 4, m: 2 };
    const VOLUMES: u64 = 6400;

    /// A drive a device, with that much room; each is called by its place.
    fn with_room(room: &[u64]) -> Vec<Candidate<usize>> {
        let candidate = |(drive, room): (usize, &u64)| Candidate {
            drive,
            domain: Domain::here(drive as u64),
            room: *room,
        };
        room.iter().enumerate().map(candidate).collect()
    }

    /// How many volumes each drive got, and how many first parity shards.
    fn counts(candidates: &[Candidate<usize>]) -> (Vec<u64>, Vec<u64>) {
        let (mut shards, mut parity) = (vec![0; candidates.len()], vec![0; candidates.len()]);
        for volume in 0..VOLUMES {
            let (_, drives) = place(G, VolumeId(volume), candidates).unwrap();
            assert_eq!(drives.len(), 6);
            assert_eq!(drives.iter().collect::<BTreeSet<_>>().len(), 6, "no drive twice");
            drives.iter().for_each(|drive| shards[*drive] += 1);
            parity[drives[4]] += 1;
        }
        (shards, parity)
    }

    fn assert_about(count: u64, expected: u64) {
        assert!(count.abs_diff(expected) <= expected / 20, "{count}, not about {expected}");
    }

    #[test]
    fn fewer_drives_mean_a_narrower_stripe_at_full_parity() {
        let k = |healthy| geometry_over(G, healthy).map(|geometry| (geometry.k, geometry.m));
        assert_eq!(k(7), Some((4, 2)));
        assert_eq!(k(6), Some((4, 2)));
        assert_eq!(k(4), Some((2, 2)));
        assert_eq!(k(3), Some((1, 2)));
        assert_eq!(k(2), None);
        assert_eq!(k(0), None);
        assert_eq!(geometry_over(Geometry { k: 1, m: 0 }, 1), Some(Geometry { k: 1, m: 0 }));
        let (narrow, drives) = place(G, VolumeId(1), &with_room(&[0, 9, 0, 5])).unwrap();
        assert_eq!((narrow.k, drives), (2, vec![1, 2, 3, 0]));
    }

    #[test]
    fn what_has_no_room_makes_a_volume_narrower() {
        let k = |rooms: &[u64], each: fn(Geometry) -> u64| {
            geometry_with_room(G, &with_room(rooms), each).map(|geometry| (geometry.k, geometry.m))
        };
        assert_eq!(k(&[9, 9, 9, 9, 9, 9], |_| 9), Some((4, 2)));
        assert_eq!(k(&[9, 9, 0, 9, 9, 9], |_| 9), Some((3, 2)));
        assert_eq!(k(&[9, 9, 0, 0, 9, 0], |_| 9), Some((1, 2)));
        assert_eq!(k(&[9, 9, 0, 0, 0, 0], |_| 9), None);
        // What is narrower takes more of each drive.
        assert_eq!(k(&[9, 9, 0, 9, 9, 9], |geometry| 36 / u64::from(geometry.k)), None);
        assert_eq!(k(&[9, 9, 0, 9, 9, 9, 9], |geometry| 36 / u64::from(geometry.k)), Some((4, 2)));
    }

    #[test]
    fn parity_turns_with_the_volume() {
        let six = with_room(&[10, 900, 0, 30, 10, 10]);
        let drives = |volume| place(G, VolumeId(volume), &six).unwrap().1;
        assert_eq!(drives(6), [0, 1, 2, 3, 4, 5], "all are needed, whatever room they have");
        assert_eq!(drives(7), [1, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn drives_with_about_as_much_room_take_turns() {
        for room in [vec![1 << 40; 9], (0..9).map(|drive| (1 << 40) + drive * 5_000_000_000).collect()] {
            let candidates = with_room(&room);
            let (shards, parity) = counts(&candidates);
            shards.iter().for_each(|count| assert_about(*count, VOLUMES * 6 / 9));
            parity.iter().for_each(|count| assert_about(*count, VOLUMES / 9));
            // Not only in the long run.
            let mut few = [0; 9];
            for volume in 640..652 {
                place(G, VolumeId(volume), &candidates).unwrap().1.iter().for_each(|drive| few[*drive] += 1);
            }
            assert!(few.iter().all(|count| (7..=9).contains(count)), "{few:?}");
        }
    }

    #[test]
    fn the_emptier_get_more_and_one_that_joined_not_all() {
        let mut room = vec![100; 17];
        room.push(2000);
        let (shards, _) = counts(&with_room(&room));
        let mean = VOLUMES * 6 / 18;
        assert!(shards[17] > mean * 17 / 10 && shards[17] <= mean * 45 / 20, "{shards:?}");
        // A drive with less than twice the mean gets shards by the room that it has.
        let (shards, _) = counts(&with_room(&[300, 300, 300, 300, 300, 300, 300, 300, 150, 150, 450, 450]));
        assert_about(shards[11], 3 * shards[8]);
    }

    #[test]
    fn what_has_no_room_is_left_out_while_others_will_do() {
        let (shards, _) = counts(&with_room(&[0, 500, 500, 1, 500, 500, 500, 500]));
        assert_eq!((shards[0], shards[3], shards[1]), (0, 0, VOLUMES));
        let (shards, _) = counts(&with_room(&[0, 500, 0, 500, 500, 500, 500]));
        assert!(shards[1] == VOLUMES && shards[0] > 0 && shards[2] > 0, "{shards:?}");
        counts(&with_room(&[0; 8])).0.iter().for_each(|count| assert_about(*count, VOLUMES * 6 / 8));
    }

    #[test]
    fn no_device_holds_more_of_a_volume_than_need_be() {
        let three_a_device =
            |(place, candidate)| Candidate { domain: Domain::here(place as u64 % 4), ..candidate };
        let candidates: Vec<_> = with_room(&[100; 12]).into_iter().enumerate().map(three_a_device).collect();
        for volume in 0..VOLUMES {
            let (_, drives) = place(G, VolumeId(volume), &candidates).unwrap();
            let most = (0..4).map(|device| drives.iter().filter(|drive| *drive % 4 == device).count()).max();
            assert_eq!(most, Some(2), "{drives:?}");
        }
    }

    #[test]
    fn a_drive_shares_its_volumes_with_many() {
        let candidates = with_room(&[100; 12]);
        let mut met = BTreeSet::new();
        for volume in 0..VOLUMES {
            let (_, drives) = place(G, VolumeId(volume), &candidates).unwrap();
            if drives.contains(&0) {
                met.extend(drives);
            }
        }
        assert_eq!(met.len(), 12);
    }

    #[test]
    fn no_node_holds_more_of_a_volume_than_need_be() {
        // Three nodes of three drives each, which number their devices alike.
        let domain = |place: usize| Domain::new(ZoneId(0), NodeId(place as u16 / 3), place as u64 % 3);
        let candidates: Vec<_> = with_room(&[100; 9])
            .into_iter()
            .map(|candidate| Candidate { domain: domain(candidate.drive), ..candidate })
            .collect();
        for volume in 0..VOLUMES {
            let (_, drives) = place(G, VolumeId(volume), &candidates).unwrap();
            let most = (0..3).map(|node| drives.iter().filter(|drive| *drive / 3 == node).count()).max();
            assert_eq!(most, Some(2), "{drives:?}");
        }
    }

    /// Shards on those nodes, of which the ones at those places are not good.
    fn counted(nodes: &[u16], bad: &[usize]) -> Vec<Counted> {
        let shard =
            |(place, node): (usize, &u16)| Counted { node: NodeId(*node), is_good: !bad.contains(&place) };
        nodes.iter().enumerate().map(shard).collect()
    }

    #[test]
    fn on_one_node_an_ack_needs_half_of_the_parity() {
        for (k, m, needed) in [(1, 0, 1), (1, 1, 2), (4, 2, 5), (1, 3, 3), (8, 3, 10), (8, 4, 10)] {
            let geometry = Geometry { k, m };
            for missing in 0..=geometry.shards() {
                let shards = counted(&vec![0; geometry.shards()], &(0..missing).collect::<Vec<_>>());
                assert_eq!(enough_shards(geometry, &shards), needed, "{geometry} without {missing}");
            }
        }
    }

    #[test]
    fn where_a_node_may_be_lost_an_ack_needs_what_it_would_take() {
        let enough = |nodes: &[u16], bad: &[usize]| {
            let (needed, good) = (enough_shards(G, &counted(nodes, bad)), nodes.len() - bad.len());
            (needed, good >= needed)
        };
        // 4+2, two shards on each of three nodes: a missing shard and a node would be one too many.
        assert_eq!(enough(&[0, 0, 1, 1, 2, 2], &[]), (6, true));
        assert_eq!(enough(&[0, 0, 1, 1, 2, 2], &[3]), (6, false));
        assert_eq!(enough(&[0, 0, 1, 1, 2, 2], &[2, 3]), (6, false));
        // A shard a node: any one may be missing.
        assert_eq!(enough(&[0, 1, 2, 3, 4, 5], &[4]), (5, true));
        assert_eq!(enough(&[0, 1, 2, 3, 4, 5], &[4, 5]), (5, false));
        // The node that has two is whole or not.
        assert_eq!(enough(&[0, 0, 1, 2, 3, 4], &[0]), (5, true));
        assert_eq!(enough(&[0, 0, 1, 2, 3, 4], &[4]), (6, false));
        // Where a node holds more than parity makes up for, its loss is not survived, and drives are what counts.
        assert_eq!(enough(&[0, 0, 0, 1, 1, 1], &[5]), (5, true));
        assert_eq!(enough(&[0, 0, 0, 1, 1, 2], &[1]), (5, true), "placed so, however many of them are good");
        // 2+1 on three nodes.
        let three = Geometry { k: 2, m: 1 };
        assert_eq!(enough_shards(three, &counted(&[0, 1, 2], &[])), 3);
        assert_eq!(enough_shards(three, &counted(&[0, 1, 2], &[1])), 3);
    }
}
