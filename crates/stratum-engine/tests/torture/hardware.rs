//! The machine: drives that can be hurt, power that can fail, and the folder of the index.
//!
//! Misfortune stays within what the store promises to survive: at any time at most `m` drives are *hurt* (they may
//! lack bytes or hold wrong ones, which has not been repaired yet) or *away*. The index may be lost at any time,
//! since it need not last.
//! none of the things that must last.

use crate::colder::Shelf;
use crate::dice::Dice;
use crate::disaster::Backup;
use crate::remote::RemoteStore;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::record::Level;
use stratum_storage::ambient::Simulated;
use stratum_storage::blob::{Geometry, Tier};
use stratum_storage::drive::simulated::{Op, Power, SimulatedDrive, Snapshot};
use stratum_storage::drive::{Drive, OpenHow, Threads};
use stratum_storage::remote::ObjectStore;
use stratum_storage::scrub::ScrubCursor;
use stratum_storage::set::{DriveState, Root, Set, SetConfig, TierConfig};
use tracing_mutex::parkinglot::Mutex;

/// The part that a disk has in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    Serving,
    /// Being drained.
    Leaving,
    /// It was being added when the power failed, and nobody knows yet whether it was.
    Doubtful,
    /// Taken out for good: neither plugged in nor in the configuration.
    Out,
}

/// How many milliseconds an index may take to close.
const PATIENCE: u32 = 2_000;

/// What a disk may lack since something happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    None,
    /// An operation failed: the store knows what the disk lacks, and repairs it by itself.
    Missed,
    /// It may lack anything and hold anything: only reading all of it shows what.
    Unknown,
}

/// A disk, at the position of its number.
pub struct Disk {
    pub drive: Arc<SimulatedDrive>,
    pub seat: Seat,
    pub harm: Harm,
    /// Drives that were at this position before, and whose content has not been restored completely.
    pub lost_before: usize,
    pub away: bool,
    /// Whether an operation is still to fail.
    pub armed: bool,
    pub snapshot: Option<Snapshot>,
}

impl Disk {
    pub fn new(tier: Tier, number: usize, device: u64, power: &Arc<Power>, seat: Seat) -> Disk {
        let drive = SimulatedDrive::new(&format!("{}/{number}", tier.name()), device, power);
        Disk { drive, seat, harm: Harm::None, lost_before: 0, away: false, armed: false, snapshot: None }
    }

    /// Whether it belongs to the set, as far as is known.
    pub fn is_in(&self) -> bool {
        matches!(self.seat, Seat::Serving | Seat::Leaving)
    }

    /// Whether it may lack something.
    pub fn is_hurt(&self) -> bool {
        self.harm > Harm::None
    }

    /// Takes the disk away, with whatever it holds.
    pub fn take_out(&mut self) {
        self.seat = Seat::Out;
        (self.harm, self.away) = (Harm::None, false);
        self.drive.erase();
        self.calm();
    }

    /// Whether the store must do without it, or may have to.
    pub fn is_lost(&self) -> bool {
        self.is_hurt() || self.away
    }

    /// Puts a blank disk in its place, which doesn't belong to the set yet.
    pub fn swap(&mut self) {
        self.lost_before += 1;
        self.harm = Harm::Unknown;
        self.drive.erase();
        self.calm();
    }

    /// Makes the n-th operation of a kind fail, once.
    pub fn fail_nth(&mut self, op: Op, n: u64) {
        (self.harm, self.armed) = (self.harm.max(Harm::Missed), true);
        self.drive.fail_nth(op, n);
    }

    /// Restores what the disk held when it was last remembered.
    pub fn return_stale(&mut self) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        self.drive.rollback(snapshot);
        self.harm = Harm::Unknown;
        true
    }

    /// Damages some file: flips a bit, cuts it or removes it. Returns what it did.
    pub fn rot(&mut self, dice: &Dice, keep: impl Fn(&String) -> bool) -> Option<String> {
        let files: Vec<String> = self.drive.files().into_iter().filter(keep).collect();
        let path = dice.pick(&files)?;
        self.harm = Harm::Unknown;
        let io = self.drive.attach();
        let file = io.open(path, OpenHow::Write).ok()?;
        let len = file.len().ok()?;
        let how = dice.within(0..10);
        if how == 0 {
            io.remove(path).ok()?;
            io.sync_dir(path.rsplit_once('/').map_or("", |(parent, _)| parent)).ok()?;
            return Some(format!("lost {path}"));
        }
        if len == 0 {
            return None;
        }
        if how == 1 {
            let kept = dice.within(0..len);
            file.set_len(kept).and_then(|()| file.sync()).ok()?;
            return Some(format!("cut {path} from {len} to {kept} bytes"));
        }
        // The beginning of a file identifies it, so it is hit as often as all the rest.
        let reach = if dice.percent(50) { len.min(16 << 10) } else { len };
        let bit = dice.within(0..reach * 8);
        self.drive.flip_bit(path, bit).ok()?;
        Some(format!("flipped bit {bit} of {path}"))
    }

    /// Cancels the failures that are still to come.
    fn calm(&mut self) {
        self.armed = false;
        for op in [Op::Read, Op::Write, Op::Sync, Op::Name] {
            self.drive.fail_nth(op, u64::MAX);
        }
    }
}

