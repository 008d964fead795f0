//! What happens when tiers are nearly full: which objects leave a tier, and which tiers take no more.
//!
//! A tier whose drives are over [`HIGH_SHARE`] full is under pressure until they are under [`LOW_SHARE`]: the objects leave that
//! cost least to move out, by their regret. Full is measured by what clients may fill, without the reserve that every
//! device keeps free, since a tier refuses writes when only the reserve is left: on a small tier the reserve alone is
//! more than what the marks leave. Which these are is known from the walk before, which summed up the bytes
//! of each tier in bins of regret; the bound of each bin is half as much again as that of the one before, so a
//! million objects take as much memory as ten. A walk moves no more out of a tier than has to leave, however much is
//! in the last bin. A tier over [`HIGH_SHARE`] takes no objects that would only save money, so two full tiers don't send
//! objects to each other. A move between tiers on the same devices frees nothing, so such tiers count neither as full
//! for each other nor as a way out.

use super::Tiering;
use super::meet::tier_of_policy;
use crate::shown;
use std::collections::HashSet;
use std::fmt;
use stratum_storage::drive::{Devices, Space};
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

    /// The bytes of all objects that could leave the tier.
    fn bytes(&self) -> u64 {
        self.0.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
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

/// How full the drives of a tier are, in bytes, of what clients may fill: the reserve counts neither as used nor as
/// there.
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
    /// Adds a drive that has its part of a device together with `sharing - 1` others: `part` is its part of what is
    /// free there beside the reserve.
    fn add(&mut self, device: Space, sharing: u64, reserve: u64, part: u64) {
        let whole = device.total.saturating_sub(reserve) / sharing.max(1);
        self.used += whole.saturating_sub(part);
        self.total += whole;
    }

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
    /// Which tiers have a colder one on other devices that isn't full.
    has_way_out: PerTier<bool>,
    /// How many bytes a tier over [`LOW_SHARE`] would have to give up beyond those of all objects that could leave it:
    /// something else takes that room.
    beyond_objects: PerTier<u64>,
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
        let has_way_out = PerTier::of(|tier: Tier| {
            let takes =
                |colder: Tier| !full[colder] && rooms[colder].total > 0 && !rooms[tier].shared_with[colder];
            tier.colder().any(takes)
        });
        let excess = PerTier::of(|tier: Tier| {
            let room = &rooms[tier];
            let excess =
                room.used as f64 - LOW_SHARE * room.total as f64 - leaving[tier] as f64 * room.expansion;
            (excess / room.expansion.max(1.0)).max(0.0) as u64
        });
        let pressed = PerTier::of(|tier: Tier| {
            let room = &rooms[tier];
            let mark = if before.pressed[tier].is_some() { LOW_SHARE } else { HIGH_SHARE };
            if !room.is_over(mark) || !has_way_out[tier] {
                return None;
            }
            let bytes = excess[tier].min(regrets[tier].bytes());
            (bytes > 0).then(|| (regrets[tier].of_bytes(bytes), bytes))
        });
        let beyond_objects = PerTier::of(|tier| excess[tier].saturating_sub(regrets[tier].bytes()));
        let is_apart = PerTier::of(|tier| {
            let is_elsewhere =
                |other: Tier| other != tier && rooms[other].total > 0 && !rooms[tier].shared_with[other];
            Tier::ALL.into_iter().any(is_elsewhere)
        });
        let shared = PerTier::of(|tier| rooms[tier].shared_with);
        Pressures { pressed, full, has_way_out, beyond_objects, shared, is_apart }
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
    pub(super) fn notes(&self) -> Vec<(Tier, Note)> {
        // If all tiers are on the same devices, those are full, which the status tells elsewhere.
        let tiers = Tier::ALL.into_iter().filter(|tier| self.full[*tier] && self.is_apart[*tier]);
        tiers.map(|tier| (tier, self.note(tier))).collect()
    }

    fn note(&self, tier: Tier) -> Note {
        let beyond = self.beyond_objects[tier];
        match self.pressed[tier] {
            Some((_, bytes)) => Note::Leaving { bytes, beyond },
            None if !self.has_way_out[tier] => Note::NoWayOut,
            None if beyond > 0 => Note::OtherFiles,
            None => Note::OnTheWay,
        }
    }
}

