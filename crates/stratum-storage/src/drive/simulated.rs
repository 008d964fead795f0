//! A drive in memory that keeps what POSIX promises and nothing more.
//!
//! Bytes are durable once their file is synced, names once their directory is. A [`crash`](SimulatedDrive::crash)
//! keeps, loses or tears each unsynced write for itself (at 512-byte sectors), and keeps or loses each unsynced
//! change of a length or a name. Everything else that drives do to us can be asked for: errors, a full disk, a bit
//! flipped, a drive that comes back stale or blank or somewhere else, the power of several drives failing at their
//! n-th write. The same seed gives the same fate.
//!
//! A [`SimulatedDrive`] is the disk; [`SimulatedDrive::attach`] is what a server that starts opens. A crash or a
//! kill ends all attachments.

mod content;
mod faults;
mod names;

pub(crate) use faults::Current;
pub use faults::{Op, Power};

use super::{Domain, DriveIo, Entry, FileIo, OpenHow, Space};
use crate::ambient::{Entropy, Simulated};
use content::{Change, PAGE};
use faults::{Faults, eio, enospc};
use names::{Inode, Names};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Capacity as told by [`DriveIo::space`] where none was set.
const DEFAULT_CAPACITY_BYTES: u64 = 1 << 40;

/// A disk in memory.
pub struct SimulatedDrive {
    name: String,
    device: u64,
    power: Arc<Power>,
    state: Mutex<DiskState>,
    /// Whether reads wait, and who waits for that to end.
    stalled: (Mutex<bool>, Condvar),
    stalled_opens: (Mutex<StalledOpens>, Condvar),
}

#[derive(Debug, Default)]
struct StalledOpens {
    stalled: bool,
    waiting: usize,
}

#[derive(Debug, Default)]
struct DiskState {
    names: Names,
    faults: Faults,
    /// Attachments of earlier boots are dead.
    boot: u64,
    attachments: u64,
    reads: u64,
    locked_by: Option<u64>,
}

/// What a drive durably held at some moment.
#[derive(Debug)]
pub struct Snapshot(Names);

/// A seeded choice of fates.
struct Dice(Simulated);

impl Dice {
    /// A number below `sides`.
    fn roll(&self, sides: u64) -> u64 {
        self.0.next_u64() % sides
    }
}

impl SimulatedDrive {
    /// A blank drive on a device of its own. The name is for messages.
    pub fn new(name: &str, device: u64, power: &Arc<Power>) -> Arc<SimulatedDrive> {
        let (name, power) = (name.to_owned(), power.clone());
        let (stalled, stalled_opens) = Default::default();
        Arc::new(SimulatedDrive { name, device, power, state: Mutex::default(), stalled, stalled_opens })
    }

    /// What a server opens. It is good until the next crash or kill.
    pub fn attach(self: &Arc<Self>) -> Arc<dyn DriveIo> {
        let mut state = self.state.lock();
        state.attachments += 1;
        let (id, boot) = (state.attachments, state.boot);
        Arc::new(Attached { drive: self.clone(), id, boot })
    }

