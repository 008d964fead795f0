//! The applied state: where it is stored, which entry was applied last, and the one way to change it.
//!
//! Groups are applied one after the other, each at once and under the write lock, together with the index and hash of
//! its last entry and the state's fingerprint. Reads see the changes from then on; they are drained into the open
//! tree a little later ([`layers`](crate::layers)). From time to time that tree is closed and another one opened
//! ([`Machine::close`]), and what was closed is merged with what lies below it into the next checkpoint
//! ([`Machine::adopt`]).

mod foresight;
mod health;
mod moment;
mod moves;
mod read_error;
mod turn;
mod void;

pub(crate) use health::Failure;
pub(crate) use moment::Moment;
pub use read_error::ReadError;

use crate::command::{Command, Outcome, Proposed};
use crate::fingerprint::fingerprint;
use crate::keys::{self, Tag};
use crate::layers::Layers;
use crate::record::{Applied, Level, decode};
use crate::stack::{self, Below, Stack};
use crate::state::{ApplyError, Change, Freed, View, apply};
use crate::tree::{Base, Tree, TreeError, Value};
use health::Health;
use moves::Moves;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use stratum_storage::ambient::Clock;
use stratum_storage::blob::Index;
use stratum_storage::volume::VolumeRecord;
use tracing_mutex::parkinglot::{Mutex, RwLock};
use void::Beneath;

/// How many bytes of changes may wait; the thread that applies more drains them first.
const MOST_UNDRAINED_BYTES: usize = 4 << 20;

/// A durable entry that is to be applied.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    pub(crate) hash: u128,
    pub(crate) proposed: Proposed,
}

/// The result of applying a group.
#[derive(Debug)]
pub(crate) struct AppliedGroup {
    /// The outcomes of its entries, in order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The volumes that changed, in their new form.
    pub(crate) volumes: Vec<VolumeRecord>,
    pub(crate) freed: Vec<Freed>,
}

/// The index, and the locks that guard it.
#[derive(Debug)]
pub(crate) struct Machine {
    stack: RwLock<Arc<Stack>>,
    /// Bytes of keys and values that were drained into the open tree.
    changed: AtomicU64,
    /// Locked for writing while a group is applied, and for reading by scans of more than one key.
    layers: RwLock<Layers>,
    /// Held while changes are written into the index.
    draining: Mutex<()>,
    applied: Mutex<Applied>,
    /// The index of the last applied entry, readable without a lock.
    index: AtomicU64,
    /// The state's level, readable without a lock.
    level: AtomicU8,
    /// How many groups have changed buckets.
    bucket_changes: AtomicU64,
    /// How many groups have changed identities.
    identity_changes: AtomicU64,
    moves: Mutex<Moves>,
    health: Health,
    clock: Arc<dyn Clock>,
}

impl Machine {
    /// Continues with a tree and what lies below it; the tree says which entry was applied last.
    pub(crate) fn open(open: Tree, below: Below, clock: Arc<dyn Clock>) -> Result<Machine, ApplyError> {
        let below = below.with_void(&stack::void(&open, &below)?);
        let applied = match stack::applied(&open)? {
            Some(applied) => applied,
            None => {
                let applied = below.applied();
                stack::begin(&open, &applied)?;
                applied
            }
        };
        // How many of the tree's bytes are keys and values isn't known; sled takes several times as much.
        let changed = open.bytes()? / 4;
        Ok(Machine {
            stack: RwLock::new(Arc::new(Stack { open, below })),
            changed: AtomicU64::new(changed),
            layers: RwLock::default(),
            draining: Mutex::new(()),
            applied: Mutex::new(applied),
            index: AtomicU64::new(applied.index),
            level: AtomicU8::new(applied.level.number()),
            bucket_changes: AtomicU64::new(0),
            identity_changes: AtomicU64::new(0),
            moves: Mutex::default(),
            health: Health::default(),
            clock,
        })
    }

