//! Which configured place is whose: the place of the drive that is in it, or of one that is missing.
//!
//! A drive is used wherever it is found. Only for a place that holds no drive of the set, the order of the
//! configuration decides whose place it is.

use super::formation::ConfiguredPlace;
use super::look::PlaceContent;
use super::roll::{Shape, Standing};
use crate::blob::Tier;
use std::collections::BTreeSet;

/// Which of the free positions a slot takes.
type Choice<'a> = dyn Fn(&ConfiguredPlace<'_>, &BTreeSet<usize>) -> Option<usize> + 'a;

/// Says for every slot of a tier whose place it is. A slot with a drive of the set in it is that drive's. The others
/// belong to the drives that are in no slot: where all positions are configured, each slot to the drive of its own
/// number; where removed drives are left out, to those drives in order. Slots that are left over are the places of
/// drives that were removed.
pub(super) fn take_seats(slots: &mut [ConfiguredPlace<'_>], shape: &Shape) {
    let is_removed = |position: &usize| {
        shape.members.get(*position).is_none_or(|member| member.standing == Standing::Removed)
    };
    let mut slots: Vec<&mut ConfiguredPlace<'_>> =
        slots.iter_mut().filter(|slot| slot.tier == shape.tier).collect();
    let mut free: BTreeSet<usize> = (0..shape.members.len()).collect();
    for slot in &mut slots {
        if let PlaceContent::Known(_, identity) = &slot.found {
            slot.seat = shape.members.iter().position(|member| member.drive == identity.drive);
            if let Some(seat) = slot.seat {
                free.remove(&seat);
            }
        }
    }
    let by_number = slots.len() == shape.members.len();
    let own = |slot: &ConfiguredPlace<'_>, free: &BTreeSet<usize>| {
        free.get(&slot.position).copied().filter(|_| by_number)
    };
    let others = |free: &BTreeSet<usize>| free.iter().copied().find(|position| !is_removed(position));
    let choices: [&Choice<'_>; 3] =
        [&|slot, free| own(slot, free).filter(|own| !is_removed(own)), &|_, free| others(free), &own];
    for choose in choices {
        for slot in slots.iter_mut().filter(|slot| slot.seat.is_none()) {
            slot.seat = choose(slot, &free);
            if let Some(seat) = slot.seat {
                free.remove(&seat);
            }
        }
    }
}

/// In which order a tier's drives are found, if it isn't that in which they joined. Drives that were added are named
/// behind the others, and those that were removed aren't named: that is no other order, though the numbers of places
/// and positions differ.
pub(super) fn other_order(slots: &[ConfiguredPlace<'_>], tier: Tier) -> Option<String> {
    let known =
        |slot: &&ConfiguredPlace<'_>| slot.tier == tier && matches!(slot.found, PlaceContent::Known(..));
    let found: Vec<(usize, String)> =
        slots.iter().filter(known).filter_map(|slot| Some((slot.seat?, slot.place()))).collect();
    let told = found.iter().map(|(seat, place)| format!("{}/{seat} at {place}", tier.name()));
    (!found.is_sorted_by_key(|(seat, _)| *seat)).then(|| Vec::from_iter(told).join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::Root;
    use super::super::identity::{Formation, Identity, SetId};
    use super::super::roll::{Roll, RollEntry};
    use super::*;
    use crate::blob::Geometry;
    use crate::drive::DriveId;
    use crate::drive::simulated::SimulatedDrive;

    /// What is said when the configuration names the drives of these positions of six, of which those in `removed`
    /// were taken out.
    fn told(named: &[usize], removed: &[usize]) -> Option<String> {
        let mut members: Vec<RollEntry> = (0..6).map(|drive| RollEntry::serving(DriveId(drive))).collect();
        removed.iter().for_each(|position| members[*position].standing = Standing::Removed);
        let shape = Shape { tier: Tier::Hot, geometry: Geometry { k: 2, m: 1 }, members };
        let roots: Vec<Root> = named
            .iter()
            .map(|position| {
                let name = format!("bay {position}");
                Root::Open(SimulatedDrive::new(&name, *position as u64, &Default::default()).attach())
            })
            .collect();
        let mut slots = Vec::new();
        for (position, root) in roots.iter().enumerate() {
            let Root::Open(io) = root else { unreachable!() };
            let (set, drive) = (SetId(1), DriveId(named[position] as u128));
            let roll = Roll { revision: 1, tiers: vec![shape.clone()] };
            let identity = Identity { drive, set, formation: Formation::Begun, roll };
            let found = PlaceContent::Known(io.clone(), identity);
            slots.push(ConfiguredPlace { tier: Tier::Hot, position, root, found, seat: None });
        }
        take_seats(&mut slots, &shape);
        other_order(&slots, Tier::Hot)
    }

    #[test]
    fn only_another_order_is_worth_a_word() {
        assert_eq!(told(&[0, 1, 2, 3, 4, 5], &[]), None);
        assert_eq!(told(&[0, 2, 3, 5], &[1, 4]), None, "removed ones needn't be named");
        let swapped = told(&[0, 2, 1, 3, 4, 5], &[]).expect("two disks were swapped");
        assert!(swapped.starts_with("hot/0 at bay 0, hot/2 at bay 2, hot/1 at bay 1"), "{swapped}");
    }
}