    /// Power is lost: unsynced changes meet their fate, all attachments are dead.
    pub fn crash(&self, seed: u64) {
        let dice = Dice(Simulated::new(0, seed ^ self.device.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let mut state = self.state.lock();
        state.names.crash(&dice);
        state.end_attachments();
    }

    /// The server is killed: the page cache survives, all attachments are dead.
    pub fn kill(&self) {
        self.state.lock().end_attachments();
    }

    /// What the drive durably holds now, for [`SimulatedDrive::rollback`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.lock().names.durable_only())
    }

    /// Comes back as it was at the snapshot; all attachments are dead.
    pub fn rollback(&self, snapshot: &Snapshot) {
        let mut state = self.state.lock();
        state.names = snapshot.0.durable_only();
        state.end_attachments();
    }

    /// Every file and directory is deleted, under the feet of whoever has them open.
    pub fn erase(&self) {
        self.state.lock().names.erase();
    }

    /// Every file's bytes are overwritten with random ones; names and lengths stay.
    pub fn scramble(&self, seed: u64) {
        let noise = Simulated::new(0, seed);
        for (_, inode) in self.state.lock().names.files() {
            let mut content = inode.content.lock();
            let len = content.len();
            content.damage(0, len, |bytes| noise.fill(bytes));
        }
    }

    /// Flips one bit of a file on the platter; `bit` counts from the file's first.
    pub fn flip_bit(&self, path: &str, bit: u64) -> io::Result<()> {
        let inode = self.state.lock().names.file(path)?;
        inode.content.lock().damage(bit / 8, 1, |bytes| {
            bytes.iter_mut().for_each(|byte| *byte ^= 1 << (bit % 8));
        });
        Ok(())
    }

    /// The `n`-th operation of that kind from now (1 is the next) fails with `EIO`.
    pub fn fail_nth(&self, op: Op, n: u64) {
        self.state.lock().faults.fail_nth(op, n);
    }

    /// The `n`-th operation of that kind from now (1 is the next) finds no space, whatever [`DriveIo::space`] says.
    pub fn refuse_nth(&self, op: Op, n: u64) {
        self.state.lock().faults.refuse_nth(op, n);
    }

    /// The thread that does the `n`-th operation of the kind from now (1 is the next) panics.
    pub fn panic_nth(&self, op: Op, n: u64) {
        self.state.lock().faults.panic_nth(op, n);
    }

    /// While frozen every operation answers `TimedOut`, which stands for no answer.
    pub fn freeze(&self, frozen: bool) {
        self.state.lock().faults.frozen = frozen;
    }

    /// While stalled, reads wait: for drives with threads of their own.
    pub fn stall_reads(&self, stalled: bool) {
        *self.stalled.0.lock() = stalled;
        self.stalled.1.notify_all();
    }

    /// While stalled, opens and lists wait: for callers with threads of their own.
    pub fn stall_opens(&self, stalled: bool) {
        self.stalled_opens.0.lock().stalled = stalled;
        self.stalled_opens.1.notify_all();
    }

    /// How many opens and lists wait for [`SimulatedDrive::stall_opens`] to end.
    pub fn waiting_opens(&self) -> usize {
        self.stalled_opens.0.lock().waiting
    }

    fn wait_to_open(&self) {
        let (opens, released) = &self.stalled_opens;
        let mut opens = opens.lock();
        opens.waiting += 1;
        released.wait_while(&mut opens, |opens| opens.stalled);
        opens.waiting -= 1;
    }

    /// While cold, `read_at_cached` finds nothing in the page cache.
    pub fn set_cold_cache(&self, cold: bool) {
        self.state.lock().faults.cold_cache = cold;
    }

    /// Every `every`-th read from now on comes back with a bit in its middle turned over; what lies on the platter
    /// stays right. `None` ends it.
    pub fn rot_reads(&self, every: Option<u64>) {
        self.state.lock().faults.rot = every.map(|every| (every.max(1), 0));
    }

    /// Whether another directory lies where the drive was: an unmounted or swapped disk.
    pub fn replace_root(&self, replaced: bool) {
        self.state.lock().faults.root_replaced = replaced;
    }

    /// Bytes that it can hold from now on; `None` is no limit.
    pub fn set_capacity(&self, capacity: Option<u64>) {
        self.state.lock().faults.capacity = capacity;
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<String> {
        self.state.lock().names.files().map(|(path, _)| path.to_owned()).collect()
    }

    /// Reads of files so far, whatever came of them.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// Bytes of all blocks in use.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    fn begin(&self, boot: u64, op: Op) -> io::Result<Begun<'_>> {
        let mut state = self.state.lock();
        if state.boot != boot {
            return Err(io::Error::new(ErrorKind::BrokenPipe, "the simulated server was killed"));
        }
        if state.faults.frozen {
            return Err(ErrorKind::TimedOut.into());
        }
        let current = self.power.draw(op);
        let fate = match current {
            Current::Off => return Err(power_failed()),
            Current::Failing => WriteFate::PowerFails,
            #[allow(clippy::panic)] // what the test asked for
            Current::On if state.faults.panics(op) => panic!("by plan"),
            Current::On if state.faults.strikes(op) => WriteFate::Fails,
            Current::On if state.faults.refuses(op) => WriteFate::IsFull,
            Current::On => WriteFate::Succeeds,
        };
        Ok(Begun { state, fate })
    }
}

fn power_failed() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the power failed")
}

impl DiskState {
    fn end_attachments(&mut self) {
        self.boot += 1;
        self.locked_by = None;
    }

    fn used(&self) -> u64 {
        self.names.files().map(|(_, inode)| inode.content.lock().allocated() * PAGE).sum()
    }
}

impl fmt::Debug for SimulatedDrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedDrive({})", self.name)
    }
}

/// An operation that found the drive answering.
struct Begun<'a> {
    state: MutexGuard<'a, DiskState>,
    fate: WriteFate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteFate {
    Succeeds,
    Fails,
    IsFull,
    PowerFails,
}

impl<'a> Begun<'a> {
    /// For what has an effect that a crash may undo: does it, unless the drive refuses it.
    fn change<T>(mut self, change: impl FnOnce(&mut DiskState) -> io::Result<T>) -> io::Result<T> {
        match self.fate {
            WriteFate::Succeeds => change(&mut self.state),
            WriteFate::Fails => Err(eio()),
            WriteFate::IsFull => Err(enospc()),
            // The change may or may not have reached the drive: the crash decides.
            WriteFate::PowerFails => change(&mut self.state).and(Err(power_failed())),
        }
    }

    /// For what changes nothing.
    fn look(self) -> io::Result<MutexGuard<'a, DiskState>> {
        match self.fate {
            WriteFate::Succeeds => Ok(self.state),
            WriteFate::Fails => Err(eio()),
            WriteFate::IsFull => Err(enospc()),
            WriteFate::PowerFails => Err(power_failed()),
        }
    }
}