pub struct Hardware {
    pub geometry: Geometry,
    /// The disks of the hot tier.
    pub disks: Vec<Disk>,
    /// The other tiers, in some stores.
    pub colder: Vec<Shelf>,
    /// The remote store for cold volumes, in some of those.
    pub remote: Option<RemoteStore>,
    pub power: Arc<Power>,
    pub entropy: Arc<Simulated>,
    /// Whether the set was formed: from then on drives may be missing.
    pub formed: bool,
    /// The wall clock, in milliseconds.
    pub now: u64,
    /// How far scrub has come, which is kept beside the index.
    pub scrub: Arc<Mutex<ScrubCursor>>,
    /// Whether the store was restored: then no drive may be lost before all of it has been checked.
    pub worn: bool,
    /// The last backup that was taken.
    pub backup: Option<Backup>,
    /// The level at which the store begins.
    pub first_level: Level,
    shared: bool,
    plugged: usize,
    folder: tempfile::TempDir,
}

/// The number of drives and the geometry. Some sets are so small that they can't start without `m` of their drives.
const SHAPES: [(u64, (usize, Geometry)); 7] = [
    (1, (1, Geometry { k: 1, m: 0 })),
    (1, (2, Geometry { k: 1, m: 1 })),
    (4, (3, Geometry { k: 2, m: 1 })),
    (1, (4, Geometry { k: 2, m: 2 })),
    (4, (5, Geometry { k: 3, m: 2 })),
    (5, (6, Geometry { k: 4, m: 2 })),
    (1, (8, Geometry { k: 4, m: 3 })),
];

