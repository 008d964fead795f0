//! What goes wrong on a simulated drive, and when.

use std::collections::HashMap;
use std::io;
use tracing_mutex::parkinglot::Mutex;

/// The kinds of operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Read,
    /// `write_at`, `set_len`, `allocate`, `punch`.
    Write,
    /// `sync`, `sync_dir`.
    Sync,
    /// A file created, renamed or removed, a directory created.
    Name,
}

/// The power that several drives hang on, and the line to a remote store. It counts the changes on the drives
/// (writes, syncs and changes of names) and in the remote store, and can be made to fail at any of them.
#[derive(Debug, Default)]
pub struct Power {
    state: Mutex<Supply>,
}

#[derive(Debug, Default)]
struct Supply {
    steps: u64,
    fails_at: Option<u64>,
}

/// How an operation finds the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    On,
    /// The power fails during this very operation, which may have had some effect.
    Failing,
    Off,
}

impl Power {
    /// Operations since the beginning, on all that hangs on it.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// Power fails during the `n`-th operation from now (1 is the next): it and all later ones, reads too, fail.
    pub fn fail_at(&self, n: u64) {
        let mut state = self.state.lock();
        state.fails_at = Some(state.steps + n.max(1));
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        let state = self.state.lock();
        state.fails_at.is_some_and(|at| state.steps >= at)
    }

    /// Power comes back; [`SimulatedDrive::crash`](super::SimulatedDrive::crash) each drive first.
    pub fn restore(&self) {
        self.state.lock().fails_at = None;
    }

    pub(crate) fn draw(&self, op: Op) -> Current {
        let mut state = self.state.lock();
        let off = state.fails_at.is_some_and(|at| state.steps >= at);
        match (off, op) {
            (true, _) => Current::Off,
            (false, Op::Read) => Current::On,
            (false, _) => {
                state.steps += 1;
                if state.fails_at == Some(state.steps) { Current::Failing } else { Current::On }
            }
        }
    }
}

/// A drive's own plan of misfortune.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// How many operations of the kind still succeed before one fails.
    countdown: HashMap<Op, u64>,
    /// How many operations of the kind still succeed before one finds no space.
    until_full: HashMap<Op, u64>,
    /// How many operations of the kind still succeed before one panics.
    until_panic: HashMap<Op, u64>,
    pub(super) frozen: bool,
    pub(super) root_replaced: bool,
    pub(super) cold_cache: bool,
    /// `(every, reads)`: each `every`-th read comes back with a bit turned over, and how many reads there were so
    /// far.
    pub(super) rot: Option<(u64, u64)>,
    /// Bytes that the drive can hold.
    pub(super) capacity: Option<u64>,
}

impl Faults {
    pub(super) fn fail_nth(&mut self, op: Op, n: u64) {
        self.countdown.insert(op, n.max(1));
    }

    /// Whether this read comes back wrong.
    pub(super) fn rots(&mut self) -> bool {
        let Some((every, reads)) = &mut self.rot else { return false };
        *reads += 1;
        reads.is_multiple_of(*every)
    }

    pub(super) fn refuse_nth(&mut self, op: Op, n: u64) {
        self.until_full.insert(op, n.max(1));
    }

    pub(super) fn panic_nth(&mut self, op: Op, n: u64) {
        self.until_panic.insert(op, n.max(1));
    }

    /// Whether this operation is the one that was to panic.
    pub(super) fn panics(&mut self, op: Op) -> bool {
        has_come(&mut self.until_panic, op)
    }

    /// Whether this operation is the one that was to fail.
    pub(super) fn strikes(&mut self, op: Op) -> bool {
        has_come(&mut self.countdown, op)
    }

    /// Whether this operation is the one that was to find no space.
    pub(super) fn refuses(&mut self, op: Op) -> bool {
        has_come(&mut self.until_full, op)
    }
}

fn has_come(countdown: &mut HashMap<Op, u64>, op: Op) -> bool {
    let Some(left) = countdown.get_mut(&op) else { return false };
    *left -= 1;
    let now = *left == 0;
    if now {
        countdown.remove(&op);
    }
    now
}

pub(super) fn eio() -> io::Error {
    rustix::io::Errno::IO.into()
}

pub(super) fn enospc() -> io::Error {
    rustix::io::Errno::NOSPC.into()
}