/// One server's view of the drive.
struct Attached {
    drive: Arc<SimulatedDrive>,
    id: u64,
    boot: u64,
}

impl Attached {
    fn begin(&self, op: Op) -> io::Result<Begun<'_>> {
        self.drive.begin(self.boot, op)
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.drive.fmt(f)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = self.drive.state.lock();
        if state.locked_by == Some(self.id) {
            state.locked_by = None;
        }
    }
}

impl DriveIo for Attached {
    fn open(&self, path: &str, how: OpenHow) -> io::Result<Arc<dyn FileIo>> {
        self.drive.wait_to_open();
        let inode = match how {
            OpenHow::CreateNew => self.begin(Op::Name)?.change(|state| state.names.create(path))?,
            OpenHow::Read | OpenHow::Write => self.begin(Op::Read)?.look()?.names.file(path)?,
        };
        let (drive, boot, writable) = (self.drive.clone(), self.boot, how != OpenHow::Read);
        Ok(Arc::new(SimulatedFile { drive, inode, boot, writable }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.begin(Op::Name)?.change(|state| state.names.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.begin(Op::Name)?.change(|state| state.names.remove(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        self.drive.wait_to_open();
        self.begin(Op::Read)?.look()?.names.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.begin(Op::Name)?.change(|state| state.names.create_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.begin(Op::Sync)?.look()?.names.sync_dir(dir)
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.begin(Op::Read)?.look()?;
        let total = state.faults.capacity.unwrap_or(DEFAULT_CAPACITY_BYTES);
        Ok(Space { total, free: total.saturating_sub(state.used()) })
    }

    fn domain(&self) -> Domain {
        Domain::here(self.drive.device)
    }

    fn lock(&self) -> io::Result<()> {
        let mut state = self.begin(Op::Read)?.look()?;
        match state.locked_by {
            Some(other) if other != self.id => Err(ErrorKind::WouldBlock.into()),
            _ => {
                state.locked_by = Some(self.id);
                Ok(())
            }
        }
    }

    fn is_same_root(&self) -> bool {
        let state = self.drive.state.lock();
        state.boot == self.boot && !state.faults.root_replaced
    }

    fn describe(&self) -> String {
        self.drive.name.clone()
    }
}

struct SimulatedFile {
    drive: Arc<SimulatedDrive>,
    inode: Arc<Inode>,
    boot: u64,
    writable: bool,
}

impl SimulatedFile {
    fn begin(&self, op: Op) -> io::Result<Begun<'_>> {
        self.drive.begin(self.boot, op)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        if !self.writable {
            return Err(rustix::io::Errno::BADF.into());
        }
        self.begin(Op::Write)?.change(|state| {
            let grows = match &change {
                Change::Write { offset, bytes } => Some((*offset, bytes.len() as u64)),
                Change::Allocate { offset, len } => Some((*offset, *len)),
                Change::SetLen(_) | Change::Punch { .. } => None,
            };
            if let (Some(capacity), Some((offset, len))) = (state.faults.capacity, grows)
                && state.used() + self.inode.content.lock().growth(offset, len) * PAGE > capacity
            {
                return Err(enospc());
            }
            self.inode.content.lock().change(change);
            Ok(())
        })
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedFile({} bytes on {})", self.inode.content.lock().len(), self.drive.name)
    }
}

impl FileIo for SimulatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (stalled, released) = &self.drive.stalled;
        released.wait_while(&mut stalled.lock(), |stalled| *stalled);
        let mut state = self.begin(Op::Read)?.look()?;
        state.reads += 1;
        let read = self.inode.content.lock().read(buf, offset);
        if state.faults.rots()
            && let Some(middle) = buf.get_mut(read / 2)
        {
            *middle ^= 1;
        }
        Ok(read)
    }

    fn read_at_cached(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // A drive that hangs has nothing in the page cache.
        if self.drive.state.lock().faults.cold_cache || *self.drive.stalled.0.lock() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.read_at(buf, offset)
    }

    fn write_at(&self, bufs: &[&[u8]], offset: u64) -> io::Result<()> {
        self.change(Change::Write { offset, bytes: bufs.concat() })
    }

    fn sync(&self) -> io::Result<()> {
        let begun = self.begin(Op::Sync)?;
        let mut content = self.inode.content.lock();
        match begun.fate {
            WriteFate::Succeeds => content.sync(),
            WriteFate::Fails | WriteFate::IsFull => content.fail_sync(),
            WriteFate::PowerFails => {}
        }
        begun.look().map(drop)
    }

    fn start_writeback(&self, _: u64, _: u64) {}

    fn len(&self) -> io::Result<u64> {
        let _state = self.begin(Op::Read)?.look()?;
        Ok(self.inode.content.lock().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(len))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(Change::Allocate { offset, len })
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(Change::Punch { offset, len })
    }

    fn is_linked(&self) -> bool {
        self.inode.links.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests;
