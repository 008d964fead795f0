//! Fault injection: a real drive whose operations fail, lie or dawdle when a plan says so.
//!
//! Only in builds with the feature `faults`, which no release has. The plan is installed once, before the drives are
//! opened; each drive that it names is wrapped from then on, below everything that watches it.

use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space, Way};
use serde::Deserialize;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What goes wrong, and when.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

/// One misfortune. Each drive that it names counts its own calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `hot/0`, the drive's path, or `*`.
    pub drive: String,
    pub operation: Operation,
    /// Only calls made while the store serves count: what a start does varies with the drives that it chooses.
    #[serde(default)]
    pub serving: bool,
    /// How many calls go well before.
    #[serde(default)]
    pub after: u64,
    /// Of the calls that follow, each how-manieth is hit: 1 for all of them.
    #[serde(default = "one")]
    pub every: u64,
    /// How often at most; without it, for ever.
    pub times: Option<u64>,
    pub error: Option<Failure>,
    /// How long a call takes before it does or fails what was asked, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// The number of the device that the drive is said to lie on, so that folders of one disk count as several disks.
    pub device: Option<u64>,
    /// Of [`Operation::Grow`]: how many bytes the drive takes beyond those that it holds when it is opened. It
    /// reports them as its size, and refuses what is beyond.
    pub bytes: Option<u64>,
}

fn one() -> u64 {
    1
}

/// What a drive is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Read,
    Write,
    /// Of a file or of a directory.
    Sync,
    Open,
    List,
    Rename,
    Remove,
    Mkdir,
    Truncate,
    Allocate,
    Punch,
    /// Whatever makes a file longer, which takes space: see [`Fault::bytes`]. Not a call of its own, so it isn't
    /// counted.
    Grow,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Failure {
    #[serde(rename = "EIO")]
    Io,
    #[serde(rename = "ENOSPC")]
    NoSpace,
    #[serde(rename = "EROFS")]
    ReadOnly,
    /// The thread that asks panics.
    #[serde(rename = "panic")]
    Panic,
    /// A read or a write goes well, with one bit turned over.
    #[serde(rename = "flip")]
    Flip,
}

static PLAN: OnceLock<FaultPlan> = OnceLock::new();
static SERVES: AtomicBool = AtomicBool::new(false);

/// Makes the plan count for every drive that is opened from now on; the first plan that is installed stays.
pub fn install(plan: FaultPlan) {
    let _ = PLAN.set(plan);
}

/// The start is over: see [`Fault::serving`].
pub fn serves() {
    SERVES.store(true, Ordering::Relaxed);
}

/// The drive as the installed plan wants it.
#[cfg(feature = "faults")]
pub(super) fn wrap(label: &str, io: Arc<dyn DriveIo>) -> Arc<dyn DriveIo> {
    match PLAN.get() {
        Some(plan) => under(plan, label, io),
        None => io,
    }
}

/// The drive as that plan wants it.
pub(super) fn under(plan: &FaultPlan, label: &str, io: Arc<dyn DriveIo>) -> Arc<dyn DriveIo> {
    let named = |fault: &&Fault| fault.drive == "*" || fault.drive == label || fault.drive == io.describe();
    let faults: Vec<Planned> = plan.faults.iter().filter(named).cloned().map(Planned::new).collect();
    match faults.is_empty() {
        true => io,
        false => Arc::new(FaultyDrive { io, fate: Arc::new(DrivePlan::new(faults)) }),
    }
}

/// A fault and how far it has come on one drive.
#[derive(Debug)]
struct Planned {
    fault: Fault,
    calls: AtomicU64,
}

impl Planned {
    fn new(fault: Fault) -> Planned {
        Planned { fault, calls: AtomicU64::new(0) }
    }