    /// The trees and the checkpoint that hold the state now.
    fn stack(&self) -> Arc<Stack> {
        self.stack.read().clone()
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

    /// Rises whenever a bucket is created, changed or deleted, before anybody can see that change.
    pub(crate) fn bucket_changes(&self) -> u64 {
        self.bucket_changes.load(Ordering::Acquire)
    }

    /// Rises whenever a user, a group, a role, a key or a policy is created, changed or deleted, before anybody can
    /// see that change.
    pub(crate) fn identity_changes(&self) -> u64 {
        self.identity_changes.load(Ordering::Acquire)
    }

    /// Applies a group, all of it or nothing. After an error nothing more is applied.
    ///
    /// # Errors
    /// Also if the entries don't follow the last applied entry without a gap.
    pub(crate) fn apply(&self, group: Vec<Entry>) -> Result<AppliedGroup, ApplyError> {
        let mut applied = self.applied.lock();
        self.check()?;
        if let Some(block) = self.halted() {
            return Err(TreeError::Lost(block).into());
        }
        self.try_apply(group, &mut applied).inspect_err(|error| match error {
            ApplyError::Tree(TreeError::Lost(block)) => self.halt(block),
            error => self.fail(error),
        })
    }

    fn try_apply(&self, group: Vec<Entry>, applied: &mut Applied) -> Result<AppliedGroup, ApplyError> {
        let beneath = Beneath::new(self);
        let mut view = View::at(&beneath, applied.level);
        let mut outcomes = Vec::with_capacity(group.len());
        let mut next = *applied;
        for entry in group {
            if entry.index != next.index + 1 {
                return Err(ApplyError::Gap { applied: next.index, index: entry.index });
            }
            (next.index, next.hash) = (entry.index, entry.hash);
            if let Command::GiveUp(given_up) = &entry.proposed.command {
                beneath.give_up(&mut view, given_up)?;
            }
            outcomes.push(apply(&mut view, entry.index, entry.proposed)?);
        }
        next.level = view.level()?;
        let (mut volumes, mut changes_buckets, mut changes_identities) = (Vec::new(), false, false);
        for change in view.changes() {
            changes_buckets |= keys::is(Tag::BucketById, change.key);
            changes_identities |= keys::is(Tag::Identities, change.key);
            next.fingerprint = next.fingerprint.wrapping_add(difference(&change));
            if let Some(value) = change.after.filter(|_| keys::is(Tag::Volume, change.key)) {
                volumes.push(decode(value)?);
            }
        }
        next.fingerprint = next.fingerprint.wrapping_add(view.correction());
        let void = beneath.void();
        let stored = void.as_ref().map(|void| void::stored(void, &mut view)).transpose()?;
        self.write(&view, &next, stored)?;
        if let Some(void) = &void {
            self.have_void(void);
        }
        if changes_buckets {
            self.bucket_changes.fetch_add(1, Ordering::Release);
        }
        if changes_identities {
            self.identity_changes.fetch_add(1, Ordering::Release);
        }
        *applied = next;
        self.level.store(next.level.number(), Ordering::Release);
        self.index.store(next.index, Ordering::Release);
        Ok(AppliedGroup { outcomes, volumes, freed: view.into_freed() })
    }

    fn write(&self, view: &View<'_>, applied: &Applied, void: Option<Value>) -> Result<(), TreeError> {
        let (key, value) = (keys::applied(), Value::from(applied.encode().as_slice()));
        let (void_key, changes) = (keys::void(), view.changes().map(|change| (change.key, change.after)));
        let void = void.as_ref().map(|void| (void_key.as_slice(), Some(void)));
        let beside = [(key.as_slice(), Some(&value))].into_iter().chain(void);
        let mut layers = self.layers.write();
        self.moves.lock().tell(view.changes().map(|change| change.key));
        let undrained = layers.put(changes.chain(beside));
        drop(layers);
        if undrained > MOST_UNDRAINED_BYTES { self.drain() } else { Ok(()) }
    }

    /// Writes all changes that wait into the open tree, as one batch.
    pub(crate) fn drain(&self) -> Result<(), TreeError> {
        let _alone = self.draining.lock();
        self.drain_alone()
    }

    /// [`Machine::drain`] for a caller that holds the lock.
    fn drain_alone(&self) -> Result<(), TreeError> {
        self.check()?;
        let changes = self.layers.write().drain();
        if changes.is_empty() {
            return Ok(());
        }
        let bytes = |(key, value): (&Vec<u8>, &Option<Value>)| {
            key.len() + value.as_ref().map_or(0, |value| value.len())
        };
        let drained: usize = changes.iter().map(bytes).sum();
        let pairs = changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref()));
        self.ask(|stack| stack.open.apply(pairs))?;
        let before = self.changed.fetch_add(drained as u64, Ordering::Relaxed);
        metrics::gauge!("stratum_index_changes_bytes").set((before + drained as u64) as f64);
        self.layers.write().drained();
        Ok(())
    }

    /// Drains what waits, and makes the open tree durable. Slow: for shutdown.
    pub(crate) fn flush(&self) -> Result<(), TreeError> {
        self.drain()?;
        self.ask(|stack| stack.open.flush())
    }

    /// Visits the pairs with `from <= key < to`, a slice at a time, so that writers get through.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let mut next = Some(from.to_vec());
        while let Some(start) = next {
            next = self.moment()?.scan(&start, to, &mut visit)?;
        }
        Ok(())
    }
}

impl Base for Machine {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        // The trees are read without the lock: a change that has left the layers by then is in the trees, or was
        // replaced by a newer one.
        self.check()?;
        let recent = self.layers.read().get(key);
        recent.map_or_else(|| self.ask(|stack| stack.get(key)), Ok)
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

/// What a change adds to the fingerprint.
fn difference(change: &Change<'_>) -> u128 {
    let term = |value: Option<&Value>| value.map_or(0, |value| fingerprint(change.key, value));
    term(change.after).wrapping_sub(term(change.before))
}

#[cfg(test)]
mod tests;