/// What is told of a tier whose drives are over [`HIGH_SHARE`] full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// So many bytes of bodies are still to leave it, and all objects that could leave have `beyond` too few.
    Leaving { bytes: u64, beyond: u64 },
    /// What has to leave it is on its way.
    OnTheWay,
    /// It holds no object that could leave: something else takes the room.
    OtherFiles,
    /// No colder tier takes anything.
    NoWayOut,
}

impl Note {
    /// Whether both say the same, but for the numbers.
    pub(super) fn is_like(self, other: Note) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is over {:.0} % full", HIGH_SHARE * 100.0)?;
        match *self {
            Note::Leaving { bytes, beyond: 0 } => write!(f, ": {} more are to leave it", shown::bytes(bytes)),
            Note::Leaving { bytes, beyond } => write!(
                f,
                ": {} more are to leave it, which is all that can; {} beyond that are taken by objects that people keep there, \
                 or by other files on its drives",
                shown::bytes(bytes),
                shown::bytes(beyond)
            ),
            Note::OnTheWay => write!(f, "; what leaves it is on its way"),
            Note::OtherFiles => write!(
                f,
                ", and holds no object that could leave it: objects that people keep there, or other files on its drives, \
                 take the room"
            ),
            Note::NoWayOut => {
                write!(f, ", and no colder tier takes anything: nothing is moved into it to save money")
            }
        }
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
        let reserve = self.volumes.table.kept_free();
        PerTier::of(|tier| {
            let shared_with = PerTier::of(|other| other != tier && devices[other] == devices[tier]);
            let tier = tier_of_policy(tier);
            let (Some(roster), Some(geometry)) = (self.set.roster(tier), self.set.geometry(tier)) else {
                return Room::default();
            };
            let drives = roster.healthy();
            // If several drives are on one device, each counts for its part of it.
            let devices = Devices::of(&drives);
            let expansion = geometry.shards() as f64 / f64::from(geometry.k.max(1));
            let mut room = Room { used: 0, total: 0, expansion, shared_with };
            for drive in &drives {
                let Some(space) = devices.space_at(drive) else { continue };
                let sharing = drives.iter().filter(|other| other.domain() == drive.domain()).count() as u64;
                room.add(space, sharing, reserve, devices.part(drive, reserve));
            }
            room
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

    #[test]
    fn a_small_tier_is_pressed_before_only_the_reserve_is_left() {
        // Six drives on a device of 800 MB, of which 200 MB are kept free: with 190 MB left no client may write.
        let (reserve, total) = (200_000_000, 800_000_000);
        let used_with = |free: u64| {
            let mut room = Room { used: 0, total: 0, expansion: 1.5, shared_with: PerTier::default() };
            let part = free.saturating_sub(reserve) / 6;
            (0..6).for_each(|_| room.add(Space { free, total }, 6, reserve, part));
            room
        };
        let pressed = |free| {
            let rooms = PerTier { hot: used_with(free), warm: room(0), cold: room(0) };
            let mut regrets = PerTier::<Regrets>::default();
            regrets.hot.add(0.001, 300_000_000);
            Pressures::new(&Pressures::default(), &rooms, &regrets, &PerTier::default())
                .of(Tier::Hot)
                .is_some()
        };
        assert_eq!([190_000_000, 280_000_000, 300_000_000].map(pressed), [true, true, false]);
        // A device that is all reserve takes nothing, and is no tier under pressure.
        let mut none = used_with(0);
        none.add(Space { free: 0, total: 1_000 }, 1, 2_000, 0);
        assert_eq!(none.total, used_with(0).total);
    }

    #[test]
    fn what_other_files_take_is_not_to_leave() {
        let rooms = PerTier { hot: room(0), warm: room(950), cold: room(0) };
        let foreign = Pressures::new(&Pressures::default(), &rooms, &regrets(), &PerTier::default());
        assert_eq!(foreign.notes(), [(Tier::Warm, Note::OtherFiles)]);
        assert!(foreign.of(Tier::Warm).is_none());
        let rooms = PerTier { hot: room(980), warm: room(0), cold: room(0) };
        let mut few = PerTier::<Regrets>::default();
        few.hot.add(0.001, 20);
        let partly = Pressures::new(&Pressures::default(), &rooms, &few, &PerTier::default());
        // 180 bytes of the drives are 120 bytes of bodies.
        assert_eq!(partly.notes(), [(Tier::Hot, Note::Leaving { bytes: 20, beyond: 100 })]);
        let told = Note::Leaving { bytes: 10_532_864_547, beyond: 0 }.to_string();
        assert_eq!(told, "it is over 85 % full: 9.8 GiB more are to leave it");
    }
}
