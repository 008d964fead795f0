//! What happens when tiers are nearly full: which objects leave a tier, and which tiers take no more.
//!
//! A tier whose drives are over [`HIGH_SHARE`] full is under pressure until they are under [`LOW_SHARE`]: the objects leave that
//! cost least to move out, by their regret. Which these are is known from the walk before, which summed up the bytes
//! of each tier in bins of regret; the bound of each bin is half as much again as that of the one before, so a
//! million objects take as much memory as ten. A walk moves no more out of a tier than has to leave, however much is
//! in the last bin. A tier over [`HIGH_SHARE`] takes no objects that would only save money, so two full tiers don't send
//! objects to each other. A move between tiers on the same devices frees nothing, so such tiers count neither as full
//! for each other nor as a way out.

use super::Tiering;
use super::meet::tier_of_policy;
use std::collections::HashSet;
use stratum_storage::drive::Devices;
use stratum_tiering::policy::{Decision, Pressure, Rule};
use stratum_tiering::tier::{PerTier, Tier};

/// How full a tier's drives are, 0 to 1: above `HIGH_SHARE` the tier comes under pressure, until it is under `LOW_SHARE`.
const HIGH_SHARE: f64 = 0.85;
const LOW_SHARE: f64 = 0.80;

/// The bins of regret, in dollars a GB and month. The first holds objects that cost nothing to move out; the bound of
/// each other bin is half as much again as that of the one before.
const REGRET_BINS: usize = 64;
const LEAST_REGRET: f64 = 1e-7;
const BIN_GROWTH: f64 = 1.5;

/// The bytes in a tier, by the regret of their objects.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Regrets([u64; REGRET_BINS]);

impl Default for Regrets {
    fn default() -> Regrets {
        Regrets([0; REGRET_BINS])
    }
}

impl Regrets {
    /// Counts an object that could leave the tier.
    pub(super) fn add(&mut self, dollars: f64, bytes: u64) {
        let bin = if dollars <= LEAST_REGRET { 0.0 } else { (dollars / LEAST_REGRET).log(BIN_GROWTH).ceil() };
        if let Some(bin) = self.0.get_mut((bin as usize).min(REGRET_BINS - 1)) {
            *bin = bin.saturating_add(bytes);
        }
    }

    /// The least regret for which the objects with at most that regret have so many bytes; the highest one if all
    /// objects have fewer.
    fn of_bytes(&self, wanted: u64) -> f64 {
        let mut sum = 0u64;
        for (bin, bytes) in (0..).zip(self.0) {
            sum = sum.saturating_add(bytes);
            if sum >= wanted {
                return LEAST_REGRET * BIN_GROWTH.powi(bin);
            }
        }
        f64::INFINITY
    }
}

/// How full the drives of a tier are, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Room {
    pub(super) used: u64,
    pub(super) total: u64,
    /// How many bytes of the drives a byte of a body takes, with parity.
    pub(super) expansion: f64,
    /// Which tiers are on exactly the same devices.
    pub(super) shared_with: PerTier<bool>,
}

impl Room {
    fn is_over(&self, mark: f64) -> bool {
        self.used as f64 > mark * self.total as f64
    }
}

/// Which objects each tier must give up, and what it takes, until the next walk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pressures {
    /// For a tier under pressure: the regret up to which objects leave, and how many bytes of bodies must still
    /// leave.
    pressed: PerTier<Option<(f64, u64)>>,
    /// Which tiers are over [`HIGH_SHARE`].
    full: PerTier<bool>,
    /// For each tier: which tiers are on the same devices, and whether any tier is on others.
    shared: PerTier<PerTier<bool>>,
    is_apart: PerTier<bool>,
}

