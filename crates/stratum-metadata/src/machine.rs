//! The applied state: the index, what it has seen, and the one way to change it.
//!
//! Groups are applied one after the other, each at once under the write lock, together with the index and hash of
//! its last entry and the state's fingerprint: the sum, mod 2^128, of a hash of every key and value. What they
//! change is seen from then on and drained into the index a little later ([`layers`](crate::layers)). A checkpoint
//! that scans meanwhile gets the old values of the keys that it has yet to reach ([`Scan`]).

mod health;
mod marks;
mod read_error;
mod rebuild;

pub(crate) use health::Failure;
pub(crate) use marks::{UNFINISHED, mark};
pub use read_error::ReadError;
pub(crate) use rebuild::RebuildError;

use crate::command::{Outcome, Proposed};
use crate::keys::{self, Tag};
use crate::layers::Layers;
use crate::record::{Applied, Level, decode};
use crate::state::{ApplyError, Change, Freed, View, apply};
use crate::tree::{Base, Tree, TreeError, Value};
use health::Health;
use parking_lot::{Mutex, RwLock};
use rebuild::Successor;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::volume::VolumeRecord;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// How long a scan holds the read lock at a stretch.
const SLICE: Duration = Duration::from_millis(1);
/// How many keys a scan visits between two looks at the clock.
const STRIDE: usize = 32;
/// Bytes of changes that may wait; whoever applies more drains them first.
const UNDRAINED: usize = 4 << 20;
/// The key of the fingerprint's hash: "stratum" in ASCII.
const FINGERPRINT_SEED: u64 = 0x0073_7472_6174_756d;

/// A durable entry that is to be applied.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    pub(crate) hash: u128,
    pub(crate) proposed: Proposed,
}

/// What came of a group.
#[derive(Debug)]
pub(crate) struct AppliedGroup {
    /// Those of the entries, in order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The volumes that changed, as they now are.
    pub(crate) volumes: Vec<VolumeRecord>,
    pub(crate) freed: Vec<Freed>,
}

/// The index and everything that guards it.
#[derive(Debug)]
pub(crate) struct Machine {
    tree: RwLock<Tree>,
    /// An index that this one is being copied into.
    successor: Mutex<Option<Successor>>,
    /// Locked for writing while a group goes in, for reading by scans of more than one key.
    layers: RwLock<Layers>,
    /// Held by whoever writes changes into the index.
    draining: Mutex<()>,
    applied: Mutex<Applied>,
    /// The index of the last applied entry, for those who only look.
    index: AtomicU64,
    /// Its level, likewise.
    level: AtomicU8,
    /// How often a group changed buckets.
    bucket_changes: AtomicU64,
    /// A checkpoint that is being taken.
    scan: Mutex<Option<Scan>>,
    health: Health,
    clock: Arc<dyn Clock>,
}

impl Machine {
    /// Takes over an index as it is; what it has applied is what it says.
    pub(crate) fn open(tree: Tree, clock: Arc<dyn Clock>) -> Result<Machine, ApplyError> {
        let applied = match tree.get(&keys::applied())? {
            Some(value) => decode(&value)?,
            None => Applied::default(),
        };
        Ok(Machine {
            tree: RwLock::new(tree),
            successor: Mutex::new(None),
            layers: RwLock::default(),
            draining: Mutex::new(()),
            applied: Mutex::new(applied),
            index: AtomicU64::new(applied.index),
            level: AtomicU8::new(applied.level.number()),
            bucket_changes: AtomicU64::new(0),
            scan: Mutex::new(None),
            health: Health::default(),
            clock,
        })
    }

    /// The index as it is now: it may be exchanged for a copy.
    fn tree(&self) -> Tree {
        self.tree.read().clone()
    }

    pub(crate) fn applied(&self) -> Applied {
        *self.applied.lock()
    }

    pub(crate) fn applied_index(&self) -> Index {
        self.index.load(Ordering::Acquire)
    }

