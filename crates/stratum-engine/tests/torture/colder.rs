//! Warm and cold drives, in most stores. Objects are sent there and back by an operator's decisions. In each tier, as
//! many drives as it can do without are lost, rot, come back stale or are replaced.
//!
//! A decision lasts like everything that is acknowledged. When nothing happens any more and no drive is wrong, every
//! object is in its tier.

use crate::dice::Dice;
use crate::hardware::{Disk, Harm, Seat};
use crate::life::{Ended, Life};
use crate::mending::lacking;
use crate::remote;
use crate::run::Run;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stratum_bodies::Codecs;
use stratum_frames::{Compression, ZstdLevel};
use stratum_metadata::record::TierPin;
use stratum_metadata::{TIERS_SINCE, TierWish};
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::simulated::{Op, Power};
use stratum_storage::set::{Root, TierConfig};

/// The store of a seed has more than one tier unless the seed is a multiple of this: those seeds tell the stories
/// that they told before there were tiers.
const HOT_ALONE: u64 = 5;
/// Steps of a hundred that are about tiers, in stores that have several.
const OF_100_STEPS: u64 = 20;
/// How many times it is checked whether everything is in its tier, ten seconds apart: a body that couldn't be moved
/// is put off for ten minutes.
const WAIT: usize = 80;
/// How many times it is checked whether everything is whole again, five seconds apart.
const WAIT_TO_BE_WHOLE: usize = 24;

const SHAPES: [(u64, (usize, Geometry)); 4] = [
    (1, (3, Geometry { k: 2, m: 1 })),
    (2, (4, Geometry { k: 2, m: 1 })),
    (2, (5, Geometry { k: 3, m: 2 })),
    (1, (6, Geometry { k: 4, m: 2 })),
];

/// Whether the store of that seed has three tiers.
pub fn has_tiers(seed: u64) -> bool {
    !seed.is_multiple_of(HOT_ALONE)
}

/// The disks of a tier, each at the position of its number.
pub struct Shelf {
    pub tier: Tier,
    pub geometry: Geometry,
    pub disks: Vec<Disk>,
    /// The codec for bodies that are moved into the tier.
    pub codec: Option<Compression>,
}

impl Shelf {
    pub fn all(dice: &Dice, power: &Arc<Power>) -> Vec<Shelf> {
        let shelf = |tier: Tier| {
            let (count, geometry) = dice.weighted(&SHAPES);
            let device = |number: usize| 1_000 * (tier as u64 + 1) + number as u64;
            let disk = |number| Disk::new(tier, number, device(number), power, Seat::Serving);
            let zstd = Some(Compression::Zstd(ZstdLevel::FASTEST));
            let codec = [None, Some(Compression::Lz4), zstd][dice.within(0..3) as usize];
            Shelf { tier, geometry, disks: (0..count).map(disk).collect(), codec }
        };
        [Tier::Warm, Tier::Cold].map(shelf).into()
    }

    pub fn config(&self, away: &Path) -> TierConfig {
        let root = |(number, disk): (usize, &Disk)| match disk.away {
            true => Root::Path(away.join(format!("{}-{number}", self.tier.name()))),
            false => Root::Open(disk.drive.attach()),
        };
        let drives = self.disks.iter().enumerate().map(root).collect();
        TierConfig { tier: self.tier, geometry: self.geometry, drives }
    }

    /// A disk to be hurt: one that is hurt already, or one more.
    fn victim(&self, dice: &Dice, worn: bool) -> Option<usize> {
        let most = if worn { 0 } else { usize::from(self.geometry.m) };
        let lost: usize = self.disks.iter().map(|disk| usize::from(disk.is_lost()) + disk.lost_before).sum();
        let may = |at: &usize| {
            let disk = &self.disks[*at];
            !disk.away && lost + usize::from(!disk.is_lost()) <= most
        };
        let victims: Vec<usize> = (0..self.disks.len()).filter(may).collect();
        dice.pick(&victims).copied()
    }

    fn name(&self, at: usize) -> String {
        format!("{} drive {at}", self.tier.name())
    }