impl Hardware {
    pub fn new(dice: &Dice, first_level: Level, is_tiered: bool, has_remote: bool) -> Hardware {
        let (count, geometry) = dice.weighted(&SHAPES);
        let power = Arc::new(Power::default());
        // Usually each drive has its own device; sometimes all are on one.
        let shared = dice.percent(20);
        let device = |number: usize| if shared { 1 } else { number as u64 };
        let disk = |number: usize| Disk::new(Tier::Hot, number, device(number), &power, Seat::Serving);
        let entropy = Arc::new(Simulated::new(0, dice.number()));
        let colder = if is_tiered { Shelf::all(dice, &power) } else { Vec::new() };
        Hardware {
            geometry,
            disks: (0..count).map(disk).collect(),
            power: power.clone(),
            colder,
            remote: has_remote.then(|| RemoteStore::new(&power)),
            entropy,
            formed: false,
            now: 1_700_000_000_000,
            scrub: Arc::default(),
            worn: false,
            backup: None,
            first_level,
            shared,
            plugged: 0,
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// The index's folder, once nobody has it open any more. Its own threads may close it later than the store, and a
    /// start that finds it locked would rebuild it, which would make another story.
    pub fn index(&self) -> PathBuf {
        let index = self.folder.path().join("index");
        for file in files_below(&index).into_iter().filter(|path| path.ends_with("db")) {
            let Ok(file) = File::open(file) else { continue };
            let mut looks = 0;
            while file.try_lock().is_err() && looks < PATIENCE {
                looks += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        index
    }

    /// The remote store as a configuration names it, at the present time.
    pub fn remote_store(&self) -> Option<Arc<dyn ObjectStore>> {
        let store = &self.remote.as_ref()?.store;
        store.set_time(self.now);
        Some(Arc::new(store.clone()))
    }

    /// The set as a configuration names it. Drives do their work on the calling thread.
    pub fn config(&self) -> SetConfig {
        let named = self.disks.iter().enumerate().filter(|(_, disk)| disk.seat != Seat::Out);
        let root = |(number, disk): (usize, &Disk)| match disk.away {
            true => Root::Path(self.folder.path().join(format!("away/{number}"))),
            false => Root::Open(disk.drive.attach()),
        };
        let drives: Vec<Root> = named.map(root).collect();
        // After drives were taken out, a configuration without a geometry gets the one that follows from their
        // number.
        let fits = self.geometry.shards() <= drives.len();
        let geometry = if fits { self.geometry } else { Geometry::for_drives(drives.len()) };
        let tier = TierConfig { tier: Tier::Hot, geometry, drives };
        let away = self.folder.path().join("away");
        let tiers = [tier].into_iter().chain(self.colder.iter().map(|shelf| shelf.config(&away)));
        SetConfig { tiers: tiers.collect(), threads: Threads::Caller }
    }

    /// Plugs in one more disk, which the configuration names from now on. It is the one that was to be added before,
    /// if that is still in doubt. Returns its position.
    pub fn plug_in(&mut self) -> usize {
        let number = self.disks.len();
        match self.doubtful() {
            Some(at) => at,
            None => {
                // Its folder has a new name: one that was used before may be that of a drive that was taken out.
                self.plugged += 1;
                let name = number + 100 * self.plugged;
                let device = if self.shared { 1 } else { name as u64 };
                self.disks.push(Disk::new(Tier::Hot, name, device, &self.power, Seat::Doubtful));
                number
            }
        }
    }

    /// Whether it isn't known which disks the set has.
    pub fn is_changing(&self) -> bool {
        self.doubtful().is_some()
    }

    fn doubtful(&self) -> Option<usize> {
        self.disks.iter().position(|disk| disk.seat == Seat::Doubtful)
    }

    /// Unplugs the disk that was to be added, since the set doesn't know it; returns it if there was one.
    pub fn unplug(&mut self) -> Option<Disk> {
        self.doubtful()?;
        self.disks.pop()
    }

    /// Settles what was in doubt by what a set that serves says of its drives.
    pub fn learn(&mut self, set: &Set) {
        let mut known = 0;
        for slot in set.slots().into_iter().filter(|slot| slot.tier == Tier::Hot) {
            known = known.max(slot.position + 1);
            let Some(disk) = self.disks.get_mut(slot.position) else { continue };
            match slot.state {
                DriveState::Removed => disk.take_out(),
                _ if slot.drive.is_some_and(|drive| drive.is_draining()) => disk.seat = Seat::Leaving,
                _ => disk.seat = Seat::Serving,
            }
        }
        self.disks.truncate(known);
    }

    /// How many disks the set has.
    pub fn count(&self) -> usize {
        self.all().filter(|disk| disk.is_in()).count()
    }

    /// The disks of all tiers.
    pub fn all(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().chain(self.colder.iter().flat_map(|shelf| &shelf.disks))
    }

    /// The disk on which a drive of the set is.
    pub fn disk(&self, drive: &Drive) -> &Disk {
        let shelf = self.colder.iter().find(|shelf| shelf.tier == drive.tier());
        let disks = shelf.map_or(&self.disks, |shelf| &shelf.disks);
        &disks[usize::from(drive.position())]
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Disk> {
        self.disks.iter_mut().chain(self.colder.iter_mut().flat_map(|shelf| &mut shelf.disks))
    }

    /// How many more drives may be lost.
    pub fn spare(&self) -> usize {
        self.may_be_lost().saturating_sub(self.lost_with(&[]))
    }

    /// Whether the store can do without these disks, too. One that is hurt counts already; but if it came in place of
    /// a drive whose content isn't restored yet, the set may know both, and lacks two.
    pub fn may_lose(&self, disks: &[usize]) -> bool {
        self.lost_with(disks) <= self.may_be_lost()
    }

    fn may_be_lost(&self) -> usize {
        if self.worn { 0 } else { usize::from(self.geometry.m) }
    }

    /// How many drives are lost if these disks are.
    fn lost_with(&self, disks: &[usize]) -> usize {
        let is_lost = |at: usize, disk: &Disk| disk.is_hurt() || disk.away || disks.contains(&at);
        let lost = |(at, disk): (usize, &Disk)| usize::from(is_lost(at, disk)) + disk.lost_before;
        self.disks.iter().enumerate().map(lost).sum()
    }

    /// Whether the store can't start without `m` of its drives, and waits until they are back.
    pub fn is_small(&self) -> bool {
        // If drives are being drained, the journal may have removed a lost one from its members already.
        let leave = self.disks.iter().any(|disk| matches!(disk.seat, Seat::Leaving | Seat::Out));
        let stays = |disk: &&Disk| disk.seat == Seat::Serving && !(leave && (disk.is_hurt() || disk.away));
        self.disks.iter().filter(stays).count() <= 2 * usize::from(self.geometry.m)
    }

    /// Whether a drive is away, or may lack something.
    pub fn is_lacking(&self) -> bool {
        self.disks.iter().any(|disk| disk.away || disk.is_hurt())
    }

    /// A drive to be hurt: one that is hurt already, or one more.
    pub fn victim(&self, dice: &Dice) -> Option<usize> {
        let is_there = |at: usize| self.disks[at].is_in() && !self.disks[at].away;
        let may = |at: &usize| self.formed && is_there(*at) && self.may_lose(&[*at]);
        let victims: Vec<usize> = (0..self.disks.len()).filter(may).collect();
        dice.pick(&victims).copied()
    }

    /// Turns the power on again: each drive decides what became of writes that it had not synced.
    pub fn power_cycle(&self, dice: &Dice) {
        let seed = dice.number();
        self.all().for_each(|disk| disk.drive.crash(seed));
        self.power.restore();
    }

    /// Ends the process, and with it all its open files.
    pub fn kill(&self) {
        self.all().for_each(|disk| disk.drive.kill());
    }

    /// Makes an operation of some kind fail on a drive, once, soon.
    pub fn fail_soon(&mut self, dice: &Dice) -> Option<String> {
        let at = self.victim(dice)?;
        let op = dice.weighted(&[(3, Op::Write), (3, Op::Sync), (1, Op::Name), (2, Op::Read)]);
        Some(self.fail_nth(at, op, dice.magnitude(1..60)))
    }

    /// Makes a write or sync fail on a drive, very soon.
    pub fn miss_soon(&mut self, dice: &Dice) -> Option<String> {
        let at = self.victim(dice)?;
        let op = dice.weighted(&[(1, Op::Write), (1, Op::Sync)]);
        Some(self.fail_nth(at, op, dice.within(1..8)))
    }

    fn fail_nth(&mut self, at: usize, op: Op, n: u64) -> String {
        self.disks[at].fail_nth(op, n);
        format!("drive {at} fails its {n}th {op:?}")
    }

    /// Brings every drive back, with whatever it holds.
    pub fn all_return(&mut self) {
        self.all_mut().for_each(|disk| disk.away = false);
    }

    /// Brings every drive back, without faults, and the remote store, too.
    pub fn all_well(&mut self) {
        self.all_return();
        self.calm();
        self.remote.iter().for_each(RemoteStore::well);
    }

    /// Cancels all failures that are still to come.
    pub fn calm(&mut self) {
        self.all_mut().for_each(Disk::calm);
        self.remote.iter().for_each(|remote| remote.store.calm());
    }

    /// Takes a drive out, and puts a blank one in its place, which doesn't belong to the set yet.
    pub fn swap(&mut self, at: usize) {
        self.disks[at].swap();
    }

    /// Records that everything that was ever acknowledged is again on all drives on which it should be.
    pub fn is_whole_again(&mut self) {
        self.worn = false;
        self.all_mut().for_each(|disk| disk.lost_before = 0);
    }

    /// Records that, besides, no drive holds anything wrong, or will.
    pub fn is_sound_again(&mut self) {
        self.is_whole_again();
        let sound = |disk: &&mut Disk| !disk.armed && !disk.away;
        self.all_mut().filter(sound).for_each(|disk| disk.harm = Harm::None);
    }

    /// Whether the store knows by itself what its drives lack.
    pub fn is_known_to_lack(&self) -> bool {
        let is_known = |disk: &Disk| disk.harm <= Harm::Missed && !disk.away && disk.lost_before == 0;
        !self.worn && self.all().any(Disk::is_hurt) && self.all().all(is_known)
    }

    /// Whether an operation is still to fail.
    pub fn is_armed(&self) -> bool {
        self.all().any(|disk| disk.armed)
    }

    /// Damages some file of some drive: flips a bit, cuts it or removes it.
    pub fn rot(&mut self, dice: &Dice) -> Option<String> {
        let at = self.victim(dice)?;
        let small = self.is_small();
        // A small set that loses both files of an identity has lost the drive, and would wait for it for ever.
        let rotten = self.disks[at].rot(dice, |path| !(small && path == "identity"))?;
        Some(format!("drive {at} {rotten}"))
    }

    /// Removes the journal and the checkpoints from all drives, and the index.
    pub fn lose_all_but_volumes(&self) {
        for disk in &self.disks {
            let io = disk.drive.attach();
            for folder in ["journal", "checkpoint"] {
                for entry in io.list(folder).unwrap_or_default() {
                    io.remove(&format!("{folder}/{}", entry.name))
                        .expect("a drive that does what it is told");
                }
                // This makes earlier removals durable, too. Some drives have no such folder.
                let _ = io.sync_dir(folder);
            }
        }
        let _ = std::fs::remove_dir_all(self.index());
    }

    /// Remembers what a drive holds now, to bring it back stale later.
    pub fn remember(&mut self, dice: &Dice) {
        let at = dice.within(0..self.disks.len() as u64) as usize;
        self.disks[at].snapshot = Some(self.disks[at].drive.snapshot());
    }

    /// What happens to the drives while the store is down.
    pub fn mischief(&mut self, dice: &Dice) -> Vec<String> {
        let mut told = Vec::new();
        self.all_return();
        if !self.formed {
            return told;
        }
        if dice.percent(12) {
            told.extend(self.return_stale(dice));
        }
        if dice.percent(5) && !self.is_small() {
            told.extend(self.erase(dice));
        }
        for _ in 0..if dice.percent(25) { dice.within(1..4) } else { 0 } {
            told.extend(self.rot(dice));
        }
        while dice.percent(35) && self.spare() > 0 {
            let at = dice.within(0..self.disks.len() as u64) as usize;
            // A drive that is hurt counts already, so it may be missing as well.
            if self.disks[at].is_in() {
                self.disks[at].away = true;
                told.push(format!("drive {at} is away"));
            }
        }
        let worn = self.worn;
        told.extend(self.colder.iter_mut().flat_map(|shelf| shelf.mischief(dice, worn)));
        told.extend(self.remote.iter_mut().flat_map(|remote| remote.mischief(dice)));
        told.extend(self.meddle_with_index(dice));
        told
    }

    fn return_stale(&mut self, dice: &Dice) -> Option<String> {
        let at = self.victim(dice)?;
        self.disks[at].return_stale().then(|| format!("drive {at} returns stale"))
    }

    fn erase(&mut self, dice: &Dice) -> Option<String> {
        let at = self.victim(dice)?;
        self.disks[at].drive.erase();
        self.disks[at].harm = Harm::Unknown;
        Some(format!("drive {at} is blank"))
    }

    /// The index is kept, lost, damaged, or replaced by an older copy.
    fn meddle_with_index(&self, dice: &Dice) -> Option<String> {
        let (index, older) = (self.index(), self.folder.path().join("older"));
        let fate = match dice.within(0..10) {
            0 => {
                let _ = std::fs::remove_dir_all(&index);
                "the index is lost"
            }
            1 => {
                // The index's own threads decide how long its files are, so the numbers that are rolled for them must
                // not be taken from the story's dice.
                damage(&index, &Dice::new(dice.number()));
                "the index is damaged"
            }
            2 if older.is_dir() => {
                let _ = std::fs::remove_dir_all(&index);
                copy(&older, &index);
                "the index is an older one"
            }
            3 => {
                let _ = std::fs::remove_dir_all(&older);
                copy(&index, &older);
                return None;
            }
            _ => return None,
        };
        Some(fate.to_owned())
    }
}

/// Every file below a folder, in order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let Ok(inside) = file.strip_prefix(from) else { continue };
        let target = to.join(inside);
        if let Some(parent) = target.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        let _ = std::fs::copy(&file, target);
    }
}

fn damage(index: &Path, dice: &Dice) {
    let files = files_below(index);
    let Some(path) = dice.pick(&files) else { return };
    let Ok(mut bytes) = std::fs::read(path) else { return };
    if dice.percent(30) {
        bytes.truncate(dice.within(0..bytes.len() as u64 + 1) as usize);
    }
    for _ in 0..dice.within(1..20) {
        if !bytes.is_empty() {
            let at = dice.within(0..bytes.len() as u64) as usize;
            bytes[at] ^= 1 << dice.within(0..8);
        }
    }
    let _ = std::fs::write(path, bytes);
}