    /// The state's level.
    pub(crate) fn level(&self) -> Level {
        Level::known(self.level.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// Rises whenever a bucket is made, changed or deleted, before anybody is told of it.
    pub(crate) fn bucket_changes(&self) -> u64 {
        self.bucket_changes.load(Ordering::Acquire)
    }

    /// Applies a group, all of it or nothing. After an error nothing more is applied.
    ///
    /// # Errors
    /// Also when its entries don't follow what was applied last, one after the other.
    pub(crate) fn apply(&self, group: Vec<Entry>) -> Result<AppliedGroup, ApplyError> {
        let mut applied = self.applied.lock();
        self.check()?;
        self.try_apply(group, &mut applied).inspect_err(|error| self.fail(error))
    }

    fn try_apply(&self, group: Vec<Entry>, applied: &mut Applied) -> Result<AppliedGroup, ApplyError> {
        let mut view = View::at(self, applied.level);
        let mut outcomes = Vec::with_capacity(group.len());
        let mut next = *applied;
        for entry in group {
            if entry.index != next.index + 1 {
                return Err(ApplyError::Gap { applied: next.index, index: entry.index });
            }
            (next.index, next.hash) = (entry.index, entry.hash);
            outcomes.push(apply(&mut view, entry.index, entry.proposed)?);
        }
        next.level = view.level()?;
        let (mut volumes, mut changes_buckets) = (Vec::new(), false);
        for change in view.changes() {
            changes_buckets |= keys::is(Tag::BucketById, change.key);
            next.fingerprint = next.fingerprint.wrapping_add(difference(&change));
            if let Some(value) = change.after.filter(|_| keys::is(Tag::Volume, change.key)) {
                volumes.push(decode(value)?);
            }
        }
        self.write(&view, &next)?;
        if changes_buckets {
            self.bucket_changes.fetch_add(1, Ordering::Release);
        }
        *applied = next;
        self.level.store(next.level.number(), Ordering::Release);
        self.index.store(next.index, Ordering::Release);
        Ok(AppliedGroup { outcomes, volumes, freed: view.into_freed() })
    }

    fn write(&self, view: &View<'_>, applied: &Applied) -> Result<(), TreeError> {
        let (key, value) = (keys::applied(), Value::from(applied.encode().as_slice()));
        let changes = view.changes().map(|change| (change.key, change.after));
        let mut layers = self.layers.write();
        if let Some(scan) = self.scan.lock().as_mut() {
            view.changes().for_each(|change| scan.keep(&change));
        }
        let undrained = layers.put(changes.chain([(key.as_slice(), Some(&value))]));
        drop(layers);
        if undrained > UNDRAINED { self.drain() } else { Ok(()) }
    }

    /// Writes all changes that wait into the index, as one batch.
    pub(crate) fn drain(&self) -> Result<(), TreeError> {
        let _alone = self.draining.lock();
        self.check()?;
        let changes = self.layers.write().drain();
        if changes.is_empty() {
            return Ok(());
        }
        let pairs = changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref()));
        self.ask(|tree| tree.apply(pairs))?;
        self.follow(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
        self.layers.write().drained();
        Ok(())
    }

    /// Drains what waits, and makes the index durable. Slow: for shutdown.
    pub(crate) fn flush(&self) -> Result<(), TreeError> {
        self.drain()?;
        self.ask(Tree::flush)
    }

    /// Visits the pairs with `from <= key < to`. Every [`SLICE`] the lock is let go, so writers pass.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let mut from = from.to_vec();
        let mut resume = true;
        while resume {
            resume = false;
            self.check()?;
            let layers = self.layers.read();
            let began = self.clock.monotonic();
            let mut visited = 0usize;
            let start = std::mem::take(&mut from);
            let visit = &mut |key: &[u8], value: &Value| {
                if visit(key, value).is_break() {
                    return ControlFlow::Break(());
                }
                visited += 1;
                if visited.is_multiple_of(STRIDE) && self.clock.monotonic().saturating_sub(began) >= SLICE {
                    resume = true;
                    from = [key, &[0]].concat();
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            };
            self.ask(|tree| layers.scan(tree, &start, to, visit))?;
        }
        Ok(())
    }

    /// Starts a scan of the whole state as it now is. One at a time: an earlier one is given up.
    pub(crate) fn start_scan(&self, bound: usize) -> Applied {
        let applied = self.applied.lock();
        let _still = self.layers.write();
        *self.scan.lock() = Some(Scan { bound, ..Scan::default() });
        *applied
    }

    /// The next pairs of the scan, in order, about `bytes` of them; empty at the end.
    pub(crate) fn next_of_scan(&self, bytes: usize) -> Result<Pairs, ScanError> {
        let layers = self.layers.read();
        let began = self.clock.monotonic();
        let mut guard = self.scan.lock();
        let scan = guard.as_mut().ok_or(ScanError::GivenUp)?;
        if scan.overflowed {
            *guard = None;
            return Err(ScanError::GivenUp);
        }
        let mut found: BTreeMap<Vec<u8>, Value> = BTreeMap::new();
        let (mut taken, mut last) = (0, None);
        let visit = &mut |key: &[u8], value: &Value| {
            taken += key.len() + value.len() + 64;
            found.insert(key.to_vec(), value.clone());
            let slow =
                found.len().is_multiple_of(STRIDE) && self.clock.monotonic().saturating_sub(began) >= SLICE;
            if taken >= bytes || slow {
                last = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.ask(|tree| layers.scan(tree, &scan.cursor, &[0xff], visit))?;
        let next = last.map_or_else(|| vec![0xff], |last| [last.as_slice(), &[0]].concat());
        for (key, image) in scan.take_before(&next) {
            match image {
                Some(value) => drop(found.insert(key, value)),
                None => drop(found.remove(&key)),
            }
        }
        found.remove(&keys::applied());
        scan.cursor = next;
        scan.done = scan.cursor == [0xff];
        Ok(found.into_iter().collect())
    }

    /// Whether the scan has come to its end.
    pub(crate) fn scan_is_done(&self) -> bool {
        self.scan.lock().as_ref().is_none_or(|scan| scan.done)
    }

    pub(crate) fn end_scan(&self) {
        *self.scan.lock() = None;
    }
}

impl Base for Machine {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        // The index is asked without the lock: what is in no layer by now is in the index, or something newer is.
        self.check()?;
        let recent = self.layers.read().get(key);
        recent.map_or_else(|| self.ask(|tree| tree.get(key)), Ok)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        Machine::scan(self, from, to, visit)
    }
}

/// Keys and their values, in order.
pub(crate) type Pairs = Vec<(Vec<u8>, Value)>;

/// Why a scan ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("too much changed while the checkpoint was being taken")]
    GivenUp,
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A scan of the state as it was when the scan began, while it goes on changing.
#[derive(Debug, Default)]
struct Scan {
    /// Keys below this have been handed out.
    cursor: Vec<u8>,
    /// What changed keys at and after the cursor held when the scan began.
    images: BTreeMap<Vec<u8>, Option<Value>>,
    bytes: usize,
    /// Bytes of images at which the scan is given up.
    bound: usize,
    overflowed: bool,
    done: bool,
}

impl Scan {
    fn keep(&mut self, change: &Change<'_>) {
        if self.overflowed || self.done || change.key < self.cursor.as_slice() {
            return;
        }
        if self.images.contains_key(change.key) {
            return;
        }
        self.bytes += change.key.len() + change.before.map_or(0, |value| value.len()) + 96;
        if self.bytes > self.bound {
            self.overflowed = true;
            self.images = BTreeMap::new();
            return;
        }
        self.images.insert(change.key.to_vec(), change.before.cloned());
    }

    fn take_before(&mut self, next: &[u8]) -> BTreeMap<Vec<u8>, Option<Value>> {
        let rest = self.images.split_off(next);
        let taken = std::mem::replace(&mut self.images, rest);
        let bytes = |(key, value): (&Vec<u8>, &Option<Value>)| {
            key.len() + value.as_ref().map_or(0, |value| value.len()) + 96
        };
        self.bytes = self.bytes.saturating_sub(taken.iter().map(bytes).sum());
        taken
    }
}

/// What a change adds to the fingerprint.
fn difference(change: &Change<'_>) -> u128 {
    let term = |value: Option<&Value>| value.map_or(0, |value| fingerprint(change.key, value));
    term(change.after).wrapping_sub(term(change.before))
}

/// What a key and its value add to the fingerprint.
pub(crate) fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(4 + key.len() + value.len());
    bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    xxh3_128_with_seed(&bytes, FINGERPRINT_SEED)
}

#[cfg(test)]
mod tests;