    /// What happens to its disks while the store is down.
    pub fn mischief(&mut self, dice: &Dice, worn: bool) -> Vec<String> {
        let mut told = Vec::new();
        if dice.percent(8)
            && let Some(at) = self.victim(dice, worn)
            && self.disks[at].return_stale()
        {
            told.push(format!("{} returns stale", self.name(at)));
        }
        if dice.percent(5)
            && let Some(at) = self.victim(dice, worn)
        {
            self.disks[at].drive.erase();
            self.disks[at].harm = Harm::Unknown;
            told.push(format!("{} is blank", self.name(at)));
        }
        if dice.percent(15) {
            told.extend(self.rot(dice, worn));
        }
        while dice.percent(25)
            && let Some(at) = self.victim(dice, worn)
        {
            self.disks[at].away = true;
            told.push(format!("{} is away", self.name(at)));
        }
        told
    }

    fn rot(&mut self, dice: &Dice, worn: bool) -> Option<String> {
        let at = self.victim(dice, worn)?;
        let rotten = self.disks[at].rot(dice, |_| true)?;
        Some(format!("{} {rotten}", self.name(at)))
    }

    fn fail_soon(&mut self, dice: &Dice, worn: bool) -> Option<String> {
        let at = self.victim(dice, worn)?;
        let op = dice.weighted(&[(3, Op::Write), (3, Op::Sync), (1, Op::Name), (2, Op::Read)]);
        let n = dice.magnitude(1..40);
        self.disks[at].fail_nth(op, n);
        Some(format!("{} fails its {n}th {op:?}", self.name(at)))
    }
}

/// What the tiers of that store code with.
pub fn codecs(shelves: &[Shelf]) -> Codecs {
    let of = |tier| shelves.iter().find(|shelf| shelf.tier == tier).and_then(|shelf| shelf.codec);
    Codecs { hot: None, warm: of(Tier::Warm), cold: of(Tier::Cold) }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Move,
    Pin,
    Unpin,
    Quiet,
    Fail,
    Rot,
    Remember,
    Replace,
    Full,
}

const STEPS: [(u64, Step); 9] = [
    (12, Step::Move),
    (3, Step::Pin),
    (2, Step::Unpin),
    (2, Step::Quiet),
    (2, Step::Fail),
    (1, Step::Rot),
    (1, Step::Remember),
    (2, Step::Replace),
    (1, Step::Full),
];

/// Sometimes does something that is about tiers; says what.
pub async fn perhaps_step(life: &mut Life<'_>) -> Option<String> {
    if life.hardware.colder.is_empty() || !life.dice.percent(OF_100_STEPS) {
        return None;
    }
    let (dice, worn) = (life.dice, life.hardware.worn);
    let step = dice.weighted(&STEPS);
    let shelf = dice.within(0..life.hardware.colder.len() as u64) as usize;
    let tier = dice.pick(&Tier::ALL).copied().unwrap_or(Tier::Hot);
    let told = match step {
        Step::Move => send_to(life, tier).await,
        Step::Pin => {
            let since = life.run.clock.now();
            let pin = TierPin { tier, by: "root".into(), since, until: None };
            decide(life, TierWish::Pin(pin), Some(tier)).await
        }
        Step::Unpin => decide(life, TierWish::Unpin, None).await,
        Step::Quiet => all_lies_where_it_belongs(life).await,
        Step::Fail => life.hardware.colder[shelf].fail_soon(dice, worn).unwrap_or_default(),
        Step::Rot => life.hardware.colder[shelf].rot(dice, worn).unwrap_or_default(),
        Step::Remember => {
            let disks = &mut life.hardware.colder[shelf].disks;
            let at = dice.within(0..disks.len() as u64) as usize;
            disks[at].snapshot = Some(disks[at].drive.snapshot());
            String::new()
        }
        Step::Replace => replace(life, shelf).await,
        Step::Full => full(life, shelf).await,
    };
    Some(format!("{step:?} {told}"))
}

/// Has a few objects go to a tier.
pub async fn send_to(life: &mut Life<'_>, tier: Tier) -> String {
    decide(life, TierWish::Move(tier), Some(tier)).await
}