impl Pressures {
    /// Works out the pressures from how full the tiers are now, from the regrets that the last walk found, and from
    /// how many bytes are on their way out.
    pub(super) fn new(
        before: &Pressures,
        rooms: &PerTier<Room>,
        regrets: &PerTier<Regrets>,
        leaving: &PerTier<u64>,
    ) -> Pressures {
        let full = PerTier::of(|tier| rooms[tier].is_over(HIGH_SHARE));
        let pressed = PerTier::of(|tier: Tier| {
            let room = &rooms[tier];
            let mark = if before.pressed[tier].is_some() { LOW_SHARE } else { HIGH_SHARE };
            let takes =
                |colder: &Tier| !full[*colder] && rooms[*colder].total > 0 && !room.shared_with[*colder];
            let has_where = tier.colder().any(|colder| takes(&colder));
            if !room.is_over(mark) || !has_where {
                return None;
            }
            let excess =
                room.used as f64 - LOW_SHARE * room.total as f64 - leaving[tier] as f64 * room.expansion;
            let bytes = (excess / room.expansion.max(1.0)).max(0.0) as u64;
            (bytes > 0).then(|| (regrets[tier].of_bytes(bytes), bytes))
        });
        let is_apart = PerTier::of(|tier| {
            let is_elsewhere =
                |other: Tier| other != tier && rooms[other].total > 0 && !rooms[tier].shared_with[other];
            Tier::ALL.into_iter().any(is_elsewhere)
        });
        Pressures { pressed, full, shared: PerTier::of(|tier| rooms[tier].shared_with), is_apart }
    }

    /// The pressure on the objects of a tier, if any.
    pub(super) fn of(&self, tier: Tier) -> Option<Pressure> {
        let (regret, bytes) = self.pressed[tier]?;
        let full = tier.colder().find(|colder| self.full[*colder] || self.shared[tier][*colder]);
        (bytes > 0).then_some(Pressure { regret, full })
    }

    /// Whether a decision may be carried out: a move that only saves money doesn't go to a full tier.
    pub(super) fn lets(&self, decision: &Decision) -> bool {
        let (from, to) = (decision.terms.tier, decision.tier);
        let only_saves = matches!(decision.by, Rule::Visit | Rule::Model);
        !(only_saves && from != to && self.full[to] && !self.shared[from][to])
    }

    /// Counts an object that is to leave its tier.
    pub(super) fn left(&mut self, tier: Tier, size: u64) {
        if let Some((_, bytes)) = &mut self.pressed[tier] {
            *bytes = bytes.saturating_sub(size);
        }
    }

    /// What an operator should know about each tier that is over the mark.
    pub(super) fn notes(&self) -> Vec<(Tier, String)> {
        let note = |tier: Tier| {
            // If all tiers are on the same devices, those are full, which the status tells elsewhere.
            (self.full[tier] && self.is_apart[tier]).then(|| {
                let note = match (self.pressed[tier], tier.colder().any(|colder| !self.full[colder])) {
                    (Some((_, bytes)), _) => format!("it is over {:.0} % full: {bytes} bytes more are to leave it", HIGH_SHARE * 100.0),
                    (None, true) => format!("it is over {:.0} % full; what leaves it is on its way", HIGH_SHARE * 100.0),
                    (None, false) => format!(
                        "it is over {:.0} % full, and so are the colder ones: nothing is moved into it to save money",
                        HIGH_SHARE * 100.0
                    ),
                };
                (tier, note)
            })
        };
        Tier::ALL.into_iter().filter_map(note).collect()
    }
}

