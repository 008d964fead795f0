//! Which drives a new volume lies on, and with what geometry.
//!
//! New volumes open at full parity over the drives that are healthy: with fewer of them `k` shrinks and `m` stays.
//! The volume's number turns the order of the drives, so that parity, and the work of narrower volumes, spreads.

use crate::blob::{Geometry, VolumeId};

/// The geometry over `healthy` drives, at most `full`: `k' = min(k, healthy - m)`. Nothing if that leaves no data.
pub fn geometry_over(full: Geometry, healthy: usize) -> Option<Geometry> {
    let data = healthy.checked_sub(full.m.into())?.min(full.k.into());
    (data > 0).then_some(Geometry { k: data as u8, m: full.m })
}

/// The geometry of a volume and the drive of each of its shards, chosen from the healthy ones (in the order of
/// their positions).
pub fn place<D: Copy>(full: Geometry, volume: VolumeId, healthy: &[D]) -> Option<(Geometry, Vec<D>)> {
    let geometry = geometry_over(full, healthy.len())?;
    let turn = (volume.0 % healthy.len() as u64) as usize;
    let drives = healthy.iter().cycle().skip(turn).take(geometry.shards()).copied().collect();
    Some((geometry, drives))
}

/// How many shards must hold a body before it is acknowledged: `k + ceil(m/2)`.
pub fn enough_shards(geometry: Geometry) -> usize {
    usize::from(geometry.k) + usize::from(geometry.m.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: Geometry = Geometry { k: 4, m: 2 };

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
    }

    #[test]
    fn parity_turns_with_the_volume() {
        let (_, first) = place(G, VolumeId(6), &[10, 11, 12, 13, 14, 15]).unwrap();
        let (_, second) = place(G, VolumeId(7), &[10, 11, 12, 13, 14, 15]).unwrap();
        assert_eq!(first, [10, 11, 12, 13, 14, 15]);
        assert_eq!(second, [11, 12, 13, 14, 15, 10]);
        let (geometry, some) = place(G, VolumeId(9), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!((geometry, some), (G, vec![2, 3, 4, 5, 6, 7]));
    }

    #[test]
    fn an_ack_needs_half_of_the_parity() {
        let enough = |k, m| enough_shards(Geometry { k, m });
        assert_eq!([enough(1, 0), enough(1, 1), enough(4, 2), enough(8, 3), enough(8, 4)], [1, 2, 5, 10, 10]);
    }
}