/// Decides by hand about a few objects.
async fn decide(life: &mut Life<'_>, wish: TierWish, tier: Option<Tier>) -> String {
    if life.run.metadata.level() < TIERS_SINCE {
        return "is not known at this level".into();
    }
    let keys: BTreeSet<Vec<u8>> = (0..life.dice.within(1..12)).map(|_| life.key()).collect();
    let keys: Vec<_> =
        keys.into_iter().filter(|key| matches!(life.model.object(key).certain(), Some(Some(_)))).collect();
    let ended = life.persist("a decision", async |run: &Run| run.decide(&keys, &wish).await).await;
    for key in &keys {
        match (&ended, tier) {
            (Ended::Done, Some(tier)) => life.model.belongs(key, tier),
            (Ended::Down { maybe: true }, Some(tier)) => life.model.may_belong(key, tier),
            (Ended::Refused(refusal), _) => panic!("a decision is refused: {refusal:?}"),
            _ => {}
        }
    }
    format!("{} objects, {tier:?}", keys.len())
}

/// A tier is full for a while: what belongs there waits, and everything is read.
async fn full(life: &mut Life<'_>, shelf: usize) -> String {
    let (tier, left) = (life.hardware.colder[shelf].tier, life.dice.magnitude(1..2 << 20));
    for disk in &life.hardware.colder[shelf].disks {
        disk.drive.set_capacity(Some(disk.drive.used() + left));
    }
    let told = send_to(life, tier).await;
    tokio::time::sleep(Duration::from_secs(life.dice.within(1..40))).await;
    life.get().await;
    life.hardware.colder[shelf].disks.iter().for_each(|disk| disk.drive.set_capacity(None));
    format!("{} with {left} bytes left, {told}", tier.name())
}

/// A drive is taken out, a blank one is put in its place, and all that it held comes back.
async fn replace(life: &mut Life<'_>, shelf: usize) -> String {
    let worn = life.hardware.worn;
    let Some(at) = life.hardware.colder[shelf].victim(life.dice, worn) else { return String::new() };
    let (tier, name) = (life.hardware.colder[shelf].tier, life.hardware.colder[shelf].name(at));
    life.hardware.colder[shelf].disks[at].swap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    if let Err(error) = life.run.set.replace(tier, at, true, life.hardware.entropy.as_ref()) {
        assert!(life.is_down() || life.is_faulty(), "{name} can't be replaced: {error}");
        return format!("{name}: {error}");
    }
    life.run.set.repair();
    life.hardware.colder[shelf].disks[at].harm = Harm::None;
    let mut lacks = String::new();
    for _ in 0..WAIT_TO_BE_WHOLE {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if life.is_down() {
            return format!("{name}, then the store went down");
        }
        match lacking(life).await {
            None => {
                life.hardware.is_whole_again();
                return format!("{name}, and all is whole");
            }
            Some(lack) => lacks = lack.to_string(),
        }
    }
    let all_there = life.run.healthy() == life.hardware.count();
    assert!(!all_there || life.is_faulty(), "not whole again: {lacks}");
    format!("{name}; {lacks}")
}

/// Waits until nothing is to be moved any more; where nothing is wrong that must come.
pub async fn all_lies_where_it_belongs(life: &mut Life<'_>) -> String {
    let mut strays = Vec::new();
    for _ in 0..WAIT {
        tokio::time::sleep(Duration::from_secs(10)).await;
        if life.is_down() {
            return "then the store went down".into();
        }
        strays = life.model.objects.keys().filter_map(|key| life.run.stray(key)).collect();
        if strays.is_empty() {
            return "and all lies where it belongs".into();
        }
    }
    let is_excused =
        life.is_faulty() || life.run.healthy() < life.hardware.count() || remote::keeps_something(life);
    let status = life.run.reviews.status();
    assert!(is_excused, "objects don't come where they belong: {strays:?}, {status:?}");
    format!("and {} objects wait", strays.len())
}

/// What was decided of an object lasts.
pub fn check(life: &mut Life<'_>, key: &[u8]) {
    let Ok(record) = life.run.record(key) else { return };
    let found = record.and_then(|record| record.attributes.belongs_in(life.run.clock.now()));
    let open = life.model.tier(key);
    let name = String::from_utf8_lossy(key);
    assert!(open.allows(&found), "{name} belongs in {found:?}; it should be {open:?}");
    life.model.is_to_lie(key, found);
}
