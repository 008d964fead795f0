//! A simulated file's bytes: what reads see, what a crash surely leaves, and the changes in between.

use super::Dice;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub(super) const PAGE: u64 = 4096;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

type Page = [u8; PAGE as usize];

/// All zero pages are this one: a segment full of zeros costs its map entries and nothing more.
static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new([0; PAGE as usize]));

/// A sparse file. Pages are shared until written, so that a copy of a whole file is cheap.
#[derive(Clone, Debug, Default)]
struct Pages {
    len: u64,
    allocated: BTreeMap<u64, Arc<Page>>,
}

/// Cuts a range at multiples of `step`, into (start, length) pieces.
fn pieces(offset: u64, len: u64, step: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = offset + len;
    std::iter::successors((len > 0).then_some(offset), move |at| {
        let next = (at / step + 1) * step;
        (next < end).then_some(next)
    })
    .map(move |at| (at, ((at / step + 1) * step).min(end) - at))
}

impl Pages {
    fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let len = self.len.saturating_sub(offset).min(buf.len() as u64);
        for (at, count) in pieces(offset, len, PAGE) {
            let target = &mut buf[(at - offset) as usize..][..count as usize];
            match self.allocated.get(&(at / PAGE)) {
                Some(page) => target.copy_from_slice(&page[(at % PAGE) as usize..][..count as usize]),
                None => target.fill(0),
            }
        }
        len as usize
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        for (at, count) in pieces(offset, bytes.len() as u64, PAGE) {
            let source = &bytes[(at - offset) as usize..][..count as usize];
            let page = self.allocated.entry(at / PAGE).or_insert_with(|| ZEROS.clone());
            if count == PAGE && source == ZEROS.as_slice() {
                *page = ZEROS.clone();
            } else {
                Arc::make_mut(page)[(at % PAGE) as usize..][..count as usize].copy_from_slice(source);
            }
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.punch(len, self.len - len);
            self.allocated.split_off(&len.div_ceil(PAGE));
        }
        self.len = len;
    }

    fn allocate(&mut self, offset: u64, len: u64) {
        for (at, _) in pieces(offset, len, PAGE) {
            self.allocated.entry(at / PAGE).or_insert_with(|| ZEROS.clone());
        }
        self.len = self.len.max(offset + len);
    }

    fn punch(&mut self, offset: u64, len: u64) {
        for (at, count) in pieces(offset, len, PAGE) {
            if count == PAGE {
                self.allocated.remove(&(at / PAGE));
            } else if let Some(page) = self.allocated.get_mut(&(at / PAGE)) {
                Arc::make_mut(page)[(at % PAGE) as usize..][..count as usize].fill(0);
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => self.write(bytes, *offset),
            Change::SetLen(len) => self.set_len(*len),
            Change::Allocate { offset, len } => self.allocate(*offset, *len),
            Change::Punch { offset, len } => self.punch(*offset, *len),
        }
    }
}

/// A change of a file's bytes.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
    Allocate { offset: u64, len: u64 },
    Punch { offset: u64, len: u64 },
}

#[derive(Clone, Debug)]
struct Pending {
    change: Change,
    /// A sync of it failed: the kernel forgets that the page is dirty, so no later sync writes it.
    forsaken: bool,
}

/// A file's bytes as reads see them, as a crash surely leaves them, and the changes in between.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Pages,
    durable: Pages,
    pending: Vec<Pending>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    /// Pages that the file takes.
    pub(super) fn allocated(&self) -> u64 {
        self.current.allocated.len() as u64
    }

    /// Pages that a change of that range would add.
    pub(super) fn growth(&self, offset: u64, len: u64) -> u64 {
        pieces(offset, len, PAGE).filter(|(at, _)| !self.current.allocated.contains_key(&(at / PAGE))).count()
            as u64
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        self.current.read(buf, offset)
    }

    pub(super) fn change(&mut self, change: Change) {
        self.current.apply(&change);
        self.pending.push(Pending { change, forsaken: false });
    }

    pub(super) fn sync(&mut self) {
        let durable = &mut self.durable;
        self.pending.retain(|pending| {
            if !pending.forsaken {
                durable.apply(&pending.change);
            }
            pending.forsaken
        });
    }

    /// A sync that fails: what it should have written may never be.
    pub(super) fn fail_sync(&mut self) {
        self.pending.iter_mut().for_each(|pending| pending.forsaken = true);
    }

    /// Each unsynced change is kept, lost or, for a write, torn.
    pub(super) fn crash(&mut self, dice: &Dice) {
        for pending in std::mem::take(&mut self.pending) {
            match (dice.roll(3), &pending.change) {
                (0, _) => {}
                (1, Change::Write { offset, bytes }) => {
                    for (at, count) in pieces(*offset, bytes.len() as u64, SECTOR_BYTES) {
                        if dice.roll(2) == 0 {
                            let start = (at - offset) as usize;
                            self.durable.write(&bytes[start..start + count as usize], at);
                        }
                    }
                }
                (_, change) => self.durable.apply(change),
            }
        }
        self.current = self.durable.clone();
    }

    /// What a crash surely leaves, as a file of its own.
    pub(super) fn durable_only(&self) -> Content {
        Content { current: self.durable.clone(), durable: self.durable.clone(), pending: Vec::new() }
    }

    /// Damage on the platter: changes the bytes below all caches.
    pub(super) fn damage(&mut self, offset: u64, len: u64, alter: impl FnOnce(&mut [u8])) {
        let mut bytes = vec![0; len as usize];
        let got = self.current.read(&mut bytes, offset);
        bytes.truncate(got);
        alter(&mut bytes);
        self.current.write(&bytes, offset);
        let durable = self.durable.len.saturating_sub(offset).min(bytes.len() as u64);
        self.durable.write(&bytes[..durable as usize], offset);
    }
}