    /// Whether this call is hit.
    fn strikes(&self) -> bool {
        if self.fault.serving && !SERVES.load(Ordering::Relaxed) {
            return false;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let Some(since) = call.checked_sub(self.fault.after) else { return false };
        let every = self.fault.every.max(1);
        (since + 1).is_multiple_of(every) && self.fault.times.is_none_or(|times| since / every < times)
    }
}

/// What is planned for one drive.
#[derive(Debug)]
struct DrivePlan {
    faults: Vec<Planned>,
    hold: Option<Capacity>,
}

/// What a drive can hold, and holds, in bytes. A file counts with its length.
#[derive(Debug)]
struct Capacity {
    limit: u64,
    held: AtomicU64,
}

impl Capacity {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let taken = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|held| *held <= self.limit || bytes == 0)
        });
        taken.map(drop).map_err(|_| rustix::io::Errno::NOSPC.into())
    }

    fn give_back(&self, bytes: u64) {
        let less = |held: u64| Some(held.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// A call that goes on, perhaps with a bit turned over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    Well,
    Flipped,
}

impl DrivePlan {
    fn new(faults: Vec<Planned>) -> DrivePlan {
        let limit = faults.iter().filter(|planned| planned.fault.operation == Operation::Grow);
        let limit = limit.filter_map(|planned| planned.fault.bytes).min();
        DrivePlan { faults, hold: limit.map(|limit| Capacity { limit, held: AtomicU64::new(0) }) }
    }

    fn device(&self) -> Option<u64> {
        self.faults.iter().find_map(|planned| planned.fault.device)
    }

    fn meet(&self, operation: Operation) -> io::Result<Goes> {
        let mut goes = Goes::Well;
        for planned in self.faults.iter().filter(|planned| planned.fault.operation == operation) {
            if !planned.strikes() {
                continue;
            }
            if planned.fault.delay_ms > 0 {
                std::thread::sleep(Duration::from_millis(planned.fault.delay_ms));
            }
            match planned.fault.error {
                None => {}
                Some(Failure::Flip) => goes = Goes::Flipped,
                #[allow(clippy::panic)] // what was asked for
                Some(Failure::Panic) => panic!("by plan"),
                Some(Failure::Io) => return Err(rustix::io::Errno::IO.into()),
                Some(Failure::NoSpace) => return Err(rustix::io::Errno::NOSPC.into()),
                Some(Failure::ReadOnly) => return Err(rustix::io::Errno::ROFS.into()),
            }
        }
        Ok(goes)
    }

    fn is_about(&self, operation: Operation) -> bool {
        self.faults.iter().any(|planned| planned.fault.operation == operation)
    }
}

#[derive(Debug)]
struct FaultyDrive {
    io: Arc<dyn DriveIo>,
    fate: Arc<DrivePlan>,
}

impl DriveIo for FaultyDrive {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        self.fate.meet(Operation::Open)?;
        let file = self.io.open(path, how)?;
        let reaches = AtomicU64::new(file.len()?);
        Ok(Arc::new(FaultyFile { file, fate: self.fate.clone(), reaches }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fate.meet(Operation::Rename)?;
        self.io.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.fate.meet(Operation::Remove)?;
        let held = self.fate.hold.as_ref().and_then(|_| self.io.open(path, OpenHow::Read).ok()?.len().ok());
        self.io.remove(path)?;
        if let (Some(hold), Some(held)) = (&self.fate.hold, held) {
            hold.give_back(held);
        }
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.fate.meet(Operation::List)?;
        self.io.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.fate.meet(Operation::Mkdir)?;
        self.io.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.fate.meet(Operation::Sync)?;
        self.io.sync_dir(dir)
    }

    fn space(&self) -> io::Result<Space> {
        let space = self.io.space()?;
        Ok(match &self.fate.hold {
            Some(hold) => {
                let free = hold.limit.saturating_sub(hold.held.load(Ordering::Relaxed)).min(space.free);
                Space { total: hold.limit, free }
            }
            None => space,
        })
    }

    fn domain(&self) -> Domain {
        self.fate.device().map_or_else(|| self.io.domain(), Domain::here)
    }

    fn lock(&self) -> io::Result<()> {
        self.io.lock()
    }

    fn is_same_root(&self) -> bool {
        self.io.is_same_root()
    }

    fn describe(&self) -> String {
        self.io.describe()
    }

    fn folder(&self) -> Option<&Path> {
        self.io.folder()
    }

    fn way(&self) -> Option<Arc<dyn Way>> {
        Some(Arc::new(FaultyWay { way: self.io.way()?, fate: self.fate.clone() }))
    }
}

#[derive(Debug)]
struct FaultyWay {
    way: Arc<dyn Way>,
    fate: Arc<DrivePlan>,
}

impl Way for FaultyWay {
    fn open(&self) -> io::Result<Arc<dyn DriveIo>> {
        Ok(Arc::new(FaultyDrive { io: self.way.open()?, fate: self.fate.clone() }))
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn FileIo>,
    fate: Arc<DrivePlan>,
    /// Its length, as far as this handle knows.
    reaches: AtomicU64,
}

impl FaultyFile {
    /// Takes the space for a file that is to reach so far, where the drive holds only so much.
    fn grow(&self, end: u64) -> io::Result<()> {
        let Some(hold) = &self.fate.hold else { return Ok(()) };
        let reached = self.reaches.fetch_max(end, Ordering::Relaxed);
        hold.take(end.saturating_sub(reached)).inspect_err(|_| self.reaches.store(reached, Ordering::Relaxed))
    }

    fn shrink(&self, end: u64) {
        let reached = self.reaches.fetch_min(end, Ordering::Relaxed);
        if let Some(hold) = &self.fate.hold {
            hold.give_back(reached.saturating_sub(end));
        }
    }

    /// Writes the slices with the first bit of them turned over.
    fn write_flipped(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut bytes = bufs.concat();
        if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        self.file.write_at(&[&bytes], offset)
    }
}

impl FileIo for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let goes = self.fate.meet(Operation::Read)?;
        let read = self.file.read_at(buf, offset)?;
        if let (Goes::Flipped, Some(middle)) = (goes, buf.get_mut(read / 2)) {
            *middle ^= 1;
        }
        Ok(read)
    }

    /// Where reads are planned to go wrong, the page cache is no way round it.
    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.fate.is_about(Operation::Read) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.file.read_at_cached(buf, offset),
        }
    }

    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.grow(offset + bufs.iter().map(|buf| buf.len() as u64).sum::<u64>())?;
        match self.fate.meet(Operation::Write)? {
            Goes::Well => self.file.write_at(bufs, offset),
            Goes::Flipped => self.write_flipped(bufs, offset),
        }
    }

    fn write_past_cache(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.grow(offset + bufs.iter().map(|buf| buf.len() as u64).sum::<u64>())?;
        match self.fate.meet(Operation::Write)? {
            Goes::Well => self.file.write_past_cache(bufs, offset),
            Goes::Flipped => self.write_flipped(bufs, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.fate.meet(Operation::Sync)?;
        self.file.sync()
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fate.meet(Operation::Truncate)?;
        self.file.set_len(len)?;
        self.shrink(len);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fate.meet(Operation::Allocate)?;
        self.grow(offset + len)?;
        self.file.allocate(offset, len)
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fate.meet(Operation::Punch)?;
        self.file.punch(offset, len)
    }

    fn is_linked(&self) -> bool {
        self.file.is_linked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::simulated::{Power, SimulatedDrive};

    fn fault(operation: Operation, error: Option<Failure>) -> Fault {
        let drive = "hot/0".to_owned();
        Fault {
            drive,
            operation,
            after: 0,
            every: 1,
            times: None,
            error,
            delay_ms: 0,
            serving: false,
            device: None,
            bytes: None,
        }
    }

    fn drive(faults: Vec<Fault>) -> Arc<dyn DriveIo> {
        let disk = SimulatedDrive::new("a disk", 1, &Arc::new(Power::default()));
        under(&FaultPlan { faults }, "hot/0", disk.attach())
    }

    #[test]
    fn calls_are_hit_when_the_plan_says() {
        let io = drive(vec![Fault {
            after: 2,
            every: 3,
            times: Some(2),
            ..fault(Operation::Sync, Some(Failure::Io))
        }]);
        let failed: Vec<u64> = (1..=14).filter(|_| io.sync_dir("").is_err()).collect();
        assert_eq!(failed, [5, 8]);
    }

    #[test]
    fn a_flipped_bit_is_the_only_difference() {
        let io = drive(vec![Fault { after: 1, ..fault(Operation::Read, Some(Failure::Flip)) }]);
        let file = io.open("f", OpenHow::CreateNew).unwrap();
        file.write_at(&[&[7; 100]], 0).unwrap();
        let mut bytes = [0; 100];
        assert!(file.read_at_cached(&mut bytes, 0).is_err(), "the page cache is no way round");
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [7; 100]);
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == 6).count(), 1);
        assert_eq!(bytes.iter().filter(|byte| **byte == 7).count(), 99);
    }

    #[test]
    fn a_drive_holds_so_many_bytes_and_says_so() {
        let plan = Fault { bytes: Some(1000), device: Some(77), ..fault(Operation::Grow, None) };
        let io = drive(vec![plan]);
        assert_eq!((io.domain(), io.space().unwrap().free), (Domain::here(77), 1000));
        let file = io.open("f", OpenHow::CreateNew).unwrap();
        file.write_at(&[&[1; 600]], 0).unwrap();
        file.write_at(&[&[2; 600]], 0).unwrap();
        assert_eq!(io.space().unwrap().free, 400);
        assert_eq!(file.allocate(600, 500).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.allocate(600, 400).unwrap();
        assert_eq!(file.write_at(&[&[1]], 1000).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.set_len(100).unwrap();
        assert_eq!(io.space().unwrap().free, 900);
        io.remove("f").unwrap();
        assert_eq!(io.space().unwrap().free, 1000);
    }

    #[test]
    fn other_drives_and_operations_are_left_alone() {
        let other = Fault { drive: "hot/1".into(), ..fault(Operation::Open, Some(Failure::Io)) };
        let io = drive(vec![other, fault(Operation::Write, Some(Failure::NoSpace))]);
        let file = io.open("f", OpenHow::CreateNew).unwrap();
        assert_eq!(file.write_at(&[&[1]], 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.sync().unwrap();
    }
}