impl Tiering {
    /// How full the drives of each tier are. Asks every device.
    pub(super) fn rooms(&self) -> PerTier<Room> {
        let devices = PerTier::of(|tier| {
            let roster = self.set.roster(tier_of_policy(tier));
            let drives = roster.map(|roster| roster.healthy()).unwrap_or_default();
            drives.iter().map(|drive| drive.domain()).collect::<HashSet<_>>()
        });
        PerTier::of(|tier| {
            let shared_with = PerTier::of(|other| other != tier && devices[other] == devices[tier]);
            let tier = tier_of_policy(tier);
            let (Some(roster), Some(geometry)) = (self.set.roster(tier), self.set.geometry(tier)) else {
                return Room::default();
            };
            let drives = roster.healthy();
            // If several drives are on one device, each counts for its part of it.
            let devices = Devices::of(&drives);
            let (mut used, mut total) = (0, 0);
            for drive in &drives {
                let Some(space) = devices.space_at(drive) else { continue };
                let sharing = drives.iter().filter(|other| other.domain() == drive.domain()).count() as u64;
                let (part, whole) = (devices.part(drive, 0), space.total / sharing.max(1));
                used += whole.saturating_sub(part);
                total += whole;
            }
            let expansion = geometry.shards() as f64 / f64::from(geometry.k.max(1));
            Room { used, total, expansion, shared_with }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(used: u64) -> Room {
        Room { used, total: 1_000, expansion: 1.5, shared_with: PerTier::default() }
    }

    fn regrets() -> PerTier<Regrets> {
        let mut regrets = PerTier::<Regrets>::default();
        regrets.hot.add(-0.01, 40);
        regrets.hot.add(0.001, 40);
        regrets.hot.add(1.0, 400);
        regrets
    }

    fn pressures(before: &Pressures, used: [u64; 3]) -> Pressures {
        let [hot, warm, cold] = used.map(room);
        Pressures::new(before, &PerTier { hot, warm, cold }, &regrets(), &PerTier::default())
    }

    #[test]
    fn a_tier_is_pressed_from_the_high_mark_until_it_is_under_the_low_one() {
        let none = Pressures::default();
        assert_eq!(pressures(&none, [850, 0, 0]).of(Tier::Hot), None);
        let pressed = pressures(&none, [860, 0, 0]);
        let pressure = pressed.of(Tier::Hot).unwrap();
        // 60 bytes of the drives are 40 bytes of bodies, and those have no regret.
        assert!(pressure.regret <= LEAST_REGRET && pressure.full.is_none(), "{pressure:?}");
        let more = pressures(&none, [920, 0, 0]).of(Tier::Hot).unwrap();
        assert!((0.001..0.0015).contains(&more.regret), "{more:?}");
        assert!(pressures(&pressed, [810, 0, 0]).of(Tier::Hot).is_some());
        assert_eq!(pressures(&pressed, [800, 0, 0]).of(Tier::Hot), None);
    }

    #[test]
    fn no_more_bytes_leave_than_have_to() {
        let mut pressed = pressures(&Pressures::default(), [860, 0, 0]);
        pressed.left(Tier::Hot, 39);
        assert!(pressed.of(Tier::Hot).is_some());
        pressed.left(Tier::Hot, 39);
        assert_eq!(pressed.of(Tier::Hot), None);
        // Bytes on their way out count as gone.
        let leaving = PerTier { hot: 40, ..PerTier::default() };
        let rooms = PerTier { hot: room(860), warm: room(0), cold: room(0) };
        assert_eq!(Pressures::new(&Pressures::default(), &rooms, &regrets(), &leaving).of(Tier::Hot), None);
    }

    #[test]
    fn tiers_on_the_same_devices_have_no_room_to_give_each_other() {
        let all = PerTier { hot: true, warm: true, cold: true };
        let room = Room { shared_with: all, ..room(900) };
        let rooms = PerTier { hot: room, warm: room, cold: room };
        let pressures = Pressures::new(&Pressures::default(), &rooms, &regrets(), &PerTier::default());
        assert_eq!(pressures.of(Tier::Hot), None);
        assert!(pressures.shared.hot.cold && pressures.notes().is_empty());
    }

    #[test]
    fn full_tiers_send_nothing_to_each_other() {
        let none = Pressures::default();
        assert_eq!(pressures(&none, [900, 0, 900]).of(Tier::Hot).unwrap().full, Some(Tier::Cold));
        let all = pressures(&none, [900, 900, 900]);
        assert!(Tier::ALL.into_iter().all(|tier| all.of(tier).is_none()), "{all:?}");
        assert_eq!(all.notes().len(), 3);
    }
}
